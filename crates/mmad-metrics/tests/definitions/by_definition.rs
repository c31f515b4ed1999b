//! The fast class metrics against the definitions.

use mmad_metrics::components::Components;
use mmad_metrics::{
    MetricOptions, Ranking, RegionOverlaps, au_roc, aupimo, average_precision, f1_max,
    fpr_at_recall, recall_at_fpr,
};
use proptest::prelude::*;

use super::pictures::{Picture, measure, pictures};

/// Per region, the scores of its pixels; and the scores of all pixels outside.
fn regions_and_background(pictures: &[Picture]) -> (Vec<Vec<f32>>, Vec<f32>) {
    let (mut regions, mut background) = (Vec::new(), Vec::new());
    for picture in pictures {
        let components = Components::of(&picture.mask(), picture.width);
        let first = regions.len();
        regions.resize(first + components.len(), Vec::new());
        for (&score, label) in picture.map.iter().zip(components.labels()) {
            match label {
                0 => background.push(score),
                label => regions[first + label - 1].push(score),
            }
        }
    }
    (regions, background)
}

/// Walks all distinct scores of the class and integrates the polyline up to `limit`.
fn au_pro_by_definition(pictures: &[Picture], limit: f64) -> Option<f64> {
    let (regions, background) = regions_and_background(pictures);
    if regions.is_empty() || background.is_empty() {
        return None;
    }
    let mut thresholds: Vec<f32> = pictures.iter().flat_map(|p| p.map.clone()).collect();
    thresholds.sort_unstable_by(|a, b| b.partial_cmp(a).unwrap());
    thresholds.dedup();
    let share = |scores: &[f32], threshold: f32| {
        scores.iter().filter(|&&score| score >= threshold).count() as f64 / scores.len() as f64
    };
    let mut area = 0.0;
    let (mut x, mut y) = (0.0, 0.0);
    for threshold in thresholds {
        let next_x = share(&background, threshold);
        let next_y = regions.iter().map(|region| share(region, threshold)).sum::<f64>()
            / regions.len() as f64;
        let end = f64::min(next_x, limit);
        if end > x {
            let y_end = y + (next_y - y) * (end - x) / (next_x - x);
            area += (end - x) * f64::midpoint(y, y_end);
        }
        (x, y) = (next_x, next_y);
    }
    Some(area / limit)
}

/// The mean recall of a picture over the logarithm of the false positive rate, from the polyline
/// through all distinct scores.
fn aupimo_by_definition(pictures: &[Picture], bounds: (f64, f64)) -> Option<Vec<(usize, f64)>> {
    let good: Vec<&Picture> = pictures.iter().filter(|p| !p.mask().contains(&1)).collect();
    let mut thresholds: Vec<f32> = pictures.iter().flat_map(|p| p.map.clone()).collect();
    thresholds.sort_unstable_by(|a, b| b.partial_cmp(a).unwrap());
    thresholds.dedup();
    let share = |scores: &[f32], threshold: f32| {
        scores.iter().filter(|&&score| score >= threshold).count() as f64 / scores.len() as f64
    };
    let fpr = |threshold: f32| {
        good.iter().map(|p| share(&p.map, threshold)).sum::<f64>() / good.len() as f64
    };
    let (lower, upper) = (bounds.0.ln(), bounds.1.ln());
    let mut areas = Vec::new();
    for (index, picture) in pictures.iter().enumerate() {
        let mask = picture.mask();
        if !mask.contains(&1) {
            continue;
        }
        let defect: Vec<f32> =
            picture.map.iter().zip(&mask).filter(|(_, m)| **m == 1).map(|(s, _)| *s).collect();
        let points: Vec<(f64, f64)> = thresholds
            .iter()
            .map(|&t| (fpr(t).ln(), share(&defect, t)))
            .filter(|point| point.0.is_finite())
            .collect();
        if good.is_empty() || points[0].0 > lower {
            return None;
        }
        let mut area = 0.0;
        for pair in points.windows(2) {
            let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
            let (start, end) = (x0.max(lower), x1.min(upper));
            if start < end {
                let at = |x: f64| y0 + (y1 - y0) * (x - x0) / (x1 - x0);
                area += (end - start) * f64::midpoint(at(start), at(end));
            }
        }
        areas.push((index, area / (upper - lower)));
    }
    Some(areas)
}

proptest! {
    #[test]
    fn au_pro_equals_the_definition(pictures in pictures(), limit in 0.01_f64..1.0) {
        let options = MetricOptions { pro_fpr_limit: limit, ..MetricOptions::default() };
        let fast = measure(&pictures, &options).au_pro.ok();
        let slow = au_pro_by_definition(&pictures, limit);
        prop_assert_eq!(fast.is_some(), slow.is_some());
        if let (Some(fast), Some(slow)) = (fast, slow) {
            prop_assert!((fast - slow).abs() < 1e-12, "{} {}", fast, slow);
        }
    }

    #[test]
    fn pixel_metrics_are_the_plain_functions_over_all_pixels(pictures in pictures()) {
        let metrics = measure(&pictures, &MetricOptions::default());
        let scores: Vec<f32> = pictures.iter().flat_map(|p| p.map.clone()).collect();
        let truth: Vec<bool> =
            pictures.iter().flat_map(Picture::mask).map(|pixel| pixel == 1).collect();
        prop_assert_eq!(metrics.pixel_au_roc.ok(), au_roc(&scores, &truth).ok());
        prop_assert_eq!(metrics.pixel_ap.ok(), average_precision(&scores, &truth).ok());
        let best = f1_max(&scores, &truth).ok();
        prop_assert_eq!(metrics.pixel_f1_max.ok(), best.map(|best| best.f1));
        prop_assert_eq!(metrics.pixel_f1_threshold, best.map(|best| best.threshold));
        prop_assert_eq!(metrics.iou_max.ok(), best.map(|best| best.iou));
    }

    #[test]
    fn aupimo_equals_the_definition(
        pictures in pictures(), lower in 0.02_f64..0.5, width in 0.01_f64..0.5
    ) {
        // Pictures without a mask count as they are labelled; here all have one.
        let mut pictures = pictures;
        for picture in &mut pictures {
            picture.mask = Some(picture.mask());
            picture.is_anomalous = picture.mask().contains(&1);
        }
        let bounds = (lower, (lower + width).min(1.0));
        let images: Vec<_> = pictures.iter().map(Picture::scored).collect();
        let slow = aupimo_by_definition(&pictures, bounds).filter(|areas| !areas.is_empty());
        // The sums of the slow version may lie on the other side of the bound.
        match (aupimo(&images, bounds), slow) {
            (Ok(fast), Some(slow)) => {
                prop_assert_eq!(fast.len(), slow.len());
                for (fast, slow) in fast.iter().zip(slow) {
                    prop_assert_eq!(fast.0, slow.0);
                    prop_assert!((fast.1 - slow.1).abs() < 1e-9, "{:?} {:?}", fast, slow);
                }
            }
            (fast, slow) => prop_assert_eq!(fast.is_ok(), slow.is_some(), "{:?}", fast),
        }
    }

    #[test]
    fn region_overlaps_equal_the_definition(pictures in pictures(), threshold in -0.5_f32..1.5) {
        let (regions, _) = regions_and_background(&pictures);
        let found = |region: &Vec<f32>| region.iter().filter(|&&s| s >= threshold).count() as u64;
        let slow: Vec<(u64, u64)> =
            regions.iter().map(|region| (found(region), region.len() as u64)).collect();
        let images: Vec<_> = pictures.iter().map(Picture::scored).collect();
        let overlaps = RegionOverlaps::of(&images, threshold).unwrap();
        prop_assert_eq!(overlaps.regions(), &slow[..]);
    }

    #[test]
    fn other_limits_and_operating_points_are_the_same_metrics(pictures in pictures()) {
        let metrics = measure(&pictures, &MetricOptions::default());
        let extra = metrics.extra.unwrap();
        for (limit, value) in [
            (0.01, extra.au_pro_001),
            (0.05, extra.au_pro_005),
            (0.1, extra.au_pro_010),
            (1.0, extra.au_pro_100),
        ] {
            let options = MetricOptions { pro_fpr_limit: limit, ..MetricOptions::default() };
            prop_assert_eq!(value, measure(&pictures, &options).au_pro);
        }
        let scores: Vec<f32> = pictures.iter().flat_map(|p| p.map.clone()).collect();
        let truth: Vec<bool> =
            pictures.iter().flat_map(Picture::mask).map(|pixel| pixel == 1).collect();
        let pixels = Ranking::new(&scores, &truth).unwrap();
        prop_assert_eq!(extra.pixel_fpr_at_tpr95.ok(), fpr_at_recall(&pixels, 0.95).ok());
        prop_assert_eq!(extra.pixel_tpr_at_fpr01.ok(), recall_at_fpr(&pixels, 0.01).ok());
        let threshold = metrics.pixel_f1_threshold;
        let images: Vec<_> = pictures.iter().map(Picture::scored).collect();
        let overlaps = threshold.map(|threshold| RegionOverlaps::of(&images, threshold).unwrap());
        prop_assert_eq!(extra.region_recall_10.ok(), overlaps.map(|o| o.recall(0.1).unwrap()));
    }
}
