//! `layer_norm(x) * silu(z)` in one pass: what a scan block does before its last linear layer.

use rayon::prelude::*;

use super::{LayerNormShape, MIN_PART_ROWS, NormalisedRow};
use crate::activation::{silu, silu_slope};
use crate::partition::{RowParts, add_parts, expect_len, for_each_chunk};
use crate::scratch;
use crate::simd::vectorized;
use crate::vector::Vector;

/// Where the gate lies: the scan block keeps it in the second half of longer rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateShape {
    /// Values from one row of the gate's buffer to the next.
    pub stride: usize,
    /// Values before the gate in each row.
    pub offset: usize,
}

impl GateShape {
    #[track_caller]
    fn check(self, op: &str, shape: LayerNormShape, gate: &[f32]) {
        assert!(
            self.offset + shape.channels <= self.stride,
            "{op}: a gate of {} channels at offset {} does not fit into rows of {}",
            shape.channels,
            self.offset,
            self.stride
        );
        expect_len(op, "gate", gate.len(), shape.rows * self.stride);
    }
}

/// `y = layer_norm(x; weight, bias) * silu(z)`, where `z` are the gate's columns of `gate`.
///
/// # Shapes
///
/// - `x`, `y`: `[rows, channels]`
/// - `gate`: `[rows, gate_shape.stride]`
/// - `weight`, `bias`: `[channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or rows are empty.
pub fn norm_gate(
    shape: LayerNormShape,
    gate_shape: GateShape,
    x: &[f32],
    gate: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
) {
    let op = "norm gate";
    shape.check(op, x, weight);
    gate_shape.check(op, shape, gate);
    expect_len(op, "bias", bias.len(), shape.channels);
    expect_len(op, "y", y.len(), x.len());
    let (channels, rows) = (shape.channels, shape.task_rows());
    for_each_chunk(y, rows * channels, |task, y| {
        let x = &x[task * rows * channels..][..y.len()];
        let gate = &gate[task * rows * gate_shape.stride..];
        forward_rows(shape, gate_shape, x, gate, weight, bias, y);
    });
}

vectorized! {
    fn forward_rows<'a, S>(
        simd,
        shape: LayerNormShape,
        gate_shape: GateShape,
        x: &'a [f32],
        gate: &'a [f32],
        weight: &'a [f32],
        bias: &'a [f32],
        y: &'a mut [f32],
    ) {
        let n = shape.channels;
        let rows = x.chunks_exact(n).zip(gate.chunks_exact(gate_shape.stride));
        for ((x, gate), y) in rows.zip(y.chunks_exact_mut(n)) {
            let z = &gate[gate_shape.offset..][..n];
            let row = NormalisedRow::new(simd, x, shape.eps);
            for start in (0..n).step_by(S::F32_LANES) {
                let gate = silu(Vector::load(simd, z, start));
                (row.affine(weight, bias, start) * gate).store(y, start);
            }
        }
    }
}

/// Where the gradients go. All are overwritten, but of `gate` only the gate's own columns.
#[derive(Debug)]
pub struct NormGateGrads<'a> {
    /// `[rows, channels]`.
    pub x: &'a mut [f32],
    /// `[rows, gate_shape.stride]`.
    pub gate: &'a mut [f32],
    /// `[channels]`.
    pub weight: &'a mut [f32],
    /// `[channels]`.
    pub bias: &'a mut [f32],
}

/// Gradients of [`norm_gate`] from `grad_y`, `[rows, channels]`.
///
/// # Panics
///
/// When a slice does not have the length of its shape, or rows are empty.
pub fn norm_gate_backward(
    shape: LayerNormShape,
    gate_shape: GateShape,
    x: &[f32],
    gate: &[f32],
    weight: &[f32],
    bias: &[f32],
    grad_y: &[f32],
    grads: NormGateGrads<'_>,
) {
    let op = "norm gate backward";
    shape.check(op, x, weight);
    gate_shape.check(op, shape, gate);
    expect_len(op, "bias", bias.len(), shape.channels);
    expect_len(op, "grad_y", grad_y.len(), x.len());
    let NormGateGrads { x: grad_x, gate: grad_gate, weight: grad_weight, bias: grad_bias } = grads;
    gate_shape.check(op, shape, grad_gate);
    expect_len(op, "grads.x", grad_x.len(), x.len());
    expect_len(op, "grads.weight", grad_weight.len(), shape.channels);
    expect_len(op, "grads.bias", grad_bias.len(), shape.channels);
    let (channels, stride) = (shape.channels, gate_shape.stride);
    let parts = RowParts::new(shape.rows, MIN_PART_ROWS);
    let mut partials = scratch::zeros(parts.count() * 2 * channels);
    grad_x
        .par_chunks_mut(parts.rows_per_part * channels)
        .zip(grad_gate.par_chunks_mut(parts.rows_per_part * stride))
        .zip(partials.par_chunks_exact_mut(2 * channels))
        .enumerate()
        .for_each(|(part, ((grad_x, grad_gate), sums))| {
            let first = part * parts.rows_per_part;
            let x = &x[first * channels..][..grad_x.len()];
            let grad_y = &grad_y[first * channels..][..grad_x.len()];
            let gate = &gate[first * stride..][..grad_gate.len()];
            let inputs = Inputs { shape, gate_shape, x, gate, weight, bias, grad_y };
            backward_rows(inputs, grad_x, grad_gate, sums);
        });
    let mut sums = vec![0.0; 2 * channels];
    add_parts(&partials, &mut sums);
    grad_weight.copy_from_slice(&sums[..channels]);
    grad_bias.copy_from_slice(&sums[channels..]);
}

/// What the backward pass reads, from the first of its rows on.
struct Inputs<'a> {
    shape: LayerNormShape,
    gate_shape: GateShape,
    x: &'a [f32],
    gate: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    grad_y: &'a [f32],
}

vectorized! {
    /// `sums` are the gradients of weight and bias, one behind the other.
    fn backward_rows<'a, S>(
        simd,
        inputs: Inputs<'a>,
        grad_x: &'a mut [f32],
        grad_gate: &'a mut [f32],
        sums: &'a mut [f32],
    ) {
        let Inputs { shape, gate_shape: GateShape { stride, offset }, weight, bias, .. } = inputs;
        let n = shape.channels;
        let (grad_weight, grad_bias) = sums.split_at_mut(n);
        let mut grad_normed = scratch::take(n);
        let rows = inputs.x.chunks_exact(n).zip(inputs.gate.chunks_exact(stride));
        let rows = rows.zip(inputs.grad_y.chunks_exact(n));
        let outputs = grad_x.chunks_exact_mut(n).zip(grad_gate.chunks_exact_mut(stride));
        for (((x, gate), grad_y), (grad_x, grad_gate)) in rows.zip(outputs) {
            let (z, grad_z) = (&gate[offset..][..n], &mut grad_gate[offset..][..n]);
            let row = NormalisedRow::new(simd, x, shape.eps);
            for start in (0..n).step_by(S::F32_LANES) {
                let z = Vector::load(simd, z, start);
                let grad_y = Vector::load(simd, grad_y, start);
                (grad_y * row.affine(weight, bias, start) * silu_slope(z)).store(grad_z, start);
                (grad_y * silu(z)).store(&mut grad_normed, start);
            }
            row.backward(weight, &grad_normed, grad_x, grad_weight, grad_bias);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference;
    use super::*;
    use crate::testing::{
        assert_close, assert_gradient, assert_same_bits_on_any_threads, values, weighted_sum, widen,
    };

    /// `x`, gate, weight, bias, the gradient of the output.
    fn inputs_of(shape: LayerNormShape, gate_shape: GateShape) -> [Vec<f32>; 5] {
        let len = shape.rows * shape.channels;
        let gate = values(2, shape.rows * gate_shape.stride).iter().map(|z| 3.0 * z).collect();
        let (weight, bias) = (values(3, shape.channels), values(4, shape.channels));
        [values(1, len), gate, weight, bias, values(5, len)]
    }

    /// Forward output and the four gradients of the fast norm.
    fn run(shape: LayerNormShape, gate_shape: GateShape) -> [Vec<f32>; 5] {
        let [x, gate, weight, bias, grad_y] = inputs_of(shape, gate_shape);
        let mut y = vec![f32::NAN; x.len()];
        norm_gate(shape, gate_shape, &x, &gate, &weight, &bias, &mut y);
        let mut grad_x = vec![f32::NAN; x.len()];
        let mut grad_gate = vec![0.0; gate.len()];
        let (mut grad_weight, mut grad_bias) = (weight.clone(), bias.clone());
        let grads = NormGateGrads {
            x: &mut grad_x,
            gate: &mut grad_gate,
            weight: &mut grad_weight,
            bias: &mut grad_bias,
        };
        norm_gate_backward(shape, gate_shape, &x, &gate, &weight, &bias, &grad_y, grads);
        [y, grad_x, grad_gate, grad_weight, grad_bias]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_the_reference(rows in 1_usize..400, n in 4_usize..80, before in 0_usize..80, behind in 0_usize..3) {
            let shape = LayerNormShape { rows, channels: n, eps: 1e-5 };
            let gate_shape = GateShape { stride: before + n + behind, offset: before };
            let [x, gate, weight, bias, grad_y] =
                inputs_of(shape, gate_shape).map(|values| widen(&values));
            let [y, grad_x, grad_gate, grad_weight, grad_bias] = run(shape, gate_shape);
            let slow_y = reference::norm_gate(shape, gate_shape, &x, &gate, &weight, &bias);
            let [slow_x, slow_gate, slow_weight, slow_bias] = reference::norm_gate_backward(
                shape, gate_shape, &x, &gate, &weight, &bias, &grad_y,
            );
            assert_close("y", &y, &slow_y, 1, 4e-6);
            assert_close("grad x", &grad_x, &slow_x, 1, 2e-5);
            assert_close("grad gate", &grad_gate, &slow_gate, 1, 4e-6);
            assert_close("grad weight", &grad_weight, &slow_weight, rows, 4e-6);
            assert_close("grad bias", &grad_bias, &slow_bias, rows, 4e-6);
        }
    }

    #[test]
    fn the_reference_has_the_gradients_of_its_forward() {
        let shape = LayerNormShape { rows: 3, channels: 4, eps: 1e-5 };
        let gate_shape = GateShape { stride: 9, offset: 4 };
        let [x, gate, weight, bias, grad_y] =
            inputs_of(shape, gate_shape).map(|values| widen(&values));
        let loss = |x: &[f64], gate: &[f64], weight: &[f64], bias: &[f64]| {
            let y = reference::norm_gate(shape, gate_shape, x, gate, weight, bias);
            weighted_sum(&grad_y, &y)
        };
        let [grad_x, grad_gate, grad_weight, grad_bias] =
            reference::norm_gate_backward(shape, gate_shape, &x, &gate, &weight, &bias, &grad_y);
        assert_gradient("x", &x, &grad_x, |x| loss(x, &gate, &weight, &bias));
        assert_gradient("gate", &gate, &grad_gate, |gate| loss(&x, gate, &weight, &bias));
        assert_gradient("weight", &weight, &grad_weight, |w| loss(&x, &gate, w, &bias));
        assert_gradient("bias", &bias, &grad_bias, |bias| loss(&x, &gate, &weight, bias));
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let shape = LayerNormShape { rows: 5001, channels: 20, eps: 1e-5 };
        assert_same_bits_on_any_threads(|| {
            run(shape, GateShape { stride: 40, offset: 20 }).concat()
        });
    }
}
