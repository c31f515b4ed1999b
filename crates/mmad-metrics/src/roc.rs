//! Area under the ROC curve (AU-ROC).
//!
//! Definition: the probability that a random positive scores above a random negative, a tie
//! counting one half (J. A. Hanley and B. J. `McNeil`, "The meaning and use of the area under a
//! receiver operating characteristic (ROC) curve", Radiology 143, 1982).
//! The same value as `roc_auc_score` of scikit-learn with two classes.

use crate::error::MetricValue;
use crate::ranking::Ranking;

/// Area under the ROC curve of `scores`, in `0.0..=1.0`; higher is better, 0.5 is chance.
///
/// `is_anomalous[i]` is the truth for `scores[i]`. Any score scale is accepted.
///
/// ```
/// use mmad_metrics::au_roc;
/// assert_eq!(au_roc(&[0.2, 0.6, 0.5, 0.9], &[false, false, true, true])?, 0.75);
/// # Ok::<(), mmad_metrics::MetricError>(())
/// ```
///
/// # Errors
///
/// [`NoPositives`](crate::MetricError::NoPositives) and
/// [`NoNegatives`](crate::MetricError::NoNegatives): with one class only the area is
/// undefined. [`LengthMismatch`](crate::MetricError::LengthMismatch) and
/// [`ScoreNotFinite`](crate::MetricError::ScoreNotFinite) for bad input.
pub fn au_roc(scores: &[f32], is_anomalous: &[bool]) -> MetricValue {
    au_roc_of(&Ranking::new(scores, is_anomalous)?)
}

/// [`au_roc`] of scores that are ranked already.
///
/// # Errors
///
/// [`NoPositives`](crate::MetricError::NoPositives) and
/// [`NoNegatives`](crate::MetricError::NoNegatives).
pub fn au_roc_of(ranking: &Ranking) -> MetricValue {
    ranking.need_positives()?;
    ranking.need_negatives()?;
    // Won pairs are counted twice so that the half of a tie stays whole. The sum is exact.
    let mut negatives_below = ranking.negatives();
    let mut twice_won = 0_u128;
    for step in ranking.steps() {
        negatives_below -= step.negatives_above + step.negatives_tied;
        twice_won +=
            u128::from(step.positives) * u128::from(2 * negatives_below + step.negatives_tied);
    }
    let pairs = u128::from(ranking.positives()) * u128::from(ranking.negatives());
    Ok(twice_won as f64 / (2 * pairs) as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_samples::samples;

    /// Every pair votes.
    fn by_definition(scores: &[f32], is_anomalous: &[bool]) -> f64 {
        let (mut won, mut pairs) = (0.0, 0.0);
        for (positive, _) in scores.iter().zip(is_anomalous).filter(|(_, label)| **label) {
            for (negative, _) in scores.iter().zip(is_anomalous).filter(|(_, label)| !**label) {
                pairs += 1.0;
                won += if positive > negative {
                    1.0
                } else if positive == negative {
                    0.5
                } else {
                    0.0
                };
            }
        }
        won / pairs
    }

    proptest! {
        #[test]
        fn equals_the_definition((scores, labels) in samples()) {
            let area = au_roc(&scores, &labels).unwrap();
            prop_assert!((area - by_definition(&scores, &labels)).abs() < 1e-12);
        }

        #[test]
        fn only_the_order_of_scores_matters((scores, labels) in samples()) {
            let stretched: Vec<f32> = scores.iter().map(|&s| if s < 0.0 { s / 2.0 } else { 4.0 * s }).collect();
            prop_assert_eq!(au_roc(&scores, &labels), au_roc(&stretched, &labels));
        }

        #[test]
        fn swapping_the_classes_mirrors_the_area((scores, labels) in samples()) {
            let swapped: Vec<bool> = labels.iter().map(|label| !label).collect();
            let sum = au_roc(&scores, &labels).unwrap() + au_roc(&scores, &swapped).unwrap();
            prop_assert!((sum - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn one_class_has_no_area() {
        let error = au_roc(&[0.1, 0.2], &[false, false]).unwrap_err();
        assert_eq!(error.to_string(), "no anomalous score among 2");
        let error = au_roc(&[0.1], &[true]).unwrap_err();
        assert_eq!(error.to_string(), "no normal score among 1");
        assert!(au_roc(&[], &[]).is_err());
    }
}
