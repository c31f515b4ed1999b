//! The curves over pixels that a report draws: ROC, precision and recall, region overlap.
//!
//! Every point lies on the exact curve. There are as many points as a plot can show, at thresholds
//! taken evenly from the ordered scores of the defective pixels, where the curves change.

use mmad_metrics::components::Components;

use crate::evaluate::TestPicture;

/// Most points of a curve.
const N_POINTS: usize = 200;

/// A point of all three curves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Pixels with this raw value or more count as defective.
    pub threshold: f32,
    /// Share of the sound pixels that are marked.
    pub false_positive_rate: f64,
    /// Share of the defective pixels that are marked.
    pub recall: f64,
    /// Share of the marked pixels that are defective; 1 where none is marked.
    pub precision: f64,
    /// Mean over the defect regions of the share that is marked.
    pub region_overlap: f64,
}

/// The curves of the pictures of one class, from the highest threshold down; `None` where no pixel
/// is defective, or none is sound.
pub fn pixel_curves(pictures: &[TestPicture]) -> Option<Vec<CurvePoint>> {
    let annotated = pictures.iter().filter_map(|TestPicture { loaded, scored, .. }| {
        let mask = loaded.mask.as_deref().filter(|_| loaded.sample.is_anomalous());
        let is_known = !loaded.sample.is_anomalous() || mask.is_some();
        is_known.then_some((scored.map.as_slice(), mask, scored.width))
    });
    curves_of(&annotated.collect::<Vec<_>>())
}

/// A map, its mask unless the picture is good, and its width.
type Annotated<'a> = (&'a [f32], Option<&'a [u8]>, usize);

fn curves_of(pictures: &[Annotated<'_>]) -> Option<Vec<CurvePoint>> {
    let of_defects = pictures.iter().filter_map(|&(map, mask, _)| Some((map, mask?)));
    let mut defective: Vec<f32> = of_defects
        .flat_map(|(map, mask)| map.iter().zip(mask).filter(|(_, m)| **m > 0).map(|(&v, _)| v))
        .collect();
    defective.sort_unstable_by(f32::total_cmp);
    let n = defective.len();
    // Ascending; the lowest value of all closes the curves.
    let lowest = pictures.iter().flat_map(|(map, ..)| map.iter()).copied().fold(f32::MAX, f32::min);
    let mut thresholds: Vec<f32> = (0..N_POINTS.min(n))
        .map(|i| defective[if n > 1 { i * (n - 1) / (N_POINTS.min(n) - 1).max(1) } else { 0 }])
        .chain([lowest])
        .collect();
    thresholds.sort_unstable_by(f32::total_cmp);
    thresholds.dedup();

    // What lies at or above each threshold and below the next.
    let slots = thresholds.len() + 1;
    let (mut sound, mut found, mut overlap) =
        (vec![0_u64; slots], vec![0_u64; slots], vec![0.0; slots]);
    let slot = |value: f32| thresholds.partition_point(|&threshold| threshold <= value);
    let mut n_regions = 0;
    for &(map, mask, width) in pictures {
        let Some(mask) = mask else {
            for &value in map {
                sound[slot(value)] += 1;
            }
            continue;
        };
        let regions = Components::of(mask, width);
        n_regions += regions.len();
        for run in regions.runs() {
            let share = 1.0 / regions.areas()[run.component] as f64;
            for &value in &map[run.pixels.clone()] {
                overlap[slot(value)] += share;
            }
        }
        for (&value, &mask) in map.iter().zip(mask) {
            let kind = if mask > 0 { &mut found } else { &mut sound };
            kind[slot(value)] += 1;
        }
    }
    let (n_sound, n_found) = (sound.iter().sum::<u64>(), found.iter().sum::<u64>());
    if n_sound == 0 || n_found == 0 {
        return None;
    }
    let (mut alarms, mut hits, mut pro) = (0, 0, 0.0);
    let points = thresholds.iter().enumerate().rev().map(|(i, &threshold)| {
        alarms += sound[i + 1];
        hits += found[i + 1];
        pro += overlap[i + 1];
        CurvePoint {
            threshold,
            false_positive_rate: alarms as f64 / n_sound as f64,
            recall: hits as f64 / n_found as f64,
            precision: if hits + alarms > 0 { hits as f64 / (hits + alarms) as f64 } else { 1.0 },
            region_overlap: pro / n_regions as f64,
        }
    });
    Some(points.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small case by hand: two regions, one of them of two pixels, and one good picture.
    #[test]
    fn points_are_those_of_the_exact_curves() {
        let (bad, good) = ([0.9, 0.8, 0.3, 0.1, 0.2, 0.4], [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]);
        let mask = [1, 1, 0, 0, 0, 1];
        let points = curves_of(&[(&bad, Some(&mask), 3), (&good, None, 3)]).unwrap();
        let at = |threshold: f32| *points.iter().find(|p| p.threshold == threshold).unwrap();
        assert_eq!(points.len(), 4);
        assert!(points.is_sorted_by(|a, b| a.threshold > b.threshold));
        let first = at(0.9);
        assert_eq!((first.false_positive_rate, first.recall), (0.0, 1.0 / 3.0));
        // The corner pixel touches the pair at a corner, so all three are one region.
        let regions = Components::of(&mask, 3).len() as f64;
        assert_eq!(regions, 1.0);
        assert!((at(0.8).region_overlap - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((at(0.4).recall, at(0.4).precision), (1.0, 0.75));
        assert!((at(0.4).false_positive_rate - 1.0 / 9.0).abs() < 1e-12);
        let last = points[3];
        assert_eq!((last.false_positive_rate, last.precision), (1.0, 0.25));
    }

    #[test]
    fn many_pixels_make_few_points_and_none_makes_none() {
        let map: Vec<f32> = (0..4000).map(|i| (i * 37 % 4000) as f32).collect();
        let mask: Vec<u8> = (0..4000).map(|i| u8::from(i % 2 == 0)).collect();
        let points = curves_of(&[(&map, Some(&mask), 40)]).unwrap();
        assert!((N_POINTS..N_POINTS + 2).contains(&points.len()));
        assert!(points.iter().all(|p| (p.recall - p.false_positive_rate).abs() < 0.02));
        assert_eq!(points.last().unwrap().recall, 1.0);
        assert_eq!(curves_of(&[(&map, None, 40)]), None);
        assert_eq!(curves_of(&[(&map, Some(&[1; 4000]), 40)]), None);
    }
}
