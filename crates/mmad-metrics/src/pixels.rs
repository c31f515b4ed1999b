//! All pixels of a class, ranked.

use crate::class_metrics::AnnotatedMap;
use crate::components::Components;
use crate::error::Unit;
use crate::order::{order_key, score_of_key};
use crate::ranking::{Ranking, Step, place_between};

/// The pixels of a class in the order of their scores, and what they say about regions.
pub(crate) struct RankedPixels {
    pub(crate) ranking: Ranking,
    /// Per step of the ranking: the sum of 1 / (size of its region) over its pixels.
    pub(crate) found_regions: Vec<f64>,
    /// Regions in all masks.
    pub(crate) n_regions: u64,
}

/// Ranks the pixels of all pictures of a class.
///
/// Extra memory: about 80 bytes per defective pixel, nothing per defect-free pixel.
pub(crate) fn rank_pixels(images: &[AnnotatedMap<'_>]) -> RankedPixels {
    let (positives, n_regions) = gather_positives(images);

    let mut steps = Vec::new();
    let mut found_regions = Vec::new();
    for tied in positives.chunk_by(|a, b| a.key() == b.key()).rev() {
        steps.push(Step::of_positives(score_of_key(tied[0].key()), tied.len() as u64));
        // Sorted by size within a tie: the sum is the same whatever the order of the pictures.
        found_regions.push(tied.iter().map(|pixel| 1.0 / f64::from(pixel.region_area())).sum());
    }
    drop(positives);

    let mut placement = place_between(&steps);
    for image in images {
        match image.mask {
            Some(mask) => placement.add_background(image.map, mask),
            None => placement.add_all(image.map),
        }
    }
    let ranking = Ranking::from_placement(steps, placement, Unit::Pixel);
    RankedPixels { ranking, found_regions, n_regions }
}

/// A defective pixel: the key of its score in the high half, the size of its region in the low
/// half, so that sorting the plain integers sorts by score.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Positive(u64);

impl Positive {
    fn new(score: f32, region_area: usize) -> Self {
        Self(u64::from(order_key(score)) << 32 | region_area as u64)
    }

    fn key(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn region_area(self) -> u32 {
        self.0 as u32
    }
}

/// The defective pixels of all pictures, sorted, and the number of regions they form.
fn gather_positives(images: &[AnnotatedMap<'_>]) -> (Vec<Positive>, u64) {
    let mut positives = Vec::new();
    let mut n_regions = 0;
    for image in images {
        let Some(mask) = image.mask else { continue };
        let regions = Components::of(mask, image.width);
        n_regions += regions.len() as u64;
        for run in regions.runs() {
            let area = regions.areas()[run.component];
            let scores = &image.map[run.pixels.clone()];
            positives.extend(scores.iter().map(|&score| Positive::new(score, area)));
        }
    }
    positives.sort_unstable();
    (positives, n_regions)
}
