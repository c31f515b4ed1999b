//! What streaming keeps of defects and of good pictures, for the metrics that look at single pictures
//! and single regions.
//!
//! AUPIMO: a defective pixel gains by the share of good pixels above it, which a histogram knows up
//! to the bin of its score. Recall of regions: the threshold of F1-max is one of those whose best
//! possible F1 reaches the largest that some threshold has for certain; recall falls with the
//! threshold, so the highest and the lowest of them bound it.

use std::collections::BTreeMap;

use crate::components::Components;
use crate::error::{MetricError, Unit};
use crate::key_histogram::KeyHistogram;
use crate::order::order_key;
use crate::pixels::Positive;
use crate::ranking::Ranking;
use crate::region_recall::RegionOverlaps;
use crate::streaming::{BoundedValue, Bounds};

/// The keys of all defective pixels, region by region, picture by picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct DefectKeys {
    keys: Vec<u32>,
    /// Pixels of each region.
    areas: Vec<u32>,
    /// Regions of each picture that has some.
    n_regions: Vec<u32>,
}

impl DefectKeys {
    /// Takes the regions of a picture that has some.
    pub(crate) fn add(&mut self, map: &[f32], regions: &Components) {
        let mut ends: Vec<usize> = regions
            .areas()
            .iter()
            .scan(self.keys.len(), |start, area| {
                let own = *start;
                *start += area;
                Some(own)
            })
            .collect();
        self.keys.resize(self.keys.len() + regions.areas().iter().sum::<usize>(), 0);
        for run in regions.runs() {
            let end = &mut ends[run.component];
            for &score in &map[run.pixels.clone()] {
                self.keys[*end] = order_key(score);
                *end += 1;
            }
        }
        self.areas.extend(regions.areas().iter().map(|&area| area as u32));
        self.n_regions.push(regions.len() as u32);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.areas.extend(other.areas);
        self.n_regions.extend(other.n_regions);
    }

    pub(crate) fn n_pixels(&self) -> u64 {
        self.keys.len() as u64
    }

    pub(crate) fn n_regions(&self) -> u64 {
        self.areas.len() as u64
    }

    /// All pixels, from the lowest score up.
    pub(crate) fn sorted(&self) -> Vec<Positive> {
        let of_region = |keys: &[u32]| -> Vec<Positive> {
            keys.iter().map(|&key| Positive::of_key(key, keys.len())).collect()
        };
        let mut positives = Vec::with_capacity(self.keys.len());
        self.regions().for_each(|keys| positives.extend(of_region(keys)));
        positives.sort_unstable();
        positives
    }

    /// The keys of each region.
    fn regions(&self) -> impl Iterator<Item = &[u32]> {
        cut(&self.keys, &self.areas)
    }

    /// The keys of each picture.
    fn pictures(&self) -> impl Iterator<Item = &[u32]> {
        let areas = cut(&self.areas, &self.n_regions).map(|areas| areas.iter().sum::<u32>());
        let areas: Vec<u32> = areas.collect();
        areas.into_iter().scan(&self.keys[..], |rest, area| {
            let (own, others) = rest.split_at(area as usize);
            *rest = others;
            Some(own)
        })
    }

    /// The share of regions of which the threshold of F1-max finds at least the share `overlap`.
    /// `worst` and `best` are the rankings with false positives at their most and at their fewest.
    pub(crate) fn recall(&self, [worst, best]: &[Ranking; 2], overlap: f64) -> BoundedValue {
        let (highest, lowest) = thresholds_of_best_f1(worst, best)?;
        let negatives = best.negatives();
        let recall = |threshold: f32| {
            let least = order_key(threshold);
            let found = |keys: &[u32]| {
                let n_found = keys.iter().filter(|&&key| key >= least).count();
                (n_found as u64, keys.len() as u64)
            };
            RegionOverlaps::new(self.regions().map(found).collect(), negatives).recall(overlap)
        };
        Ok(Bounds { low: recall(highest)?, high: recall(lowest)? })
    }

    /// The mean over the pictures of AUPIMO between two false positive rates.
    pub(crate) fn aupimo(
        &self,
        good: &GoodPixels,
        n_negatives: u64,
        (lower, upper): (f64, f64),
    ) -> BoundedValue {
        if !(lower > 0.0 && lower < upper && upper <= 1.0) {
            let (lower, upper) = (lower.to_string(), upper.to_string());
            return Err(MetricError::PimoBounds { lower, upper });
        }
        if self.areas.is_empty() {
            return Err(MetricError::NoPositives { unit: Unit::Pixel, negatives: n_negatives });
        }
        if good.n_pictures == 0 {
            let positives = self.n_regions.len() as u64;
            return Err(MetricError::NoNegatives { unit: Unit::Image, positives });
        }
        let first_fpr = good.first_rate();
        if first_fpr > lower {
            return Err(MetricError::PimoResolution { first_fpr, lower });
        }
        let curve = good.rates(upper);
        let (from, to) = (lower.ln(), upper.ln());
        let gain = |rate: f64| (to - rate.ln().max(from)).max(0.0) / (to - from);
        // Per bin, what a pixel in it gains if all good pixels of the bin lie above it, and if none.
        let gains: Vec<(u32, f64, f64)> =
            curve.iter().map(|&(bin, before, after)| (bin, gain(after), gain(before))).collect();
        let last = curve.last().map_or(0.0, |&(_, _, after)| gain(after));
        let of_pixel = |key: u32| {
            let bin = good.bin(key);
            let above = gains.partition_point(|&(own, ..)| own > bin);
            match gains.get(above) {
                Some(&(own, low, high)) if own == bin => (low, high),
                // Nothing good lies in its bin.
                Some(&(_, _, high)) => (high, high),
                None => (last, last),
            }
        };
        let (mut lows, mut highs) = (Vec::new(), Vec::new());
        for keys in self.pictures() {
            let sum = keys.iter().map(|&key| of_pixel(key));
            let (low, high) = sum.fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
            lows.push(low / keys.len() as f64);
            highs.push(high / keys.len() as f64);
        }
        let mean = |mut areas: Vec<f64>| {
            // The same whatever the order of the pictures.
            areas.sort_unstable_by(f64::total_cmp);
            areas.iter().sum::<f64>() / areas.len() as f64
        };
        let (low, high) = (mean(lows) - ROUNDING, mean(highs) + ROUNDING);
        Ok(Bounds { low: low.max(0.0), high: high.min(1.0) })
    }
}

/// More than the sums of AUPIMO can differ for being made in another order.
const ROUNDING: f64 = 1e-9;

/// Consecutive pieces of these lengths.
fn cut<'a, T>(all: &'a [T], lengths: &'a [u32]) -> impl Iterator<Item = &'a [T]> {
    lengths.iter().scan(all, |rest, &length| {
        let (own, others) = rest.split_at(length as usize);
        *rest = others;
        Some(own)
    })
}

/// The highest and the lowest threshold that may be that of F1-max.
fn thresholds_of_best_f1(worst: &Ranking, best: &Ranking) -> Result<(f32, f32), MetricError> {
    best.need_positives()?;
    // F1 = 2 found / (called + positives) as whole fractions, so that a tie is a tie.
    let fractions = |ranking: &Ranking| {
        let (mut found, mut total) = (0_u64, ranking.positives());
        let steps = ranking.steps().map(move |step| {
            found += step.positives;
            total += step.positives + step.negatives_above + step.negatives_tied;
            (u128::from(found), u128::from(total), step.score)
        });
        steps.collect::<Vec<_>>()
    };
    let certain = fractions(worst)
        .into_iter()
        .fold((0, 1), |top, (n, d, _)| if n * top.1 > top.0 * d { (n, d) } else { top });
    let may_be = fractions(best).into_iter().filter(|(n, d, _)| n * certain.1 >= certain.0 * d);
    let scores: Vec<f32> = may_be.map(|(.., score)| score).collect();
    let (Some(&highest), Some(&lowest)) = (scores.first(), scores.last()) else {
        unreachable!("the threshold with the certain F1 has one at least as high at best");
    };
    Ok((highest, lowest))
}

/// How the pixels of good pictures score. A picture counts the same whatever its size, so there is
/// one histogram per size.
#[derive(Debug, Clone)]
pub(crate) struct GoodPixels {
    bits: u32,
    sizes: BTreeMap<u32, GoodMaps>,
    n_pictures: u64,
}

/// Good pictures of one size.
#[derive(Debug, Clone)]
struct GoodMaps {
    histogram: KeyHistogram,
    /// The highest key, and how many pixels have it.
    top: (u32, u64),
}

impl GoodMaps {
    fn raise(&mut self, (key, count): (u32, u64)) {
        match key.cmp(&self.top.0) {
            std::cmp::Ordering::Greater => self.top = (key, count),
            std::cmp::Ordering::Equal => self.top.1 += count,
            std::cmp::Ordering::Less => {}
        }
    }
}

impl GoodPixels {
    pub(crate) fn new(bits: u32) -> Self {
        Self { bits, sizes: BTreeMap::new(), n_pictures: 0 }
    }

    fn of_size(&mut self, size: u32) -> &mut GoodMaps {
        let histogram = || KeyHistogram::new(self.bits);
        self.sizes.entry(size).or_insert_with(|| GoodMaps { histogram: histogram(), top: (0, 0) })
    }

    pub(crate) fn add(&mut self, map: &[f32]) {
        self.n_pictures += 1;
        let maps = self.of_size(map.len() as u32);
        for key in map.iter().map(|&score| order_key(score)) {
            maps.histogram.add(key);
            if key >= maps.top.0 {
                maps.raise((key, 1));
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.n_pictures += other.n_pictures;
        for (&size, maps) in &other.sizes {
            let own = self.of_size(size);
            own.histogram.merge(&maps.histogram);
            own.raise(maps.top);
        }
    }

    /// Adds all pixels to a histogram of the same bits.
    pub(crate) fn add_to(&self, histogram: &mut KeyHistogram) {
        self.sizes.values().for_each(|maps| histogram.merge(&maps.histogram));
    }

    fn bin(&self, key: u32) -> u32 {
        KeyHistogram::new(self.bits).bin(key)
    }

    /// What a pixel of a size adds to the false positive rate.
    fn share(&self, size: u32) -> f64 {
        1.0 / (self.n_pictures as f64 * f64::from(size))
    }

    /// The false positive rate at the highest good score, summed as [`aupimo`](crate::aupimo())
    /// sums it.
    fn first_rate(&self) -> f64 {
        let top = self.sizes.values().map(|maps| maps.top.0).max();
        let tied = self.sizes.iter().rev().filter(|(_, maps)| Some(maps.top.0) == top);
        if let [(&size, maps)] = self.sizes.iter().collect::<Vec<_>>()[..] {
            return maps.top.1 as f64 / (self.n_pictures * u64::from(size)) as f64;
        }
        let mut shares = 0.0;
        for (&size, maps) in tied {
            (0..maps.top.1).for_each(|_| shares += 1.0 / f64::from(size));
        }
        shares / self.n_pictures as f64
    }

    /// Bins from the highest down, with the false positive rate before and after each, until it
    /// passes `upper`.
    fn rates(&self, upper: f64) -> Vec<(u32, f64, f64)> {
        let mut bins: BTreeMap<u32, f64> = BTreeMap::new();
        for (&size, maps) in &self.sizes {
            let mut rate = 0.0;
            for (bin, count) in maps.histogram.iter_from_highest() {
                let own = count as f64 * self.share(size);
                *bins.entry(bin).or_default() += own;
                rate += own;
                if rate > upper {
                    break;
                }
            }
        }
        let mut rates = Vec::new();
        let mut rate = 0.0;
        for (bin, own) in bins.into_iter().rev() {
            rates.push((bin, rate, rate + own));
            rate += own;
            if rate > upper {
                break;
            }
        }
        rates
    }
}
