//! The definition in plain loops and `f64`. Kept simple: it is what the fast convolution is tested against.

use super::DepthwiseShape;

/// `y = x * weight + bias`.
pub fn forward(shape: DepthwiseShape, x: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let mut y: Vec<f64> =
        (0..x.len()).map(|i| bias.map_or(0.0, |bias| bias[i % shape.channels])).collect();
    for_each_product(shape, |yi, xi, wi| y[yi] += x[xi] * weight[wi]);
    y
}

/// Gradients of `x`, weight and bias.
pub fn backward(shape: DepthwiseShape, x: &[f64], weight: &[f64], grad_y: &[f64]) -> [Vec<f64>; 3] {
    let mut grad_x = vec![0.0; x.len()];
    let mut grad_weight = vec![0.0; weight.len()];
    let mut grad_bias = vec![0.0; shape.channels];
    for_each_product(shape, |yi, xi, wi| {
        grad_x[xi] += grad_y[yi] * weight[wi];
        grad_weight[wi] += grad_y[yi] * x[xi];
    });
    for (i, &grad) in grad_y.iter().enumerate() {
        grad_bias[i % shape.channels] += grad;
    }
    [grad_x, grad_weight, grad_bias]
}

/// Calls `product(y index, x index, weight index)` for every product of the convolution.
fn for_each_product(shape: DepthwiseShape, mut product: impl FnMut(usize, usize, usize)) {
    let DepthwiseShape { batch, height, width, channels, kernel } = shape;
    for pixel in 0..batch * height * width {
        let (picture, row, column) =
            (pixel / width / height, pixel / width % height, pixel % width);
        for tap in 0..kernel * kernel {
            let from_row = (row + tap / kernel).checked_sub(kernel / 2).filter(|&r| r < height);
            let from_column =
                (column + tap % kernel).checked_sub(kernel / 2).filter(|&c| c < width);
            let (Some(from_row), Some(from_column)) = (from_row, from_column) else { continue };
            let from = (picture * height + from_row) * width + from_column;
            for channel in 0..channels {
                product(
                    pixel * channels + channel,
                    from * channels + channel,
                    channel * kernel * kernel + tap,
                );
            }
        }
    }
}
