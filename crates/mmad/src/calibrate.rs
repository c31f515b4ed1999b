//! Thresholds per class from the scores of held-out good pictures.
//!
//! Source: split conformal prediction (Vovk et al. 2005; Papadopoulos et al. 2002). With `n` held
//! out scores, the `ceil((n + 1)(1 - r))`-th smallest is exceeded by a new good picture with
//! probability at most `r`, whatever the distribution, as long as the new picture is drawn like
//! the held-out ones. Where `n` is too small for `r`, that order statistic does not exist: the
//! threshold is then placed above the largest score and the calibration says that no guarantee
//! holds.
//!
//! The scores are kept with the thresholds, so another rate needs no model.

use serde::{Deserialize, Serialize};

/// Thresholds of every class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Share of good pictures that may be rejected.
    pub max_false_reject_rate: f64,
    /// One entry per class, in order of name.
    pub classes: Vec<ClassCalibration>,
}

/// The threshold of one class and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassCalibration {
    /// Name of the class.
    pub class: String,
    /// A picture with this score or more is defective.
    pub threshold: f32,
    /// How the threshold came about.
    pub basis: Basis,
    /// Scores of the held-out good pictures, ascending.
    pub scores: Vec<f32>,
}

/// How a threshold came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The conformal order statistic: the rate holds on average over calibrations.
    Conformal,
    /// Too few pictures for the rate: the largest score and a margin, no guarantee.
    BeyondLargest,
    /// Set by hand.
    Manual,
}

/// A rate of false rejects and where it lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateInterval {
    /// Rejected share of the held-out pictures.
    pub observed: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What keeps a calibration from being made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// Not between 0 and 1.
    #[error("the false-reject rate is {0}")]
    Rate(f64),
    /// A score that is not a number.
    #[error("class `{class}` has a score that is not a finite number")]
    NotFinite {
        /// Name of the class.
        class: String,
    },
    /// A class without held-out pictures.
    #[error("class `{class}` has no held-out good picture")]
    NoScores {
        /// Name of the class.
        class: String,
    },
    /// A class that the calibration does not have.
    #[error("class `{class}` is unknown to this model")]
    UnknownClass {
        /// Name as given.
        class: String,
        /// The names that exist.
        known: Vec<String>,
    },
}

impl CalibrationError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Rate(_) => "give a share above 0 and below 1, such as 0.01".to_owned(),
            Self::NotFinite { .. } => {
                "the model is broken (training may have diverged); train it again".to_owned()
            }
            Self::NoScores { .. } => {
                "hold some out with `data.calibration_share`, or add good pictures".to_owned()
            }
            Self::UnknownClass { known, .. } => format!("the model knows: {}", known.join(", ")),
        })
    }
}

/// Scale of the normalised score where every held-out score is zero.
const SMALLEST_THRESHOLD: f32 = 1e-6;

impl Calibration {
    /// Finds the threshold of every class from its held-out scores.
    ///
    /// # Errors
    ///
    /// [`CalibrationError`] for a rate outside `0..1`, a class without scores, or a score that is
    /// not finite.
    pub fn new(
        scores: Vec<(String, Vec<f32>)>,
        max_false_reject_rate: f64,
    ) -> Result<Self, CalibrationError> {
        check_rate(max_false_reject_rate)?;
        let mut classes = Vec::new();
        for (class, mut scores) in scores {
            if scores.is_empty() {
                return Err(CalibrationError::NoScores { class });
            }
            if scores.iter().any(|score| !score.is_finite()) {
                return Err(CalibrationError::NotFinite { class });
            }
            scores.sort_by(f32::total_cmp);
            let (threshold, basis) = conformal_threshold(&scores, max_false_reject_rate);
            classes.push(ClassCalibration { class, threshold, basis, scores });
        }
        classes.sort_by(|a, b| a.class.cmp(&b.class));
        Ok(Self { max_false_reject_rate, classes })
    }

    /// The same scores under another rate.
    ///
    /// # Errors
    ///
    /// [`CalibrationError::Rate`] for a rate outside `0..1`.
    pub fn with_rate(&self, max_false_reject_rate: f64) -> Result<Self, CalibrationError> {
        let scores = self.classes.iter().map(|c| (c.class.clone(), c.scores.clone())).collect();
        Self::new(scores, max_false_reject_rate)
    }

    /// Sets the threshold of a class by hand.
    ///
    /// # Errors
    ///
    /// [`CalibrationError::UnknownClass`], or [`CalibrationError::NotFinite`].
    pub fn set_threshold(&mut self, class: &str, threshold: f32) -> Result<(), CalibrationError> {
        if !threshold.is_finite() {
            return Err(CalibrationError::NotFinite { class: class.to_owned() });
        }
        let known = || self.classes.iter().map(|c| c.class.clone()).collect();
        let unknown = CalibrationError::UnknownClass { class: class.to_owned(), known: known() };
        let entry = self.classes.iter_mut().find(|c| c.class == class).ok_or(unknown)?;
        if threshold <= 0.0 && !is_signed(&entry.scores) {
            return Err(CalibrationError::NotFinite { class: class.to_owned() });
        }
        entry.threshold = threshold;
        entry.basis = Basis::Manual;
        Ok(())
    }

    /// The entry of a class.
    pub fn class(&self, class: &str) -> Option<&ClassCalibration> {
        self.classes.iter().find(|c| c.class == class)
    }
}

impl ClassCalibration {
    /// The scale on which its threshold is 0.5.
    pub fn scale(&self) -> ScoreScale {
        ScoreScale::new(self.threshold, &self.scores)
    }

    /// Rejected share of the held-out pictures with its exact binomial interval
    /// (Clopper and Pearson 1934).
    pub fn false_reject_rate(&self) -> RateInterval {
        let n = self.scores.len();
        let rejected = self.scores.iter().filter(|&&score| score >= self.threshold).count();
        clopper_pearson(rejected, n)
    }
}

/// A scale on which the threshold is 0.5, strictly rising and never cut: `s^p / (s^p + t^p)` for
/// scores that are never negative, and `1 / (1 + exp(p (t - s)))` for scores of either sign.
///
/// The power `p` is chosen so that a middling good picture lies at 0.1; the scale then uses the room
/// between good and defective whatever the raw scores are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoreScale {
    /// The raw score that becomes 0.5.
    pub threshold: f32,
    /// The power: 1 to 50 for scores that are never negative, above 0 for others.
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
        let (power, threshold) = (f64::from(self.power), f64::from(self.threshold));
        if self.is_signed {
            return (1.0 / (1.0 + (power * (threshold - f64::from(score))).exp())) as f32;
        }
        let ratio = f64::from(score.max(0.0)) / threshold;
        // Not through s^p, which overflows for large scores.
        (1.0 / (1.0 + ratio.powf(-power))) as f32
    }
}

/// Whether ascending scores show that scores can be negative.
fn is_signed(scores: &[f32]) -> bool {
    scores.first().is_some_and(|&smallest| smallest < 0.0)
}

fn check_rate(rate: f64) -> Result<(), CalibrationError> {
    if rate > 0.0 && rate < 1.0 { Ok(()) } else { Err(CalibrationError::Rate(rate)) }
}

/// Threshold from ascending scores.
fn conformal_threshold(scores: &[f32], rate: f64) -> (f32, Basis) {
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
    let at = if is_signed(scores) { at } else { at.max(SMALLEST_THRESHOLD) };
    // A picture is rejected at the threshold itself, so it lies just above the order statistic.
    (at.next_up(), basis)
}

fn clopper_pearson(rejected: usize, n: usize) -> RateInterval {
    let tail = 0.025;
    let upper_tail = |p: f64| binomial_at_most(rejected, n, p);
    let lower_tail =
        |p: f64| 1.0 - if rejected == 0 { 0.0 } else { binomial_at_most(rejected - 1, n, p) };
    let low = if rejected == 0 { 0.0 } else { bisect(|p| lower_tail(p) < tail) };
    let high = if rejected == n { 1.0 } else { bisect(|p| upper_tail(p) > tail) };
    RateInterval { observed: rejected as f64 / n.max(1) as f64, low, high }
}

/// The point in `0..1` where `is_below` turns from true to false.
fn bisect(is_below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Probability of at most `k` successes in `n` trials.
fn binomial_at_most(k: usize, n: usize, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return if k >= n { 1.0 } else { 0.0 };
    }
    let (log_p, log_q) = (p.ln(), (-p).ln_1p());
    let mut log_choose = 0.0_f64;
    let mut sum = 0.0;
    for i in 0..=k.min(n) {
        if i > 0 {
            log_choose += ((n - i + 1) as f64 / i as f64).ln();
        }
        sum += (log_choose + i as f64 * log_p + (n - i) as f64 * log_q).exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_class(scores: Vec<f32>, rate: f64) -> ClassCalibration {
        Calibration::new(vec![("a".into(), scores)], rate).unwrap().classes.remove(0)
    }

    #[test]
    fn a_hundred_scores_give_one_percent() {
        let scores: Vec<f32> = (1..=100).map(|i| i as f32).collect();
        let class = one_class(scores.clone(), 0.01);
        assert_eq!(class.basis, Basis::Conformal);
        assert_eq!(class.threshold, 100.0_f32.next_up());
        assert_eq!(one_class(scores, 0.1).threshold, 91.0_f32.next_up());
    }

    #[test]
    fn too_few_scores_make_no_promise() {
        let class = one_class(vec![1.0, 2.0, 3.0], 0.01);
        assert_eq!(class.basis, Basis::BeyondLargest);
        assert!(class.threshold > 3.0);
    }

    /// The promise itself: over many calibrations, a new good picture is rejected at most at the
    /// rate asked for.
    #[test]
    fn the_rate_holds_on_average() {
        use rand::{Rng as _, SeedableRng as _};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let mut draw = || rng.random::<f32>().powi(3);
        let (mut rejected, mut total) = (0, 0);
        for _ in 0..2000 {
            let class = one_class((0..39).map(|_| draw()).collect(), 0.05);
            for _ in 0..20 {
                total += 1;
                rejected += usize::from(draw() >= class.threshold);
            }
        }
        let rate = f64::from(rejected as u32) / f64::from(total);
        assert!((0.03..0.055).contains(&rate), "{rate}");
    }

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
    fn scores_of_either_sign_have_thresholds_and_scales_too() {
        let mut good: Vec<f32> = (0..100).map(|i| -2.0 + 0.01 * i as f32).collect();
        let class = one_class(good.clone(), 0.05);
        good.reverse();
        assert!((class.threshold - -1.05).abs() < 1e-5, "{}", class.threshold);
        let scale = class.scale();
        assert!(scale.is_signed && (scale.of(class.threshold) - 0.5).abs() < 1e-6);
        assert!((scale.of(-1.5) - 0.1).abs() < 1e-3);
        let scores = [-9.0, -2.0, -1.0, 0.0, 2.0];
        assert!(scores.windows(2).all(|w| scale.of(w[0]) <= scale.of(w[1])));
        let mut calibration = Calibration::new(vec![("a".into(), good)], 0.05).unwrap();
        calibration.set_threshold("a", -0.5).unwrap();
        assert_eq!(calibration.class("a").unwrap().threshold, -0.5);
        let mut positive = Calibration::new(vec![("a".into(), vec![1.0])], 0.05).unwrap();
        assert!(positive.set_threshold("a", -0.5).is_err());
    }

    /// Clopper-Pearson limits of 0 of 10 and 1 of 24, as in published tables.
    #[test]
    fn interval_is_the_exact_one() {
        let none = clopper_pearson(0, 10);
        assert!((none.high - 0.3085).abs() < 1e-4 && none.low == 0.0);
        let one = clopper_pearson(1, 24);
        assert!((one.low - 0.001_054).abs() < 1e-5 && (one.high - 0.2112).abs() < 1e-4);
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(Calibration::new(vec![("a".into(), vec![])], 0.01).is_err());
        assert!(Calibration::new(vec![("a".into(), vec![f32::NAN])], 0.01).is_err());
        assert!(Calibration::new(vec![("a".into(), vec![1.0])], 0.0).is_err());
    }
}
