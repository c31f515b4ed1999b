//! Area under the per-image overlap curve (AUPIMO).
//!
//! Definition (J. P. C. Bertoldo, D. Ameln, A. Vaidya and S. Akçay, "AUPIMO: Redefining Visual
//! Anomaly Detection Benchmarks with High Speed and Low Tolerance", BMVC 2024): for every defective
//! picture, the mean of its recall over the logarithm of the false positive rate, between two
//! rates, 1e-5 and 1e-4 unless said otherwise. Recall is the share of the defective pixels of that
//! picture that are found; the false positive rate comes from good pictures alone, as the mean of
//! their own rates.
//!
//! Here every distinct score is a threshold, points are joined by straight lines over the
//! logarithm, and the curve is cut at both rates. It is undefined when the first false positive
//! alone brings the rate above the lower bound, because nothing is known of the curve there.
//!
//! Nearly all good pixels score below every threshold that matters; one pass keeps the few that do
//! not.

use crate::components::Components;
use crate::error::{MetricError, Unit};
use crate::input::{CheckedClass, ScoredImage};
use crate::order::order_key;
use crate::pixels::PixelTruth;

/// The false positive rates between which AUPIMO is taken unless said otherwise.
pub const AUPIMO_BOUNDS: (f64, f64) = (1e-5, 1e-4);

/// AUPIMO of every defective picture, with its position among `images`, in `0.0..=1.0`; higher is
/// better. Defective is a picture whose mask shows a defect.
///
/// `bounds` are the false positive rates between which the curve counts, `0 < lower < upper <= 1`.
///
/// # Errors
///
/// Broken input as for [`class_metrics`](crate::class_metrics()), [`MetricError::PimoBounds`], and
/// what leaves the metric undefined: no good picture, no defect,
/// [`MetricError::PimoResolution`] when there are too few good pixels (or too many equal ones) to
/// know the curve at the lower bound.
pub fn aupimo(
    images: &[ScoredImage<'_>],
    bounds: (f64, f64),
) -> Result<Vec<(usize, f64)>, MetricError> {
    let class = CheckedClass::of(images)?;
    let areas = aupimo_of(&PixelTruth::gather(&class.annotated), bounds)?;
    // Positions among the annotated pictures become positions among all.
    let annotated = class.shows_defect.iter().enumerate().filter(|(_, shown)| shown.is_some());
    let positions: Vec<usize> = annotated.map(|(position, _)| position).collect();
    Ok(areas.into_iter().map(|(index, area)| (positions[index], area)).collect())
}

pub(crate) fn aupimo_of(
    truth: &PixelTruth<'_>,
    (lower, upper): (f64, f64),
) -> Result<Vec<(usize, f64)>, MetricError> {
    if !(lower > 0.0 && lower < upper && upper <= 1.0) {
        let (lower, upper) = (lower.to_string(), upper.to_string());
        return Err(MetricError::PimoBounds { lower, upper });
    }
    if truth.n_regions == 0 {
        let negatives = truth.n_negatives();
        return Err(MetricError::NoPositives { unit: Unit::Pixel, negatives });
    }
    let n_good = truth.good().count();
    if n_good == 0 {
        let positives = truth.defective().count() as u64;
        return Err(MetricError::NoNegatives { unit: Unit::Image, positives });
    }
    let curve = FprCurve::of(truth.good(), n_good, upper);
    let first_fpr = curve.rates[1];
    if first_fpr > lower {
        return Err(MetricError::PimoResolution { first_fpr, lower });
    }
    let gains = Gains::new(&curve, lower.ln(), upper.ln());
    let areas = truth.defective().map(|(index, map, regions)| (index, gains.area(map, regions)));
    Ok(areas.collect())
}

/// The false positive rate over all thresholds at which a good pixel is found, up to a limit.
struct FprCurve {
    /// The keys of those thresholds, from the highest down.
    keys: Vec<u32>,
    /// Element `i` is the rate with `i` of these thresholds passed; one more than keys.
    rates: Vec<f64>,
}

impl FprCurve {
    fn of<'a>(maps: impl Iterator<Item = &'a [f32]> + Clone, n_good: usize, upper: f64) -> Self {
        let largest = maps.clone().map(<[f32]>::len).max().unwrap_or(1);
        let is_one_size = maps.clone().all(|map| map.len() == largest);
        // A pixel adds at least 1 / (n_good * largest) to the rate.
        let n_needed = (upper * (n_good * largest) as f64).ceil() as usize + 1;
        let mut top = TopPixels::new(n_needed);
        for map in maps {
            top.add(map);
        }
        let pixels = top.finish();

        let mut curve = Self { keys: Vec::new(), rates: vec![0.0] };
        let (mut count, mut shares) = (0_u64, 0.0);
        for tied in pixels.chunk_by(|a, b| a >> 32 == b >> 32) {
            count += tied.len() as u64;
            // Sorted by size within a tie, so the sum does not depend on the order of pictures.
            shares += tied.iter().map(|pixel| 1.0 / f64::from(*pixel as u32)).sum::<f64>();
            curve.keys.push((tied[0] >> 32) as u32);
            curve.rates.push(if is_one_size {
                count as f64 / (n_good * largest) as f64
            } else {
                shares / n_good as f64
            });
        }
        curve
    }
}

/// Keeps the highest pixels of many maps: key of the score in the high half, size of the map in
/// the low half.
struct TopPixels {
    n_needed: usize,
    kept: Vec<u64>,
    /// Scores below this one cannot be among the highest.
    lowest: f32,
}

impl TopPixels {
    fn new(n_needed: usize) -> Self {
        Self { n_needed, kept: Vec::new(), lowest: f32::NEG_INFINITY }
    }

    fn add(&mut self, map: &[f32]) {
        const BLOCK: usize = 128;
        for block in map.chunks(BLOCK) {
            // Without an early exit, the count runs many pixels at a time.
            let n_high: u32 = block.iter().map(|&score| u32::from(score >= self.lowest)).sum();
            if n_high == 0 {
                continue;
            }
            for &score in block.iter().filter(|&&score| score >= self.lowest) {
                self.kept.push(u64::from(order_key(score)) << 32 | map.len() as u64);
            }
            if self.kept.len() >= 2 * self.n_needed + BLOCK {
                self.drop_low();
            }
        }
    }

    /// Drops what is lower than the highest `n_needed`. What ties with the last of them stays.
    fn drop_low(&mut self) {
        if self.kept.len() <= self.n_needed {
            return;
        }
        let last = self.n_needed - 1;
        let (_, &mut pixel, _) = self.kept.select_nth_unstable_by(last, |a, b| b.cmp(a));
        let key = pixel >> 32;
        self.kept.retain(|pixel| pixel >> 32 >= key);
        self.lowest = crate::order::score_of_key(key as u32);
    }

    /// The highest pixels, from the highest down.
    fn finish(mut self) -> Vec<u64> {
        self.drop_low();
        self.kept.sort_unstable_by(|a, b| b.cmp(a));
        self.kept
    }
}

/// What a defective pixel adds to the area of its picture, by where its score lies.
struct Gains<'a> {
    curve: &'a FprCurve,
    /// Element `i` for scores between the thresholds `i - 1` and `i` of the curve.
    between: Vec<f64>,
    /// Element `i` for scores equal to threshold `i`.
    tied: Vec<f64>,
}

impl<'a> Gains<'a> {
    fn new(curve: &'a FprCurve, lower: f64, upper: f64) -> Self {
        let logs: Vec<f64> = curve.rates.iter().map(|rate| rate.ln()).collect();
        let width = upper - lower;
        let flat = |from: f64| (upper - from.max(lower)).max(0.0) / width;
        let climb = |pair: &[f64]| {
            let (from, to) = (pair[0], pair[1]);
            let (start, end) = (from.max(lower), to.min(upper));
            let below_line = if start < end {
                ((end - from).powi(2) - (start - from).powi(2)) / (2.0 * (to - from)) / width
            } else {
                0.0
            };
            below_line + flat(to)
        };
        Self {
            curve,
            between: logs.iter().map(|&log| flat(log)).collect(),
            tied: logs.windows(2).map(climb).collect(),
        }
    }

    /// AUPIMO of a picture.
    fn area(&self, map: &[f32], regions: &Components) -> f64 {
        let keys = &self.curve.keys;
        let mut n_between = vec![0_u64; keys.len() + 1];
        let mut n_tied = vec![0_u64; keys.len()];
        let last = keys.last().copied().unwrap_or(0);
        let first = keys.first().copied().unwrap_or(u32::MAX);
        let mut pixels = 0;
        for run in regions.runs() {
            pixels += run.pixels.len();
            for &score in &map[run.pixels.clone()] {
                let key = order_key(score);
                // Below the last threshold nothing is gained.
                if key < last {
                    continue;
                }
                // Most of what is found lies above all good pixels.
                if key > first {
                    n_between[0] += 1;
                    continue;
                }
                let above = keys.partition_point(|&threshold| threshold > key);
                if keys.get(above) == Some(&key) {
                    n_tied[above] += 1;
                } else {
                    n_between[above] += 1;
                }
            }
        }
        let sum = |counts: &[u64], gains: &[f64]| -> f64 {
            counts.iter().zip(gains).map(|(&count, gain)| count as f64 * gain).sum()
        };
        (sum(&n_between, &self.between) + sum(&n_tied, &self.tied)) / pixels as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_highest_pixels_are_kept(
            maps in proptest::collection::vec(
                proptest::collection::vec((-6_i32..40).prop_map(|x| x as f32 / 8.0), 1..300), 1..5),
            n_needed in 1_usize..40,
        ) {
            let mut top = TopPixels::new(n_needed);
            for map in &maps {
                top.add(map);
            }
            let kept = top.finish();
            let mut all: Vec<u64> = maps
                .iter()
                .flat_map(|map| map.iter().map(|&s| u64::from(order_key(s)) << 32 | map.len() as u64))
                .collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            prop_assert!(kept.len() >= n_needed.min(all.len()));
            prop_assert_eq!(&kept[..], &all[..kept.len()]);
            let is_cut_between_scores =
                all.get(kept.len()).is_none_or(|next| next >> 32 < kept[kept.len() - 1] >> 32);
            prop_assert!(is_cut_between_scores);
        }
    }

    fn image<'a>(map: &'a [f32], mask: &'a [u8]) -> ScoredImage<'a> {
        let is_anomalous = mask.contains(&1);
        ScoredImage { name: "x", width: map.len(), map, mask: Some(mask), score: 0.0, is_anomalous }
    }

    #[test]
    fn recall_is_averaged_over_the_logarithm_of_the_rate() {
        let good: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        // Half of the defect is above the rate 0.01, the other half above the rate 0.1.
        let images = [
            image(&good, &[0; 1000]),
            image(&[989.5, 989.5, 899.5, 899.5], &[1; 4]),
            image(&[5.0, 2000.0, 6.0, 899.5], &[0, 1, 0, 0]),
        ];
        let areas = aupimo(&images, (0.001, 0.1)).unwrap();
        assert_eq!(areas.len(), 2);
        assert_eq!((areas[0].0, areas[1]), (1, (2, 1.0)));
        assert!((areas[0].1 - 0.25).abs() < 1e-12, "{areas:?}");
        let error = aupimo(&images, (0.0001, 0.1)).unwrap_err();
        assert!(matches!(error, MetricError::PimoResolution { .. }), "{error}");
    }

    #[test]
    fn what_is_missing_is_told() {
        let good = image(&[0.1, 0.2], &[0, 0]);
        let defective = image(&[0.1, 0.2], &[0, 1]);
        assert!(matches!(aupimo(&[good], AUPIMO_BOUNDS), Err(MetricError::NoPositives { .. })));
        assert!(matches!(
            aupimo(&[defective], AUPIMO_BOUNDS),
            Err(MetricError::NoNegatives { .. })
        ));
        for bounds in [(0.0, 0.1), (0.1, 0.1), (0.1, 1.1), (f64::NAN, 0.1)] {
            let error = aupimo(&[good, defective], bounds).unwrap_err();
            assert!(matches!(error, MetricError::PimoBounds { .. }), "{error}");
        }
    }
}
