//! What the shipped thresholds do on a test set: the numbers a factory counts.
//!
//! The seven metrics look at all thresholds; here the ones in the model decide, which saw no test
//! picture.

use serde::Serialize;

use crate::calibrate::{ClassCalibration, RateInterval, Verdict, binomial_interval};
use crate::evaluate::TestPicture;

/// Decisions on the test pictures of one class.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Decisions {
    /// Good pictures.
    pub n_good: usize,
    /// Defective pictures.
    pub n_defective: usize,
    /// Good pictures called defective.
    pub false_rejects: usize,
    /// Good pictures for a person to look at.
    pub good_reviews: usize,
    /// Defective pictures called good.
    pub misses: usize,
    /// Defective pictures for a person to look at.
    pub defective_reviews: usize,
    /// Share of good pictures called defective, with its 95 % interval.
    pub false_reject_rate: Option<RateInterval>,
    /// Share of defective pictures called good, with its 95 % interval.
    pub miss_rate: Option<RateInterval>,
    /// Decisions on pixels; `None` without a pixel threshold or without masks.
    pub pixels: Option<PixelDecisions>,
}

/// Decisions on the pixels of one class at its pixel threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PixelDecisions {
    /// The threshold.
    pub threshold: f32,
    /// Share of the marked pixels that are defective; `None` where none is marked.
    pub precision: Option<f64>,
    /// Share of the defective pixels that are marked.
    pub recall: Option<f64>,
    /// Harmonic mean of both.
    pub f1: Option<f64>,
    /// Share of the pixels of good pictures that is marked.
    pub good_area: Option<f64>,
}

/// Counts the decisions of a class.
pub fn decide(pictures: &[TestPicture], class: &ClassCalibration) -> Decisions {
    let mut found = Decisions::default();
    for TestPicture { loaded, scored, .. } in pictures {
        let verdict = class.verdict(scored.score);
        if loaded.sample.is_anomalous() {
            found.n_defective += 1;
            found.misses += usize::from(verdict == Verdict::Ok);
            found.defective_reviews += usize::from(verdict == Verdict::Review);
        } else {
            found.n_good += 1;
            found.false_rejects += usize::from(verdict == Verdict::Defect);
            found.good_reviews += usize::from(verdict == Verdict::Review);
        }
    }
    found.false_reject_rate = binomial_interval(found.false_rejects, found.n_good);
    found.miss_rate = binomial_interval(found.misses, found.n_defective);
    found.pixels = class.pixel_threshold.and_then(|threshold| {
        let masked = pictures.iter().filter_map(|TestPicture { loaded, scored, .. }| {
            let is_good = !loaded.sample.is_anomalous();
            (is_good || loaded.mask.is_some())
                .then(|| (scored.map.as_slice(), loaded.mask.as_deref().filter(|_| !is_good)))
        });
        pixel_decisions(masked, threshold)
    });
    found
}

/// Pixels of maps with their masks; a map without a mask is one of a good picture.
fn pixel_decisions<'a>(
    pictures: impl Iterator<Item = (&'a [f32], Option<&'a [u8]>)>,
    threshold: f32,
) -> Option<PixelDecisions> {
    // Of all pixels and of those of good pictures: how many, and how many marked.
    let (mut hits, mut marked, mut defective) = (0_u64, 0_u64, 0_u64);
    let (mut good, mut marked_good) = (0_u64, 0_u64);
    for (map, mask) in pictures {
        let n_marked = map.iter().filter(|&&value| value >= threshold).count() as u64;
        marked += n_marked;
        match mask {
            None => {
                good += map.len() as u64;
                marked_good += n_marked;
            }
            Some(mask) => {
                defective += mask.iter().filter(|&&pixel| pixel > 0).count() as u64;
                let both = map.iter().zip(mask).filter(|&(&v, &m)| m > 0 && v >= threshold);
                hits += both.count() as u64;
            }
        }
    }
    if defective + good == 0 {
        return None;
    }
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    Some(PixelDecisions {
        threshold,
        precision: share(hits, marked).filter(|_| defective > 0),
        recall: share(hits, defective),
        f1: share(2 * hits, marked + defective).filter(|_| defective > 0),
        good_area: share(marked_good, good),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_counted_once() {
        let (bad, good) = ([0.1, 0.6, 0.7, 0.2], [0.5, 0.1, 0.1, 0.1]);
        let mask = [0, 1, 0, 1];
        let pictures = [(&bad[..], Some(&mask[..])), (&good[..], None)];
        let found = pixel_decisions(pictures.into_iter(), 0.5).unwrap();
        assert_eq!((found.recall, found.precision), (Some(0.5), Some(1.0 / 3.0)));
        assert_eq!((found.f1, found.good_area), (Some(0.4), Some(0.25)));
        let only_good = pixel_decisions([(&good[..], None)].into_iter(), 0.6).unwrap();
        assert_eq!((only_good.f1, only_good.recall), (None, None));
        assert_eq!(only_good.good_area, Some(0.0));
        assert_eq!(pixel_decisions(std::iter::empty(), 0.5), None);
    }
}
