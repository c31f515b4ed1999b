//! Small functions that the kernels share.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// The smaller of both.
#[cube]
pub(super) fn clamp_max(x: usize, largest: usize) -> usize {
    select(x > largest, largest, x)
}

/// `n` neighbouring values in registers.
#[cube]
pub(super) fn registers(values: &[f32], first: usize, #[comptime] n: usize) -> Array<f32> {
    let mut held = Array::<f32>::new(n);
    #[unroll]
    for i in 0..n {
        held[i] = values[first + i];
    }
    held
}

/// `n` zeros in registers.
#[cube]
pub(super) fn zeros(#[comptime] n: usize) -> Array<f32> {
    let mut held = Array::<f32>::new(n);
    #[unroll]
    for i in 0..n {
        held[i] = 0.0;
    }
    held
}

/// `ln(1 + exp(x))`, as exact for small steps as for large ones.
///
/// With `v = exp(-|x|)` it is `max(x, 0) + 2 artanh(v / (2 + v))`, and eight terms of the series of
/// artanh reach the last bit of an `f32`. The logarithm of a GPU would not do: near 1 Vulkan allows
/// it an absolute error of `2^-21`, which is a wrong digit in the fourth place of a step of 0.001.
#[cube]
pub(super) fn softplus(x: f32) -> f32 {
    let v = (0.0 - x.abs()).exp();
    let s = v / (v + 2.0);
    let q = s * s;
    let tail = q * (0.090_909_09 + q * (0.076_923_08 + q * 0.066_666_67));
    let series =
        1.0 + q * (0.333_333_34 + q * (0.2 + q * (0.142_857_15 + q * (0.111_111_11 + tail))));
    select(x > 0.0, x, 0.0) + 2.0 * s * series
}

/// The derivative of [`softplus`]: `1 / (1 + exp(-x))`, without overflow.
#[cube]
pub(super) fn sigmoid(x: f32) -> f32 {
    let v = (0.0 - x.abs()).exp();
    select(x > 0.0, 1.0, v) / (1.0 + v)
}
