//! Depthwise convolution of channels-last maps: every channel has its own kernel, stride 1, and
//! the map keeps its size.

mod kernel;
pub mod reference;
mod row_ring;

use kernel::{Correlate, SumProducts};

use crate::activation::silu;
use crate::matmul::sum_rows;
use crate::partition::{RowParts, expect_len, for_each_chunk, sum_parts};
use crate::scratch::{self, Scratch};
use crate::simd::{dispatch, vectorized};
use crate::vector::Vector;

/// Map rows per task. Every task also reads `kernel - 1` rows of its neighbours.
const TASK_ROWS: usize = 16;

/// Fewest map rows that are worth a partial weight gradient of their own.
const MIN_PART_ROWS: usize = 8;

/// Sizes of a depthwise convolution with padding `kernel / 2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseShape {
    /// Pictures.
    pub batch: usize,
    /// Rows of both maps.
    pub height: usize,
    /// Columns of both maps.
    pub width: usize,
    /// Channels of both maps.
    pub channels: usize,
    /// Side of the square kernel, odd.
    pub kernel: usize,
}

impl DepthwiseShape {
    /// Values of either map.
    pub fn map_len(self) -> usize {
        self.batch * self.height * self.width * self.channels
    }

    /// Values of the weight.
    pub fn weight_len(self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    fn row_len(self) -> usize {
        self.width * self.channels
    }

    #[track_caller]
    fn check(self, op: &str, x: &[f32], x_channels: usize, weight: &[f32]) {
        assert!(self.kernel % 2 == 1, "{op}: the kernel side {} must be odd", self.kernel);
        expect_len(op, "x", x.len(), self.batch * self.height * self.width * x_channels);
        expect_len(op, "weight", weight.len(), self.weight_len());
    }
}

/// Where the gradients go; those that are `None` are not computed. All are overwritten.
#[derive(Debug, Default)]
pub struct DepthwiseGrads<'a> {
    /// `[batch, height, width, channels]`.
    pub x: Option<&'a mut [f32]>,
    /// `[channels, 1, kernel, kernel]`.
    pub weight: Option<&'a mut [f32]>,
    /// `[channels]`.
    pub bias: Option<&'a mut [f32]>,
}

/// `y = x * weight + bias`, then `silu` where asked for.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, x_channels]`, of which the first `channels` are read
/// - `y`: `[batch, height, width, channels]`
/// - `weight`: `[channels, 1, kernel, kernel]`
/// - `bias`: `[channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, `x` has too few channels, or the kernel is
/// even.
pub fn forward(
    shape: DepthwiseShape,
    (x, x_channels): (&[f32], usize),
    weight: &[f32],
    bias: Option<&[f32]>,
    with_silu: bool,
    y: &mut [f32],
) {
    assert!(x_channels >= shape.channels, "depthwise: x has {x_channels} channels");
    shape.check("depthwise", x, x_channels, weight);
    expect_len("depthwise", "y", y.len(), shape.map_len());
    if let Some(bias) = bias {
        expect_len("depthwise", "bias", bias.len(), shape.channels);
    }
    let taps = channels_last(shape, weight, false);
    correlate(shape, (x, x_channels), &taps, bias, y, |y| {
        if with_silu {
            silu_in_place(y);
        }
    });
}

vectorized! {
    fn silu_in_place<'a, S>(simd, values: &'a mut [f32]) {
        for start in (0..values.len()).step_by(S::F32_LANES) {
            silu(Vector::load(simd, values, start)).store(values, start);
        }
    }
}

/// Gradients of [`forward`] without `silu`, from `grad_y`, `[batch, height, width, channels]`.
///
/// # Panics
///
/// When a slice does not have the length of its shape, or the kernel is even.
pub fn backward(
    shape: DepthwiseShape,
    x: &[f32],
    weight: &[f32],
    grad_y: &[f32],
    grads: DepthwiseGrads<'_>,
) {
    shape.check("depthwise backward", x, shape.channels, weight);
    expect_len("depthwise backward", "grad_y", grad_y.len(), shape.map_len());
    if let Some(grad_x) = grads.x {
        expect_len("depthwise backward", "grads.x", grad_x.len(), shape.map_len());
        // The gradient of the input is the same convolution with the kernel turned around.
        let taps = channels_last(shape, weight, true);
        correlate(shape, (grad_y, shape.channels), &taps, None, grad_x, |_| {});
    }
    if let Some(grad_weight) = grads.weight {
        expect_len("depthwise backward", "grads.weight", grad_weight.len(), shape.weight_len());
        backward_weight(shape, x, grad_y, grad_weight);
    }
    if let Some(grad_bias) = grads.bias {
        expect_len("depthwise backward", "grads.bias", grad_bias.len(), shape.channels);
        sum_rows(grad_y, shape.channels, grad_bias);
    }
}

/// The weight as `[kernel * kernel, channels]`, turned by 180 degrees where asked for.
fn channels_last(shape: DepthwiseShape, weight: &[f32], turned: bool) -> Scratch {
    let taps = shape.kernel * shape.kernel;
    let mut transposed = scratch::take(weight.len());
    for (channel, weight) in weight.chunks_exact(taps).enumerate() {
        for (tap, &value) in weight.iter().enumerate() {
            let tap = if turned { taps - 1 - tap } else { tap };
            transposed[tap * shape.channels + channel] = value;
        }
    }
    transposed
}

fn correlate(
    shape: DepthwiseShape,
    (x, x_channels): (&[f32], usize),
    taps: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    finish: impl Fn(&mut [f32]) + Sync,
) {
    let pixels = shape.height * shape.width;
    for_each_chunk(y, (pixels * shape.channels).max(1), |picture, y| {
        let x = (&x[picture * pixels * x_channels..][..pixels * x_channels], x_channels);
        for_each_chunk(y, (TASK_ROWS * shape.row_len()).max(1), |task, y| {
            dispatch(Correlate { shape, x, taps, bias, first_row: task * TASK_ROWS, y });
            finish(y);
        });
    });
}

fn backward_weight(shape: DepthwiseShape, x: &[f32], grad_y: &[f32], grad_weight: &mut [f32]) {
    let (taps, row_len) = (shape.kernel * shape.kernel, shape.row_len());
    let picture_len = shape.height * row_len;
    let mut by_tap = scratch::take(taps * shape.channels);
    let parts = RowParts::new(shape.batch * shape.height, MIN_PART_ROWS);
    sum_parts(parts, &mut by_tap, |rows, sums| {
        let mut row = rows.start;
        while row < rows.end {
            let (picture, first_row) = (row / shape.height, row % shape.height);
            let n = (rows.end - row).min(shape.height - first_row);
            let x = &x[picture * picture_len..][..picture_len];
            let grad_y = &grad_y[row * row_len..][..n * row_len];
            dispatch(SumProducts { shape, x, grad_y, first_row, sums });
            row += n;
        }
    });
    for (channel, grad_weight) in grad_weight.chunks_exact_mut(taps).enumerate() {
        for (tap, grad) in grad_weight.iter_mut().enumerate() {
            *grad = by_tap[tap * shape.channels + channel];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{
        assert_close, assert_gradient, assert_same_bits_on_any_threads, values, weighted_sum, widen,
    };

    fn any_shape() -> impl Strategy<Value = DepthwiseShape> {
        let kernel = prop_oneof![Just(1), Just(3), Just(5), Just(7), Just(9)];
        (1_usize..4, 1_usize..40, 1_usize..40, 1_usize..50, kernel).prop_map(
            |(batch, height, width, channels, kernel)| DepthwiseShape {
                batch,
                height,
                width,
                channels,
                kernel,
            },
        )
    }

    fn inputs_of(shape: DepthwiseShape) -> [Vec<f32>; 4] {
        [
            values(1, shape.map_len()),
            values(2, shape.weight_len()),
            values(3, shape.channels),
            values(4, shape.map_len()),
        ]
    }

    /// Forward output and the three gradients of the fast convolution.
    fn run(shape: DepthwiseShape) -> [Vec<f32>; 4] {
        let [x, weight, bias, grad_y] = inputs_of(shape);
        let mut y = vec![f32::NAN; x.len()];
        forward(shape, (&x, shape.channels), &weight, Some(&bias), false, &mut y);
        let mut grad_x = vec![f32::NAN; x.len()];
        let mut grad_weight = vec![f32::NAN; weight.len()];
        let mut grad_bias = vec![f32::NAN; bias.len()];
        let grads = DepthwiseGrads {
            x: Some(&mut grad_x),
            weight: Some(&mut grad_weight),
            bias: Some(&mut grad_bias),
        };
        backward(shape, &x, &weight, &grad_y, grads);
        [y, grad_x, grad_weight, grad_bias]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_the_reference(shape in any_shape()) {
            let [x, weight, bias, grad_y] = inputs_of(shape).map(|values| widen(&values));
            let [y, grad_x, grad_weight, grad_bias] = run(shape);
            let slow_y = reference::forward(shape, &x, &weight, Some(&bias));
            let [slow_x, slow_weight, slow_bias] = reference::backward(shape, &x, &weight, &grad_y);
            let (taps, pixels) = (shape.kernel * shape.kernel, x.len() / shape.channels);
            assert_close("y", &y, &slow_y, taps, 2e-6);
            assert_close("grad x", &grad_x, &slow_x, taps, 2e-6);
            assert_close("grad weight", &grad_weight, &slow_weight, pixels, 2e-6);
            assert_close("grad bias", &grad_bias, &slow_bias, pixels, 2e-6);
        }
    }

    #[test]
    fn silu_follows_in_the_same_pass_and_further_channels_are_left_out() {
        let shape = DepthwiseShape { batch: 2, height: 35, width: 6, channels: 20, kernel: 3 };
        let [x, weight, bias, _] = inputs_of(shape);
        let wide: Vec<f32> =
            x.chunks(20).flat_map(|x| x.iter().copied().chain([f32::NAN; 13])).collect();
        let mut y = vec![f32::NAN; x.len()];
        forward(shape, (&wide, 33), &weight, Some(&bias), true, &mut y);
        let [x, weight, bias] = [x, weight, bias].map(|values| widen(&values));
        let slow: Vec<f64> = reference::forward(shape, &x, &weight, Some(&bias))
            .iter()
            .map(|y| y / (1.0 + (-y).exp()))
            .collect();
        assert_close("y", &y, &slow, 9, 2e-6);
    }

    #[test]
    fn the_reference_has_the_gradients_of_its_forward() {
        let shape = DepthwiseShape { batch: 2, height: 5, width: 4, channels: 3, kernel: 3 };
        let [x, weight, bias, grad_y] = inputs_of(shape).map(|values| widen(&values));
        let loss = |x: &[f64], weight: &[f64], bias: &[f64]| {
            weighted_sum(&grad_y, &reference::forward(shape, x, weight, Some(bias)))
        };
        let [grad_x, grad_weight, grad_bias] = reference::backward(shape, &x, &weight, &grad_y);
        assert_gradient("x", &x, &grad_x, |x| loss(x, &weight, &bias));
        assert_gradient("weight", &weight, &grad_weight, |weight| loss(&x, weight, &bias));
        assert_gradient("bias", &bias, &grad_bias, |bias| loss(&x, &weight, bias));
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let shape = DepthwiseShape { batch: 3, height: 41, width: 19, channels: 37, kernel: 5 };
        assert_same_bits_on_any_threads(|| run(shape).concat());
    }
}
