//! The definitions in plain loops and `f64`. Kept simple: they are what the fast norms are tested
//! against.

use super::GroupedRows;
use crate::activation::Activation;
use crate::activation::reference::{activate, activation_slope};

/// Mean and biased variance of one channel of one group.
pub(crate) fn moments(shape: GroupedRows, x: &[f64], group: usize, channel: usize) -> (f64, f64) {
    let value = |row: usize| x[(group * shape.rows + row) * shape.channels + channel];
    let count = shape.rows as f64;
    let mean = (0..shape.rows).map(value).sum::<f64>() / count;
    let variance = (0..shape.rows).map(|row| (value(row) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance)
}

/// `y = activation((x - mean) / sqrt(variance + eps) * weight + bias)`.
pub(crate) fn forward(
    shape: GroupedRows,
    eps: f32,
    activation: Activation,
    x: &[f64],
    weight: &[f64],
    bias: &[f64],
) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for group in 0..shape.groups {
        for channel in 0..shape.channels {
            let (mean, variance) = moments(shape, x, group, channel);
            let inverse = 1.0 / (variance + f64::from(eps)).sqrt();
            for row in 0..shape.rows {
                let at = (group * shape.rows + row) * shape.channels + channel;
                let normalised = (x[at] - mean) * inverse;
                y[at] = activate(activation, normalised * weight[channel] + bias[channel]);
            }
        }
    }
    y
}

/// Gradients of `x`, weight and bias.
pub(crate) fn backward(
    shape: GroupedRows,
    eps: f32,
    activation: Activation,
    x: &[f64],
    weight: &[f64],
    bias: &[f64],
    grad_y: &[f64],
) -> [Vec<f64>; 3] {
    let mut grad_x = vec![0.0; x.len()];
    let (mut grad_weight, mut grad_bias) = (vec![0.0; shape.channels], vec![0.0; shape.channels]);
    let count = shape.rows as f64;
    for group in 0..shape.groups {
        for channel in 0..shape.channels {
            let (mean, variance) = moments(shape, x, group, channel);
            let inverse = 1.0 / (variance + f64::from(eps)).sqrt();
            let at = |row: usize| (group * shape.rows + row) * shape.channels + channel;
            let normalised = |row: usize| (x[at(row)] - mean) * inverse;
            let g = |row: usize| {
                let before = normalised(row) * weight[channel] + bias[channel];
                grad_y[at(row)] * activation_slope(activation, before)
            };
            let sum_g = (0..shape.rows).map(g).sum::<f64>();
            let sum_gx = (0..shape.rows).map(|row| g(row) * normalised(row)).sum::<f64>();
            grad_bias[channel] += sum_g;
            grad_weight[channel] += sum_gx;
            for row in 0..shape.rows {
                let centred = g(row) - sum_g / count - normalised(row) * sum_gx / count;
                grad_x[at(row)] = weight[channel] * inverse * centred;
            }
        }
    }
    [grad_x, grad_weight, grad_bias]
}
