//! Random classes of small pictures.

use mmad_metrics::{ClassMetrics, MetricOptions, ScoredImage, class_metrics};
use proptest::prelude::*;

/// A picture that owns its pixels.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) map: Vec<f32>,
    pub(super) mask: Option<Vec<u8>>,
    pub(super) is_anomalous: bool,
}

impl Picture {
    pub(super) fn scored(&self) -> ScoredImage<'_> {
        ScoredImage {
            name: "picture",
            width: self.width,
            map: &self.map,
            mask: self.mask.as_deref(),
            score: self.map.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            is_anomalous: self.is_anomalous,
        }
    }

    pub(super) fn mask(&self) -> Vec<u8> {
        self.mask.clone().unwrap_or_else(|| vec![0; self.map.len()])
    }
}

pub(super) fn measure(pictures: &[Picture], options: &MetricOptions) -> ClassMetrics {
    let images: Vec<_> = pictures.iter().map(Picture::scored).collect();
    class_metrics(&images, options).unwrap()
}

/// Good and defective pictures of different sizes; scores with many ties and both zeros.
pub(super) fn pictures() -> impl Strategy<Value = Vec<Picture>> {
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

/// A class of 48x40 maps from a fixed stream of numbers.
pub(super) fn class(seed: u64) -> Vec<Picture> {
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
