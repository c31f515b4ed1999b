//! Thresholds per class from the scores of good pictures that were held out of training.
//!
//! Source: split conformal prediction (Vovk et al. 2005; Papadopoulos et al. 2002). With `n` held
//! out scores, the `ceil((n + 1)(1 - r))`-th smallest is exceeded by a new good picture with
//! probability at most `r`, whatever the distribution, as long as the new picture is drawn like
//! the held-out ones. Where `n` is too small for `r`, that order statistic does not exist: the
//! threshold is then placed above the largest score and the calibration says that no guarantee
//! holds.
//!
//! Pixels get the same promise, per picture: with probability at most `r`, more than
//! [`PIXEL_SHARE`] of a new good picture lies at or above the pixel threshold.
//!
//! The scores are kept with the thresholds, so another rate or rule needs no model.

mod interval;
mod rule;
mod scale;

use serde::{Deserialize, Serialize};

pub use interval::{RateInterval, binomial_interval};
pub use rule::{Plan, Rule, Source};
pub use scale::ScoreScale;

use interval::order_statistic_interval;
use rule::{conformal_threshold, labelled_threshold, quantile_threshold};
use scale::is_signed;

/// Share of a picture that may lie at or above the pixel threshold before the picture counts
/// against the rate.
pub const PIXEL_SHARE: f64 = 0.01;

/// Thresholds of every class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// What the thresholds aim at.
    #[serde(flatten)]
    pub plan: Plan,
    /// Where the scores come from.
    #[serde(default)]
    pub source: Source,
    /// One entry per class, in order of name.
    pub classes: Vec<ClassCalibration>,
}

/// The thresholds of one class and what they rest on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassCalibration {
    /// Name of the class.
    pub class: String,
    /// A picture with this score or more is defective.
    pub threshold: f32,
    /// A picture with this score or more, and less than `threshold`, is for a person to look at.
    #[serde(default)]
    pub review: Option<f32>,
    /// A pixel of the map with this value or more counts as defective; at most `threshold`.
    #[serde(default)]
    pub pixel_threshold: Option<f32>,
    /// How the threshold came about.
    pub basis: Basis,
    /// Scores of the good pictures, ascending.
    pub scores: Vec<f32>,
    /// Values that [`PIXEL_SHARE`] of each of them exceeds, ascending.
    #[serde(default)]
    pub pixel_scores: Vec<f32>,
    /// Scores of defective pictures, ascending; none unless somebody gave labelled pictures.
    #[serde(default)]
    pub defective_scores: Vec<f32>,
}

/// How a threshold came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The conformal order statistic: the rate holds on average over calibrations.
    Conformal,
    /// Too few pictures for the rate: the largest score and a margin, no guarantee.
    BeyondLargest,
    /// The order statistic of a plain quantile, no guarantee.
    Quantile,
    /// The best F1 on labelled pictures.
    F1,
    /// The least cost on labelled pictures.
    Cost,
    /// Set by hand.
    Manual,
}

/// What is said about a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Good.
    Ok,
    /// For a person to look at.
    Review,
    /// Defective.
    Defect,
}

impl Verdict {
    /// `ok`, `review` or `defect`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Review => "review",
            Self::Defect => "defect",
        }
    }
}

/// Scores of the pictures of one class, in any order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClassScores {
    /// Name of the class.
    pub class: String,
    /// Scores of good pictures.
    pub good: Vec<f32>,
    /// What [`Scored::pixel_score`](crate::detector::Scored::pixel_score) says of the same.
    pub good_pixels: Vec<f32>,
    /// Scores of defective pictures.
    pub defective: Vec<f32>,
}

/// What keeps a calibration from being made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// Not between 0 and 1.
    #[error("the {what} is {value}")]
    Rate {
        /// Which one.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A review rate that leaves no room for reviews.
    #[error("the rate of reviews, {review}, is not above the rate of false rejects, {reject}")]
    ReviewRate {
        /// Share of good pictures at or above the review threshold.
        review: f64,
        /// Share of good pictures rejected.
        reject: f64,
    },
    /// Costs that are no costs.
    #[error("the costs are {false_reject} and {miss}")]
    Costs {
        /// Of a false reject.
        false_reject: f64,
        /// Of a miss.
        miss: f64,
    },
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
    /// A rule that needs labelled defects, and no class with both kinds of pictures.
    #[error("this rule needs scores of defective pictures, and there are none")]
    NoDefects,
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
            Self::Rate { .. } => "give a share above 0 and below 1, such as 0.01".to_owned(),
            Self::ReviewRate { .. } => "review more good pictures than are rejected, as in \
                 `--max-fpr 0.01 --review-fpr 0.05`"
                .to_owned(),
            Self::Costs { .. } => "give two numbers above 0, as in `--cost 1,20`".to_owned(),
            Self::NotFinite { .. } => {
                "the model is broken (training may have diverged); train it again".to_owned()
            }
            Self::NoScores { .. } => {
                "hold some out with `data.calibration_share`, or add good pictures".to_owned()
            }
            Self::NoDefects => {
                "give a folder of good and defective pictures with `--labelled DIR`, or the scores of \
                 an evaluation with `--scores DIR/results.json`"
                    .to_owned()
            }
            Self::UnknownClass { known, .. } => format!("the model knows: {}", known.join(", ")),
        })
    }
}

impl Calibration {
    /// Finds the thresholds of every class from its scores.
    ///
    /// A class without defective pictures gets a conformal threshold under any rule that needs
    /// them, and says so in its basis.
    ///
    /// # Errors
    ///
    /// [`CalibrationError`] for a rate outside `0..1`, a class without scores, a score that is not
    /// finite, or a rule that needs defects where no class has any.
    pub fn new(
        scores: Vec<ClassScores>,
        plan: Plan,
        source: Source,
    ) -> Result<Self, CalibrationError> {
        plan.check()?;
        let has_defects = scores.iter().any(|class| !class.defective.is_empty());
        if plan.rule.needs_defects() && !has_defects {
            return Err(CalibrationError::NoDefects);
        }
        let classes = scores.into_iter().map(|scores| ClassCalibration::new(scores, &plan));
        let mut classes: Vec<ClassCalibration> = classes.collect::<Result<_, _>>()?;
        classes.sort_by(|a, b| a.class.cmp(&b.class));
        Ok(Self { plan, source, classes })
    }

    /// The same scores under another plan.
    ///
    /// # Errors
    ///
    /// As [`Calibration::new`].
    pub fn with_plan(&self, plan: Plan) -> Result<Self, CalibrationError> {
        let scores = self.classes.iter().map(|class| ClassScores {
            class: class.class.clone(),
            good: class.scores.clone(),
            good_pixels: class.pixel_scores.clone(),
            defective: class.defective_scores.clone(),
        });
        Self::new(scores.collect(), plan, self.source)
    }

    /// Sets the threshold of a class by hand; a review threshold above it moves down to it.
    ///
    /// # Errors
    ///
    /// [`CalibrationError::UnknownClass`], or [`CalibrationError::NotFinite`].
    pub fn set_threshold(&mut self, class: &str, threshold: f32) -> Result<(), CalibrationError> {
        let entry = self.entry(class, threshold)?;
        entry.threshold = threshold;
        entry.basis = Basis::Manual;
        entry.review = entry.review.map(|review| review.min(threshold));
        entry.pixel_threshold = entry.pixel_threshold.map(|pixel| pixel.min(threshold));
        Ok(())
    }

    /// Sets the review threshold of a class by hand; it is at most the threshold.
    ///
    /// # Errors
    ///
    /// [`CalibrationError::UnknownClass`], or [`CalibrationError::NotFinite`].
    pub fn set_review(&mut self, class: &str, review: f32) -> Result<(), CalibrationError> {
        let entry = self.entry(class, review)?;
        entry.review = Some(review.min(entry.threshold));
        Ok(())
    }

    fn entry(
        &mut self,
        class: &str,
        value: f32,
    ) -> Result<&mut ClassCalibration, CalibrationError> {
        let not_finite = || CalibrationError::NotFinite { class: class.to_owned() };
        if !value.is_finite() {
            return Err(not_finite());
        }
        let known = self.classes.iter().map(|c| c.class.clone()).collect();
        let unknown = CalibrationError::UnknownClass { class: class.to_owned(), known };
        let entry = self.classes.iter_mut().find(|c| c.class == class).ok_or(unknown)?;
        match value > 0.0 || entry.has_negative_scores() {
            true => Ok(entry),
            false => Err(not_finite()),
        }
    }

    /// The entry of a class.
    pub fn class(&self, class: &str) -> Option<&ClassCalibration> {
        self.classes.iter().find(|c| c.class == class)
    }
}

impl ClassCalibration {
    fn new(scores: ClassScores, plan: &Plan) -> Result<Self, CalibrationError> {
        let ClassScores { class, mut good, mut good_pixels, mut defective } = scores;
        if good.is_empty() {
            return Err(CalibrationError::NoScores { class });
        }
        for scores in [&mut good, &mut good_pixels, &mut defective] {
            if scores.iter().any(|score| !score.is_finite()) {
                return Err(CalibrationError::NotFinite { class });
            }
            scores.sort_by(f32::total_cmp);
        }
        let rate = plan.max_false_reject_rate;
        let (threshold, basis) = match plan.rule {
            Rule::Quantile { share } => (quantile_threshold(&good, share), Basis::Quantile),
            Rule::F1 if !defective.is_empty() => {
                (labelled_threshold(&good, &defective, plan.rule), Basis::F1)
            }
            Rule::Cost { .. } if !defective.is_empty() => {
                (labelled_threshold(&good, &defective, plan.rule), Basis::Cost)
            }
            Rule::Conformal | Rule::F1 | Rule::Cost { .. } => conformal_threshold(&good, rate),
        };
        let review = plan.review_rate.map(|rate| conformal_threshold(&good, rate).0.min(threshold));
        let pixel_threshold = (!good_pixels.is_empty())
            .then(|| conformal_threshold(&good_pixels, rate).0.min(threshold));
        Ok(Self {
            class,
            threshold,
            review,
            pixel_threshold,
            basis,
            scores: good,
            pixel_scores: good_pixels,
            defective_scores: defective,
        })
    }

    /// Whether its scores show that a threshold can be negative.
    pub fn has_negative_scores(&self) -> bool {
        is_signed(&self.scores)
    }

    /// What a score means.
    pub fn verdict(&self, score: f32) -> Verdict {
        match self.review {
            _ if score >= self.threshold => Verdict::Defect,
            Some(review) if score >= review => Verdict::Review,
            _ => Verdict::Ok,
        }
    }

    /// The scale on which its threshold is 0.5.
    pub fn scale(&self) -> ScoreScale {
        ScoreScale::new(self.threshold, &self.scores)
    }

    /// The share of good pictures that the threshold rejects; `None` without scores.
    ///
    /// A threshold taken from the order of the scores has the exact interval of an order
    /// statistic. Any other has the exact binomial interval of the rejected share, which is too
    /// hopeful where the threshold was chosen on the same pictures.
    pub fn false_reject_rate(&self) -> Option<RateInterval> {
        let n = self.scores.len();
        let rejected = self.scores.iter().filter(|&&score| score >= self.threshold).count();
        match self.basis {
            Basis::Conformal | Basis::BeyondLargest | Basis::Quantile => {
                let rate = order_statistic_interval(rejected, n)?;
                // With a margin above the largest score, nothing is known of the lower end.
                let low = if self.basis == Basis::BeyondLargest { 0.0 } else { rate.low };
                Some(RateInterval { low, ..rate })
            }
            Basis::F1 | Basis::Cost | Basis::Manual => binomial_interval(rejected, n),
        }
    }

    /// The share of defective pictures that the threshold misses; `None` without labelled ones.
    pub fn miss_rate(&self) -> Option<RateInterval> {
        let missed = self.defective_scores.iter().filter(|&&s| s < self.threshold).count();
        binomial_interval(missed, self.defective_scores.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rate: f64) -> Plan {
        Plan { max_false_reject_rate: rate, ..Plan::default() }
    }

    fn scores(good: Vec<f32>, defective: Vec<f32>) -> Vec<ClassScores> {
        let good_pixels = good.iter().map(|score| 0.5 * score).collect();
        vec![ClassScores { class: "a".into(), good, good_pixels, defective }]
    }

    fn one_class(good: Vec<f32>, rate: f64) -> ClassCalibration {
        let calibration = Calibration::new(scores(good, vec![]), plan(rate), Source::HeldOut);
        calibration.unwrap().classes.remove(0)
    }

    #[test]
    fn a_hundred_scores_give_one_percent() {
        let scores: Vec<f32> = (1..=100).map(|i| i as f32).collect();
        let class = one_class(scores.clone(), 0.01);
        assert_eq!(class.basis, Basis::Conformal);
        assert_eq!(class.threshold, 100.0_f32.next_up());
        assert_eq!(class.pixel_threshold, Some(50.0_f32.next_up()));
        assert_eq!(one_class(scores, 0.1).threshold, 91.0_f32.next_up());
    }

    #[test]
    fn too_few_scores_make_no_promise() {
        let class = one_class(vec![1.0, 2.0, 3.0], 0.01);
        assert_eq!(class.basis, Basis::BeyondLargest);
        assert!(class.threshold > 3.0);
    }

    /// The promise itself: over many calibrations, a new good picture is rejected at most at the
    /// rate asked for. And the interval of each covers its true rate in 95 of 100 cases.
    #[test]
    fn the_rate_holds_on_average_and_the_interval_covers_it() {
        use rand::{Rng as _, SeedableRng as _};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let mut draw = || rng.random::<f32>().powi(3);
        let (mut mean, mut covered, n) = (0.0, 0, 2000);
        for _ in 0..n {
            let class = one_class((0..39).map(|_| draw()).collect(), 0.05);
            let rate = 1.0 - f64::from(class.threshold).cbrt();
            let interval = class.false_reject_rate().unwrap();
            assert!((interval.expected - 0.05).abs() < 1e-12);
            mean += rate / f64::from(n);
            covered += usize::from((interval.low..=interval.high).contains(&rate));
        }
        assert!((0.047..0.053).contains(&mean), "{mean}");
        let share = covered as f64 / f64::from(n);
        assert!((0.935..0.965).contains(&share), "{share}");
    }

    #[test]
    fn two_thresholds_make_three_verdicts() {
        let good: Vec<f32> = (1..=100).map(|i| i as f32).collect();
        let plan = Plan { review_rate: Some(0.1), ..plan(0.01) };
        let mut calibration =
            Calibration::new(scores(good, vec![]), plan, Source::HeldOut).unwrap();
        let verdicts = |c: &Calibration| [50.0, 95.0, 101.0].map(|s| c.classes[0].verdict(s));
        assert_eq!(verdicts(&calibration), [Verdict::Ok, Verdict::Review, Verdict::Defect]);
        calibration.set_threshold("a", 90.0).unwrap();
        assert_eq!(calibration.classes[0].review, Some(90.0), "never above the threshold");
        calibration.set_review("a", 40.0).unwrap();
        assert_eq!(verdicts(&calibration), [Verdict::Review, Verdict::Defect, Verdict::Defect]);
        let bad = Plan { review_rate: Some(0.01), ..plan };
        assert!(matches!(calibration.with_plan(bad), Err(CalibrationError::ReviewRate { .. })));
    }

    #[test]
    fn rules_with_labelled_defects() {
        let (good, bad) = (vec![1.0, 2.0, 3.0, 4.0, 9.0], vec![3.5, 8.0, 10.0, 11.0]);
        let with = |rule| {
            let plan = Plan { rule, ..plan(0.01) };
            let made =
                Calibration::new(scores(good.clone(), bad.clone()), plan, Source::ScoresFile);
            made.unwrap().classes.remove(0)
        };
        // Rejecting from 3.5 on finds all four with two false rejects: F1 is 8 / 10.
        let best = with(Rule::F1);
        assert_eq!((best.threshold, best.basis), (3.25, Basis::F1));
        assert_eq!(best.miss_rate().unwrap().observed, 0.0);
        assert_eq!(best.false_reject_rate().unwrap().observed, 0.4);
        let cost = |false_reject, miss| {
            with(Rule::Cost { false_reject, miss, defect_rate: None }).threshold
        };
        assert_eq!(cost(1.0, 100.0), 3.25, "no miss at any price");
        assert_eq!(cost(100.0, 1.0), 9.5, "no false reject at any price");
        assert_eq!(with(Rule::Quantile { share: 0.6 }).threshold, 3.0_f32.next_up());

        let plan = Plan { rule: Rule::F1, ..plan(0.01) };
        let none = Calibration::new(scores(good.clone(), vec![]), plan, Source::HeldOut);
        assert_eq!(none, Err(CalibrationError::NoDefects));
        let mut two = scores(good, bad);
        two.push(ClassScores { class: "b".into(), good: vec![1.0, 2.0], ..ClassScores::default() });
        let two = Calibration::new(two, plan, Source::ScoresFile).unwrap();
        assert_eq!(two.classes[1].basis, Basis::BeyondLargest, "no defects, so no F1");
        assert_eq!(two.classes[1].pixel_threshold, None);
    }

    #[test]
    fn scores_of_either_sign_have_thresholds_and_scales_too() {
        let good: Vec<f32> = (0..100).rev().map(|i| -2.0 + 0.01 * i as f32).collect();
        let class = one_class(good.clone(), 0.05);
        assert!((class.threshold - -1.05).abs() < 1e-5, "{}", class.threshold);
        let scale = class.scale();
        assert!(scale.is_signed && (scale.of(class.threshold) - 0.5).abs() < 1e-6);
        assert!((scale.of(-1.5) - 0.1).abs() < 1e-3);
        let rising: Vec<f32> = (0..200).map(|i| scale.of(-4.0 + 0.1 * i as f32)).collect();
        assert!(rising.windows(2).all(|pair| pair[0] < pair[1]), "{rising:?}");
        let made = |good| Calibration::new(scores(good, vec![]), plan(0.05), Source::HeldOut);
        let mut signed = made(good.clone()).unwrap();
        signed.set_threshold("a", -0.5).unwrap();
        assert_eq!(signed.class("a").unwrap().threshold, -0.5);
        assert!(made(vec![1.0]).unwrap().set_threshold("a", -0.5).is_err());
        let plan = Plan { rule: Rule::F1, ..plan(0.05) };
        let labelled = Calibration::new(scores(good, vec![-0.6, 0.2]), plan, Source::ScoresFile);
        assert!((labelled.unwrap().classes[0].threshold - -0.805).abs() < 1e-5);
    }

    #[test]
    fn bad_input_is_refused() {
        let refused = |good: Vec<f32>, plan| {
            Calibration::new(scores(good, vec![]), plan, Source::HeldOut).is_err()
        };
        assert!(refused(vec![], plan(0.01)));
        assert!(refused(vec![f32::NAN], plan(0.01)));
        assert!(refused(vec![1.0], plan(0.0)));
        assert!(refused(vec![1.0], plan(f64::NAN)));
        let rule = Rule::Quantile { share: 1.0 };
        assert!(refused(vec![1.0], Plan { rule, ..plan(0.01) }));
    }

    /// A card of the first format version has a rate, classes, and nothing else.
    #[test]
    fn older_cards_read_as_conformal() {
        let text = r#"{"max_false_reject_rate":0.02,"classes":[{"class":"a","threshold":0.5,
            "basis":"conformal","scores":[0.1,0.2]}]}"#;
        let old: Calibration = serde_json::from_str(text).unwrap();
        assert_eq!(old.plan, plan(0.02));
        assert_eq!((old.source, old.classes[0].review), (Source::HeldOut, None));
        let again: Calibration =
            serde_json::from_str(&serde_json::to_string(&old).unwrap()).unwrap();
        assert_eq!(again, old);
    }
}
