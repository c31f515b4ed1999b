//! What the evaluation that comes with MVTec AD does differently.
//!
//! Source: facts about its scripts (version of 2021). Differences to the exact metrics:
//!
//! - The false positive rates of the PRO curve are rounded to `f32`
//!   ([`FprPrecision`](crate::region_overlap::FprPrecision)); AU-PRO differs by less than 1e-8.
//! - The image AU-ROC does not join equal scores: pictures are sorted by score, and among equal
//!   ones the order of the files decides. This metric alone depends on the order of the pictures.
//! - A picture is anomalous when its mask is not empty.
//!
//! It has no other metrics; the rest of the seven is exact.

use crate::error::{MetricError, MetricValue, Unit};

/// Image AU-ROC with ties decided by the order of the pictures: of equal scores, the later one
/// counts as higher.
pub(crate) fn au_roc_by_order(scores: &[f32], is_anomalous: &[bool]) -> MetricValue {
    let mut samples: Vec<(f32, bool)> =
        scores.iter().copied().zip(is_anomalous.iter().copied()).collect();
    // A stable sort; the scores are finite, and the two zeros are equal.
    samples.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
    let (mut won, mut negatives) = (0_u64, 0_u64);
    for (_, is_anomalous) in &samples {
        if *is_anomalous {
            won += negatives;
        } else {
            negatives += 1;
        }
    }
    let positives = samples.len() as u64 - negatives;
    if positives == 0 {
        return Err(MetricError::NoPositives { unit: Unit::Image, negatives });
    }
    if negatives == 0 {
        return Err(MetricError::NoNegatives { unit: Unit::Image, positives });
    }
    Ok(won as f64 / (positives * negatives) as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::au_roc;
    use crate::test_samples::samples;

    proptest! {
        #[test]
        fn without_ties_it_is_the_area((scores, labels) in samples()) {
            let apart: Vec<f32> =
                scores.iter().enumerate().map(|(i, score)| score + 10.0 * i as f32).collect();
            let area = au_roc(&apart, &labels).unwrap();
            prop_assert!((au_roc_by_order(&apart, &labels).unwrap() - area).abs() < 1e-12);
        }

        #[test]
        fn both_orders_of_ties_surround_the_area((scores, labels) in samples()) {
            let backwards = |values: &[f32]| values.iter().rev().copied().collect::<Vec<_>>();
            let labels_backwards: Vec<bool> = labels.iter().rev().copied().collect();
            let one = au_roc_by_order(&scores, &labels).unwrap();
            let other = au_roc_by_order(&backwards(&scores), &labels_backwards).unwrap();
            let area = au_roc(&scores, &labels).unwrap();
            prop_assert!((f64::midpoint(one, other) - area).abs() < 1e-12);
        }
    }

    #[test]
    fn the_order_decides_ties() {
        assert_eq!(au_roc_by_order(&[0.0, -0.0], &[false, true]), Ok(1.0));
        assert_eq!(au_roc_by_order(&[0.5, 0.5], &[true, false]), Ok(0.0));
        assert!(au_roc_by_order(&[0.5], &[true]).is_err());
        assert!(au_roc_by_order(&[0.5], &[false]).is_err());
    }
}
