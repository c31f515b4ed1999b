//! Layer norm over the last axis, alone or gated by `silu(z)` as at the end of a scan block.

mod gated;
pub mod reference;

pub use gated::{GateShape, NormGateGrads, norm_gate, norm_gate_backward};

use pulp::Simd;

use crate::partition::{ELEMENTWISE, RowParts, expect_len, for_each_chunk, sum_parts_beside};
use crate::row_sum::mean_and_inverse_deviation;
use crate::simd::vectorized;
use crate::vector::Vector;

/// Fewest rows that are worth a partial sum of their own.
const MIN_PART_ROWS: usize = 128;

/// Sizes of a layer norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNormShape {
    /// Rows, one per pixel.
    pub rows: usize,
    /// Values per row, at least 1.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
}

impl LayerNormShape {
    #[track_caller]
    fn check(self, op: &str, x: &[f32], weight: &[f32]) {
        assert!(self.channels > 0, "{op}: a row of 0 channels has no mean");
        expect_len(op, "x", x.len(), self.rows * self.channels);
        expect_len(op, "weight", weight.len(), self.channels);
    }

    /// Rows per task of a pass without sums over rows.
    fn task_rows(self) -> usize {
        (ELEMENTWISE / self.channels).max(1)
    }
}

/// `y = (x - mean) / sqrt(variance + eps) * weight + bias`, row by row, biased variance.
///
/// # Shapes
///
/// - `x`, `y`: `[rows, channels]`
/// - `weight`, `bias`: `[channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or rows are empty.
pub fn forward(shape: LayerNormShape, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    shape.check("layer norm", x, weight);
    expect_len("layer norm", "bias", bias.len(), shape.channels);
    expect_len("layer norm", "y", y.len(), x.len());
    let chunk = shape.task_rows() * shape.channels;
    for_each_chunk(y, chunk, |task, y| {
        let x = &x[task * chunk..][..y.len()];
        forward_rows(shape.eps, x, weight, bias, y);
    });
}

vectorized! {
    fn forward_rows<'a, S>(
        simd,
        eps: f32,
        x: &'a [f32],
        weight: &'a [f32],
        bias: &'a [f32],
        y: &'a mut [f32],
    ) {
        let n = weight.len();
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let row = NormalisedRow::new(simd, x, eps);
            for start in (0..n).step_by(S::F32_LANES) {
                row.affine(weight, bias, start).store(y, start);
            }
        }
    }
}

/// A row and what brings it to mean 0 and variance 1.
struct NormalisedRow<'a, S: Simd> {
    simd: S,
    x: &'a [f32],
    mean: f32,
    inverse_deviation: f32,
}

impl<'a, S: Simd> NormalisedRow<'a, S> {
    #[inline(always)]
    fn new(simd: S, x: &'a [f32], eps: f32) -> Self {
        let (mean, inverse_deviation) = mean_and_inverse_deviation(simd, x, eps);
        Self { simd, x, mean, inverse_deviation }
    }

    /// The normalised values from `start` on.
    #[inline(always)]
    fn normalised(&self, start: usize) -> Vector<S> {
        (Vector::load(self.simd, self.x, start) - self.mean) * self.inverse_deviation
    }

    /// `normalised * weight + bias` from `start` on.
    #[inline(always)]
    fn affine(&self, weight: &[f32], bias: &[f32], start: usize) -> Vector<S> {
        let load = |row| Vector::load(self.simd, row, start);
        self.normalised(start).mul_add(load(weight), load(bias))
    }

    /// The gradients of the row, given that of its affine image; those of weight and bias are
    /// added to what is there.
    ///
    /// With `x̂` the normalised row and `g = grad_y * weight`:
    /// `grad_x = (g - mean(g) - x̂ mean(g x̂)) / deviation`.
    /// Source: Ba, Kiros and Hinton 2016, "Layer normalization", differentiated by hand.
    #[inline(always)]
    fn backward(
        &self,
        weight: &[f32],
        grad_y: &[f32],
        grad_x: &mut [f32],
        grad_weight: &mut [f32],
        grad_bias: &mut [f32],
    ) {
        let n = self.x.len();
        let (mut sum_g, mut sum_gx) =
            (Vector::splat(self.simd, 0.0), Vector::splat(self.simd, 0.0));
        for start in (0..n).step_by(S::F32_LANES) {
            let load = |row| Vector::load(self.simd, row, start);
            // Behind the end of the row, `g` is zero.
            let g = load(grad_y) * load(weight);
            sum_g = sum_g + g;
            sum_gx = g.mul_add(self.normalised(start), sum_gx);
        }
        let share = 1.0 / n as f32;
        let (mean_g, mean_gx) = (share * sum_g.sum(), share * sum_gx.sum());
        for start in (0..n).step_by(S::F32_LANES) {
            let load = |row: &[f32]| Vector::load(self.simd, row, start);
            let (normalised, grad_y) = (self.normalised(start), load(grad_y));
            let centred = grad_y * load(weight) - mean_g - normalised * mean_gx;
            (centred * self.inverse_deviation).store(grad_x, start);
            grad_y.mul_add(normalised, load(grad_weight)).store(grad_weight, start);
            (load(grad_bias) + grad_y).store(grad_bias, start);
        }
    }
}

/// Where the gradients go. All are overwritten.
#[derive(Debug)]
pub struct LayerNormGrads<'a> {
    /// `[rows, channels]`.
    pub x: &'a mut [f32],
    /// `[channels]`.
    pub weight: &'a mut [f32],
    /// `[channels]`.
    pub bias: &'a mut [f32],
}

/// Gradients of [`forward`] from `grad_y`, `[rows, channels]`. The statistics are computed again.
///
/// # Panics
///
/// When a slice does not have the length of its shape, or rows are empty.
pub fn backward(
    shape: LayerNormShape,
    x: &[f32],
    weight: &[f32],
    grad_y: &[f32],
    grads: LayerNormGrads<'_>,
) {
    let op = "layer norm backward";
    shape.check(op, x, weight);
    expect_len(op, "grad_y", grad_y.len(), x.len());
    let LayerNormGrads { x: grad_x, weight: grad_weight, bias: grad_bias } = grads;
    expect_len(op, "grads.x", grad_x.len(), x.len());
    expect_len(op, "grads.weight", grad_weight.len(), shape.channels);
    expect_len(op, "grads.bias", grad_bias.len(), shape.channels);
    let channels = shape.channels;
    let mut sums = vec![0.0; 2 * channels];
    let parts = RowParts::new(shape.rows, MIN_PART_ROWS);
    sum_parts_beside(parts, (grad_x, channels), &mut sums, |rows, grad_x, sums| {
        let x = &x[rows.start * channels..rows.end * channels];
        let grad_y = &grad_y[rows.start * channels..rows.end * channels];
        let (grad_weight, grad_bias) = sums.split_at_mut(channels);
        backward_rows(shape.eps, x, weight, grad_y, grad_x, grad_weight, grad_bias);
    });
    grad_weight.copy_from_slice(&sums[..channels]);
    grad_bias.copy_from_slice(&sums[channels..]);
}

vectorized! {
    fn backward_rows<'a, S>(
        simd,
        eps: f32,
        x: &'a [f32],
        weight: &'a [f32],
        grad_y: &'a [f32],
        grad_x: &'a mut [f32],
        grad_weight: &'a mut [f32],
        grad_bias: &'a mut [f32],
    ) {
        let n = weight.len();
        let rows = x.chunks_exact(n).zip(grad_y.chunks_exact(n));
        for ((x, grad_y), grad_x) in rows.zip(grad_x.chunks_exact_mut(n)) {
            let row = NormalisedRow::new(simd, x, eps);
            row.backward(weight, grad_y, grad_x, grad_weight, grad_bias);
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

    fn shape_of(rows: usize, channels: usize) -> LayerNormShape {
        LayerNormShape { rows, channels, eps: 1e-5 }
    }

    /// `x`, weight, bias, the gradient of the output.
    fn inputs_of(shape: LayerNormShape) -> [Vec<f32>; 4] {
        let len = shape.rows * shape.channels;
        [values(1, len), values(2, shape.channels), values(3, shape.channels), values(4, len)]
    }

    /// Forward output and the three gradients of the fast norm.
    fn run(shape: LayerNormShape) -> [Vec<f32>; 4] {
        let [x, weight, bias, grad_y] = inputs_of(shape);
        let mut y = vec![f32::NAN; x.len()];
        forward(shape, &x, &weight, &bias, &mut y);
        let mut grad_x = vec![f32::NAN; x.len()];
        let (mut grad_weight, mut grad_bias) = (weight.clone(), bias.clone());
        let grads =
            LayerNormGrads { x: &mut grad_x, weight: &mut grad_weight, bias: &mut grad_bias };
        backward(shape, &x, &weight, &grad_y, grads);
        [y, grad_x, grad_weight, grad_bias]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_the_reference(rows in 1_usize..400, channels in 4_usize..100) {
            let shape = shape_of(rows, channels);
            let [x, weight, bias, grad_y] = inputs_of(shape).map(|values| widen(&values));
            let [y, grad_x, grad_weight, grad_bias] = run(shape);
            let slow_y = reference::forward(shape, &x, &weight, &bias);
            let [slow_x, slow_weight, slow_bias] = reference::backward(shape, &x, &weight, &grad_y);
            assert_close("y", &y, &slow_y, 1, 2e-6);
            assert_close("grad x", &grad_x, &slow_x, 1, 1e-5);
            assert_close("grad weight", &grad_weight, &slow_weight, rows, 2e-6);
            assert_close("grad bias", &grad_bias, &slow_bias, rows, 2e-6);
        }
    }

    #[test]
    fn the_reference_has_the_gradients_of_its_forward() {
        let shape = shape_of(3, 5);
        let [x, weight, bias, grad_y] = inputs_of(shape).map(|values| widen(&values));
        let loss = |x: &[f64], weight: &[f64], bias: &[f64]| {
            weighted_sum(&grad_y, &reference::forward(shape, x, weight, bias))
        };
        let [grad_x, grad_weight, grad_bias] = reference::backward(shape, &x, &weight, &grad_y);
        assert_gradient("x", &x, &grad_x, |x| loss(x, &weight, &bias));
        assert_gradient("weight", &weight, &grad_weight, |weight| loss(&x, weight, &bias));
        assert_gradient("bias", &bias, &grad_bias, |bias| loss(&x, &weight, bias));
    }

    #[test]
    fn extreme_rows_stay_finite_and_bad_ones_are_seen() {
        let shape = shape_of(4, 3);
        let x = [7.0, 7.0, 7.0, 1e18, -1e18, 0.0, 1e-30, 2e-30, 3e-30, f32::NAN, 1.0, 2.0];
        let mut y = [0.0; 12];
        forward(shape, &x, &[1.0; 3], &[0.0; 3], &mut y);
        assert_eq!(y[..3], [0.0; 3], "a constant row becomes zero");
        assert!(y[3] > 1.2 && y[4] < -1.2 && y[5].abs() < 1e-6);
        assert!(y[6..9].iter().all(|y| y.abs() < 1e-6), "a row far below eps is nearly constant");
        assert!(y[9..].iter().all(|y| y.is_nan()));
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        assert_same_bits_on_any_threads(|| run(shape_of(5001, 33)).concat());
    }
}
