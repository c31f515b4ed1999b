//! Times the convolution blocks of MMAD, forward and backward, for a comparison with the same
//! layers elsewhere. Prints one JSON object: milliseconds of the shortest run by block.
//!
//! ```text
//! cargo run --release -p mmad --example blocks -- [THREADS] [RUNS]
//! ```
//!
//! - `local`: what a decoder block does beside its scans, on `[8, 64, 64, 64]`: a 1×1 convolution,
//!   then depthwise 3×3, 5×5 and 7×7, each with instance norm and SiLU.
//! - `dilated`: what the fuser does, on `[8, 16, 16, 256]`: 3×3 convolutions of dilation 1, 3 and 5,
//!   each with batch norm and SiLU, then one of stride 2 to 512 channels.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use mmad::nn::Activation;
use mmad::ops::{self, ConvOptions2d};

fn main() {
    let argument = |index: usize, default: usize| {
        std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (threads, runs) = (argument(1, 2), argument(2, 10));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.expect("threads can be started");
    let [local, dilated] = pool.install(|| [shortest(runs, local()), shortest(runs, dilated())]);
    println!("{{\"threads\": {threads}, \"local_ms\": {local:.3}, \"dilated_ms\": {dilated:.3}}}");
}

/// Milliseconds of the shortest of `runs`, after one that does not count.
fn shortest(runs: usize, mut run: impl FnMut()) -> f64 {
    run();
    let times = (0..runs.max(1)).map(|_| {
        let start = Instant::now();
        run();
        1000.0 * start.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Numbers in -1..1, the same on every run, on a device that records gradients.
fn numbers<const D: usize>(shape: [usize; D], scale: f32) -> Tensor<D> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        scale * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(values, shape), &device).require_grad()
}

fn local() -> impl FnMut() {
    let x = numbers([8, 64, 64, 64], 1.0);
    let weight = numbers([64, 64], 0.1);
    let depthwise = [3, 5, 7].map(|kernel| numbers([64, 1, kernel, kernel], 0.3));
    let grad = numbers([8, 64, 64, 64], 1.0).detach();
    move || {
        let mut y = ops::linear(x.clone(), weight.clone(), None);
        for weight in &depthwise {
            y = ops::depthwise_conv2d(y, weight.clone(), None);
            y = ops::instance_norm_silu(y, 1e-5);
        }
        drop((y * grad.clone()).sum().backward());
    }
}

fn dilated() -> impl FnMut() {
    let x = numbers([8, 16, 16, 256], 1.0);
    let square = |n_out: usize| numbers([n_out, 256, 3, 3], 0.02);
    let convolutions = [(1, square(256)), (3, square(256)), (5, square(256))];
    let last = square(512);
    let (scale, shift) = (numbers([256], 1.0), numbers([256], 1.0));
    let grad = numbers([8, 8, 8, 512], 1.0).detach();
    move || {
        let mut y = x.clone();
        for (dilation, weight) in &convolutions {
            let dilation = *dilation;
            let options = ConvOptions2d { stride: 1, padding: dilation, dilation };
            y = ops::conv2d(y, weight.clone(), None, options);
            let (scale, shift) = (scale.clone(), shift.clone());
            (y, _, _) = ops::batch_norm(y, scale, shift, 1e-5, Activation::Silu);
        }
        y = ops::conv2d(
            y,
            last.clone(),
            None,
            ConvOptions2d { stride: 2, padding: 1, dilation: 1 },
        );
        drop((y * grad.clone()).sum().backward());
    }
}
