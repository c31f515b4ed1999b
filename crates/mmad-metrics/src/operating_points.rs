//! What one threshold costs: false alarms and missed defects at a point of the curve.
//!
//! A threshold calls everything anomalous that scores as high or higher. In the words of a line:
//!
//! - overkill: the share of good parts (negatives) that are rejected, the false positive rate;
//! - escape: the share of defective parts (positives) that pass, 1 - recall.
//!
//! Every distinct score is a threshold, and so is one above all scores. Nothing is interpolated:
//! each value belongs to a threshold that exists.

use crate::error::MetricValue;
use crate::ranking::Ranking;

/// The lowest false positive rate of a threshold that finds at least the share `recall` of the
/// positives; lower is better.
///
/// With 0.95 this is the "FPR at 95 % TPR" of out-of-distribution detection.
///
/// ```
/// use mmad_metrics::{Ranking, fpr_at_recall};
/// let ranking = Ranking::new(&[0.9, 0.8, 0.7, 0.1], &[true, false, true, false])?;
/// assert_eq!(fpr_at_recall(&ranking, 0.5), Ok(0.0));
/// assert_eq!(fpr_at_recall(&ranking, 0.95), Ok(0.5));
/// # Ok::<(), mmad_metrics::MetricError>(())
/// ```
///
/// # Errors
///
/// [`NoPositives`](crate::MetricError::NoPositives) and
/// [`NoNegatives`](crate::MetricError::NoNegatives).
pub fn fpr_at_recall(ranking: &Ranking, recall: f64) -> MetricValue {
    ranking.need_positives()?;
    ranking.need_negatives()?;
    let (positives, negatives) = (ranking.positives() as f64, ranking.negatives() as f64);
    let (mut found, mut false_positives) = (0_u64, 0_u64);
    for step in ranking.steps() {
        if found as f64 / positives >= recall {
            break;
        }
        found += step.positives;
        false_positives += step.negatives_above + step.negatives_tied;
    }
    Ok(false_positives as f64 / negatives)
}

/// The largest share of positives that a threshold finds whose false positive rate is at most
/// `fpr`; higher is better.
///
/// # Errors
///
/// [`NoPositives`](crate::MetricError::NoPositives) and
/// [`NoNegatives`](crate::MetricError::NoNegatives).
pub fn recall_at_fpr(ranking: &Ranking, fpr: f64) -> MetricValue {
    Ok(found_at_fpr(ranking, fpr)? as f64 / ranking.positives() as f64)
}

/// The lowest escape rate of a threshold that rejects at most the share `overkill` of the
/// negatives; lower is better.
///
/// # Errors
///
/// [`NoPositives`](crate::MetricError::NoPositives) and
/// [`NoNegatives`](crate::MetricError::NoNegatives).
pub fn escape_at_overkill(ranking: &Ranking, overkill: f64) -> MetricValue {
    let missed = ranking.positives() - found_at_fpr(ranking, overkill)?;
    Ok(missed as f64 / ranking.positives() as f64)
}

/// The lowest overkill rate of a threshold that lets at most the share `escape` of the positives
/// pass; lower is better. With 0 nothing escapes: the acceptance test of many lines.
///
/// ```
/// use mmad_metrics::{Ranking, escape_at_overkill, overkill_at_escape};
/// let ranking = Ranking::new(&[0.9, 0.8, 0.7, 0.1], &[true, false, true, false])?;
/// assert_eq!(overkill_at_escape(&ranking, 0.0), Ok(0.5));
/// assert_eq!(escape_at_overkill(&ranking, 0.01), Ok(0.5));
/// # Ok::<(), mmad_metrics::MetricError>(())
/// ```
///
/// # Errors
///
/// [`NoPositives`](crate::MetricError::NoPositives) and
/// [`NoNegatives`](crate::MetricError::NoNegatives).
pub fn overkill_at_escape(ranking: &Ranking, escape: f64) -> MetricValue {
    ranking.need_positives()?;
    ranking.need_negatives()?;
    let (positives, negatives) = (ranking.positives(), ranking.negatives() as f64);
    let (mut found, mut false_positives) = (0_u64, 0_u64);
    for step in ranking.steps() {
        if (positives - found) as f64 / positives as f64 <= escape {
            break;
        }
        found += step.positives;
        false_positives += step.negatives_above + step.negatives_tied;
    }
    Ok(false_positives as f64 / negatives)
}

fn found_at_fpr(ranking: &Ranking, fpr: f64) -> Result<u64, crate::error::MetricError> {
    ranking.need_positives()?;
    ranking.need_negatives()?;
    let negatives = ranking.negatives() as f64;
    let (mut found, mut false_positives) = (0_u64, 0_u64);
    for step in ranking.steps() {
        false_positives += step.negatives_above + step.negatives_tied;
        if false_positives as f64 / negatives > fpr {
            break;
        }
        found += step.positives;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_samples::samples;

    /// (false positive rate, recall) at every distinct score and above all of them.
    fn rates(scores: &[f32], is_anomalous: &[bool]) -> Vec<(f64, f64)> {
        let share = |label: bool, threshold: f32| {
            let of_label =
                || scores.iter().zip(is_anomalous).filter(move |(_, own)| **own == label);
            let called = of_label().filter(|(score, _)| **score >= threshold).count();
            called as f64 / of_label().count() as f64
        };
        let thresholds = scores.iter().copied().chain([f32::INFINITY]);
        thresholds.map(|threshold| (share(false, threshold), share(true, threshold))).collect()
    }

    proptest! {
        #[test]
        fn equals_the_definition((scores, labels) in samples(), limit in 0.0_f64..=1.0) {
            let ranking = Ranking::new(&scores, &labels).unwrap();
            let rates = rates(&scores, &labels);
            let lowest_fpr = |wanted: &dyn Fn(f64) -> bool| {
                rates.iter().filter(|rate| wanted(rate.1)).map(|rate| rate.0).fold(2.0, f64::min)
            };
            let best = rates.iter().filter(|rate| rate.0 <= limit).map(|rate| rate.1);
            let best = best.fold(-1.0, f64::max);
            prop_assert_eq!(fpr_at_recall(&ranking, limit), Ok(lowest_fpr(&|tpr| tpr >= limit)));
            prop_assert_eq!(recall_at_fpr(&ranking, limit), Ok(best));
            let escape = escape_at_overkill(&ranking, limit).unwrap();
            prop_assert!((escape - (1.0 - best)).abs() < 1e-15);
            let none_escapes = lowest_fpr(&|tpr| tpr >= 1.0);
            prop_assert_eq!(overkill_at_escape(&ranking, 0.0), Ok(none_escapes));
        }
    }

    #[test]
    fn one_class_has_no_operating_point() {
        let good = Ranking::new(&[0.1, 0.2], &[false, false]).unwrap();
        let defective = Ranking::new(&[0.1, 0.2], &[true, true]).unwrap();
        for ranking in [good, defective] {
            assert!(fpr_at_recall(&ranking, 0.95).is_err());
            assert!(recall_at_fpr(&ranking, 0.05).is_err());
            assert!(escape_at_overkill(&ranking, 0.01).is_err());
            assert!(overkill_at_escape(&ranking, 0.0).is_err());
        }
    }

    #[test]
    fn a_threshold_above_everything_always_exists() {
        let tied = Ranking::new(&[0.5; 4], &[true, true, false, false]).unwrap();
        assert_eq!(recall_at_fpr(&tied, 0.5), Ok(0.0));
        assert_eq!(fpr_at_recall(&tied, 0.0), Ok(0.0));
        assert_eq!(overkill_at_escape(&tied, 1.0), Ok(0.0));
        assert_eq!(escape_at_overkill(&tied, 1.0), Ok(0.0));
    }
}
