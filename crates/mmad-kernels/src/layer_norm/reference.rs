//! The definitions in plain loops and `f64`. Kept simple: they are what the fast norms are tested
//! against.

use super::{GateShape, LayerNormShape};
use crate::activation::reference::{silu, silu_slope};

/// Mean and `1 / sqrt(variance + eps)` of a row.
fn moments(row: &[f64], eps: f32) -> (f64, f64) {
    let count = row.len() as f64;
    let mean = row.iter().sum::<f64>() / count;
    let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    (mean, 1.0 / (variance + f64::from(eps)).sqrt())
}

/// `y = (x - mean) / sqrt(variance + eps) * weight + bias`.
pub fn forward(shape: LayerNormShape, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks_exact(shape.channels) {
        let (mean, inverse) = moments(row, shape.eps);
        for c in 0..shape.channels {
            y.push((row[c] - mean) * inverse * weight[c] + bias[c]);
        }
    }
    y
}

/// Gradients of `x`, weight and bias.
pub fn backward(shape: LayerNormShape, x: &[f64], weight: &[f64], grad_y: &[f64]) -> [Vec<f64>; 3] {
    let n = shape.channels;
    let mut grad_x = Vec::with_capacity(x.len());
    let (mut grad_weight, mut grad_bias) = (vec![0.0; n], vec![0.0; n]);
    for (row, grad_y) in x.chunks_exact(n).zip(grad_y.chunks_exact(n)) {
        let (mean, inverse) = moments(row, shape.eps);
        let normalised: Vec<f64> = row.iter().map(|x| (x - mean) * inverse).collect();
        let g: Vec<f64> = grad_y.iter().zip(weight).map(|(grad, weight)| grad * weight).collect();
        let mean_g = g.iter().sum::<f64>() / n as f64;
        let mean_gx = g.iter().zip(&normalised).map(|(g, x)| g * x).sum::<f64>() / n as f64;
        for c in 0..n {
            grad_x.push(inverse * (g[c] - mean_g - normalised[c] * mean_gx));
            grad_weight[c] += grad_y[c] * normalised[c];
            grad_bias[c] += grad_y[c];
        }
    }
    [grad_x, grad_weight, grad_bias]
}

/// `y = layer_norm(x) * silu(z)`.
pub fn norm_gate(
    shape: LayerNormShape,
    gate_shape: GateShape,
    x: &[f64],
    gate: &[f64],
    weight: &[f64],
    bias: &[f64],
) -> Vec<f64> {
    let mut y = forward(shape, x, weight, bias);
    for (row, y) in y.chunks_exact_mut(shape.channels).enumerate() {
        for (c, y) in y.iter_mut().enumerate() {
            *y *= silu(gate[row * gate_shape.stride + gate_shape.offset + c]);
        }
    }
    y
}

/// Gradients of `x`, gate, weight and bias; outside the gate's columns the gate's are zero.
pub fn norm_gate_backward(
    shape: LayerNormShape,
    gate_shape: GateShape,
    x: &[f64],
    gate: &[f64],
    weight: &[f64],
    bias: &[f64],
    grad_y: &[f64],
) -> [Vec<f64>; 4] {
    let normed = forward(shape, x, weight, bias);
    let mut grad_gate = vec![0.0; gate.len()];
    let mut grad_normed = Vec::with_capacity(x.len());
    for (i, grad) in grad_y.iter().enumerate() {
        let (row, c) = (i / shape.channels, i % shape.channels);
        let at = row * gate_shape.stride + gate_shape.offset + c;
        grad_gate[at] = grad * normed[i] * silu_slope(gate[at]);
        grad_normed.push(grad * silu(gate[at]));
    }
    let [grad_x, grad_weight, grad_bias] = backward(shape, x, weight, &grad_normed);
    [grad_x, grad_gate, grad_weight, grad_bias]
}
