//! The metrics as other tools compute them.
//!
//! Where such a tool stops with an error, or has no number, this crate has none either; the other
//! way round it may have one.

use mmad_metrics::{ClassMetrics, Evaluation, MetricOptions, Protocol, class_metrics};
use safetensors::SafeTensors;

use super::reference::{Class, assert_value, expected, golden, read_case};

fn options(protocol: Protocol) -> MetricOptions {
    MetricOptions { protocol, ..MetricOptions::default() }
}

#[test]
fn the_evaluation_of_mvtec() {
    let Some(folder) = golden() else { return };
    let mut compared = 0;
    for case in expected(&folder)["cases"].as_array().unwrap() {
        let (name, class) = read_case(&folder, case);
        let metrics = class.measure(&options(Protocol::Mvtec));
        let exact = class.measure(&MetricOptions::default());
        let alt = &case["alt"];
        // It gives 0.15 where there is no region, and where everything is one.
        if exact.au_pro.is_ok() {
            let expected = &alt["mvtec_official_aupro_f32fpr"];
            assert_value(&format!("{name} AU-PRO"), &metrics.au_pro, expected, 1e-9);
            compared += 1;
        }
        let expected = &alt["mvtec_official_image_auroc_unmerged_ties"];
        if expected.is_number() {
            assert_value(&format!("{name} image"), &metrics.image_au_roc, expected, 1e-9);
        } else {
            assert!(metrics.image_au_roc.is_err(), "{name}: {expected}");
        }
        assert_eq!(metrics.pixel_au_roc, exact.pixel_au_roc, "{name}");
    }
    assert!(compared > 35, "only {compared} comparisons");
}

#[test]
fn the_grids_and_steps_of_ader() {
    let Some(folder) = golden() else { return };
    let mut compared = 0;
    for case in expected(&folder)["cases"].as_array().unwrap() {
        let (name, class) = read_case(&folder, case);
        let metrics = class.measure(&options(Protocol::Ader));
        let grid = &case["alt"]["ader"];
        let ader = metrics.ader.as_ref().unwrap();
        for (id, value) in [
            ("aupro_step100", &ader.au_pro_100),
            ("aupro_step200", &ader.au_pro_200),
            ("aupro_step300", &ader.au_pro_300),
            ("mF1_max_px", &metrics.pixel_f1_max),
            ("mIoU_max_px", &metrics.iou_max),
            ("mDice_max_px", &ader.dice_max),
            ("mAcc_max_px", &ader.acc_max),
            ("mF1_px_0.2_0.8_0.1", &ader.f1_mean),
            ("mAcc_px_0.2_0.8_0.1", &ader.acc_mean),
            ("mIoU_px_0.2_0.8_0.1", &ader.iou_mean),
        ] {
            // Without a defective pixel the tool says 0.
            if metrics.counts.anomalous_pixels == 0 {
                assert!(value.is_err(), "{name} {id}");
            } else if grid[id].is_number() {
                assert_value(&format!("{name} {id}"), value, &grid[id], 1e-9);
                compared += 1;
            } else {
                assert!(value.is_err(), "{name} {id}: {value:?} where the tool has {}", grid[id]);
            }
        }
    }
    assert!(compared > 350, "only {compared} comparisons");
}

#[test]
fn the_bins_of_adeval() {
    let Some(folder) = golden() else { return };
    let mut compared = 0;
    for (protocol, key) in [
        (Protocol::Adeval, "adeval_cpu_EvalAccumulator_nstrips50"),
        (Protocol::AderCuda, "ader_use_adeval_EvalAccumulatorCuda_nstrips50_emulated_on_cpu"),
    ] {
        for case in expected(&folder)["cases"].as_array().unwrap() {
            let (name, class) = read_case(&folder, case);
            let metrics = class.measure(&options(protocol));
            let binned = &case["alt"][key];
            if !binned.is_object() {
                continue;
            }
            for (id, value) in [
                ("p_auroc", &metrics.pixel_au_roc),
                ("p_aupr", &metrics.pixel_ap),
                ("p_aupro", &metrics.au_pro),
            ] {
                assert_value(&format!("{name} {protocol:?} {id}"), value, &binned[id], 1e-9);
                compared += 1;
            }
        }
    }
    assert!(compared > 180, "only {compared} comparisons");
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
            // Tolerance: the maps were `f64` when the tool measured them.
            assert!(difference <= 1e-7, "class {class_id} column {column}: {difference}");
        }
        let iou = metrics.iou_max.clone().unwrap();
        assert!((iou - binned[row + 10]).abs() <= 1e-7);
        evaluation.classes.push((class_id.to_string(), metrics));
    }
    assert!((evaluation.m_ad().unwrap() - numbers("binned.mAD")[0]).abs() <= 1e-7);
}

/// The reference's path without histograms, every column: pictures scored by the largest value of
/// their map and by the largest mean over windows of 4x4 pixels; exact pixel metrics, and those of
/// 100 and of 21 thresholds. Its AU-PRO rescales the false positive rate, so it is another number
/// than the exact one.
///
/// Tolerance 1e-6: the maps are rounded to `f32` here, and the tool's numbers are in `f32`.
#[test]
fn the_reference_without_histograms_agrees() {
    let Some(folder) = golden() else { return };
    let bytes = std::fs::read(folder.join("baselines/ader_metrics_small.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |name: &str| -> Vec<f64> {
        let tensor = file.tensor(name).unwrap();
        tensor.data().as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b)).collect()
    };
    // Single precision, whatever the names say.
    let columns = |name: &str| -> Vec<f64> {
        let tensor = file.tensor(name).unwrap();
        let values = tensor.data().as_chunks::<4>().0.iter();
        values.map(|&b| f64::from(f32::from_le_bytes(b))).collect()
    };
    let maps: Vec<f32> = numbers("maps").into_iter().map(|value| value as f32).collect();
    let masks = file.tensor("masks").unwrap();
    let [_, height, width] = *masks.shape() else { panic!("masks are not [n, h, w]") };
    let class = Class {
        width,
        maps: maps.chunks(height * width).map(<[f32]>::to_vec).collect(),
        masks: masks.data().chunks(height * width).map(<[u8]>::to_vec).collect(),
    };
    let pooled = |map: &[f32]| {
        let window = |top: usize, left: usize| {
            let rows = (top..top + 4).flat_map(|y| &map[y * width + left..][..4]);
            rows.map(|&value| f64::from(value)).sum::<f64>() / 16.0
        };
        let tops = 0..=height - 4;
        let all = tops.flat_map(|top| (0..=width - 4).map(move |left| (top, left)));
        all.map(|(top, left)| window(top, left)).fold(f64::NEG_INFINITY, f64::max) as f32
    };
    for (name, is_pooled) in [("f64_nopool", false), ("f64_pool4", true)] {
        let theirs = columns(name);
        assert_eq!(theirs.len(), 11);
        let mut images = class.images();
        for image in images.iter_mut().filter(|_| is_pooled) {
            image.score = pooled(image.map);
        }
        let exact = class_metrics(&images, &MetricOptions::default()).unwrap();
        let coarse = class_metrics(&images, &options(Protocol::Ader)).unwrap();
        let ader = coarse.ader.unwrap();
        let ours = [
            exact.image_au_roc,
            exact.image_ap,
            exact.image_f1_max,
            ader.au_pro_100,
            exact.pixel_au_roc,
            exact.pixel_ap,
            coarse.pixel_f1_max,
            ader.f1_mean,
            ader.acc_mean,
            ader.iou_mean,
            coarse.iou_max,
        ];
        for (column, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
            let ours = ours.unwrap();
            assert!((ours - theirs).abs() < 1e-6, "{name} {column}: {ours}, not {theirs}");
        }
        let (ours, theirs) = (exact.pixel_f1_max.unwrap(), numbers("f64_exact_pixel_f1max")[0]);
        assert!((ours - theirs).abs() < 1e-6, "exact pixel F1-max: {ours}, not {theirs}");
    }
}
