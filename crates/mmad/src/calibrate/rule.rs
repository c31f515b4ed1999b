//! From scores to one threshold.

use serde::{Deserialize, Serialize};

use super::scale::is_signed;
use super::{Basis, CalibrationError};

/// What thresholds aim at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Share of good pictures that may be rejected.
    pub max_false_reject_rate: f64,
    /// Share of good pictures that may be rejected or reviewed; `None` for two verdicts only.
    #[serde(default)]
    pub review_rate: Option<f64>,
    /// How image thresholds are found.
    #[serde(default)]
    pub rule: Rule,
}

/// How image thresholds are found.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Rule {
    /// The conformal order statistic for the largest share of false rejects.
    #[default]
    Conformal,
    /// The score that this share of the good pictures does not exceed.
    Quantile {
        /// Above 0 and below 1.
        share: f64,
    },
    /// The best F1 on labelled pictures.
    F1,
    /// The least expected cost on labelled pictures.
    Cost {
        /// Cost of a false reject, above 0.
        false_reject: f64,
        /// Cost of a miss, above 0.
        miss: f64,
        /// Share of defective parts in production; `None` takes that of the labelled pictures.
        defect_rate: Option<f64>,
    },
}

/// Where the scores of a calibration come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Good pictures held out of training.
    #[default]
    HeldOut,
    /// Good pictures that somebody gave later.
    GoodPictures,
    /// The scores of an evaluation.
    ScoresFile,
    /// Labelled pictures, good and defective, that somebody gave later.
    LabelledPictures,
}

impl Default for Plan {
    /// At most 1 % of good pictures rejected, no reviews.
    fn default() -> Self {
        Self { max_false_reject_rate: 0.01, review_rate: None, rule: Rule::Conformal }
    }
}

impl Rule {
    /// Whether it is of use only where there are defective pictures.
    pub fn needs_defects(self) -> bool {
        matches!(self, Self::F1 | Self::Cost { .. })
    }
}

impl Plan {
    pub(super) fn check(&self) -> Result<(), CalibrationError> {
        let reject = self.max_false_reject_rate;
        check_share("false-reject rate", reject)?;
        if let Some(review) = self.review_rate {
            check_share("rate of reviews", review)?;
            if review <= reject {
                return Err(CalibrationError::ReviewRate { review, reject });
            }
        }
        match self.rule {
            Rule::Conformal | Rule::F1 => Ok(()),
            Rule::Quantile { share } => check_share("quantile", share),
            Rule::Cost { false_reject, miss, defect_rate } => {
                let is_cost = |cost: f64| cost > 0.0 && cost.is_finite();
                if !is_cost(false_reject) || !is_cost(miss) {
                    return Err(CalibrationError::Costs { false_reject, miss });
                }
                check_share("share of defective parts", defect_rate.unwrap_or(0.5))
            }
        }
    }
}

fn check_share(what: &'static str, value: f64) -> Result<(), CalibrationError> {
    let is_share = value > 0.0 && value < 1.0;
    is_share.then_some(()).ok_or(CalibrationError::Rate { what, value })
}

/// Scale of the normalised score where every held-out score is zero.
pub(super) const SMALLEST_THRESHOLD: f32 = 1e-6;

/// Threshold of ascending scores, at most `rate` of which a new one exceeds on average.
pub(super) fn conformal_threshold(scores: &[f32], rate: f64) -> (f32, Basis) {
    let n = scores.len();
    // A guard against (n + 1)(1 - r) landing a rounding error above a whole number.
    let rank = ((n + 1) as f64 * (1.0 - rate) - 1e-9).ceil() as usize;
    let (at, basis) = match rank {
        rank if rank <= n => (scores[rank.max(1) - 1], Basis::Conformal),
        _ => {
            let largest = scores[n - 1];
            let median = scores[n / 2];
            (largest + (largest - median).max(0.0) * 0.5, Basis::BeyondLargest)
        }
    };
    (just_above(at, is_signed(scores)), basis)
}

/// Threshold just above the smallest score that `share` of the ascending scores do not exceed.
pub(super) fn quantile_threshold(scores: &[f32], share: f64) -> f32 {
    let n = scores.len();
    let rank = (n as f64 * share - 1e-9).ceil() as usize;
    just_above(scores[rank.clamp(1, n) - 1], is_signed(scores))
}

/// Threshold with the best F1 or the least cost, half way between two scores; of several, the
/// highest.
pub(super) fn labelled_threshold(good: &[f32], defective: &[f32], rule: Rule) -> f32 {
    let mut all: Vec<f32> = good.iter().chain(defective).copied().collect();
    all.sort_by(|a, b| b.total_cmp(a));
    all.dedup();
    let (n_good, n_defective) = (good.len() as f64, defective.len() as f64);
    let at_least = |scores: &[f32], cut: f32| scores.iter().filter(|&&s| s >= cut).count() as f64;
    let badness = |false_rejects: f64, hits: f64| match rule {
        Rule::Cost { false_reject, miss, defect_rate } => {
            let share = defect_rate.unwrap_or(n_defective / (n_good + n_defective));
            false_reject * (1.0 - share) * false_rejects / n_good
                + miss * share * (n_defective - hits) / n_defective
        }
        _ => -2.0 * hits / (n_defective + hits + false_rejects),
    };
    // Above every score nothing is rejected.
    let highest = all[0];
    let is_signed = is_signed(good) || is_signed(defective);
    let mut best = (badness(0.0, 0.0), just_above(highest, is_signed));
    for (i, &cut) in all.iter().enumerate() {
        let bad = badness(at_least(good, cut), at_least(defective, cut));
        if bad < best.0 {
            let below = all.get(i + 1).map_or(cut, |&below| f32::midpoint(below, cut));
            // Between neighbours the middle may round down onto the lower one.
            best = (bad, if all.get(i + 1) == Some(&below) { cut } else { below });
        }
    }
    if is_signed { best.1 } else { best.1.max(SMALLEST_THRESHOLD) }
}

/// A picture is rejected at the threshold itself, so it lies just above the score.
fn just_above(score: f32, is_signed: bool) -> f32 {
    let score = if is_signed { score } else { score.max(SMALLEST_THRESHOLD) };
    score.next_up()
}
