//! Compares with reference values: 40 small classes with every trap of the definitions, and
//! three classes measured with the tools of published tables.
//!
//! The folder comes from `MMAD_GOLDEN`; without it the tests say so and pass.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use mmad_metrics::{
    ClassMetrics, Evaluation, METRICS, MetricOptions, MetricValue, Protocol, ScoredImage,
    class_metrics,
};
use safetensors::SafeTensors;
use serde_json::Value;

/// Ids of [`METRICS`] as the reference file names them, in the same order.
const SEVEN: [&str; 7] = ["i_auroc", "i_ap", "i_f1max", "p_auroc", "p_ap", "p_f1max", "p_aupro"];

fn golden() -> Option<PathBuf> {
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
struct Class {
    width: usize,
    maps: Vec<Vec<f32>>,
    masks: Vec<Vec<u8>>,
}

impl Class {
    fn read(file: &Path) -> Self {
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
    fn images(&self) -> Vec<ScoredImage<'_>> {
        self.maps
            .iter()
            .zip(&self.masks)
            .map(|(map, mask)| ScoredImage {
                name: "image",
                width: self.width,
                map,
                mask: Some(mask),
                score: map.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                is_anomalous: mask.contains(&1),
            })
            .collect()
    }

    fn measure(&self, options: &MetricOptions) -> ClassMetrics {
        class_metrics(&self.images(), options).unwrap()
    }
}

fn expected(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("metrics/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn read_case(folder: &Path, case: &Value) -> (String, Class) {
    let name = case["name"].as_str().unwrap().to_owned();
    let class = Class::read(&folder.join(format!("metrics/{name}.safetensors")));
    (name, class)
}

/// `null` means undefined.
#[track_caller]
fn assert_value(what: &str, value: &MetricValue, expected: &Value, tolerance: f64) {
    match (value, expected.as_f64()) {
        (Ok(value), Some(expected)) => {
            let difference = (value - expected).abs();
            assert!(difference <= tolerance, "{what}: {value} but expected {expected}");
        }
        (Err(_), None) => assert!(expected.is_null(), "{what}: no expectation"),
        (value, expected) => panic!("{what}: {value:?} but expected {expected:?}"),
    }
}

#[test]
fn exact_values_of_every_case() {
    let Some(folder) = golden() else { return };
    let expected = expected(&folder);
    let cases = expected["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 40);
    for case in cases {
        let (name, class) = read_case(&folder, case);
        let metrics = class.measure(&MetricOptions::default());
        for (metric, id) in METRICS.iter().zip(SEVEN) {
            assert_value(&format!("{name} {id}"), metric.of(&metrics), &case["seven"][id], 1e-9);
        }
        assert_eq!(metrics.m_ad().is_some(), case["mad"].is_number(), "{name} mad");
        if let Some(m_ad) = metrics.m_ad() {
            assert!((m_ad - case["mad"].as_f64().unwrap()).abs() <= 1e-9, "{name} mad");
        }
        let (image, pixel) = (&case["image"]["max"], &case["pixel"]);
        assert_value(&format!("{name} iou"), &metrics.iou_max, &pixel["iou_max"], 1e-9);
        let threshold = |threshold: Option<f32>| threshold.map(f64::from);
        assert_eq!(
            threshold(metrics.image_f1_threshold),
            image["f1max_threshold"].as_f64(),
            "{name} image threshold"
        );
        assert_eq!(
            threshold(metrics.pixel_f1_threshold),
            pixel["f1max_threshold"].as_f64(),
            "{name} pixel threshold"
        );
        assert_eq!(Some(metrics.counts.regions), pixel["components8"].as_u64(), "{name} regions");
        assert_eq!(Some(metrics.counts.pixels), pixel["n"].as_u64(), "{name} pixels");
        assert_eq!(Some(metrics.counts.anomalous_pixels), pixel["n_pos"].as_u64(), "{name}");
    }
}

#[test]
fn au_pro_up_to_every_limit() {
    let Some(folder) = golden() else { return };
    for case in expected(&folder)["cases"].as_array().unwrap() {
        let (name, class) = read_case(&folder, case);
        for limit in ["0.3", "0.1", "0.05", "0.01", "1.0"] {
            let pro_fpr_limit = limit.parse().unwrap();
            let options = MetricOptions { pro_fpr_limit, ..MetricOptions::default() };
            let expected = &case["pixel"][format!("aupro_{limit}")];
            assert_value(
                &format!("{name} {limit}"),
                &class.measure(&options).au_pro,
                expected,
                1e-9,
            );
        }
    }
}

#[test]
fn labels_of_the_data_set_win_over_masks() {
    let Some(folder) = golden() else { return };
    let expected = expected(&folder);
    let case = expected["cases"].as_array().unwrap().iter();
    let case = case.into_iter().find(|case| case["name"] == "labels_differ_from_masks").unwrap();
    let (_, class) = read_case(&folder, case);
    let bytes = std::fs::read(folder.join("metrics/labels_differ_from_masks.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut images = class.images();
    for (image, &label) in images.iter_mut().zip(tensors.tensor("labels").unwrap().data()) {
        image.is_anomalous = label != 0;
    }
    let metrics = class_metrics(&images, &MetricOptions::default()).unwrap();
    let expected = &case["image"]["max_given_labels"];
    assert_value("auroc", &metrics.image_au_roc, &expected["auroc"], 1e-9);
    assert_value("ap", &metrics.image_ap, &expected["ap"], 1e-9);
    assert_value("f1max", &metrics.image_f1_max, &expected["f1max"], 1e-9);
    assert_eq!(metrics.counts.label_mask_disagreements, 1);
}

#[test]
fn means_over_classes() {
    let Some(folder) = golden() else { return };
    let expected = expected(&folder);
    let multiclass = &expected["multiclass"];
    let options = MetricOptions::default();
    let measure = |name: &Value| {
        let name = name.as_str().unwrap();
        let class = Class::read(&folder.join(format!("metrics/{name}.safetensors")));
        (name.to_owned(), class.measure(&options))
    };
    let classes = multiclass["classes"].as_array().unwrap().iter().map(measure).collect();
    let evaluation = Evaluation { options, classes };
    for (metric, id) in METRICS.iter().zip(SEVEN) {
        let mean = evaluation.mean(metric.id).unwrap();
        assert!((mean - multiclass["macro_mean"][id].as_f64().unwrap()).abs() < 1e-9, "{id}");
        assert_eq!(format!("{:.1}", 100.0 * mean), multiclass["percent_1dp"][id], "{id}");
    }
    let m_ad = evaluation.m_ad().unwrap();
    assert!((m_ad - multiclass["mad_of_means"].as_f64().unwrap()).abs() < 1e-9);
    assert_eq!(format!("{:.1}", 100.0 * m_ad), multiclass["mad_percent_1dp"]);
}

/// Cases in which the tool stops with an error are left out, and so is one where it has no number.
#[test]
fn binned_protocols_match_the_original_tool() {
    let Some(folder) = golden() else { return };
    let mut compared = 0;
    for (protocol, key) in [
        (Protocol::Ader, "adeval_cpu_EvalAccumulator_nstrips50"),
        (Protocol::AderCuda, "ader_use_adeval_EvalAccumulatorCuda_nstrips50_emulated_on_cpu"),
    ] {
        let options = MetricOptions { protocol, ..MetricOptions::default() };
        for case in expected(&folder)["cases"].as_array().unwrap() {
            let (name, class) = read_case(&folder, case);
            let metrics = class.measure(&options);
            let grid = &case["alt"]["ader"];
            if metrics.pixel_f1_max.is_ok() {
                let label = format!("{name} {protocol:?} grid");
                assert_value(&label, &metrics.pixel_f1_max, &grid["mF1_max_px"], 1e-12);
                assert_value(&label, &metrics.iou_max, &grid["mIoU_max_px"], 1e-12);
            }
            let binned = &case["alt"][key];
            if !binned.is_object() {
                continue;
            }
            // Given f32 maps, the CPU version rounds its edges to f32, here to the other side of a
            // score. The maps that are evaluated with it are f64, like the arithmetic of this crate.
            let rounded = ["denormal", "logit_scores", "checkerboard", "medium_128_q"]
                .contains(&name.as_str());
            let tolerance = if protocol == Protocol::Ader && rounded { 1e-2 } else { 1e-7 };
            let label = format!("{name} {protocol:?}");
            assert_value(&label, &metrics.pixel_au_roc, &binned["p_auroc"], tolerance);
            assert_value(&label, &metrics.pixel_ap, &binned["p_aupr"], tolerance);
            assert_value(&label, &metrics.au_pro, &binned["p_aupro"], tolerance);
            compared += 1;
        }
    }
    assert!(compared > 60, "only {compared} comparisons");
}

#[test]
fn three_classes_as_published_tools_measure_them() {
    let Some(folder) = golden() else { return };
    let file = folder.join("12_metrics.safetensors");
    let all = Class::read(&file);
    let bytes = std::fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |name: &str| -> Vec<f64> {
        let tensor = tensors.tensor(name).unwrap();
        tensor.data().as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b)).collect()
    };
    let integers = |name: &str| -> Vec<i32> {
        let tensor = tensors.tensor(name).unwrap();
        tensor.data().as_chunks::<4>().0.iter().map(|&b| i32::from_le_bytes(b)).collect()
    };
    let (class_ids, labels) = (integers("class_id"), integers("image_label"));

    // Columns: image AU-ROC, AP, F1-max; AU-PRO; pixel AU-ROC, AP, F1-max; .. ; IoU-max.
    let columns = |class: &ClassMetrics| {
        [
            class.image_au_roc.clone(),
            class.image_ap.clone(),
            class.image_f1_max.clone(),
            class.au_pro.clone(),
            class.pixel_au_roc.clone(),
            class.pixel_ap.clone(),
            class.pixel_f1_max.clone(),
        ]
        .map(Result::unwrap)
    };
    let (exact, binned) = (numbers("exact.per_class"), numbers("binned.per_class"));
    let mut evaluation = Evaluation {
        options: MetricOptions { protocol: Protocol::Ader, ..MetricOptions::default() },
        classes: Vec::new(),
    };
    for class_id in 0..3 {
        let mut images = all.images();
        for (image, &label) in images.iter_mut().zip(&labels) {
            image.is_anomalous = label != 0;
        }
        let images: Vec<_> = images
            .into_iter()
            .zip(&class_ids)
            .filter(|&(_, &id)| id == class_id)
            .map(|(image, _)| image)
            .collect();
        let row = class_id as usize * 11;

        let metrics = class_metrics(&images, &MetricOptions::default()).unwrap();
        let values = columns(&metrics);
        // "exact" there has AU-PRO from 100 thresholds and F1-max of pixels from 21.
        for column in [0, 1, 2, 4, 5] {
            let difference = (values[column] - exact[row + column]).abs();
            assert!(difference <= 1e-6, "class {class_id} column {column}: {difference}");
        }

        let metrics = class_metrics(&images, &evaluation.options).unwrap();
        for (column, value) in columns(&metrics).iter().enumerate() {
            let difference = (value - binned[row + column]).abs();
            assert!(difference <= 1e-7, "class {class_id} column {column}: {difference}");
        }
        let iou = metrics.iou_max.clone().unwrap();
        assert!((iou - binned[row + 10]).abs() <= 1e-7);
        evaluation.classes.push((class_id.to_string(), metrics));
    }
    assert!((evaluation.m_ad().unwrap() - numbers("binned.mAD")[0]).abs() <= 1e-7);
}

/// The reference's path without histograms: image metrics of the largest value of a map, and exact
/// pixel metrics. Its AU-PRO rescales the false positive rate, so it is another number.
///
/// Tolerance 1e-6: the maps are rounded to `f32` here.
#[test]
fn the_reference_without_histograms_agrees() {
    let Some(folder) = golden() else { return };
    let bytes = std::fs::read(folder.join("baselines/ader_metrics_small.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |name: &str| -> Vec<f64> {
        let tensor = file.tensor(name).unwrap();
        tensor.data().as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b)).collect()
    };
    let maps: Vec<f32> = numbers("maps").into_iter().map(|value| value as f32).collect();
    let masks = file.tensor("masks").unwrap();
    let [_, height, width] = *masks.shape() else { panic!("masks are not [n, h, w]") };
    let class = Class {
        width,
        maps: maps.chunks(height * width).map(<[f32]>::to_vec).collect(),
        masks: masks.data().chunks(height * width).map(<[u8]>::to_vec).collect(),
    };
    let found = class.measure(&MetricOptions::default());
    // Single precision, whatever its name says.
    let theirs = file.tensor("f64_nopool").unwrap();
    let theirs = theirs.data().as_chunks::<4>().0.iter();
    let theirs: Vec<f64> = theirs.map(|&b| f64::from(f32::from_le_bytes(b))).collect();
    for (name, ours, theirs) in [
        ("image AU-ROC", &found.image_au_roc, theirs[0]),
        ("image AP", &found.image_ap, theirs[1]),
        ("image F1-max", &found.image_f1_max, theirs[2]),
        ("pixel AU-ROC", &found.pixel_au_roc, theirs[4]),
        ("pixel AP", &found.pixel_ap, theirs[5]),
        ("pixel F1-max", &found.pixel_f1_max, numbers("f64_exact_pixel_f1max")[0]),
    ] {
        let ours = *ours.as_ref().unwrap();
        assert!((ours - theirs).abs() < 1e-6, "{name}: {ours}, not {theirs}");
    }
}
