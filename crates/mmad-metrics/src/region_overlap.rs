//! Area under the per-region overlap curve (AU-PRO).
//!
//! Definition (P. Bergmann, M. Fauser, D. Sattlegger and C. Steger, "Uninformed Students:
//! Student-Teacher Anomaly Detection with Discriminative Latent Embeddings", CVPR 2020): for
//! every threshold,
//!
//! - PRO is the mean, over all defect regions of a class, of the share of the region that is
//!   found; regions are the 8-connected components of the masks;
//! - FPR is the share of defect-free pixels that are called anomalous, over all pictures of the
//!   class, good ones included.
//!
//! The curve goes from (0, 0) through all thresholds, joined by straight lines. The metric is the
//! area below it for FPR from 0 to a limit, divided by the limit; the line that crosses the limit
//! is cut there. Large and small defects weigh the same.
//!
//! The area is summed over the pixels that are found, not over the lines: what a threshold adds to
//! PRO counts from the FPR of that threshold to the limit. No term can grow when false positives
//! are added, not even in its last bit, which the bounds of `streaming.rs` stand on.

use crate::error::{MetricError, MetricValue};
use crate::ranking::Ranking;

/// How the false positive rate is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FprPrecision {
    /// As `f64`.
    Double,
    /// As `f32`, count and rate, as the evaluation that comes with MVTec AD rounds it.
    Single,
}

impl FprPrecision {
    fn rate(self, false_positives: u64, negatives: u64) -> f64 {
        match self {
            Self::Double => false_positives as f64 / negatives as f64,
            Self::Single => {
                let count = f64::from(false_positives as f32);
                f64::from((count / negatives as f64) as f32).min(1.0)
            }
        }
    }
}

/// AU-PRO up to the false positive rate `limit`, in `0.0..=1.0`; higher is better.
///
/// `found_regions[i]` is what step `i` of the ranking of the pixels adds to the sum of the found
/// shares of all regions: a pixel of a region of `n` pixels adds `1 / n`.
///
/// # Errors
///
/// [`MetricError::NoPositives`](crate::MetricError::NoPositives) without a region,
/// [`MetricError::NoNegatives`](crate::MetricError::NoNegatives) without a defect-free pixel.
pub(crate) fn au_pro(
    pixels: &Ranking,
    found_regions: &[f64],
    n_regions: u64,
    limit: f64,
    precision: FprPrecision,
) -> MetricValue {
    let [area] = au_pros(pixels, found_regions, n_regions, [limit], precision)?;
    Ok(area)
}

/// [`au_pro`] up to several limits, in one walk along the curve.
pub(crate) fn au_pros<const N: usize>(
    pixels: &Ranking,
    found_regions: &[f64],
    n_regions: u64,
    limits: [f64; N],
    precision: FprPrecision,
) -> Result<[f64; N], MetricError> {
    pixels.need_positives()?;
    pixels.need_negatives()?;
    let negatives = pixels.negatives();
    let furthest = limits.into_iter().fold(0.0, f64::max);
    let mut false_positives = 0_u64;
    let mut areas = [0.0; N];
    for (step, found) in pixels.steps().zip(found_regions) {
        false_positives += step.negatives_above;
        let start = precision.rate(false_positives, negatives);
        if start >= furthest {
            break;
        }
        // Negatives that tie with positives make the curve climb while it goes right.
        false_positives += step.negatives_tied;
        let is_climb = step.negatives_tied > 0;
        let end = if is_climb { precision.rate(false_positives, negatives) } else { start };
        for (area, &limit) in areas.iter_mut().zip(&limits).filter(|(_, limit)| start < **limit) {
            let width = if is_climb { width_below_climb(start, end, limit) } else { limit - start };
            *area += found * width;
        }
    }
    for (area, limit) in areas.iter_mut().zip(limits) {
        // The shares of a region add up to 1 but for rounding.
        *area = (*area / (n_regions as f64 * limit)).min(1.0);
    }
    Ok(areas)
}

/// Area from 0 to `limit` below a line that climbs from 0 to 1 between `start` and `end` and goes
/// on at 1.
fn width_below_climb(start: f64, end: f64, limit: f64) -> f64 {
    if end <= limit {
        limit - f64::midpoint(start, end)
    } else {
        (limit - start) * ((limit - start) / (2.0 * (end - start)))
    }
}

/// A point of a curve.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    /// False positive rate, the horizontal axis.
    pub(crate) fpr: f64,
    /// Per-region overlap, the vertical axis.
    pub(crate) pro: f64,
}

/// Area below the line between two points, as far as it lies left of `limit`.
pub(crate) fn area_up_to(limit: f64, from: Point, to: Point) -> f64 {
    if from.fpr >= limit {
        return 0.0;
    }
    let width = to.fpr.min(limit) - from.fpr;
    let end = if to.fpr > limit {
        from.pro + (to.pro - from.pro) * (width / (to.fpr - from.fpr))
    } else {
        to.pro
    };
    width * (from.pro + end) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBLE: FprPrecision = FprPrecision::Double;

    /// Two regions, of 1 and of 2 pixels, and four defect-free pixels. Thresholds 9, 8, 5, 2 give
    /// (FPR, PRO) = (0, 1/2), (1/4, 1/2), (1/2, 3/4), (1/2, 1).
    fn example() -> (Ranking, [f64; 3]) {
        let scores = [9.0, 5.0, 2.0, 8.0, 5.0, 1.0, 1.0];
        let labels = [true, true, true, false, false, false, false];
        (Ranking::new(&scores, &labels).unwrap(), [1.0, 0.5, 0.5])
    }

    #[test]
    fn the_example_by_hand() {
        let (pixels, found) = example();
        let whole: f64 = 0.25 * 0.5 + 0.25 * (0.5 + 0.75) / 2.0 + 0.5;
        assert!((au_pro(&pixels, &found, 2, 1.0, DOUBLE).unwrap() - whole).abs() < 1e-15);
        assert!((au_pro(&pixels, &found, 2, 0.25, DOUBLE).unwrap() - 0.5).abs() < 1e-15);
        // The limit cuts the climb from (0.25, 0.5) to (0.5, 0.75) in its middle.
        let cut = (0.25 * 0.5 + 0.125 * (0.5 + 0.625) / 2.0) / 0.375;
        assert!((au_pro(&pixels, &found, 2, 0.375, DOUBLE).unwrap() - cut).abs() < 1e-15);
    }

    #[test]
    fn a_constant_map_gives_half_the_limit() {
        let pixels = Ranking::new(&[0.5; 6], &[true, true, false, false, false, false]).unwrap();
        assert!((au_pro(&pixels, &[1.0], 1, 0.3, DOUBLE).unwrap() - 0.15).abs() < 1e-15);
    }

    #[test]
    fn single_precision_rounds_the_rate_only() {
        let (pixels, found) = example();
        let single = au_pro(&pixels, &found, 2, 0.375, FprPrecision::Single);
        assert_eq!(single, au_pro(&pixels, &found, 2, 0.375, DOUBLE));
        assert_eq!(FprPrecision::Single.rate(1, 3), f64::from(1.0_f32 / 3.0));
        assert_eq!(FprPrecision::Double.rate(1, 3), 1.0 / 3.0);
    }
}
