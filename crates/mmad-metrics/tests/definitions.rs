//! The fast class metrics against the definitions, written down as slowly as they read.

#![allow(clippy::unwrap_used)]

use mmad_metrics::components::Components;
use mmad_metrics::{
    ClassMetrics, METRICS, MetricOptions, Protocol, ScoredImage, au_roc, average_precision,
    class_metrics, f1_max,
};
use proptest::prelude::*;
use rayon::prelude::*;

/// A picture that owns its pixels.
#[derive(Debug, Clone)]
struct Picture {
    width: usize,
    map: Vec<f32>,
    mask: Option<Vec<u8>>,
    is_anomalous: bool,
}

impl Picture {
    fn scored(&self) -> ScoredImage<'_> {
        ScoredImage {
            name: "picture",
            width: self.width,
            map: &self.map,
            mask: self.mask.as_deref(),
            score: self.map.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            is_anomalous: self.is_anomalous,
        }
    }

    fn mask(&self) -> Vec<u8> {
        self.mask.clone().unwrap_or_else(|| vec![0; self.map.len()])
    }
}

fn measure(pictures: &[Picture], options: &MetricOptions) -> ClassMetrics {
    let images: Vec<_> = pictures.iter().map(Picture::scored).collect();
    class_metrics(&images, options).unwrap()
}

/// Good and defective pictures of different sizes; scores with many ties and both zeros.
fn pictures() -> impl Strategy<Value = Vec<Picture>> {
    let picture = (1_usize..9, 1_usize..9, 0_u32..3).prop_flat_map(|(height, width, kind)| {
        let score = prop_oneof![
            2 => (-3_i32..9).prop_map(|x| x as f32 / 8.0),
            1 => Just(-0.0_f32),
            3 => -0.5_f32..1.5,
        ];
        let map = proptest::collection::vec(score, height * width);
        let mask =
            proptest::collection::vec((0_u32..4).prop_map(|x| u8::from(x == 0)), height * width);
        (map, mask).prop_map(move |(map, mask)| Picture {
            width,
            map,
            mask: match kind {
                0 => None,
                1 => Some(vec![0; mask.len()]),
                _ => Some(mask),
            },
            is_anomalous: kind == 2,
        })
    });
    proptest::collection::vec(picture, 1..6)
}

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
    fn the_order_of_the_pictures_changes_nothing(
        (pictures, shuffled) in pictures().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle()))
    ) {
        for protocol in [Protocol::Exact, Protocol::Ader, Protocol::AderCuda] {
            let options = MetricOptions { protocol, ..MetricOptions::default() };
            let (a, b) = (measure(&pictures, &options), measure(&shuffled, &options));
            if protocol == Protocol::Exact {
                prop_assert_eq!(&a, &b);
            }
            prop_assert_eq!(a.counts, b.counts);
            prop_assert_eq!(a.pixel_ap, b.pixel_ap);
        }
    }

    #[test]
    fn only_the_order_of_the_scores_matters(pictures in pictures()) {
        // Exact in f32, so no two scores fall together.
        let increasing: [fn(f32) -> f32; 3] =
            [|x| 4.0 * x, |x| x / 1024.0, |x| if x < 0.0 { 0.25 * x } else { 512.0 * x }];
        let before = measure(&pictures, &MetricOptions::default());
        for change in increasing {
            let mut changed = pictures.clone();
            for score in changed.iter_mut().flat_map(|picture| &mut picture.map) {
                *score = change(*score);
            }
            let after = measure(&changed, &MetricOptions::default());
            for metric in METRICS {
                prop_assert_eq!(metric.of(&before), metric.of(&after), "{}", metric.id);
            }
            prop_assert_eq!(&before.iou_max, &after.iou_max);
        }
    }

    #[test]
    fn a_missing_mask_on_a_good_picture_is_an_empty_mask(pictures in pictures()) {
        let mut filled = pictures.clone();
        for picture in &mut filled {
            picture.mask = Some(picture.mask());
        }
        for protocol in [Protocol::Exact, Protocol::Ader, Protocol::AderCuda] {
            let options = MetricOptions { protocol, ..MetricOptions::default() };
            prop_assert_eq!(measure(&pictures, &options), measure(&filled, &options));
        }
    }
}

/// A class of 48x40 maps from a fixed stream of numbers.
fn class(seed: u64) -> Vec<Picture> {
    let mut state = seed;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let picture = |index: usize| {
        let is_anomalous = !index.is_multiple_of(3);
        let mask: Vec<u8> = (0..48 * 40)
            .map(|i| u8::from(is_anomalous && (i / 40) / 8 == index % 6 && i % 40 > 30))
            .collect();
        let map = mask.iter().map(|&pixel| random() + 0.4 * f32::from(pixel)).collect();
        Picture { width: 40, map, mask: Some(mask), is_anomalous }
    };
    (0..12).map(picture).collect()
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let classes: Vec<Vec<Picture>> = (1..9).map(class).collect();
    let alone: Vec<ClassMetrics> =
        classes.iter().map(|class| measure(class, &MetricOptions::default())).collect();
    for n_threads in 1..=4 {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let together: Vec<ClassMetrics> = pool.install(|| {
            classes.par_iter().map(|class| measure(class, &MetricOptions::default())).collect()
        });
        assert_eq!(alone, together, "{n_threads} threads");
    }
}

#[test]
fn perfect_maps_are_perfect() {
    let mut pictures = class(3);
    for picture in &mut pictures {
        let mask = picture.mask();
        picture.map = mask.iter().map(|&pixel| f32::from(pixel)).collect();
    }
    let metrics = measure(&pictures, &MetricOptions::default());
    for metric in METRICS {
        let value = metric.of(&metrics).clone().unwrap();
        assert!((value - 1.0).abs() < 1e-12, "{}: {value}", metric.id);
    }
}
