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

use crate::error::MetricValue;
use crate::ranking::Ranking;

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
) -> MetricValue {
    pixels.need_positives()?;
    pixels.need_negatives()?;
    let negatives = pixels.negatives() as f64;
    let (mut false_positives, mut found) = (0_u64, 0.0);
    let mut here = Point { fpr: 0.0, pro: 0.0 };
    let mut area = 0.0;
    for (step, found_here) in pixels.steps().iter().zip(found_regions) {
        // Between two positives the curve is flat; negatives that tie with positives make it
        // climb while it goes right.
        false_positives += step.negatives_above;
        let flat_end = Point { fpr: false_positives as f64 / negatives, pro: here.pro };
        false_positives += step.negatives_tied;
        found += found_here;
        let climb_end = Point {
            fpr: false_positives as f64 / negatives,
            pro: (found / n_regions as f64).min(1.0),
        };
        area += area_up_to(limit, here, flat_end) + area_up_to(limit, flat_end, climb_end);
        here = climb_end;
        if here.fpr >= limit {
            break;
        }
    }
    area += area_up_to(limit, here, Point { fpr: 1.0, pro: here.pro });
    Ok(area / limit)
}

/// A point of the curve.
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
        assert!((au_pro(&pixels, &found, 2, 1.0).unwrap() - whole).abs() < 1e-15);
        assert!((au_pro(&pixels, &found, 2, 0.25).unwrap() - 0.5).abs() < 1e-15);
        // The limit cuts the climb from (0.25, 0.5) to (0.5, 0.75) in its middle.
        let cut = (0.25 * 0.5 + 0.125 * (0.5 + 0.625) / 2.0) / 0.375;
        assert!((au_pro(&pixels, &found, 2, 0.375).unwrap() - cut).abs() < 1e-15);
    }

    #[test]
    fn a_constant_map_gives_half_the_limit() {
        let pixels = Ranking::new(&[0.5; 6], &[true, true, false, false, false, false]).unwrap();
        assert!((au_pro(&pixels, &[1.0], 1, 0.3).unwrap() - 0.15).abs() < 1e-15);
    }
}
