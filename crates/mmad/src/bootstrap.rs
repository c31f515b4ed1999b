//! Differences of the metrics of two runs, over and over with other pictures drawn.
//!
//! Percentile bootstrap intervals (Efron 1979) over pictures: those of both runs are drawn together,
//! good and defective apart, so that a hard picture is hard for both. Image metrics follow from the
//! scores, pixel metrics from the counts of [`pixel_counts`](crate::pixel_counts). A value from
//! counts is off a little: each is moved by what that of all pictures is off, whose exact value is in
//! the table.

use std::collections::BTreeMap;

use mmad_metrics::{
    GridMetrics, GridSums, MetricError, PictureCounts, Ranking, au_roc_of, average_precision_of,
    f1_max_of,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::compare::CompareOptions;
use crate::pixel_counts::ClassPixelCounts;
use crate::score_list::PictureScore;

/// A picture in both runs.
pub(crate) type Pair<'a> = (&'a PictureScore, &'a PictureScore);

/// The metrics that a bootstrap has intervals for, those over pixels last.
const RESAMPLED: [&str; 7] = [
    "image_au_roc",
    "image_ap",
    "image_f1_max",
    "pixel_au_roc",
    "pixel_ap",
    "pixel_f1_max",
    "au_pro",
];
const N_IMAGE: usize = 3;

/// The metrics over pixels that a bootstrap has intervals for.
pub(crate) fn pixel_metrics() -> &'static [&'static str] {
    &RESAMPLED[N_IMAGE..]
}

/// One run of a class for its pixel metrics.
pub(crate) struct PixelSide<'a> {
    pub(crate) counts: &'a ClassPixelCounts,
    /// The values of the table, in the order of [`pixel_metrics`].
    pub(crate) exact: [Option<f64>; 4],
}

/// The differences of a class or of the mean over classes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draws {
    /// Per metric one value per resample, `None` where it is undefined; empty for a metric without
    /// data.
    values: [Vec<Option<f64>>; 7],
    /// Per metric how far a value from counts is from the exact one, in the run where it is further.
    errors: [Option<f64>; 7],
}

/// What resamples say about a difference.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spread {
    /// The middle 95 %.
    pub(crate) interval: Option<[f64; 2]>,
    /// How far values from counts are from the exact ones.
    pub(crate) grid_error: Option<f64>,
    /// Resamples in which the metric is undefined.
    pub(crate) n_undefined: usize,
}

impl Draws {
    /// What is known of the metric with this id.
    pub(crate) fn spread(&self, id: &str) -> Spread {
        let Some(metric) = RESAMPLED.iter().position(|known| *known == id) else {
            return Spread::default();
        };
        let values = &self.values[metric];
        Spread {
            interval: interval(values.iter().copied().flatten()),
            grid_error: self.errors[metric],
            n_undefined: values.iter().filter(|value| value.is_none()).count(),
        }
    }

    /// The draws of one class; `stream` keeps classes apart. A kind of pictures that is missing
    /// leaves the image metrics without draws.
    pub(crate) fn of_class(
        pairs: &[Pair<'_>],
        pixels: Option<&[PixelSide<'_>; 2]>,
        options: &CompareOptions,
        stream: u64,
    ) -> Result<Self, MetricError> {
        let (defective, good): (Vec<usize>, Vec<usize>) =
            (0..pairs.len()).partition(|&pair| pairs[pair].1.is_anomalous);
        let has_both = !defective.is_empty() && !good.is_empty();
        let labels: Vec<bool> =
            good.iter().map(|_| false).chain(defective.iter().map(|_| true)).collect();
        let mut counted = pixels.map(|sides| {
            let [before, after] = sides;
            [
                CountedSide::new(before, pairs.iter().map(|pair| pair.0.name.as_str())),
                CountedSide::new(after, pairs.iter().map(|pair| pair.1.name.as_str())),
            ]
        });
        let mut draws = Self::default();
        let mut shifts = [None; 4];
        if let Some([before, after]) = &counted {
            let errors = before.errors.iter().zip(&after.errors);
            for (metric, (before, after)) in errors.enumerate() {
                shifts[metric] = before.zip(*after).map(|(before, after)| after - before);
                draws.errors[N_IMAGE + metric] =
                    before.zip(*after).map(|(before, after)| before.abs().max(after.abs()));
            }
        }

        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        // Each class has a stream of its own, so that one more class changes no other.
        rng.set_stream(stream);
        let mut times = vec![0; pairs.len()];
        for _ in 0..options.n_resamples {
            let drawn: Vec<usize> = [&good, &defective]
                .into_iter()
                .flat_map(|kind| {
                    kind.iter().map(|_| kind[rng.random_range(0..kind.len())]).collect::<Vec<_>>()
                })
                .collect();
            if has_both {
                let before: Vec<f32> = drawn.iter().map(|&pair| pairs[pair].0.score).collect();
                let after: Vec<f32> = drawn.iter().map(|&pair| pairs[pair].1.score).collect();
                let before = image_metrics(&before, &labels)?;
                let after = image_metrics(&after, &labels)?;
                for metric in 0..N_IMAGE {
                    draws.values[metric].push(Some(after[metric] - before[metric]));
                }
            }
            if let Some([before, after]) = &mut counted {
                times.fill(0);
                for &pair in &drawn {
                    times[pair] += 1;
                }
                let both = before.metrics(&times).zip(after.metrics(&times));
                for metric in 0..4 {
                    let Some(shift) = shifts[metric] else { continue };
                    let value = both.map(|(before, after)| after[metric] - before[metric] + shift);
                    draws.values[N_IMAGE + metric].push(value);
                }
            }
        }
        Ok(draws)
    }

    /// The mean over classes, resample by resample. A resample counts where all classes with draws
    /// of a metric have a value, so that every one is a mean of the same classes.
    pub(crate) fn mean(classes: &BTreeMap<&str, Self>, n_resamples: usize) -> Self {
        let mut mean = Self::default();
        for metric in 0..RESAMPLED.len() {
            let classes: Vec<&Self> =
                classes.values().filter(|draws| !draws.values[metric].is_empty()).collect();
            if classes.is_empty() {
                continue;
            }
            let n = classes.len() as f64;
            mean.values[metric] = (0..n_resamples)
                .map(|i| {
                    let values = classes.iter().map(|draws| draws.values[metric][i]);
                    values.sum::<Option<f64>>().map(|sum| sum / n)
                })
                .collect();
            let errors = classes.iter().map(|draws| draws.errors[metric]);
            mean.errors[metric] = errors.sum::<Option<f64>>().map(|sum| sum / n);
        }
        mean
    }

    /// Without the metrics over pixels.
    pub(crate) fn without_pixels(mut self) -> Self {
        self.values[N_IMAGE..].fill(Vec::new());
        self.errors[N_IMAGE..].fill(None);
        self
    }
}

/// The counts of the pictures of one run.
struct CountedSide {
    /// Per pair; `None` for a picture whose truth is not known.
    pictures: Vec<Option<PictureCounts>>,
    pro_fpr_limit: f64,
    sums: GridSums,
    /// Per metric the exact value of the whole class less that from counts.
    errors: [Option<f64>; 4],
}

impl CountedSide {
    fn new<'a>(side: &PixelSide<'a>, names: impl Iterator<Item = &'a str>) -> Self {
        let ClassPixelCounts { pro_fpr_limit, thresholds, pictures, .. } = side.counts;
        let by_name: BTreeMap<&str, PictureCounts> =
            pictures.iter().map(|picture| (picture.name.as_str(), picture.into())).collect();
        let mut sums = GridSums::new(thresholds.len());
        for picture in by_name.values() {
            sums.add(picture, 1);
        }
        let whole = sums.metrics(*pro_fpr_limit).ok().map(as_list);
        let error =
            |metric: usize| side.exact[metric].zip(whole).map(|(exact, w)| exact - w[metric]);
        Self {
            pictures: names.map(|name| by_name.get(name).cloned()).collect(),
            pro_fpr_limit: *pro_fpr_limit,
            errors: [0, 1, 2, 3].map(error),
            sums,
        }
    }

    /// With every picture so many times; `None` where no defect or nothing else was drawn.
    fn metrics(&mut self, times: &[u32]) -> Option<[f64; 4]> {
        self.sums.clear();
        for (picture, &times) in self.pictures.iter().zip(times) {
            if let Some(picture) = picture.as_ref().filter(|_| times > 0) {
                self.sums.add(picture, times);
            }
        }
        self.sums.metrics(self.pro_fpr_limit).ok().map(as_list)
    }
}

/// In the order of [`pixel_metrics`].
fn as_list(metrics: GridMetrics) -> [f64; 4] {
    [metrics.au_roc, metrics.ap, metrics.f1_max, metrics.au_pro]
}

/// In the order of [`RESAMPLED`].
fn image_metrics(scores: &[f32], labels: &[bool]) -> Result<[f64; N_IMAGE], MetricError> {
    let ranking = Ranking::new(scores, labels)?;
    Ok([au_roc_of(&ranking)?, average_precision_of(&ranking)?, f1_max_of(&ranking)?.f1])
}

/// The middle 95 % of some draws.
fn interval(draws: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let mut draws: Vec<f64> = draws.collect();
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| {
        draws.get((share * (draws.len().checked_sub(1)?) as f64).round() as usize).copied()
    };
    Some([at(0.025)?, at(0.975)?])
}

#[cfg(test)]
mod tests {
    use mmad_metrics::{MetricOptions, ScoredImage, class_metrics};
    use rand_distr::{Distribution as _, Normal};

    use super::*;

    const SIDE: usize = 24;

    /// Scores, maps and masks of 9 defective and 7 good pictures; a larger `gap` finds more. The first
    /// defective picture has no mask.
    struct Run {
        rows: Vec<PictureScore>,
        maps: Vec<Vec<f32>>,
        masks: Vec<Option<Vec<u8>>>,
    }

    impl Run {
        fn new(gap: f32, seed: u64) -> Self {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let noise = Normal::new(0.0_f32, 1.0).unwrap();
            let mut run = Self { rows: Vec::new(), maps: Vec::new(), masks: Vec::new() };
            for picture in 0..16 {
                let is_anomalous = picture % 2 == 0 || picture == 15;
                let is_defective = |i: usize| {
                    let (row, column) = (i / SIDE, i % SIDE);
                    is_anomalous && row % 9 < 2 + picture / 5 && column % 11 < 3
                };
                let visible = gap * (0.3 + picture as f32 / 10.0);
                let map: Vec<f32> = (0..SIDE * SIDE)
                    .map(|i| noise.sample(&mut rng) + if is_defective(i) { visible } else { 0.0 })
                    .collect();
                let mask = (0..SIDE * SIDE).map(|i| u8::from(is_defective(i))).collect();
                run.rows.push(PictureScore {
                    class: "gear".into(),
                    name: format!("{picture}.png"),
                    is_anomalous,
                    defect: None,
                    score: map.iter().copied().fold(f32::MIN, f32::max),
                    score01: 0.5,
                    pixel_score: None,
                    verdict: None,
                });
                run.masks.push((is_anomalous && picture > 0).then_some(mask));
                run.maps.push(map);
            }
            run
        }

        fn images(&self, drawn: &[usize]) -> Vec<ScoredImage<'_>> {
            let image = |&index: &usize| ScoredImage {
                name: &self.rows[index].name,
                width: SIDE,
                map: &self.maps[index],
                mask: self.masks[index].as_deref(),
                score: self.rows[index].score,
                is_anomalous: self.rows[index].is_anomalous,
            };
            drawn.iter().map(image).collect()
        }

        /// In the order of [`RESAMPLED`].
        fn exact(&self, drawn: &[usize]) -> [Option<f64>; 7] {
            let metrics = class_metrics(&self.images(drawn), &MetricOptions::default()).unwrap();
            [
                metrics.image_au_roc,
                metrics.image_ap,
                metrics.image_f1_max,
                metrics.pixel_au_roc,
                metrics.pixel_ap,
                metrics.pixel_f1_max,
                metrics.au_pro,
            ]
            .map(Result::ok)
        }
    }

    fn draws_of(runs: &[Run; 2], all: &[usize], options: &CompareOptions) -> Draws {
        let counts = [0, 1].map(|i| {
            let images = runs[i].images(&(0..16).collect::<Vec<_>>());
            ClassPixelCounts::of("gear", &images, 0.3).unwrap()
        });
        let whole: Vec<usize> = (0..16).collect();
        let sides = [0, 1].map(|i| {
            let exact = runs[i].exact(&whole);
            PixelSide { counts: &counts[i], exact: [exact[3], exact[4], exact[5], exact[6]] }
        });
        let pairs: Vec<Pair<'_>> =
            all.iter().map(|&i| (&runs[0].rows[i], &runs[1].rows[i])).collect();
        Draws::of_class(&pairs, Some(&sides), options, 0).unwrap()
    }

    /// The bootstrap as it reads: every resample is a list of pictures, measured exactly.
    #[test]
    fn resamples_from_counts_are_those_of_the_maps() {
        let runs = [Run::new(1.0, 1), Run::new(1.4, 2)];
        let options = CompareOptions { n_resamples: 40, seed: 5 };
        let whole: Vec<usize> = (0..16).collect();
        let draws = draws_of(&runs, &whole, &options);

        let (defective, good): (Vec<usize>, Vec<usize>) =
            whole.iter().partition(|&&picture| runs[0].rows[picture].is_anomalous);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (mut widest, mut furthest) = ([0.0_f64; 7], [0.0_f64; 7]);
        for resample in 0..40 {
            let mut drawn = Vec::new();
            for kind in [&good, &defective] {
                drawn.extend(kind.iter().map(|_| kind[rng.random_range(0..kind.len())]));
            }
            let (before, after) = (runs[0].exact(&drawn), runs[1].exact(&drawn));
            for metric in 0..7 {
                let exact = after[metric].unwrap() - before[metric].unwrap();
                let drawn = draws.values[metric][resample].unwrap();
                furthest[metric] = furthest[metric].max((exact - drawn).abs());
                widest[metric] = widest[metric].max(exact.abs());
            }
        }
        assert_eq!(furthest[..N_IMAGE], [0.0; N_IMAGE]);
        assert!(furthest.iter().all(|&error| error < 0.01), "{furthest:?}");
        assert!(widest[N_IMAGE..].iter().all(|&change| change > 0.04), "{widest:?}");
        for id in pixel_metrics() {
            let spread = draws.spread(id);
            assert!(spread.interval.unwrap()[0] > 0.0, "{id}: {spread:?}");
            assert!((1e-9..0.01).contains(&spread.grid_error.unwrap()), "{id}: {spread:?}");
            assert_eq!(spread.n_undefined, 0);
        }
        assert_eq!(draws.spread("iou_max").interval, None);
    }

    /// One of the two defective pictures has no mask, so some resamples have no defective pixel.
    #[test]
    fn undefined_resamples_are_left_out_and_counted() {
        let runs = [Run::new(1.0, 1), Run::new(1.4, 2)];
        let options = CompareOptions { n_resamples: 200, seed: 0 };
        let draws = draws_of(&runs, &[0, 2, 1, 3, 5], &options);
        let spread = draws.spread("pixel_ap");
        // A quarter of the resamples on average.
        assert!((25..75).contains(&spread.n_undefined), "{spread:?}");
        assert!(spread.interval.is_some());
        assert_eq!(draws.spread("image_ap").n_undefined, 0);

        let other = draws_of(&runs, &(1..16).collect::<Vec<_>>(), &options);
        let classes = BTreeMap::from([("gear", draws), ("wood", other.clone())]);
        let mean = Draws::mean(&classes, 200);
        assert_eq!(mean.spread("pixel_ap").n_undefined, spread.n_undefined);
        let both = classes.values().map(|draws| draws.values[4][7]).sum::<Option<f64>>();
        assert_eq!(mean.values[4][7], both.map(|sum| sum / 2.0));
        assert!(mean.clone().without_pixels().spread("au_pro").interval.is_none());
        assert_eq!(
            mean.without_pixels().spread("image_ap").interval,
            Draws::mean(&classes, 200).spread("image_ap").interval
        );

        let only_defective = draws_of(&runs, &[2, 4, 6], &options);
        assert_eq!(only_defective.spread("image_ap").interval, None);
        assert!(only_defective.spread("au_pro").interval.is_some());
    }
}
