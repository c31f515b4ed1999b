//! Average precision (AP) and the best F1 score over all thresholds (F1-max).
//!
//! With the threshold `t`, everything that scores `t` or more is called anomalous. Over all
//! distinct scores `t`, from the highest down:
//!
//! - AP is the sum of `(recall(t) - recall(t before)) * precision(t)`: steps, not trapezoids, as
//!   in `average_precision_score` of scikit-learn;
//! - F1-max is the largest `F1(t) = 2 TP / (2 TP + FP + FN)`.
//!
//! Both change only where a positive is found, so the thresholds of [`Ranking`] are enough.

use crate::error::{MetricError, MetricValue};
use crate::ranking::Ranking;

/// Average precision of `scores`, in `0.0..=1.0`; higher is better, chance is the share of
/// positives.
///
/// ```
/// use mmad_metrics::average_precision;
/// let precision = average_precision(&[0.9, 0.8, 0.7], &[true, false, true])?;
/// assert!((precision - (1.0 / 2.0 + 2.0 / 3.0 / 2.0)).abs() < 1e-12);
/// # Ok::<(), mmad_metrics::MetricError>(())
/// ```
///
/// # Errors
///
/// [`MetricError::NoPositives`] when nothing is anomalous; [`MetricError::LengthMismatch`] and
/// [`MetricError::ScoreNotFinite`] for bad input.
pub fn average_precision(scores: &[f32], is_anomalous: &[bool]) -> MetricValue {
    average_precision_of(&Ranking::new(scores, is_anomalous)?)
}

/// [`average_precision`] of scores that are ranked already.
///
/// # Errors
///
/// [`MetricError::NoPositives`].
pub fn average_precision_of(ranking: &Ranking) -> MetricValue {
    ranking.need_positives()?;
    let (mut found, mut called) = (0_u64, 0_u64);
    let mut sum = 0.0;
    for step in ranking.steps() {
        found += step.positives;
        called += step.positives + step.negatives_above + step.negatives_tied;
        sum += step.positives as f64 * (found as f64 / called as f64);
    }
    Ok(sum / ranking.positives() as f64)
}

/// The best F1 score and where it is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct F1Max {
    /// The F1 score, in `0.0..=1.0`; higher is better.
    pub f1: f64,
    /// Intersection over union at the same threshold, which is also the largest there is.
    pub iou: f64,
    /// The highest threshold that reaches it: anomalous is `score >= threshold`.
    pub threshold: f32,
}

/// The best F1 score over all thresholds, with the threshold.
///
/// ```
/// use mmad_metrics::f1_max;
/// let best = f1_max(&[0.1, 0.8, 0.7, 0.9], &[false, false, true, true])?;
/// assert!((best.f1 - 0.8).abs() < 1e-12);
/// assert_eq!(best.threshold, 0.7);
/// # Ok::<(), mmad_metrics::MetricError>(())
/// ```
///
/// # Errors
///
/// [`MetricError::NoPositives`] when nothing is anomalous; [`MetricError::LengthMismatch`] and
/// [`MetricError::ScoreNotFinite`] for bad input.
pub fn f1_max(scores: &[f32], is_anomalous: &[bool]) -> Result<F1Max, MetricError> {
    f1_max_of(&Ranking::new(scores, is_anomalous)?)
}

/// [`f1_max`] of scores that are ranked already.
///
/// # Errors
///
/// [`MetricError::NoPositives`].
pub fn f1_max_of(ranking: &Ranking) -> Result<F1Max, MetricError> {
    ranking.need_positives()?;
    let positives = ranking.positives();
    let (mut found, mut called) = (0_u64, 0_u64);
    // F1 = 2 found / (called + positives). Fractions are compared whole, by cross multiplication,
    // so that a tie is a tie and the first, highest threshold wins.
    let mut best = (0_u64, 1_u64, f32::INFINITY);
    for step in ranking.steps() {
        found += step.positives;
        called += step.positives + step.negatives_above + step.negatives_tied;
        let total = called + positives;
        if u128::from(found) * u128::from(best.1) > u128::from(best.0) * u128::from(total) {
            best = (found, total, step.score);
        }
    }
    let (found, total, threshold) = best;
    Ok(F1Max {
        f1: (2 * found) as f64 / total as f64,
        iou: found as f64 / (total - found) as f64,
        threshold,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_samples::samples;

    /// (threshold, found, called) at every distinct score from the highest down.
    fn thresholds(scores: &[f32], is_anomalous: &[bool]) -> Vec<(f32, f64, f64)> {
        let mut distinct = scores.to_vec();
        distinct.sort_unstable_by(|a, b| b.partial_cmp(a).unwrap());
        distinct.dedup();
        let at = |&threshold: &f32| {
            let called = scores.iter().zip(is_anomalous).filter(|(score, _)| **score >= threshold);
            let found = called.clone().filter(|(_, label)| **label).count();
            (threshold, found as f64, called.count() as f64)
        };
        distinct.iter().map(at).collect()
    }

    proptest! {
        #[test]
        fn average_precision_equals_the_definition((scores, labels) in samples()) {
            let positives = labels.iter().filter(|&&label| label).count() as f64;
            let (mut sum, mut found_before) = (0.0, 0.0);
            for (_, found, called) in thresholds(&scores, &labels) {
                sum += (found - found_before) / positives * found / called;
                found_before = found;
            }
            prop_assert!((average_precision(&scores, &labels).unwrap() - sum).abs() < 1e-12);
        }

        #[test]
        fn f1_max_equals_the_definition((scores, labels) in samples()) {
            let positives = labels.iter().filter(|&&label| label).count() as f64;
            let mut best = (0.0, 0.0, f32::INFINITY);
            for (threshold, found, called) in thresholds(&scores, &labels) {
                let f1 = 2.0 * found / (called + positives);
                if f1 > best.0 + 1e-12 {
                    best = (f1, found / (called + positives - found), threshold);
                }
            }
            let F1Max { f1, iou, threshold } = f1_max(&scores, &labels).unwrap();
            prop_assert!((f1 - best.0).abs() < 1e-12);
            prop_assert!((iou - best.1).abs() < 1e-12);
            prop_assert!((iou - f1 / (2.0 - f1)).abs() < 1e-12);
            prop_assert_eq!(threshold, best.2);
        }

        #[test]
        fn only_the_order_of_scores_matters((scores, labels) in samples()) {
            let stretched: Vec<f32> = scores.iter().map(|&s| if s < 0.0 { s / 2.0 } else { 4.0 * s }).collect();
            prop_assert_eq!(
                average_precision(&scores, &labels),
                average_precision(&stretched, &labels)
            );
            let (plain, far) = (f1_max(&scores, &labels), f1_max(&stretched, &labels));
            prop_assert_eq!(plain.map(|best| best.f1), far.map(|best| best.f1));
        }
    }

    #[test]
    fn all_anomalous_is_perfect_and_all_normal_undefined() {
        assert_eq!(average_precision(&[0.1, 0.9], &[true, true]), Ok(1.0));
        assert_eq!(f1_max(&[0.1, 0.9], &[true, true]).unwrap().threshold, 0.1);
        assert!(average_precision(&[0.1, 0.9], &[false, false]).is_err());
        assert!(f1_max(&[], &[]).is_err());
    }
}
