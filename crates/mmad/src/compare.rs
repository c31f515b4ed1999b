//! Two evaluations side by side: what changed, and whether it is more than chance.
//!
//! Intervals are percentile bootstrap intervals over pictures, see `bootstrap.rs`. Those of the
//! pixel metrics need the counts of [`pixel_counts`](crate::pixel_counts), which older results lack.
//! The number of pictures that one run decides rightly and the other wrongly is judged by the exact
//! sign test (`McNemar` 1947).

use std::collections::{BTreeMap, BTreeSet};

use mmad_metrics::MetricError;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{Draws, Pair, PixelSide, Spread, pixel_metrics};
use crate::calibrate::Verdict;
use crate::pixel_counts::ClassPixelCounts;
use crate::score_list::PictureScore;

/// An evaluation as `results.json` holds it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RunResults {
    /// The metrics per class.
    pub table: Table,
    /// The scores of all pictures.
    pub scores: Vec<PictureScore>,
    /// Counts for the pixel metrics of resamples; older results have none.
    #[serde(default)]
    pub pixel_counts: Vec<ClassPixelCounts>,
}

/// The metrics per class, as fractions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Table {
    /// The columns in their order.
    pub metrics: Vec<Column>,
    /// The classes in their order.
    pub classes: Vec<Row>,
    /// Mean over the classes, by id of the metric.
    pub mean: BTreeMap<String, Option<f64>>,
    /// Mean of the metrics that belong to it.
    #[serde(rename = "mAD")]
    pub m_ad: Option<f64>,
}

/// One metric of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Key of the values.
    pub id: String,
    /// Heading for people.
    pub heading: String,
}

/// One class of a table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// Name of the class.
    pub class: String,
    /// By id of the metric.
    pub values: BTreeMap<String, Option<f64>>,
}

/// How a comparison is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompareOptions {
    /// Resamples of the bootstrap.
    pub n_resamples: usize,
    /// Seed of the resamples.
    pub seed: u64,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { n_resamples: 1000, seed: 0 }
    }
}

/// What changed from one run to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The metrics that both have.
    pub metrics: Vec<Column>,
    /// Classes of either run, each with one difference per metric.
    pub classes: Vec<(String, Vec<Difference>)>,
    /// The same for the means over the classes.
    pub mean: Vec<Difference>,
    /// The same for mAD.
    pub m_ad: Difference,
    /// Pictures that both runs scored.
    pub n_common: usize,
    /// Pictures that only the first scored.
    pub n_only_before: usize,
    /// Pictures that only the second scored.
    pub n_only_after: usize,
    /// Pictures whose verdict changed: those that got worse first, by how far the score moved.
    pub changed: Vec<Change>,
    /// Wrong before, right after.
    pub n_mended: usize,
    /// Right before, wrong after.
    pub n_broken: usize,
    /// Chance of a split at least as uneven if both runs were equally good; 1 without changes.
    pub sign_test_p: f64,
    /// Most thresholds at which the counts of a class are, from which the intervals of its pixel
    /// metrics come; 0 where no class has any.
    pub n_thresholds: usize,
    /// Common classes with pixel metrics for which the first or the second run has no counts.
    pub without_pixel_counts: [Vec<String>; 2],
}

/// A value in both runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// In the first run.
    pub before: Option<f64>,
    /// In the second.
    pub after: Option<f64>,
    /// 95 % interval of the second minus the first.
    pub interval: Option<[f64; 2]>,
    /// For pixel metrics, how far the value from counts at thresholds was from the exact one, in the
    /// run where it was further, and for a mean the mean of this. The interval is moved by it.
    pub grid_error: Option<f64>,
    /// Resamples in which the metric is undefined; the interval is of the others.
    pub n_undefined: usize,
}

impl Difference {
    fn new(before: Option<f64>, after: Option<f64>, spread: Spread) -> Self {
        let Spread { interval, grid_error, n_undefined } = spread;
        Self { before, after, interval, grid_error, n_undefined }
    }

    /// Second minus first, where both have a value.
    pub fn change(&self) -> Option<f64> {
        Some(self.after? - self.before?)
    }

    /// Whether the interval leaves out zero.
    pub fn is_beyond_chance(&self) -> bool {
        self.interval.is_some_and(|[low, high]| low > 0.0 || high < 0.0)
    }
}

/// A picture whose verdict changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Class of the picture.
    pub class: String,
    /// Its name.
    pub name: String,
    /// The truth.
    pub is_anomalous: bool,
    /// Verdict of the first run.
    pub before: Verdict,
    /// Verdict of the second.
    pub after: Verdict,
    /// Score of the first run on the scale on which 0.5 is its threshold.
    pub score01_before: f64,
    /// The same of the second run.
    pub score01_after: f64,
}

impl Change {
    /// How much better the verdict got: 1 or 2 steps of ok, review, defect; below 0 for worse.
    pub fn gain(&self) -> i32 {
        let step = |verdict: Verdict| match verdict {
            Verdict::Ok => 0,
            Verdict::Review => 1,
            Verdict::Defect => 2,
        };
        let up = step(self.after) - step(self.before);
        if self.is_anomalous { up } else { -up }
    }
}

/// What keeps two runs from being compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CompareError {
    /// No class and picture in common.
    #[error("the runs have no picture in common")]
    NothingInCommon,
    /// A score that cannot be ranked.
    #[error("class `{class}`: {reason}")]
    Metric {
        /// Name of the class.
        class: String,
        /// What is wrong.
        reason: MetricError,
    },
    /// Counts of a picture that do not fit the thresholds of its class.
    #[error("class `{class}`: the pixel counts of `{name}` do not fit the thresholds")]
    PixelCounts {
        /// Name of the class.
        class: String,
        /// Name of the picture.
        name: String,
    },
}

impl CompareError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NothingInCommon => Some(
                "compare evaluations of the same test set; pictures are matched by class and name"
                    .to_owned(),
            ),
            Self::Metric { reason, .. } => reason.hint(),
            Self::PixelCounts { .. } => {
                Some("the file was changed; write it again with `mmad eval --out`".to_owned())
            }
        }
    }
}

/// Compares two runs.
///
/// # Errors
///
/// [`CompareError`] where they have no picture in common, or a score is no number.
pub fn compare(
    before: &RunResults,
    after: &RunResults,
    options: &CompareOptions,
) -> Result<Comparison, CompareError> {
    let pairs = pair_up(&before.scores, &after.scores);
    let n_common = pairs.values().map(Vec::len).sum();
    if n_common == 0 {
        return Err(CompareError::NothingInCommon);
    }
    let mut resampled = BTreeMap::new();
    let mut without_pixel_counts = [Vec::new(), Vec::new()];
    let mut n_thresholds = 0;
    for (index, (class, pairs)) in pairs.iter().enumerate() {
        let sides = [pixel_side(before, class)?, pixel_side(after, class)?];
        for (side, without) in sides.iter().zip(&mut without_pixel_counts) {
            if matches!(side, PixelData::Missing) {
                without.push((*class).to_owned());
            }
        }
        let sides = match sides {
            [PixelData::Counted(before), PixelData::Counted(after)] => Some([before, after]),
            _ => None,
        };
        for side in sides.iter().flatten() {
            n_thresholds = n_thresholds.max(side.counts.thresholds.len());
        }
        let draws = Draws::of_class(pairs, sides.as_ref(), options, index as u64)
            .map_err(|reason| CompareError::Metric { class: (*class).to_owned(), reason })?;
        resampled.insert(*class, draws);
    }

    let has = |id: &str| before.table.metrics.iter().any(|column| column.id == id);
    let metrics: Vec<Column> =
        after.table.metrics.iter().filter(|column| has(&column.id)).cloned().collect();
    let of_class = |class: &str| -> Vec<Difference> {
        let spread = |id: &str| resampled.get(class).map(|draws| draws.spread(id));
        let difference = |Column { id, .. }: &Column| {
            let (before, after) = (before.table.value(class, id), after.table.value(class, id));
            Difference::new(before, after, spread(id).unwrap_or_default())
        };
        metrics.iter().map(difference).collect()
    };
    let mut mean_draws = Draws::mean(&resampled, options.n_resamples);
    if without_pixel_counts.iter().any(|classes| !classes.is_empty()) {
        // The mean of the table is that of all classes.
        mean_draws = mean_draws.without_pixels();
    }
    let mean_of = |table: &Table, id: &str| table.mean.get(id).copied().flatten();
    let mean = metrics
        .iter()
        .map(|Column { id, .. }| {
            let (before, after) = (mean_of(&before.table, id), mean_of(&after.table, id));
            Difference::new(before, after, mean_draws.spread(id))
        })
        .collect();

    let changed = changes(&pairs);
    let wrong = |is_anomalous: bool, verdict: Verdict| match verdict {
        Verdict::Ok => is_anomalous,
        Verdict::Review => false,
        Verdict::Defect => !is_anomalous,
    };
    let judged =
        changed.iter().map(|c| (wrong(c.is_anomalous, c.before), wrong(c.is_anomalous, c.after)));
    let n_mended = judged.clone().filter(|&(before, after)| before && !after).count();
    let n_broken = judged.filter(|&(before, after)| !before && after).count();
    Ok(Comparison {
        classes: class_names(&before.table, &after.table)
            .into_iter()
            .map(|class| (class.to_owned(), of_class(class)))
            .collect(),
        metrics,
        mean,
        m_ad: Difference::new(before.table.m_ad, after.table.m_ad, Spread::default()),
        n_common,
        n_only_before: before.scores.len() - n_common,
        n_only_after: after.scores.len() - n_common,
        changed,
        n_mended,
        n_broken,
        sign_test_p: sign_test(n_mended, n_broken),
        n_thresholds,
        without_pixel_counts,
    })
}

/// What a run knows of the pixels of a class.
enum PixelData<'a> {
    Counted(PixelSide<'a>),
    /// There are pixel metrics, but no counts.
    Missing,
    /// There are no pixel metrics.
    Undefined,
}

fn pixel_side<'a>(run: &'a RunResults, class: &str) -> Result<PixelData<'a>, CompareError> {
    let exact = [0, 1, 2, 3].map(|metric| run.table.value(class, pixel_metrics()[metric]));
    if exact == [None; 4] {
        return Ok(PixelData::Undefined);
    }
    let Some(counts) = run.pixel_counts.iter().find(|counts| counts.class == class) else {
        return Ok(PixelData::Missing);
    };
    if let Some(name) = counts.misfit() {
        let name = name.to_owned();
        return Err(CompareError::PixelCounts { class: class.to_owned(), name });
    }
    Ok(PixelData::Counted(PixelSide { counts, exact }))
}

impl Table {
    fn value(&self, class: &str, id: &str) -> Option<f64> {
        self.classes.iter().find(|row| row.class == class)?.values.get(id).copied()?
    }
}

/// The classes of both tables, those of the second first.
fn class_names<'a>(before: &'a Table, after: &'a Table) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let rows = after.classes.iter().chain(&before.classes);
    rows.map(|row| row.class.as_str()).filter(|class| seen.insert(*class)).collect()
}

/// The pictures that both runs scored, first the score of the first run, in order of class and name.
pub fn common_pictures<'a>(
    before: &'a [PictureScore],
    after: &'a [PictureScore],
) -> Vec<(&'a PictureScore, &'a PictureScore)> {
    pair_up(before, after).into_values().flatten().collect()
}

fn pair_up<'a>(
    before: &'a [PictureScore],
    after: &'a [PictureScore],
) -> BTreeMap<&'a str, Vec<Pair<'a>>> {
    let key = |row: &'a PictureScore| (row.class.as_str(), row.name.as_str());
    let first: BTreeMap<_, &PictureScore> = before.iter().map(|row| (key(row), row)).collect();
    let second: BTreeMap<_, &PictureScore> = after.iter().map(|row| (key(row), row)).collect();
    let mut pairs: BTreeMap<&str, Vec<Pair<'_>>> = BTreeMap::new();
    for (key, row) in second {
        if let Some(&other) = first.get(&key) {
            pairs.entry(key.0).or_default().push((other, row));
        }
    }
    pairs
}

fn verdict_of(row: &PictureScore) -> Verdict {
    let by_score = || if row.score01 >= 0.5 { Verdict::Defect } else { Verdict::Ok };
    row.verdict.unwrap_or_else(by_score)
}

fn changes(pairs: &BTreeMap<&str, Vec<Pair<'_>>>) -> Vec<Change> {
    let all = pairs.values().flatten();
    let mut changed: Vec<Change> = all
        .filter(|(before, after)| verdict_of(before) != verdict_of(after))
        .map(|(before, after)| Change {
            class: after.class.clone(),
            name: after.name.clone(),
            is_anomalous: after.is_anomalous,
            before: verdict_of(before),
            after: verdict_of(after),
            score01_before: before.score01,
            score01_after: after.score01,
        })
        .collect();
    let moved = |change: &Change| (change.score01_after - change.score01_before).abs();
    changed.sort_by(|a, b| a.gain().cmp(&b.gain()).then(moved(b).total_cmp(&moved(a))));
    changed
}

/// Two-sided exact binomial test of `a` against `b` with chance one half.
fn sign_test(a: usize, b: usize) -> f64 {
    let n = a + b;
    let (mut log_choose, mut sum) = (0.0_f64, 0.0_f64);
    for i in 0..=a.min(b) {
        if i > 0 {
            log_choose += ((n - i + 1) as f64 / i as f64).ln();
        }
        sum += (log_choose - n as f64 * std::f64::consts::LN_2).exp();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel_counts::NamedCounts;

    fn run(shift: impl Fn(usize) -> f32, au_roc: f64) -> RunResults {
        let scores = (0..40)
            .map(|i| {
                let score =
                    (i * 7 % 40) as f32 / 40.0 + if i % 2 == 1 { 0.3 } else { 0.0 } + shift(i);
                PictureScore {
                    class: "gear".into(),
                    name: format!("{i}.png"),
                    is_anomalous: i % 2 == 1,
                    defect: None,
                    score,
                    score01: f64::from(score) / 1.4,
                    pixel_score: None,
                    verdict: None,
                }
            })
            .collect();
        let values =
            BTreeMap::from([("image_au_roc".to_owned(), Some(au_roc)), ("au_pro".into(), None)]);
        let column = |id: &str| Column { id: id.into(), heading: id.into() };
        RunResults {
            table: Table {
                metrics: vec![column("image_au_roc"), column("au_pro")],
                classes: vec![Row { class: "gear".into(), values: values.clone() }],
                mean: values,
                m_ad: Some(au_roc),
            },
            scores,
            pixel_counts: Vec::new(),
        }
    }

    #[test]
    fn a_run_does_not_differ_from_itself() {
        let same = run(|_| 0.0, 0.7);
        let found = compare(&same, &same, &CompareOptions::default()).unwrap();
        assert_eq!(found.classes[0].1[0].interval, Some([0.0, 0.0]));
        assert_eq!((found.n_common, found.changed.len(), found.sign_test_p), (40, 0, 1.0));
        assert!(!found.mean[0].is_beyond_chance());
        assert_eq!(found.classes[0].1[1].change(), None);
    }

    #[test]
    fn a_better_run_is_better_beyond_chance_and_repeats() {
        let (worse, better) = (run(|_| 0.0, 0.7), run(|i| (i % 2) as f32, 1.0));
        let options = CompareOptions::default();
        let found = compare(&worse, &better, &options).unwrap();
        assert!(found.mean[0].is_beyond_chance());
        let [low, high] = found.mean[0].interval.unwrap();
        assert!(low > 0.05 && high < 0.6, "{low} {high}");
        assert!((found.m_ad.change().unwrap() - 0.3).abs() < 1e-12);
        assert_eq!(compare(&worse, &better, &options).unwrap(), found);
        let other = CompareOptions { seed: 1, ..options };
        assert_ne!(compare(&worse, &better, &other).unwrap().mean, found.mean);

        assert!(found.n_mended > 5 && found.n_broken == 0);
        assert!(found.changed.iter().all(|change| change.gain() == 2 && change.is_anomalous));
        assert!((found.sign_test_p - 2.0 * 0.5_f64.powi(found.n_mended as i32)).abs() < 1e-12);
        let back = compare(&better, &worse, &options).unwrap();
        assert_eq!((back.n_mended, back.n_broken), (0, found.n_mended));
        assert_eq!(back.changed[0].gain(), -2);
    }

    #[test]
    fn pixel_metrics_without_counts_have_no_interval_and_are_named() {
        let mut run = run(|_| 0.0, 0.7);
        let found = compare(&run, &run, &CompareOptions::default()).unwrap();
        assert_eq!(found.without_pixel_counts, [Vec::<String>::new(), Vec::new()]);
        run.table.classes[0].values.insert("au_pro".into(), Some(0.5));
        let found = compare(&run, &run, &CompareOptions::default()).unwrap();
        assert_eq!(found.without_pixel_counts, [["gear".to_owned()], ["gear".to_owned()]]);
        assert_eq!((found.classes[0].1[1].interval, found.n_thresholds), (None, 0));
        assert!(found.classes[0].1[0].interval.is_some());

        run.pixel_counts = vec![ClassPixelCounts {
            class: "gear".into(),
            pro_fpr_limit: 0.3,
            thresholds: vec![1.0, 0.0],
            pictures: vec![NamedCounts {
                name: "1.png".into(),
                good: vec![0, 3],
                defective: vec![1, 1],
                overlap: vec![1.0, 1.0],
                n_regions: 1,
            }],
        }];
        let found = compare(&run, &run, &CompareOptions::default()).unwrap();
        let au_pro = found.classes[0].1[1];
        assert_eq!((au_pro.interval, found.n_thresholds), (Some([0.0; 2]), 2));
        assert_eq!((au_pro.grid_error, found.mean[1].grid_error), (Some(0.5), Some(0.5)));
        assert!(au_pro.n_undefined > 100, "one of 20 defective pictures is counted");

        run.pixel_counts[0].pictures[0].good.pop();
        let error = compare(&run, &run, &CompareOptions::default()).unwrap_err();
        assert!(error.to_string().contains("`1.png` do not fit"), "{error}");
    }

    #[test]
    fn only_common_pictures_are_compared() {
        let (mut first, second) = (run(|_| 0.0, 0.7), run(|_| 0.0, 0.7));
        first.scores.truncate(30);
        let found = compare(&first, &second, &CompareOptions::default()).unwrap();
        assert_eq!((found.n_common, found.n_only_before, found.n_only_after), (30, 0, 10));
        first.scores.iter_mut().for_each(|row| row.class = "other".into());
        let nothing = compare(&first, &second, &CompareOptions::default());
        assert_eq!(nothing, Err(CompareError::NothingInCommon));
    }

    #[test]
    fn the_sign_test_is_the_published_one() {
        // Two-sided exact test of 2 against 8: 112 / 1024.
        assert!((sign_test(2, 8) - 112.0 / 1024.0).abs() < 1e-12);
        assert_eq!((sign_test(0, 0), sign_test(5, 5)), (1.0, 1.0));
    }

    /// A false reject that becomes a review is a gain, but no longer a mistake either.
    #[test]
    fn a_review_is_no_mistake() {
        let before = run(|_| 0.0, 0.7);
        let mut after = before.clone();
        for row in &mut after.scores {
            row.verdict = Some(if row.score01 >= 0.5 { Verdict::Review } else { Verdict::Ok });
        }
        let found = compare(&before, &after, &CompareOptions::default()).unwrap();
        let good = found.changed.iter().filter(|change| !change.is_anomalous);
        assert_eq!(found.n_mended, good.clone().count());
        assert!(good.clone().all(|change| change.gain() == 1));
        assert_eq!(found.n_broken, 0);
        assert!(found.changed.len() > found.n_mended, "defects to review are changes, no mistakes");
    }
}
