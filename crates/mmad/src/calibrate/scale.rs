//! Scores of every class on one scale.

use serde::{Deserialize, Serialize};

use super::rule::SMALLEST_THRESHOLD;

/// Largest power above the threshold: with it, twice the threshold is 0.8 and ten times 0.99.
const MAX_POWER_ABOVE: f32 = 2.0;

/// A scale on which the threshold is 0.5, strictly rising and never cut: `s^p / (s^p + t^p)` for
/// scores that are never negative, and `1 / (1 + exp(p (t - s)))` for scores of either sign.
///
/// The power `p` is chosen so that a middling good picture lies at 0.1; the scale then uses the room
/// between good and defective whatever the raw scores are. Above the threshold the scale rises more
/// slowly (a power of at most 2, or `1 - 1 / (2 + p (s - t))`), so that a bad defect and a worse one
/// keep different numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoreScale {
    /// The raw score that becomes 0.5.
    pub threshold: f32,
    /// The power below the threshold: 1 to 50 for scores that are never negative, above 0 for
    /// others.
    pub power: f32,
    /// Whether scores can be negative.
    #[serde(default)]
    pub is_signed: bool,
}

impl ScoreScale {
    /// The scale of a threshold and the scores of good pictures, ascending.
    pub fn new(threshold: f32, good: &[f32]) -> Self {
        const AT_MEDIAN: f64 = 0.1;
        let odds = ((1.0 - AT_MEDIAN) / AT_MEDIAN).ln();
        let middle = good.get(good.len() / 2).copied();
        if threshold <= 0.0 || is_signed(good) {
            let room = f64::from(threshold) - middle.map_or(0.0, f64::from);
            // Without room, or without good pictures, the scale is that of the threshold itself.
            let room = if room > 0.0 && middle.is_some() { room } else { f64::from(threshold) };
            let power = odds / room.abs().max(f64::from(SMALLEST_THRESHOLD));
            return Self { threshold, power: power as f32, is_signed: true };
        }
        let median = middle.map_or(0.0, f64::from);
        let ratio = f64::from(threshold) / median.max(f64::MIN_POSITIVE);
        // A median at or above the threshold leaves no room; the steepest scale stands for that.
        let power = if ratio > 1.0 { odds / ratio.ln() } else { 50.0 };
        Self { threshold, power: power.clamp(1.0, 50.0) as f32, is_signed: false }
    }

    /// A raw score on this scale.
    pub fn of(&self, score: f32) -> f32 {
        let scaled = if self.is_signed { self.of_signed(score) } else { self.of_positive(score) };
        // No rounding carries a score that passes to the other side.
        if score < self.threshold { scaled.min(0.5_f32.next_down()) } else { scaled.max(0.5) }
    }

    fn of_signed(&self, score: f32) -> f32 {
        let room = f64::from(self.power) * (f64::from(score) - f64::from(self.threshold));
        let scaled =
            if room > 0.0 { 1.0 - 1.0 / (2.0 + room) } else { 1.0 / (1.0 + (-room).exp()) };
        scaled as f32
    }

    fn of_positive(&self, score: f32) -> f32 {
        let ratio = f64::from(score.max(0.0)) / f64::from(self.threshold);
        let power = if ratio > 1.0 { self.power.min(MAX_POWER_ABOVE) } else { self.power };
        // Not through s^p, which overflows for large scores.
        (1.0 / (1.0 + ratio.powf(-f64::from(power)))) as f32
    }
}

/// Whether ascending scores show that scores can be negative.
pub(super) fn is_signed(scores: &[f32]) -> bool {
    scores.first().is_some_and(|&smallest| smallest < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_scores_rise_and_meet_a_half_at_the_threshold() {
        let scale = ScoreScale::new(0.3, &[0.1, 0.2, 0.25]);
        assert_eq!(scale.of(0.3), 0.5);
        assert!((scale.of(0.2) - 0.1).abs() < 1e-6);
        let scores = [0.0, 0.1, 0.2, 0.3, 0.4, 0.6];
        assert!(scores.windows(2).all(|w| scale.of(w[0]) < scale.of(w[1])));
        assert!(scale.of(f32::MAX) <= 1.0 && scale.of(0.0) == 0.0);
        assert_eq!(ScoreScale::new(0.3, &[0.4]).power, 50.0);
    }

    #[test]
    fn rounding_changes_no_verdict() {
        for threshold in [0.1_f32, 0.3, 0.7, 1.3, 1e-6, 77.7] {
            for good in [1.0, 0.99, 0.5, 1e-6] {
                let scale = ScoreScale::new(threshold, &[good * threshold]);
                assert!(scale.of(threshold.next_down()) < 0.5, "{threshold} {good}");
                assert!(scale.of(threshold) >= 0.5 && scale.of(threshold.next_up()) >= 0.5);
            }
        }
    }

    /// Also where good pictures lie close to the threshold, which makes the scale steep.
    #[test]
    fn high_scores_stay_apart() {
        for good in [[0.29], [0.1], [0.001]] {
            let scale = ScoreScale::new(0.3, &good);
            let scaled: Vec<f32> = (0..=200).map(|i| scale.of(0.06 * i as f32)).collect();
            assert!(scaled.windows(2).all(|pair| pair[0] < pair[1]), "{good:?}");
        }
    }
}
