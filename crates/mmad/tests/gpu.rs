//! The GPU path against the CPU and against 64-bit loops: values, gradients, training, scores.
//!
//! Needs the feature `wgpu` and a Vulkan driver; a software driver will do. Where there is none
//! the tests say so and pass, unless `MMAD_GPU_TESTS=required`.

#![cfg(feature = "wgpu")]
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

mod gpu {
    mod methods;
    mod scan;
}

use burn::tensor::{Device, Tensor};
use mmad::device::{DeviceChoice, DeviceError};

/// The first Vulkan device, or nothing where the machine has none.
fn gpu() -> Option<Device> {
    match DeviceChoice::Vulkan(0).open() {
        Ok(open) => Some(open.device),
        Err(error @ DeviceError::Missing { .. }) => {
            let required = std::env::var("MMAD_GPU_TESTS").is_ok_and(|value| value == "required");
            assert!(!required, "{error}");
            eprintln!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Panics where two sets of numbers are further apart than `tolerance` of the largest of them.
#[track_caller]
fn assert_close(what: &str, found: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    let apart = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
    let worst = apart.fold(0.0_f32, |max, x| if x > max || x.is_nan() { x } else { max });
    // Written so that NaN fails.
    assert!(worst <= tolerance * largest, "{what}: {worst} apart, the largest is {largest}");
}
