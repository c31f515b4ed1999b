//! Batch norm over the rows of `[rows, channels]`, with the activation that follows it.

pub mod reference;

use crate::activation::Activation;
use crate::column_norm::{self, Affine, GroupedRows, Saved, apply, inverse_deviations, moments};
use crate::partition::expect_len;

/// Sizes of a batch norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormShape {
    /// Rows, one per pixel of the whole batch; at least 1.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
    /// What follows in the same pass.
    pub activation: Activation,
}

impl BatchNormShape {
    fn groups(self) -> GroupedRows {
        GroupedRows { groups: 1, rows: self.rows, channels: self.channels }
    }

    #[track_caller]
    fn check(self, op: &str, x: &[f32], weight: &[f32], bias: &[f32]) {
        assert!(self.rows > 0, "{op}: the statistics of 0 rows are undefined");
        expect_len(op, "x", x.len(), self.rows * self.channels);
        expect_len(op, "weight", weight.len(), self.channels);
        expect_len(op, "bias", bias.len(), self.channels);
    }
}

/// Statistics of one batch, `[channels]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// The mean.
    pub mean: Vec<f32>,
    /// The biased variance, divided by `rows`: what the normalisation uses. PyTorch's running
    /// variance takes it times `rows / (rows - 1)`.
    pub variance: Vec<f32>,
}

/// `y = activation((x - mean) / sqrt(variance + eps) * weight + bias)` with the statistics of this
/// batch, which are returned.
///
/// # Shapes
///
/// - `x`, `y`: `[rows, channels]`
/// - `weight`, `bias`: `[channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or there are no rows.
pub fn forward(
    shape: BatchNormShape,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
) -> BatchStatistics {
    shape.check("batch norm", x, weight, bias);
    expect_len("batch norm", "y", y.len(), x.len());
    let moments = moments(shape.groups(), x);
    let scale: Vec<f32> = inverse_deviations(&moments.variance, shape.eps)
        .iter()
        .zip(weight)
        .map(|(inverse, weight)| inverse * weight)
        .collect();
    let affine = Affine { centre: &moments.mean, scale: &scale, shift: bias };
    apply(shape.groups(), shape.activation, x, affine, y);
    BatchStatistics { mean: moments.mean, variance: moments.variance }
}

/// Where the gradients go. All are overwritten.
#[derive(Debug)]
pub struct BatchNormGrads<'a> {
    /// `[rows, channels]`.
    pub x: &'a mut [f32],
    /// `[channels]`.
    pub weight: &'a mut [f32],
    /// `[channels]`.
    pub bias: &'a mut [f32],
}

/// Gradients of [`forward`] from `grad_y`, `[rows, channels]`, through the statistics too.
///
/// # Panics
///
/// When a slice does not have the length of its shape, or there are no rows.
pub fn backward(
    shape: BatchNormShape,
    statistics: &BatchStatistics,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    grad_y: &[f32],
    grads: BatchNormGrads<'_>,
) {
    let op = "batch norm backward";
    shape.check(op, x, weight, bias);
    expect_len(op, "mean", statistics.mean.len(), shape.channels);
    expect_len(op, "variance", statistics.variance.len(), shape.channels);
    expect_len(op, "grad_y", grad_y.len(), x.len());
    let BatchNormGrads { x: grad_x, weight: grad_weight, bias: grad_bias } = grads;
    expect_len(op, "grads.x", grad_x.len(), x.len());
    expect_len(op, "grads.weight", grad_weight.len(), shape.channels);
    expect_len(op, "grads.bias", grad_bias.len(), shape.channels);
    let inverse_deviation = inverse_deviations(&statistics.variance, shape.eps);
    let saved =
        Saved { x, mean: &statistics.mean, inverse_deviation: &inverse_deviation, weight, bias };
    let [sum, sum_x] =
        column_norm::backward(shape.groups(), shape.activation, saved, grad_y, grad_x);
    grad_weight.copy_from_slice(&sum_x);
    grad_bias.copy_from_slice(&sum);
}

/// `y = activation(x * scale + shift)`: batch norm with fixed statistics, where it cannot be folded
/// into a convolution.
///
/// # Shapes
///
/// - `x`, `y`: `[rows, channels]`
/// - `scale`, `shift`: `[channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn scale_shift_activate(
    activation: Activation,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    y: &mut [f32],
) {
    let op = "scale and shift";
    let channels = scale.len();
    let rows = x.len() / channels.max(1);
    expect_len(op, "shift", shift.len(), channels);
    expect_len(op, "x", x.len(), rows * channels);
    expect_len(op, "y", y.len(), x.len());
    let affine = Affine { centre: &vec![0.0; channels], scale, shift };
    apply(GroupedRows { groups: 1, rows, channels }, activation, x, affine, y);
}

/// A trained batch norm, `[channels]` each.
#[derive(Clone, Copy, Debug)]
pub struct RunningNorm<'a> {
    /// Scale after the normalisation.
    pub weight: &'a [f32],
    /// Shift after the normalisation.
    pub bias: &'a [f32],
    /// Running mean.
    pub mean: &'a [f32],
    /// Running variance.
    pub variance: &'a [f32],
    /// Added to the variance.
    pub eps: f32,
}

impl RunningNorm<'_> {
    /// The `(scale, shift)` with `scale * x + shift` equal to this norm of `x`.
    ///
    /// # Panics
    ///
    /// When the slices differ in length.
    pub fn scale_and_shift(&self) -> (Vec<f32>, Vec<f32>) {
        let channels = self.weight.len();
        for (name, values) in
            [("bias", self.bias), ("mean", self.mean), ("variance", self.variance)]
        {
            expect_len("batch norm", name, values.len(), channels);
        }
        (0..channels)
            .map(|c| {
                let deviation = (f64::from(self.variance[c]) + f64::from(self.eps)).sqrt();
                let scale = f64::from(self.weight[c]) / deviation;
                let shift = f64::from(self.bias[c]) - f64::from(self.mean[c]) * scale;
                (scale as f32, shift as f32)
            })
            .unzip()
    }
}

/// The weight and bias of a convolution that does what `weight` and `bias` followed by `norm` do.
///
/// # Shapes
///
/// - `weight`: `[out_channels, ..]`
/// - `bias`: `[out_channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn fold_batch_norm(
    weight: &[f32],
    bias: Option<&[f32]>,
    norm: &RunningNorm<'_>,
) -> (Vec<f32>, Vec<f32>) {
    let (scale, shift) = norm.scale_and_shift();
    let per_channel = weight.len() / scale.len().max(1);
    expect_len("fold batch norm", "weight", weight.len(), per_channel * scale.len());
    if let Some(bias) = bias {
        expect_len("fold batch norm", "bias", bias.len(), scale.len());
    }
    let folded = weight
        .chunks_exact(per_channel.max(1))
        .zip(&scale)
        .flat_map(|(weight, scale)| weight.iter().map(move |value| value * scale))
        .collect();
    let bias = (0..scale.len())
        .map(|c| bias.map_or(0.0, |bias| bias[c]).mul_add(scale[c], shift[c]))
        .collect();
    (folded, bias)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conv2d::{self, ConvShape};
    use crate::testing::{
        assert_close, assert_gradient, assert_same_bits_on_any_threads, values, weighted_sum, widen,
    };

    const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Relu, Activation::Silu];

    fn shape_of(rows: usize, channels: usize, activation: Activation) -> BatchNormShape {
        BatchNormShape { rows, channels, eps: 1e-5, activation }
    }

    /// `x`, weight, bias, the gradient of the output.
    fn inputs_of(shape: BatchNormShape) -> [Vec<f32>; 4] {
        let len = shape.rows * shape.channels;
        [values(1, len), values(2, shape.channels), values(3, shape.channels), values(4, len)]
    }

    /// Forward output, the three gradients and the statistics of the fast norm.
    fn run(shape: BatchNormShape) -> ([Vec<f32>; 4], BatchStatistics) {
        let [x, weight, bias, grad_y] = inputs_of(shape);
        let mut y = vec![f32::NAN; x.len()];
        let statistics = forward(shape, &x, &weight, &bias, &mut y);
        let mut grad_x = vec![f32::NAN; x.len()];
        let (mut grad_weight, mut grad_bias) = (weight.clone(), bias.clone());
        let grads =
            BatchNormGrads { x: &mut grad_x, weight: &mut grad_weight, bias: &mut grad_bias };
        backward(shape, &statistics, &x, &weight, &bias, &grad_y, grads);
        ([y, grad_x, grad_weight, grad_bias], statistics)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_the_reference(rows in 8_usize..700, channels in 1_usize..80, which in 0_usize..3) {
            let shape = shape_of(rows, channels, ACTIVATIONS[which]);
            let [x, weight, bias, grad_y] = inputs_of(shape).map(|values| widen(&values));
            let ([y, grad_x, grad_weight, grad_bias], statistics) = run(shape);
            let slow_y = reference::forward(shape, &x, &weight, &bias);
            let [slow_x, slow_weight, slow_bias] =
                reference::backward(shape, &x, &weight, &bias, &grad_y);
            let (mean, variance) = reference::statistics(shape, &x);
            assert_close("mean", &statistics.mean, &mean, 1, 1e-6);
            assert_close("variance", &statistics.variance, &variance, 1, 1e-6);
            assert_close("y", &y, &slow_y, 1, 4e-6);
            // A value within rounding of zero may take either slope of a rectifier.
            if shape.activation != Activation::Relu {
                assert_close("grad x", &grad_x, &slow_x, 1, 1e-5);
                assert_close("grad weight", &grad_weight, &slow_weight, rows, 4e-6);
                assert_close("grad bias", &grad_bias, &slow_bias, rows, 4e-6);
            }
        }
    }

    #[test]
    fn a_rectifier_passes_the_gradient_of_positive_values_only() {
        let shape = shape_of(50, 3, Activation::Relu);
        let [x, weight, bias, grad_y] = inputs_of(shape).map(|values| widen(&values));
        let ([_, grad_x, grad_weight, grad_bias], _) = run(shape);
        let slow = reference::backward(shape, &x, &weight, &bias, &grad_y);
        assert_close("grad x", &grad_x, &slow[0], 1, 1e-5);
        assert_close("grad weight", &grad_weight, &slow[1], 50, 4e-6);
        assert_close("grad bias", &grad_bias, &slow[2], 50, 4e-6);
    }

    #[test]
    fn the_reference_has_the_gradients_of_its_forward() {
        for activation in ACTIVATIONS {
            let shape = shape_of(6, 3, activation);
            let [x, weight, bias, grad_y] = inputs_of(shape).map(|values| widen(&values));
            let loss = |x: &[f64], weight: &[f64], bias: &[f64]| {
                weighted_sum(&grad_y, &reference::forward(shape, x, weight, bias))
            };
            let [grad_x, grad_weight, grad_bias] =
                reference::backward(shape, &x, &weight, &bias, &grad_y);
            assert_gradient("x", &x, &grad_x, |x| loss(x, &weight, &bias));
            assert_gradient("weight", &weight, &grad_weight, |weight| loss(&x, weight, &bias));
            assert_gradient("bias", &bias, &grad_bias, |bias| loss(&x, &weight, bias));
        }
    }

    #[test]
    fn a_large_mean_does_not_spoil_the_variance() {
        let shape = shape_of(1000, 1, Activation::None);
        let x: Vec<f32> = (0..1000).map(|i| 10_000.0 + (i % 2) as f32).collect();
        let mut y = vec![0.0; 1000];
        let statistics = forward(shape, &x, &[1.0], &[0.0], &mut y);
        assert_eq!(statistics.mean, [10_000.5]);
        assert!((statistics.variance[0] - 0.25).abs() < 1e-6);
    }

    #[test]
    fn a_folded_convolution_equals_convolution_then_norm() {
        let shape = ConvShape {
            batch: 2,
            height: 5,
            width: 7,
            in_channels: 3,
            out_channels: 6,
            kernel: 3,
            stride: 1,
            padding: 1,
            dilation: 1,
        };
        let (x, weight) = (values(1, shape.input_len()), values(2, shape.weight_len()));
        let variance: Vec<f32> = values(6, 6).iter().map(|v| v.abs() + 0.1).collect();
        let (conv_bias, scale, bias, mean) =
            (values(3, 6), values(4, 6), values(5, 6), values(7, 6));
        let norm = RunningNorm {
            weight: &scale,
            bias: &bias,
            mean: &mean,
            variance: &variance,
            eps: 1e-5,
        };
        let convolve = |weight: &[f32], bias: &[f32]| {
            conv2d::reference::forward(shape, &widen(&x), &widen(weight), Some(&widen(bias)))
        };
        let (folded_weight, folded_bias) = fold_batch_norm(&weight, Some(&conv_bias), &norm);
        let folded = convolve(&folded_weight, &folded_bias);
        for (i, (value, folded)) in convolve(&weight, &conv_bias).iter().zip(folded).enumerate() {
            let c = i % 6;
            let deviation = (f64::from(variance[c]) + 1e-5).sqrt();
            let normed =
                (value - f64::from(mean[c])) / deviation * f64::from(scale[c]) + f64::from(bias[c]);
            assert!((normed - folded).abs() < 1e-5, "{normed} {folded}");
        }
    }

    #[test]
    fn scale_and_shift_are_per_channel() {
        let mut y = [0.0; 4];
        let x = [1.0, 2.0, -3.0, 4.0];
        scale_shift_activate(Activation::Relu, &x, &[2.0, 10.0], &[1.0, -1.0], &mut y);
        assert_eq!(y, [3.0, 19.0, 0.0, 39.0]);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        assert_same_bits_on_any_threads(|| run(shape_of(5001, 33, Activation::Silu)).0.concat());
    }
}
