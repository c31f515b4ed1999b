//! Which defect regions a threshold finds.
//!
//! A region is an 8-connected component of a mask, as for AU-PRO. Its overlap is the share of its
//! pixels that score as high as the threshold or higher. The recall of regions is the share of
//! regions whose overlap is large enough: more than nothing, a tenth, a half. Large and small
//! defects count the same.

use crate::error::{MetricError, MetricValue, Unit};
use crate::input::{CheckedClass, ScoredImage};
use crate::pixels::PixelTruth;

/// How much of every defect region of a class a threshold finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionOverlaps {
    /// Per region, pixels found and pixels in all.
    regions: Vec<(u64, u64)>,
    /// Pixels without a defect.
    negatives: u64,
}

impl RegionOverlaps {
    /// Measures all pictures of a class: every defective pixel that scores `threshold` or more is
    /// found.
    ///
    /// ```
    /// use mmad_metrics::{RegionOverlaps, ScoredImage};
    /// let image = ScoredImage {
    ///     name: "crack/000",
    ///     width: 4,
    ///     map: &[0.9, 0.1, 0.1, 0.2],
    ///     mask: Some(&[1, 1, 0, 1]),
    ///     score: 0.9,
    ///     is_anomalous: true,
    /// };
    /// let overlaps = RegionOverlaps::of(&[image], 0.5)?;
    /// assert_eq!(overlaps.recall(0.5), Ok(0.5)); // half of the first, nothing of the second
    /// # Ok::<(), mmad_metrics::MetricError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`class_metrics`](crate::class_metrics()) for broken input.
    pub fn of(images: &[ScoredImage<'_>], threshold: f32) -> Result<Self, MetricError> {
        let class = CheckedClass::of(images)?;
        Ok(PixelTruth::gather(&class.annotated).overlaps(threshold))
    }

    pub(crate) fn new(regions: Vec<(u64, u64)>, negatives: u64) -> Self {
        Self { regions, negatives }
    }

    /// Pixels found and pixels in all, for every region.
    pub fn regions(&self) -> &[(u64, u64)] {
        &self.regions
    }

    /// The share of regions whose overlap is at least `overlap`; with 0, of which at least one
    /// pixel is found.
    ///
    /// # Errors
    ///
    /// [`MetricError::NoPositives`] without a region.
    pub fn recall(&self, overlap: f64) -> MetricValue {
        if self.regions.is_empty() {
            return Err(MetricError::NoPositives { unit: Unit::Pixel, negatives: self.negatives });
        }
        let is_found =
            |&&(found, area): &&(u64, u64)| found > 0 && found as f64 / area as f64 >= overlap;
        let n_found = self.regions.iter().filter(is_found).count();
        Ok(n_found as f64 / self.regions.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_count_the_same_whatever_their_size() {
        let overlaps = RegionOverlaps::new(vec![(0, 1), (1, 10), (1, 11), (4, 8), (9, 9)], 7);
        assert_eq!(overlaps.recall(0.0), Ok(0.8));
        assert_eq!(overlaps.recall(0.1), Ok(0.6));
        assert_eq!(overlaps.recall(0.5), Ok(0.4));
        assert_eq!(overlaps.recall(1.0), Ok(0.2));
        let none = RegionOverlaps::new(Vec::new(), 7);
        assert_eq!(none.recall(0.0).unwrap_err().to_string(), "no anomalous pixel among 7");
    }
}
