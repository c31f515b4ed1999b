//! The pixel metrics as many published tables compute them, on coarse grids.
//!
//! Source: facts about the evaluation of `ADer` (`util/metric.py`) with adeval, which the results of
//! MMAD were made with. Differences to the exact metrics:
//!
//! - AU-ROC, AP and AU-PRO come from a histogram of the class with 50 equal bins between its
//!   lowest and its highest score. The curve has one point per edge; the area below it is a sum of
//!   trapezoids, also for AP, and the precision where nothing is found is 1.
//! - Scores equal to the highest one lie above the last edge. The GPU version counts them in the
//!   last bin as well, so twice ([`TopScore`]).
//! - F1-max and IoU-max try the thresholds 0, 0.05, .. 1 on scores brought to `0..=1` per class,
//!   with `>` and a small constant in every denominator.
//! - A picture is anomalous when its mask is not empty, whatever the data set says.
//!
//! These values change under monotone changes of the scores; use them only beside published ones.

use crate::class_metrics::{AnnotatedMap, PixelMetrics};
use crate::components::Components;
use crate::error::{MetricError, MetricValue, Unit};
use crate::precision_recall::F1Max;
use crate::region_overlap::{Point, area_up_to};

/// How often scores equal to the highest of the class are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopScore {
    /// Above the last edge only.
    Once,
    /// Above the last edge and in the last bin.
    Twice,
}

const N_BINS: usize = 50;
/// Thresholds of F1-max are the multiples of 1 / 20.
const N_THRESHOLDS: usize = 21;
const THRESHOLD_STEP: f64 = 0.05;
const EPSILON: f64 = 1e-8;

/// Measures the pixels of all pictures of a class.
pub(crate) fn pixel_metrics(
    images: &[AnnotatedMap<'_>],
    pro_fpr_limit: f64,
    top: TopScore,
) -> PixelMetrics {
    let grids = Grids::of(images, top);
    PixelMetrics {
        au_roc: grids.au_roc(),
        ap: grids.ap(),
        f1_max: grids.f1_max(),
        au_pro: grids.au_pro(pro_fpr_limit),
        anomalous_pixels: grids.positives,
        regions: grids.n_regions,
    }
}

/// Counts of one bin.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    positives: u64,
    negatives: u64,
    /// Sum of 1 / (size of the region) over the positives.
    found_regions: f64,
}

impl Bin {
    fn add(&mut self, region_area: Option<usize>) {
        match region_area {
            Some(area) => {
                self.positives += 1;
                self.found_regions += 1.0 / area as f64;
            }
            None => self.negatives += 1,
        }
    }
}

/// The histograms of a class.
struct Grids {
    lowest: f32,
    highest: f32,
    top: TopScore,
    /// The bins from the lowest up; the last one holds what lies above the last edge.
    bins: [Bin; N_BINS + 1],
    /// Element `k` counts the positives that are above exactly `k` of the F1 thresholds.
    positives_above: [u64; N_THRESHOLDS + 1],
    /// The same for the negatives.
    negatives_above: [u64; N_THRESHOLDS + 1],
    positives: u64,
    negatives: u64,
    n_regions: u64,
}

/// Sums over all bins from the highest score down to an edge.
#[derive(Debug, Clone, Copy, Default)]
struct Edge {
    found: f64,
    false_positives: f64,
    found_regions: f64,
}

impl Grids {
    fn of(images: &[AnnotatedMap<'_>], top: TopScore) -> Self {
        let scores = || images.iter().flat_map(|image| image.map);
        let mut grids = Self {
            lowest: scores().copied().fold(f32::INFINITY, f32::min),
            highest: scores().copied().fold(f32::NEG_INFINITY, f32::max),
            top,
            bins: [Bin::default(); N_BINS + 1],
            positives_above: [0; N_THRESHOLDS + 1],
            negatives_above: [0; N_THRESHOLDS + 1],
            positives: 0,
            negatives: 0,
            n_regions: 0,
        };
        for image in images {
            let regions = image.mask.map(|mask| Components::of(mask, image.width));
            let (labels, areas) = regions.map_or_else(
                || (vec![0; image.map.len()], Vec::new()),
                |regions| (regions.labels(), regions.areas().to_vec()),
            );
            grids.n_regions += areas.len() as u64;
            for (&score, label) in image.map.iter().zip(labels) {
                let region_area = label.checked_sub(1).map(|region| areas[region]);
                grids.add(score, region_area);
            }
        }
        grids
    }

    fn add(&mut self, score: f32, region_area: Option<usize>) {
        let position = self.position(score);
        let (above, total) = if region_area.is_some() {
            (&mut self.positives_above, &mut self.positives)
        } else {
            (&mut self.negatives_above, &mut self.negatives)
        };
        above[n_thresholds_below(position)] += 1;
        *total += 1;

        let is_top = score >= self.highest;
        if is_top {
            self.bins[N_BINS].add(region_area);
        }
        if !is_top || self.top == TopScore::Twice {
            let bin = ((position * N_BINS as f64) as usize).min(N_BINS - 1);
            self.bins[bin].add(region_area);
        }
    }

    /// The score brought to `0.0..=1.0`; 0 for all when the maps are constant.
    fn position(&self, score: f32) -> f64 {
        let (lowest, highest) = (f64::from(self.lowest), f64::from(self.highest));
        if highest > lowest { (f64::from(score) - lowest) / (highest - lowest) } else { 0.0 }
    }

    /// The sums at every edge, from the highest to the lowest.
    fn edges(&self) -> Vec<Edge> {
        let mut edge = Edge::default();
        let add = |bin: &Bin| {
            edge.found += bin.positives as f64;
            edge.false_positives += bin.negatives as f64;
            edge.found_regions += bin.found_regions;
            edge
        };
        self.bins.iter().rev().map(add).collect()
    }

    fn au_roc(&self) -> MetricValue {
        self.need_bins()?;
        self.need_negatives()?;
        let edges = self.edges();
        let all = edges[N_BINS];
        Ok(trapezoids(
            edges
                .iter()
                .map(|edge| (edge.false_positives / all.false_positives, edge.found / all.found)),
        ))
    }

    fn ap(&self) -> MetricValue {
        self.need_bins()?;
        let edges = self.edges();
        let all = edges[N_BINS];
        Ok(trapezoids(edges.iter().map(|edge| {
            let called = edge.found + edge.false_positives;
            (edge.found / all.found, if called > 0.0 { edge.found / called } else { 1.0 })
        })))
    }

    fn au_pro(&self, limit: f64) -> MetricValue {
        self.need_bins()?;
        self.need_negatives()?;
        let edges = self.edges();
        let all = edges[N_BINS];
        let points: Vec<Point> = edges
            .iter()
            .map(|edge| Point {
                fpr: edge.false_positives / all.false_positives,
                pro: edge.found_regions / all.found_regions,
            })
            .collect();
        let area: f64 = points.windows(2).map(|pair| area_up_to(limit, pair[0], pair[1])).sum();
        // The original divides by the height at the limit, and has no value where that is 0.
        if area > 0.0 { Ok(area / limit) } else { Err(MetricError::EmptyBinnedCurve { limit }) }
    }

    fn f1_max(&self) -> Result<F1Max, MetricError> {
        self.need_positives()?;
        let mut best = F1Max { f1: -1.0, iou: -1.0, threshold: self.highest };
        let (mut found, mut false_positives) = (0.0, 0.0);
        for threshold in (0..N_THRESHOLDS).rev() {
            found += self.positives_above[threshold + 1] as f64;
            false_positives += self.negatives_above[threshold + 1] as f64;
            let precision = found / (found + false_positives + EPSILON);
            let recall = found / (self.positives as f64 + EPSILON);
            let f1 = 2.0 * precision * recall / (precision + recall + EPSILON);
            let iou = found / (self.positives as f64 + false_positives + EPSILON);
            best.iou = best.iou.max(iou);
            if f1 > best.f1 {
                best.f1 = f1;
                let range = f64::from(self.highest) - f64::from(self.lowest);
                let score = f64::from(self.lowest) + range * THRESHOLD_STEP * threshold as f64;
                best.threshold = score as f32;
            }
        }
        Ok(best)
    }

    fn need_positives(&self) -> Result<(), MetricError> {
        if self.positives == 0 {
            return Err(MetricError::NoPositives { unit: Unit::Pixel, negatives: self.negatives });
        }
        Ok(())
    }

    fn need_negatives(&self) -> Result<(), MetricError> {
        if self.negatives == 0 {
            return Err(MetricError::NoNegatives { unit: Unit::Pixel, positives: self.positives });
        }
        Ok(())
    }

    fn need_bins(&self) -> Result<(), MetricError> {
        self.need_positives()?;
        if self.lowest == self.highest {
            return Err(MetricError::ConstantMaps { value: self.lowest.to_string() });
        }
        Ok(())
    }
}

/// How many of the F1 thresholds lie strictly below `position`.
fn n_thresholds_below(position: f64) -> usize {
    let threshold = |k: usize| k as f64 * THRESHOLD_STEP;
    let mut n = ((position / THRESHOLD_STEP) as usize).min(N_THRESHOLDS);
    // The division may be off by one rounding, in either direction.
    while n < N_THRESHOLDS && threshold(n) < position {
        n += 1;
    }
    while n > 0 && threshold(n - 1) >= position {
        n -= 1;
    }
    n
}

/// Area below the straight lines through the points `(x, y)`.
fn trapezoids(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let points: Vec<(f64, f64)> = points.collect();
    points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_counted_strictly() {
        assert_eq!(n_thresholds_below(0.0), 0);
        assert_eq!(n_thresholds_below(1e-9), 1);
        for k in 1..N_THRESHOLDS {
            assert_eq!(n_thresholds_below(k as f64 * THRESHOLD_STEP), k);
        }
    }

    #[test]
    fn constant_maps_have_no_binned_curve() {
        let image = AnnotatedMap { width: 2, map: &[0.5; 4], mask: Some(&[0, 0, 1, 0]) };
        let metrics = pixel_metrics(&[image], 0.3, TopScore::Once);
        assert_eq!(metrics.au_roc, Err(MetricError::ConstantMaps { value: "0.5".into() }));
        assert_eq!(metrics.f1_max.unwrap().f1, 0.0);
    }
}
