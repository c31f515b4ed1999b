//! The definition in plain loops and `f64`. Kept simple: it is what the fast convolution is tested against.

use super::ConvShape;

/// `y = x * weight + bias`.
pub fn forward(shape: ConvShape, x: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let mut y: Vec<f64> = (0..shape.output_len())
        .map(|i| bias.map_or(0.0, |bias| bias[i % shape.out_channels]))
        .collect();
    for_each_product(shape, |yi, xi, wi| y[yi] += x[xi] * weight[wi]);
    y
}

/// Gradients of `x`, weight and bias.
pub fn backward(shape: ConvShape, x: &[f64], weight: &[f64], grad_y: &[f64]) -> [Vec<f64>; 3] {
    let mut grad_x = vec![0.0; x.len()];
    let mut grad_weight = vec![0.0; weight.len()];
    let mut grad_bias = vec![0.0; shape.out_channels];
    for_each_product(shape, |yi, xi, wi| {
        grad_x[xi] += grad_y[yi] * weight[wi];
        grad_weight[wi] += grad_y[yi] * x[xi];
    });
    for (i, &grad) in grad_y.iter().enumerate() {
        grad_bias[i % shape.out_channels] += grad;
    }
    [grad_x, grad_weight, grad_bias]
}

/// Calls `product(y index, x index, weight index)` for every product of the convolution.
fn for_each_product(shape: ConvShape, mut product: impl FnMut(usize, usize, usize)) {
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let inside = |out: usize, tap: usize, side: usize| {
        (out * shape.stride + tap * shape.dilation)
            .checked_sub(shape.padding)
            .filter(|&source| source < side)
    };
    for b in 0..shape.batch {
        for out_row in 0..out_height {
            for out_column in 0..out_width {
                for tap_row in 0..shape.kernel {
                    for tap_column in 0..shape.kernel {
                        let row = inside(out_row, tap_row, shape.height);
                        let column = inside(out_column, tap_column, shape.width);
                        let (Some(row), Some(column)) = (row, column) else { continue };
                        let y_pixel = (b * out_height + out_row) * out_width + out_column;
                        let x_pixel = (b * shape.height + row) * shape.width + column;
                        for out in 0..shape.out_channels {
                            for input in 0..shape.in_channels {
                                let weight = ((out * shape.in_channels + input) * shape.kernel
                                    + tap_row)
                                    * shape.kernel
                                    + tap_column;
                                product(
                                    y_pixel * shape.out_channels + out,
                                    x_pixel * shape.in_channels + input,
                                    weight,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
