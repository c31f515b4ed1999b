//! The definition in plain loops and `f64`. Kept simple: it is what the fast norm is tested against.

use super::BatchNormShape;
use crate::column_norm::reference;

/// `y = activation((x - mean) / sqrt(variance + eps) * weight + bias)`.
pub fn forward(shape: BatchNormShape, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    reference::forward(shape.groups(), shape.eps, shape.activation, x, weight, bias)
}

/// Gradients of `x`, weight and bias.
pub fn backward(
    shape: BatchNormShape,
    x: &[f64],
    weight: &[f64],
    bias: &[f64],
    grad_y: &[f64],
) -> [Vec<f64>; 3] {
    reference::backward(shape.groups(), shape.eps, shape.activation, x, weight, bias, grad_y)
}

/// Mean and biased variance per channel.
pub fn statistics(shape: BatchNormShape, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    (0..shape.channels).map(|channel| reference::moments(shape.groups(), x, 0, channel)).unzip()
}
