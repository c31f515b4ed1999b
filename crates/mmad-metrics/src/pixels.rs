//! All pixels of a class, ranked.

use crate::components::Components;
use crate::error::Unit;
use crate::input::AnnotatedMap;
use crate::order::order_key;
use crate::placement::{DistinctScores, Placed, Placement};
use crate::ranking::Ranking;
use crate::region_recall::RegionOverlaps;

/// The pixels of a class in the order of their scores, and what they say about regions.
pub(crate) struct RankedPixels {
    pub(crate) ranking: Ranking,
    /// Per step of the ranking: the sum of 1 / (size of its region) over its pixels.
    pub(crate) found_regions: Vec<f64>,
}

/// What the masks of a class say, and the scores on the defects.
///
/// Extra memory: 8 bytes per defective pixel, 32 bytes per row of a region.
pub(crate) struct PixelTruth<'a> {
    images: &'a [AnnotatedMap<'a>],
    /// The regions of every picture that has some, with its position among the pictures.
    regions: Vec<(usize, Components)>,
    /// All defective pixels, sorted from the lowest score up, until they are ranked.
    pub(crate) positives: Vec<Positive>,
    pub(crate) n_positives: u64,
    pub(crate) n_regions: u64,
}

impl<'a> PixelTruth<'a> {
    /// Finds the regions of all masks, and sorts the pixels on them.
    pub(crate) fn gather(images: &'a [AnnotatedMap<'a>]) -> Self {
        let mut truth = Self {
            images,
            regions: Vec::new(),
            positives: Vec::new(),
            n_positives: 0,
            n_regions: 0,
        };
        for (index, image) in images.iter().enumerate() {
            let Some(mask) = image.mask else { continue };
            let regions = Components::of(mask, image.width);
            truth.n_regions += regions.len() as u64;
            push_positives(image.map, &regions, &mut truth.positives);
            truth.regions.push((index, regions));
        }
        truth.positives.sort_unstable();
        truth.n_positives = truth.positives.len() as u64;
        truth
    }

    /// Number of defect-free pixels.
    pub(crate) fn n_negatives(&self) -> u64 {
        let pixels: u64 = self.images.iter().map(|image| image.map.len() as u64).sum();
        pixels - self.n_positives
    }

    /// The pictures with a defect: position, scores, and regions.
    pub(crate) fn defective(&self) -> impl Iterator<Item = (usize, &'a [f32], &Components)> {
        self.regions.iter().map(|(index, regions)| (*index, self.images[*index].map, regions))
    }

    /// The maps of the good pictures.
    pub(crate) fn good(&self) -> impl Iterator<Item = &'a [f32]> + Clone {
        self.images.iter().filter(|image| image.is_good).map(|image| image.map)
    }

    /// Ranks all pixels, and gives the memory of the sorted ones back. Extra memory: about 50 bytes
    /// per distinct score on a defect, nothing per defect-free pixel.
    pub(crate) fn rank(&mut self) -> RankedPixels {
        let (scores, found_regions) = distinct_scores(&std::mem::take(&mut self.positives));
        let placed = self.place_background(Placement::new(scores));
        RankedPixels { ranking: Ranking::from_placed(placed, Unit::Pixel), found_regions }
    }

    /// Counts the defect-free pixels.
    pub(crate) fn place_background(&self, mut placement: Placement) -> Placed {
        for image in self.images {
            match image.mask {
                Some(mask) => placement.add_background(image.map, mask),
                None => placement.add_all(image.map),
            }
        }
        placement.finish()
    }

    /// What a threshold finds of every region.
    pub(crate) fn overlaps(&self, threshold: f32) -> RegionOverlaps {
        let mut overlaps = Vec::with_capacity(self.n_regions as usize);
        for (_, map, regions) in self.defective() {
            let first = overlaps.len();
            overlaps.extend(regions.areas().iter().map(|&area| (0, area as u64)));
            for run in regions.runs() {
                let scores = &map[run.pixels.clone()];
                let found = scores.iter().filter(|&&score| score >= threshold).count();
                overlaps[first + run.component].0 += found as u64;
            }
        }
        RegionOverlaps::new(overlaps, self.n_negatives())
    }
}

/// A defective pixel: the key of its score in the high half, the size of its region in the low
/// half, so that sorting the plain integers sorts by score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Positive(u64);

impl Positive {
    /// With the key of its score.
    pub(crate) fn of_key(key: u32, region_area: usize) -> Self {
        Self(u64::from(key) << 32 | region_area as u64)
    }

    pub(crate) fn key(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn region_area(self) -> u32 {
        self.0 as u32
    }
}

/// Appends the defective pixels of one picture.
fn push_positives(map: &[f32], regions: &Components, positives: &mut Vec<Positive>) {
    for run in regions.runs() {
        let area = regions.areas()[run.component];
        let scores = &map[run.pixels.clone()];
        positives.extend(scores.iter().map(|&score| Positive::of_key(order_key(score), area)));
    }
}

/// The scores of sorted positives, and per score, from the highest down, the sum of 1 / (size of
/// its region) over its pixels.
pub(crate) fn distinct_scores(positives: &[Positive]) -> (DistinctScores, Vec<f64>) {
    let tied = || positives.chunk_by(|a, b| a.key() == b.key());
    let scores = DistinctScores::new(tied().map(|tied| (tied[0].key(), tied.len())));
    // Sorted by size within a tie: the sum is the same whatever the order of the pictures.
    let found =
        |tied: &[Positive]| tied.iter().map(|pixel| 1.0 / f64::from(pixel.region_area())).sum();
    (scores, tied().rev().map(found).collect())
}
