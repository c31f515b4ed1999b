//! Real weights from the reference data folder; skipped where that is absent.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mmad_weights::{Precision, WeightCache, compare, read, write_safetensors};

/// A weight file of the reference data, `None` with a message where there is none.
fn reference(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MMAD_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = folder.join("weights").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there; set MMAD_TEST_DATA", path.display());
    None
}

/// The `.pth` holds 32-bit floats, the safetensors file the same numbers rounded to 16 bits.
#[test]
fn a_real_pth_holds_the_tensors_of_the_safetensors_file() {
    let Some(pth) = reference("resnet18_imagenet_pq_stem_layer1.pth") else { return };
    let Some(safetensors) = reference("resnet18_imagenet_pq.safetensors") else { return };
    let (part, whole) = (read(&pth).unwrap(), read(&safetensors).unwrap());
    assert_eq!(part.len(), 30);
    let mut max_difference = 0.0_f32;
    for (name, tensor) in &part {
        let same = whole.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(tensor.shape(), same.shape(), "{name}");
        let (Some(values), Some(rounded)) = (tensor.as_f32(), same.as_f32()) else {
            assert_eq!(tensor, same, "{name}");
            continue;
        };
        for (&value, &rounded) in values.iter().zip(rounded) {
            let difference = (value - rounded).abs();
            max_difference = max_difference.max(difference);
            // Half a step of 11 bits, or of the smallest numbers that 16 bits can tell apart.
            assert!(difference <= value.abs() / 2048.0 + 3e-8, "{name}: {value} and {rounded}");
        }
    }
    eprintln!("largest difference between .pth and safetensors: {max_difference:e}");
}

#[test]
fn a_complete_resnet18_has_the_expected_tensors() {
    let Some(path) = reference("resnet18_imagenet_pq.safetensors") else { return };
    let tensors = read(&path).unwrap();
    assert_eq!(tensors.len(), 122);
    assert_eq!(tensors.first_non_finite(), None);
    // 11,689,512 weights as torchvision counts them, the statistics of 20 batch norms (4,800 mean
    // and as many variances) and their 20 counters.
    assert_eq!(tensors.n_elements(), 11_689_512 + 2 * 4_800 + 20);
    let expected = [
        ("conv1.weight", vec![64, 3, 7, 7]),
        ("layer3.0.downsample.0.weight", vec![256, 128, 1, 1]),
        ("fc.bias", vec![1000]),
    ];
    let comparison = compare(&expected, &tensors);
    assert!(comparison.fits(), "{comparison}");
}

#[test]
fn a_resnet50_is_not_a_resnet18() {
    let Some(path) = reference("resnet50_v1_imagenet_stem_layer1-3.safetensors") else { return };
    let tensors = read(&path).unwrap();
    let expected =
        [("conv1.weight", vec![64, 3, 7, 7]), ("layer1.0.conv1.weight", vec![64, 64, 3, 3])];
    let comparison = compare(&expected, &tensors);
    assert_eq!(comparison.wrong_shape.len(), 1, "{comparison}");
    assert_eq!(comparison.wrong_shape[0].found, [64, 64, 1, 1]);
    assert_eq!(comparison.n_matching, 1);
}

#[test]
fn a_real_import_keeps_every_value() {
    let Some(path) = reference("resnet18_imagenet_pq.safetensors") else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = WeightCache::at(folder.path());
    let started = Instant::now();
    let imported = cache
        .import(&path, Some("resnet18.pq"), "2024-01-31", |_, tensors| {
            compare(&[("conv1.weight", [64, 3, 7, 7])], tensors)
        })
        .unwrap();
    let import_s = started.elapsed().as_secs_f32();
    let original = read(&path).unwrap();
    let started = Instant::now();
    let cached = cache.load("resnet18.pq").unwrap();
    eprintln!("import {import_s:.2} s, load {:.2} s", started.elapsed().as_secs_f32());
    assert_eq!(cached.sha256(), original.sha256());
    assert_eq!(imported.n_elements, original.n_elements());
}

/// The reference file was itself rounded to 16 bits, so rounding again must change nothing.
#[test]
fn half_precision_of_half_precision_is_exact() {
    let Some(path) = reference("resnet18_imagenet_pq.safetensors") else { return };
    let tensors = read(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let half = folder.path().join("half.safetensors");
    write_safetensors(&half, &tensors, &BTreeMap::new(), Precision::HalfMatrices).unwrap();
    assert_eq!(read(&half).unwrap().sha256(), tensors.sha256());
    let n_bytes = std::fs::metadata(&half).unwrap().len();
    assert!(n_bytes < 2 * tensors.n_elements() as u64 + 200_000, "{n_bytes} bytes");
}
