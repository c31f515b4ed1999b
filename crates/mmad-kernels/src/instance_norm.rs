//! Instance norm followed by SiLU: every channel of every picture is brought to mean 0 and
//! variance 1 over its pixels. No scale and shift are learnt.

use crate::activation::Activation;
use crate::column_norm::{self, Affine, GroupedRows, Saved, apply, inverse_deviations, moments};
use crate::partition::expect_len;

/// Sizes of an instance norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceNormShape {
    /// Pictures.
    pub batch: usize,
    /// Pixels per picture, at least 1.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
}

impl InstanceNormShape {
    fn groups(self) -> GroupedRows {
        GroupedRows { groups: self.batch, rows: self.pixels, channels: self.channels }
    }
}

/// `y = silu((x - mean) / sqrt(variance + eps))` with biased variance.
///
/// # Shapes
///
/// - `x`, `y`: `[batch, pixels, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or pictures have no pixels.
pub fn forward(shape: InstanceNormShape, x: &[f32], y: &mut [f32]) {
    let groups = shape.groups();
    assert!(shape.pixels > 0, "instance norm: the statistics of 0 pixels are undefined");
    expect_len("instance norm", "x", x.len(), groups.len());
    expect_len("instance norm", "y", y.len(), groups.len());
    let moments = moments(groups, x);
    let affine = Affine {
        centre: &moments.mean,
        scale: &inverse_deviations(&moments.variance, shape.eps),
        shift: &vec![0.0; shape.channels],
    };
    apply(groups, Activation::Silu, x, affine, y);
}

/// The gradient of [`forward`]. The statistics are computed again from `x`.
///
/// # Shapes
///
/// - `x`, `grad_y`, `grad_x`: `[batch, pixels, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or pictures have no pixels.
pub fn backward(shape: InstanceNormShape, x: &[f32], grad_y: &[f32], grad_x: &mut [f32]) {
    let op = "instance norm backward";
    let groups = shape.groups();
    assert!(shape.pixels > 0, "{op}: the statistics of 0 pixels are undefined");
    expect_len(op, "x", x.len(), groups.len());
    expect_len(op, "grad_y", grad_y.len(), groups.len());
    expect_len(op, "grad_x", grad_x.len(), groups.len());
    let moments = moments(groups, x);
    let saved = Saved {
        x,
        mean: &moments.mean,
        inverse_deviation: &inverse_deviations(&moments.variance, shape.eps),
        weight: &vec![1.0; shape.channels],
        bias: &vec![0.0; shape.channels],
    };
    column_norm::backward(groups, Activation::Silu, saved, grad_y, grad_x);
}

/// The definition in plain loops and `f64`. Kept simple: it is what the fast norm is tested against.
pub mod reference {
    use super::InstanceNormShape;
    use crate::activation::Activation;
    use crate::column_norm::reference;

    /// `y = silu((x - mean) / sqrt(variance + eps))`.
    pub fn forward(shape: InstanceNormShape, x: &[f64]) -> Vec<f64> {
        let (ones, zeros) = (vec![1.0; shape.channels], vec![0.0; shape.channels]);
        reference::forward(shape.groups(), shape.eps, Activation::Silu, x, &ones, &zeros)
    }

    /// The gradient of `x`.
    pub fn backward(shape: InstanceNormShape, x: &[f64], grad_y: &[f64]) -> Vec<f64> {
        let (ones, zeros) = (vec![1.0; shape.channels], vec![0.0; shape.channels]);
        let [grad_x, _, _] = reference::backward(
            shape.groups(),
            shape.eps,
            Activation::Silu,
            x,
            &ones,
            &zeros,
            grad_y,
        );
        grad_x
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{
        assert_close, assert_gradient, assert_same_bits_on_any_threads, values, weighted_sum, widen,
    };

    /// Forward output and gradient of the fast norm.
    fn run(shape: InstanceNormShape) -> [Vec<f32>; 2] {
        let (x, grad_y) = (values(1, shape.groups().len()), values(2, shape.groups().len()));
        let (mut y, mut grad_x) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        forward(shape, &x, &mut y);
        backward(shape, &x, &grad_y, &mut grad_x);
        [y, grad_x]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn equals_the_reference(batch in 2_usize..4, pixels in 8_usize..500, channels in 1_usize..50) {
            let shape = InstanceNormShape { batch, pixels, channels, eps: 1e-5 };
            let len = shape.groups().len();
            let (x, grad_y) = (widen(&values(1, len)), widen(&values(2, len)));
            let [y, grad_x] = run(shape);
            assert_close("y", &y, &reference::forward(shape, &x), 1, 4e-6);
            assert_close("grad x", &grad_x, &reference::backward(shape, &x, &grad_y), 1, 1e-5);
        }
    }

    #[test]
    fn the_reference_has_the_gradient_of_its_forward() {
        let shape = InstanceNormShape { batch: 2, pixels: 5, channels: 2, eps: 1e-5 };
        let (x, grad_y) = (widen(&values(1, 20)), widen(&values(2, 20)));
        let grad_x = reference::backward(shape, &x, &grad_y);
        assert_gradient("x", &x, &grad_x, |x| weighted_sum(&grad_y, &reference::forward(shape, x)));
    }

    #[test]
    fn a_constant_channel_becomes_zero() {
        let shape = InstanceNormShape { batch: 1, pixels: 4, channels: 2, eps: 1e-5 };
        let x = [3.0, 0.0, 3.0, 1.0, 3.0, 0.0, 3.0, 1.0];
        let mut y = [f32::NAN; 8];
        forward(shape, &x, &mut y);
        assert!(y.iter().step_by(2).all(|&y| y == 0.0));
        assert!(y[3] > 0.7);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let shape = InstanceNormShape { batch: 3, pixels: 2001, channels: 19, eps: 1e-5 };
        assert_same_bits_on_any_threads(|| run(shape).concat());
    }
}
