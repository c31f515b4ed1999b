//! Positives and negatives in the order of their scores: what every curve is drawn from.

use crate::error::{MetricError, Unit};
use crate::order::order_key;
use crate::placement::{DistinctScores, Placed, Placement};

/// One threshold at which a positive is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The threshold: everything that scores as high or higher is called anomalous.
    pub score: f32,
    /// Positives with exactly this score, at least 1.
    pub positives: u64,
    /// Negatives strictly between this score and the next higher step.
    pub negatives_above: u64,
    /// Negatives with exactly this score.
    pub negatives_tied: u64,
}

/// The thresholds at which something anomalous is found, from the highest down.
///
/// Equal scores form one step, and -0.0 equals 0.0. Negatives are only counted, because nothing
/// but their number between two positives matters to a metric; those below the last step are in
/// [`negatives`](Self::negatives) alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    placed: Placed,
    positives: u64,
    negatives: u64,
    unit: Unit,
}

impl Ranking {
    /// Ranks `scores`; `is_anomalous[i]` is the truth for `scores[i]`.
    ///
    /// # Errors
    ///
    /// [`MetricError::LengthMismatch`] and [`MetricError::ScoreNotFinite`].
    pub fn new(scores: &[f32], is_anomalous: &[bool]) -> Result<Self, MetricError> {
        Self::of_unit(scores, is_anomalous, Unit::Score)
    }

    /// [`Ranking::new`] with the word that errors use for the ranked things.
    pub(crate) fn of_unit(
        scores: &[f32],
        is_anomalous: &[bool],
        unit: Unit,
    ) -> Result<Self, MetricError> {
        if scores.len() != is_anomalous.len() {
            return Err(MetricError::LengthMismatch {
                scores: scores.len(),
                labels: is_anomalous.len(),
            });
        }
        if let Some(index) = scores.iter().position(|score| !score.is_finite()) {
            let value = scores[index].to_string();
            return Err(MetricError::ScoreNotFinite { index, value });
        }
        let with_label = |wanted: bool| {
            let pairs = scores.iter().zip(is_anomalous);
            pairs.filter(move |&(_, &label)| label == wanted).map(|(&score, _)| score)
        };

        let mut positives: Vec<u32> = with_label(true).map(order_key).collect();
        positives.sort_unstable();
        let tied = positives.chunk_by(|a, b| a == b).map(|tied| (tied[0], tied.len()));
        let mut placement = Placement::new(DistinctScores::new(tied));
        let negatives: Vec<f32> = with_label(false).collect();
        placement.add_all(&negatives);
        Ok(Self::from_placed(placement.finish(), unit))
    }

    /// The ranking of placed negatives.
    pub(crate) fn from_placed(placed: Placed, unit: Unit) -> Self {
        let n = placed.len();
        let positives = (0..n).map(|i| placed.equal(i)).sum();
        let negatives = (0..n).map(|i| placed.below(i) + placed.tied(i)).sum::<u64>();
        let negatives = negatives + placed.below(n);
        Self { placed, positives, negatives, unit }
    }

    /// The steps, from the highest score to the lowest.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = Step> + ExactSizeIterator + Clone {
        let placed = &self.placed;
        // A placement numbers from the lowest up: `i + 1` is the next higher positive, if any.
        (0..placed.len()).rev().map(|i| Step {
            score: placed.score(i),
            positives: placed.equal(i),
            negatives_above: placed.below(i + 1),
            negatives_tied: placed.tied(i),
        })
    }

    /// Number of positives.
    pub fn positives(&self) -> u64 {
        self.positives
    }

    /// Number of negatives.
    pub fn negatives(&self) -> u64 {
        self.negatives
    }

    /// An error when there is no positive.
    pub(crate) fn need_positives(&self) -> Result<(), MetricError> {
        if self.positives == 0 {
            return Err(MetricError::NoPositives { unit: self.unit, negatives: self.negatives });
        }
        Ok(())
    }

    /// An error when there is no negative.
    pub(crate) fn need_negatives(&self) -> Result<(), MetricError> {
        if self.negatives == 0 {
            return Err(MetricError::NoNegatives { unit: self.unit, positives: self.positives });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_form_one_step_and_zeros_are_equal() {
        let scores = [0.5, -0.0, 0.5, 0.0, 0.5, 0.7, -3.0, 0.1];
        let labels = [true, true, true, false, false, false, false, false];
        let ranking = Ranking::new(&scores, &labels).unwrap();
        let steps = [
            Step { score: 0.5, positives: 2, negatives_above: 1, negatives_tied: 1 },
            Step { score: 0.0, positives: 1, negatives_above: 1, negatives_tied: 1 },
        ];
        assert_eq!(ranking.steps().collect::<Vec<_>>(), steps);
        assert_eq!((ranking.positives(), ranking.negatives()), (3, 5));
    }

    #[test]
    fn broken_input_is_refused() {
        let error = Ranking::new(&[0.1, f32::NAN], &[true, false]).unwrap_err();
        assert_eq!(error.to_string(), "score 1 is `NaN`, not a finite number");
        let error = Ranking::new(&[0.1], &[]).unwrap_err();
        assert_eq!(error.to_string(), "1 scores but 0 labels");
    }
}
