//! The reference data.

use std::path::{Path, PathBuf};

use mmad_metrics::{
    ClassMetrics, ImageScore, MetricOptions, MetricValue, ScoredImage, class_metrics,
};
use safetensors::SafeTensors;
use serde_json::Value;

/// Ids of [`METRICS`] as the reference file names them, in the same order.
pub(super) const SEVEN: [&str; 7] =
    ["i_auroc", "i_ap", "i_f1max", "p_auroc", "p_ap", "p_f1max", "p_aupro"];

pub(super) fn golden() -> Option<PathBuf> {
    let folder = std::env::var_os("MMAD_GOLDEN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no reference data at `{}` (set MMAD_GOLDEN)", folder.display());
    None
}

/// Maps and masks of one class, all of one size.
pub(super) struct Class {
    pub(super) width: usize,
    pub(super) maps: Vec<Vec<f32>>,
    pub(super) masks: Vec<Vec<u8>>,
}

impl Class {
    pub(super) fn read(file: &Path) -> Self {
        let bytes = std::fs::read(file).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let maps = tensors.tensor("maps").unwrap();
        let [_, height, width] = *maps.shape() else { panic!("maps are not [n, h, w]") };
        let scores: Vec<f32> =
            maps.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        let masks = tensors.tensor("masks").unwrap();
        Self {
            width,
            maps: scores.chunks(height * width).map(<[f32]>::to_vec).collect(),
            masks: masks.data().chunks(height * width).map(<[u8]>::to_vec).collect(),
        }
    }

    /// The pictures with the largest map value as score and "has a mask pixel" as label.
    pub(super) fn images(&self) -> Vec<ScoredImage<'_>> {
        self.images_scored(ImageScore::Max).unwrap()
    }

    /// The same with another score; `None` when a map is too small for it.
    pub(super) fn images_scored(&self, score: ImageScore) -> Option<Vec<ScoredImage<'_>>> {
        self.maps
            .iter()
            .zip(&self.masks)
            .map(|(map, mask)| {
                Some(ScoredImage {
                    name: "image",
                    width: self.width,
                    map,
                    mask: Some(mask),
                    score: score.of(map, self.width)?,
                    is_anomalous: mask.contains(&1),
                })
            })
            .collect()
    }

    pub(super) fn measure(&self, options: &MetricOptions) -> ClassMetrics {
        class_metrics(&self.images(), options).unwrap()
    }
}

pub(super) fn expected(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("metrics/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(super) fn read_case(folder: &Path, case: &Value) -> (String, Class) {
    let name = case["name"].as_str().unwrap().to_owned();
    let class = Class::read(&folder.join(format!("metrics/{name}.safetensors")));
    (name, class)
}

/// `null` means undefined.
#[track_caller]
pub(super) fn assert_value(what: &str, value: &MetricValue, expected: &Value, tolerance: f64) {
    match (value, expected.as_f64()) {
        (Ok(value), Some(expected)) => {
            let difference = (value - expected).abs();
            assert!(difference <= tolerance, "{what}: {value} but expected {expected}");
        }
        (Err(_), None) => assert!(expected.is_null(), "{what}: no expectation"),
        (value, expected) => panic!("{what}: {value:?} but expected {expected:?}"),
    }
}
