//! The pixel metrics as many published tables compute them, on coarse grids.
//!
//! Source: facts about the evaluation of ADer (`util/metric.py`) with and without adeval 1.1.0,
//! which the results of MMAD were made with. Differences to the exact metrics:
//!
//! - AU-ROC, AP and AU-PRO come from a histogram of the class with 50 equal bins between its
//!   lowest and its highest score. The curve has one point per edge; the area below it is a sum of
//!   trapezoids, also for AP, and the precision where nothing is found is 1. The edges
//!   have the precision of the maps: `f64` in ADer, `f32` where adeval gets such maps; 1 / (size of
//!   the region) is rounded to `f32`.
//! - Scores equal to the highest one lie above the last edge. The GPU version counts them in the
//!   last bin as well, so twice ([`Histogram`]).
//! - F1, `IoU`, Dice and "Acc" (which is recall) are the best over the thresholds 0, 0.05, .. 1, or
//!   the mean over 0.2, 0.3, .. 0.8, on scores brought to `0..=1` per class, with `>` and a small
//!   constant in every denominator.
//! - Without adeval, AU-PRO comes from 100, 200 or 300 equal steps from the lowest to below the
//!   highest score, from points with an FPR below 0.3 only, whose FPR is then stretched to `0..=1`.
//! - A picture is anomalous when its mask is not empty, whatever the data set says.
//!
//! These values change under monotone changes of the scores; use them only beside published ones.
//!
//! Every grid asks of a score whether it is beyond some line, in its own arithmetic. The lowest
//! `f32` that is (a cut) stands for the line, so that one pass counts for all grids at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::class_metrics::PixelMetrics;
use crate::error::{MetricError, MetricValue, Unit, value_format};
use crate::input::AnnotatedMap;
use crate::order::{order_key, score_of_key};
use crate::pixels::PixelTruth;
use crate::placement::{DistinctScores, Placement};
use crate::precision_recall::F1Max;
use crate::region_overlap::{Point, area_up_to};

/// Which of the histograms of the tool is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Histogram {
    /// The CPU version on maps in `f64`, as ADer hands them over: edges in `f64`, the highest score
    /// above the last edge only.
    Double,
    /// The CPU version on maps in `f32`: edges in `f32`, too.
    Single,
    /// The GPU version: the highest score above the last edge and in the last bin.
    Gpu,
}

/// What ADer reports besides the seven metrics, as it computes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AderMetrics {
    /// `mDice_max_px`: the best Dice coefficient over 21 thresholds.
    #[serde(with = "value_format")]
    pub dice_max: MetricValue,
    /// `mAcc_max_px`: the best recall over 21 thresholds.
    #[serde(with = "value_format")]
    pub acc_max: MetricValue,
    /// `mF1_px_0.2_0.8_0.1`: the mean F1 over 7 thresholds.
    #[serde(with = "value_format")]
    pub f1_mean: MetricValue,
    /// `mAcc_px_0.2_0.8_0.1`: the mean recall over 7 thresholds.
    #[serde(with = "value_format")]
    pub acc_mean: MetricValue,
    /// `mIoU_px_0.2_0.8_0.1`: the mean intersection over union over 7 thresholds.
    #[serde(with = "value_format")]
    pub iou_mean: MetricValue,
    /// AU-PRO without adeval, from 100 steps.
    #[serde(with = "value_format")]
    pub au_pro_100: MetricValue,
    /// AU-PRO without adeval, from 200 steps.
    #[serde(with = "value_format")]
    pub au_pro_200: MetricValue,
    /// AU-PRO without adeval, from 300 steps.
    #[serde(with = "value_format")]
    pub au_pro_300: MetricValue,
}

const N_BINS: usize = 50;
/// The FPR below which the steps count.
const STEPS_LIMIT: f64 = 0.3;
const EPSILON: f64 = 1e-8;

/// Measures the pixels of all pictures of a class.
pub(crate) fn pixel_metrics(
    images: &[AnnotatedMap<'_>],
    pro_fpr_limit: f64,
    histogram: Histogram,
) -> (PixelMetrics, AderMetrics) {
    let truth = PixelTruth::gather(images);
    let range = ScoreRange::of(images);
    let grid_21: Vec<Cut> = (0..21).map(|k| range.above_share(f64::from(k) * 0.05)).collect();
    let grid_7: Vec<Cut> = (0..7).map(|k| range.above_share(0.2 + f64::from(k) * 0.1)).collect();
    let edges: Vec<Cut> = (0..=N_BINS).map(|k| range.edge(k, histogram)).collect();
    let steps = [100, 200, 300].map(|n| range.steps(n));
    let lines = [&grid_21, &grid_7, &edges].into_iter().chain(&steps).flatten().copied();
    let counts = Counts::of(&truth, lines);
    let class = Class { truth: &truth, range: &range, counts: &counts };

    let curve = class.curve(&edges, histogram);
    let (best, dice_max, acc_max) = class.best(&grid_21);
    let mean = |value: fn(&At) -> f64| class.mean(&grid_7, value);
    let [au_pro_100, au_pro_200, au_pro_300] = steps.map(|steps| class.au_pro_of_steps(&steps));
    let extra = AderMetrics {
        dice_max,
        acc_max,
        f1_mean: mean(At::f1),
        acc_mean: mean(At::recall),
        iou_mean: mean(At::iou),
        au_pro_100,
        au_pro_200,
        au_pro_300,
    };
    let pixels = PixelMetrics {
        au_roc: curve.clone().and_then(|curve| class.au_roc(&curve)),
        ap: curve.clone().map(|curve| ap(&curve)),
        iou_max: best.clone().map(|best| best.iou),
        f1_max: best,
        au_pro: curve.and_then(|curve| class.au_pro(&curve, pro_fpr_limit)),
        anomalous_pixels: truth.n_positives,
        regions: truth.n_regions,
    };
    (pixels, extra)
}

/// The lowest key beyond a line; `None` when no score of the class is.
type Cut = Option<u32>;

/// The lowest and the highest score of a class.
struct ScoreRange {
    lowest: f32,
    highest: f32,
}

impl ScoreRange {
    fn of(images: &[AnnotatedMap<'_>]) -> Self {
        let scores = || images.iter().flat_map(|image| image.map).copied();
        Self {
            lowest: scores().fold(f32::INFINITY, f32::min),
            highest: scores().fold(f32::NEG_INFINITY, f32::max),
        }
    }

    fn is_one_value(&self) -> bool {
        self.lowest == self.highest
    }

    /// The lowest score in the range for which `is_beyond` holds, which no score below it does.
    fn cut(&self, is_beyond: impl Fn(f32) -> bool) -> Cut {
        if !is_beyond(self.highest) {
            return None;
        }
        let (mut low, mut high) = (order_key(self.lowest), order_key(self.highest));
        while low < high {
            let middle = low + (high - low) / 2;
            if is_beyond(score_of_key(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Some(low)
    }

    /// Beyond are scores that lie above `share` when brought to `0.0..=1.0`.
    fn above_share(&self, share: f64) -> Cut {
        let (lowest, highest) = (f64::from(self.lowest), f64::from(self.highest));
        if self.is_one_value() {
            return None;
        }
        self.cut(|score| (f64::from(score) - lowest) / (highest - lowest) > share)
    }

    /// Beyond are the scores of bin `k` and of all higher ones; with `k` the number of bins, those
    /// above the last edge.
    fn edge(&self, k: usize, histogram: Histogram) -> Cut {
        let (lowest, highest) = (f64::from(self.lowest), f64::from(self.highest));
        match histogram {
            Histogram::Single => {
                let share = if k == N_BINS { 1.0 } else { (k as f64 / N_BINS as f64) as f32 };
                let edge = share * (highest - lowest) as f32 + self.lowest;
                self.cut(|score| score >= edge)
            }
            Histogram::Double | Histogram::Gpu if k == N_BINS => {
                self.cut(|score| score >= self.highest)
            }
            Histogram::Double | Histogram::Gpu => {
                let bin = |score| {
                    ((f64::from(score) - lowest) * N_BINS as f64 / (highest - lowest)) as usize
                };
                self.cut(|score| bin(score).min(N_BINS - 1) >= k)
            }
        }
    }

    /// Beyond are scores above each of `n` equal steps. Rounding can make one step more, as it does
    /// in `numpy.arange`.
    fn steps(&self, n: u32) -> Vec<Cut> {
        let (lowest, highest) = (f64::from(self.lowest), f64::from(self.highest));
        let step = (highest - lowest) / f64::from(n);
        if self.is_one_value() || step == 0.0 {
            return Vec::new();
        }
        let n_steps = ((highest - lowest) / step).ceil() as u32;
        let step = (lowest + step) - lowest;
        let threshold = |k: u32| lowest + f64::from(k) * step;
        (0..n_steps).map(|k| self.cut(|score| f64::from(score) > threshold(k))).collect()
    }
}

/// What lies beyond a line.
#[derive(Debug, Clone, Copy, Default)]
struct Beyond {
    found: u64,
    false_positives: u64,
    /// Sum of 1 / (size of the region) over the positives.
    regions: f64,
    /// The same with every term rounded to `f32`.
    regions_f32: f64,
}

/// What lies beyond every cut.
struct Counts {
    keys: Vec<u32>,
    beyond: Vec<Beyond>,
}

impl Counts {
    fn of(truth: &PixelTruth<'_>, cuts: impl Iterator<Item = Cut>) -> Self {
        let keys: Vec<u32> = cuts.flatten().collect::<BTreeSet<u32>>().into_iter().collect();
        let cuts = DistinctScores::new(keys.iter().map(|&key| (key, 1)));
        let placed = truth.place_background(Placement::new(cuts));
        let mut counts = Self { beyond: vec![Beyond::default(); keys.len()], keys };
        let mut sum = Beyond::default();
        let mut positives = truth.positives.iter().rev().peekable();
        for i in (0..counts.keys.len()).rev() {
            sum.false_positives += placed.below(i + 1) + placed.tied(i);
            while let Some(pixel) = positives.next_if(|pixel| pixel.key() >= counts.keys[i]) {
                let share = 1.0 / f64::from(pixel.region_area());
                sum.found += 1;
                sum.regions += share;
                sum.regions_f32 += f64::from(share as f32);
            }
            counts.beyond[i] = sum;
        }
        counts
    }

    fn at(&self, cut: Cut) -> Beyond {
        let index = cut.and_then(|key| self.keys.binary_search(&key).ok());
        index.map_or_else(Beyond::default, |index| self.beyond[index])
    }
}

/// A class with what lies beyond every line.
struct Class<'a> {
    truth: &'a PixelTruth<'a>,
    range: &'a ScoreRange,
    counts: &'a Counts,
}

impl Class<'_> {
    /// The sums at every edge, from the highest to the lowest.
    fn curve(&self, edges: &[Cut], histogram: Histogram) -> Result<Vec<Beyond>, MetricError> {
        self.need_bins()?;
        let top = self.counts.at(edges[N_BINS]);
        let sums = edges.iter().enumerate().rev().map(|(k, &edge)| {
            let beyond = self.counts.at(edge);
            if histogram != Histogram::Gpu || k == N_BINS {
                return beyond;
            }
            // The highest scores once more.
            Beyond {
                found: beyond.found + top.found,
                false_positives: beyond.false_positives + top.false_positives,
                regions: beyond.regions + top.regions,
                regions_f32: beyond.regions_f32 + top.regions_f32,
            }
        });
        Ok(sums.collect())
    }

    fn au_roc(&self, curve: &[Beyond]) -> MetricValue {
        self.need_negatives()?;
        let all = curve[N_BINS];
        Ok(trapezoids(curve.iter().map(|edge| {
            (
                edge.false_positives as f64 / all.false_positives as f64,
                edge.found as f64 / all.found as f64,
            )
        })))
    }

    fn au_pro(&self, curve: &[Beyond], limit: f64) -> MetricValue {
        self.need_negatives()?;
        let all = curve[N_BINS];
        let points: Vec<Point> = curve
            .iter()
            .map(|edge| Point {
                fpr: edge.false_positives as f64 / all.false_positives as f64,
                pro: edge.regions_f32 / all.regions_f32,
            })
            .collect();
        let area: f64 = points.windows(2).map(|pair| area_up_to(limit, pair[0], pair[1])).sum();
        // The original divides by the height at the limit, and has no value where that is 0.
        if area > 0.0 { Ok(area / limit) } else { Err(MetricError::EmptyBinnedCurve { limit }) }
    }

    /// AU-PRO from the points of the steps with an FPR below 0.3, stretched to `0.0..=1.0`.
    fn au_pro_of_steps(&self, steps: &[Cut]) -> MetricValue {
        self.need_bins()?;
        self.need_negatives()?;
        let negatives = self.truth.n_negatives() as f64;
        let points: Vec<(f64, f64)> = steps
            .iter()
            .map(|&step| {
                let beyond = self.counts.at(step);
                let pro = beyond.regions / self.truth.n_regions as f64;
                (beyond.false_positives as f64 / negatives, pro)
            })
            .filter(|point| point.0 < STEPS_LIMIT)
            .collect();
        let fpr = || points.iter().map(|point| point.0);
        let (least, most) = (fpr().fold(1.0, f64::min), fpr().fold(0.0, f64::max));
        if least >= most {
            return Err(MetricError::EmptyBinnedCurve { limit: STEPS_LIMIT });
        }
        let stretched =
            points.iter().rev().map(|&(fpr, pro)| ((fpr - least) / (most - least), pro));
        Ok(trapezoids(stretched))
    }

    /// The best F1 and `IoU`, Dice, and recall over the thresholds.
    fn best(&self, grid: &[Cut]) -> (Result<F1Max, MetricError>, MetricValue, MetricValue) {
        if let Err(error) = self.need_positives() {
            return (Err(error.clone()), Err(error.clone()), Err(error));
        }
        let largest = |value: fn(&At) -> f64| {
            grid.iter().map(|&cut| value(&self.at(cut))).fold(f64::NEG_INFINITY, f64::max)
        };
        let mut best = F1Max { f1: -1.0, iou: largest(At::iou), threshold: self.range.highest };
        for (k, &cut) in grid.iter().enumerate().rev() {
            let f1 = self.at(cut).f1();
            if f1 > best.f1 {
                best.f1 = f1;
                let (lowest, highest) =
                    (f64::from(self.range.lowest), f64::from(self.range.highest));
                best.threshold = (lowest + (highest - lowest) * 0.05 * k as f64) as f32;
            }
        }
        (Ok(best), Ok(largest(At::dice)), Ok(largest(At::recall)))
    }

    fn mean(&self, grid: &[Cut], value: fn(&At) -> f64) -> MetricValue {
        self.need_positives()?;
        let sum: f64 = grid.iter().map(|&cut| value(&self.at(cut))).sum();
        Ok(sum / grid.len() as f64)
    }

    fn at(&self, cut: Cut) -> At {
        let beyond = self.counts.at(cut);
        At {
            found: beyond.found as f64,
            false_positives: beyond.false_positives as f64,
            positives: self.truth.n_positives as f64,
        }
    }

    fn need_positives(&self) -> Result<(), MetricError> {
        if self.truth.n_positives == 0 {
            let negatives = self.truth.n_negatives();
            return Err(MetricError::NoPositives { unit: Unit::Pixel, negatives });
        }
        Ok(())
    }

    fn need_negatives(&self) -> Result<(), MetricError> {
        if self.truth.n_negatives() == 0 {
            let positives = self.truth.n_positives;
            return Err(MetricError::NoNegatives { unit: Unit::Pixel, positives });
        }
        Ok(())
    }

    fn need_bins(&self) -> Result<(), MetricError> {
        self.need_positives()?;
        if self.range.is_one_value() {
            return Err(MetricError::ConstantMaps { value: self.range.lowest.to_string() });
        }
        Ok(())
    }
}

/// AP as a sum of trapezoids.
fn ap(curve: &[Beyond]) -> f64 {
    let all = curve[N_BINS];
    trapezoids(curve.iter().map(|edge| {
        let called = edge.found + edge.false_positives;
        let precision = if called > 0 { edge.found as f64 / called as f64 } else { 1.0 };
        (edge.found as f64 / all.found as f64, precision)
    }))
}

/// What one threshold finds.
struct At {
    found: f64,
    false_positives: f64,
    positives: f64,
}

impl At {
    fn recall(&self) -> f64 {
        self.found / (self.positives + EPSILON)
    }

    fn f1(&self) -> f64 {
        let precision = self.found / (self.found + self.false_positives + EPSILON);
        let recall = self.recall();
        2.0 * precision * recall / (precision + recall + EPSILON)
    }

    fn iou(&self) -> f64 {
        self.found / (self.positives + self.false_positives + EPSILON)
    }

    fn dice(&self) -> f64 {
        2.0 * self.found / (self.found + self.false_positives + self.positives + EPSILON)
    }
}

/// Area below the straight lines through the points `(x, y)`.
fn trapezoids(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let points: Vec<(f64, f64)> = points.collect();
    points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image<'a>(map: &'a [f32], mask: &'a [u8]) -> AnnotatedMap<'a> {
        AnnotatedMap { width: map.len(), map, mask: Some(mask), is_good: false }
    }

    proptest! {
        #[test]
        fn a_cut_is_the_lowest_score_beyond(
            mut scores in proptest::collection::vec(-3.0_f32..3.0, 2..40), line in -4.0_f64..4.0
        ) {
            scores.sort_unstable_by(f32::total_cmp);
            let range = ScoreRange { lowest: scores[0], highest: scores[scores.len() - 1] };
            let cut = range.cut(|score| f64::from(score) > line);
            for &score in &scores {
                let is_beyond = cut.is_some_and(|cut| order_key(score) >= cut);
                prop_assert_eq!(is_beyond, f64::from(score) > line);
            }
        }

        #[test]
        fn counts_are_what_lies_beyond(
            pixels in proptest::collection::vec(((-8_i32..8).prop_map(|x| x as f32), 0_u8..2), 2..60)
        ) {
            let (map, mask): (Vec<f32>, Vec<u8>) = pixels.iter().copied().unzip();
            let images = [image(&map, &mask)];
            let truth = PixelTruth::gather(&images);
            let lines = [-9.0_f32, -2.0, 0.0, 1.5, 7.0];
            let counts = Counts::of(&truth, lines.into_iter().map(|line| Some(order_key(line))));
            for line in lines {
                let beyond = counts.at(Some(order_key(line)));
                let n = |label: u8| {
                    pixels.iter().filter(|pixel| pixel.0 >= line && pixel.1 == label).count() as u64
                };
                prop_assert_eq!((beyond.found, beyond.false_positives), (n(1), n(0)));
            }
            prop_assert_eq!(counts.at(None).found, 0);
        }
    }

    #[test]
    fn constant_maps_have_no_binned_curve() {
        let (metrics, extra) =
            pixel_metrics(&[image(&[0.5; 4], &[0, 0, 1, 0])], 0.3, Histogram::Single);
        let error = MetricError::ConstantMaps { value: "0.5".into() };
        assert_eq!(metrics.au_roc, Err(error.clone()));
        assert_eq!(extra.au_pro_100, Err(error));
        assert_eq!(metrics.f1_max.unwrap().f1, 0.0);
        assert_eq!(extra.iou_mean, Ok(0.0));
    }

    #[test]
    fn thresholds_are_strict() {
        let map: Vec<f32> = (0..=20).map(|k| k as f32).collect();
        let range = ScoreRange { lowest: 0.0, highest: 20.0 };
        for k in 0..20 {
            assert_eq!(range.above_share(f64::from(k) * 0.05).map(score_of_key), {
                let next = map[k as usize].next_up();
                Some(next)
            });
        }
        assert_eq!(range.above_share(1.0), None);
    }
}
