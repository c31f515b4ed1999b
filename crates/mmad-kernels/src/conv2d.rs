//! Dense two-dimensional convolution of channels-last maps.
//!
//! No column matrix is built: a register tile of output pixels reads its input rows where they
//! lie, one kernel position after the other. Maps of few channels (the first layer of an encoder)
//! are copied once into rows with a zero border, where the kernel positions of one kernel row are
//! neighbours and count as one long input. 3x3 layers whose weight is packed once go another way,
//! with fewer than half of the multiplications (`winograd.rs`).

mod backward;
mod forward;
mod packed;
pub mod reference;
mod source_map;
mod winograd;

pub use backward::{ConvGrads, backward};
pub use forward::{ConvEpilogue, forward};
pub use packed::PackedConv;

use crate::linear::LinearShape;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Pictures.
    pub batch: usize,
    /// Rows of the input map.
    pub height: usize,
    /// Columns of the input map.
    pub width: usize,
    /// Channels of the input map.
    pub in_channels: usize,
    /// Channels of the output map.
    pub out_channels: usize,
    /// Side of the square kernel.
    pub kernel: usize,
    /// Input pixels from one output pixel to the next, both ways; at least 1.
    pub stride: usize,
    /// Zero pixels around the input map.
    pub padding: usize,
    /// Input pixels from one kernel position to the next, both ways; at least 1.
    pub dilation: usize,
}

impl ConvShape {
    /// Rows of the output map.
    ///
    /// # Panics
    ///
    /// When the kernel does not fit into the padded map, or a size that must not be zero is.
    pub fn out_height(self) -> usize {
        self.out_side(self.height)
    }

    /// Columns of the output map.
    ///
    /// # Panics
    ///
    /// When the kernel does not fit into the padded map, or a size that must not be zero is.
    pub fn out_width(self) -> usize {
        self.out_side(self.width)
    }

    fn out_side(self, side: usize) -> usize {
        assert!(
            self.kernel > 0 && self.stride > 0 && self.dilation > 0,
            "conv2d: kernel {}, stride {} and dilation {} must not be zero",
            self.kernel,
            self.stride,
            self.dilation
        );
        let padded = side + 2 * self.padding;
        let reach = self.dilation * (self.kernel - 1) + 1;
        assert!(
            reach <= padded,
            "conv2d: a kernel that spans {reach} pixels does not fit into {padded} padded pixels"
        );
        (padded - reach) / self.stride + 1
    }

    /// Values of the input map.
    pub fn input_len(self) -> usize {
        self.batch * self.height * self.width * self.in_channels
    }

    /// Values of the weight.
    pub fn weight_len(self) -> usize {
        self.out_channels * self.in_channels * self.kernel * self.kernel
    }

    /// Values of the output map.
    ///
    /// # Panics
    ///
    /// When the kernel does not fit into the padded map.
    pub fn output_len(self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.out_channels
    }

    /// The linear layer that does the same, if there is one: 1x1 kernels that visit every pixel.
    fn as_linear(self) -> Option<LinearShape> {
        (self.kernel == 1 && self.stride == 1 && self.padding == 0).then_some(LinearShape {
            rows: self.batch * self.height * self.width,
            inputs: self.in_channels,
            outputs: self.out_channels,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{
        assert_close, assert_gradient, assert_same_bits_on_any_threads, values, weighted_sum, widen,
    };

    /// Any layer, and often one that multiplies in Winograd's basis.
    pub(super) fn any_shape() -> impl Strategy<Value = ConvShape> {
        prop_oneof![2 => any_plain_shape(), 1 => super::winograd::tests::any_shape()]
    }

    fn any_plain_shape() -> impl Strategy<Value = ConvShape> {
        let map = (1_usize..4, 1_usize..20, 1_usize..20);
        let channels = prop_oneof![
            (1_usize..8, 1_usize..40),
            (16_usize..40, 1_usize..100),
            (20_usize..24, 60_usize..70)
        ];
        let kernel = (1_usize..6, 1_usize..4, 0_usize..6, 1_usize..6);
        (map, channels, kernel)
            .prop_map(|((batch, height, width), channels, (kernel, stride, padding, dilation))| {
                let (in_channels, out_channels) = channels;
                ConvShape {
                    batch,
                    height,
                    width,
                    in_channels,
                    out_channels,
                    kernel,
                    stride,
                    padding,
                    dilation,
                }
            })
            .prop_filter("the kernel must fit", |shape| {
                let reach = shape.dilation * (shape.kernel - 1);
                reach < shape.height.min(shape.width) + 2 * shape.padding
            })
    }

    fn inputs_of(shape: ConvShape) -> [Vec<f32>; 4] {
        [
            values(1, shape.input_len()),
            values(2, shape.weight_len()),
            values(3, shape.out_channels),
            values(4, shape.output_len()),
        ]
    }

    /// Forward output and the three gradients of the fast convolution.
    fn run(shape: ConvShape) -> [Vec<f32>; 4] {
        let [x, weight, bias, grad_y] = inputs_of(shape);
        let mut y = vec![f32::NAN; shape.output_len()];
        let epilogue = ConvEpilogue { bias: Some(&bias), ..ConvEpilogue::default() };
        forward(shape, &x, &weight, &epilogue, &mut y);
        let mut grad_x = vec![f32::NAN; x.len()];
        let mut grad_weight = vec![f32::NAN; weight.len()];
        let mut grad_bias = vec![f32::NAN; bias.len()];
        let grads = ConvGrads {
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
            let taps = shape.kernel * shape.kernel;
            let pixels = shape.output_len() / shape.out_channels;
            assert_close("y", &y, &slow_y, taps * shape.in_channels, 2e-6);
            assert_close("grad x", &grad_x, &slow_x, taps * shape.out_channels, 2e-6);
            assert_close("grad weight", &grad_weight, &slow_weight, pixels, 2e-6);
            assert_close("grad bias", &grad_bias, &slow_bias, pixels, 2e-6);
        }

        #[test]
        fn packed_with_residual_and_relu_equals_the_reference(shape in any_shape()) {
            let [x, weight, bias, residual] = inputs_of(shape);
            let mut y = vec![f32::NAN; shape.output_len()];
            let packed = PackedConv::new(shape, &weight, Some(&bias));
            let map = [shape.batch, shape.height, shape.width];
            packed.forward(map, &x, Some(&residual), true, &mut y);
            let [x, weight, bias, residual] = [x, weight, bias, residual].map(|v| widen(&v));
            let slow: Vec<f64> = reference::forward(shape, &x, &weight, Some(&bias))
                .iter()
                .zip(&residual)
                .map(|(y, residual)| (y + residual).max(0.0))
                .collect();
            let terms = shape.kernel * shape.kernel * shape.in_channels;
            assert_close("y", &y, &slow, terms, 2e-6);
        }
    }

    #[test]
    fn the_reference_has_the_gradients_of_its_forward() {
        let shape = ConvShape {
            batch: 2,
            height: 5,
            width: 4,
            in_channels: 2,
            out_channels: 3,
            kernel: 3,
            stride: 2,
            padding: 2,
            dilation: 2,
        };
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
        let shape = ConvShape {
            batch: 2,
            height: 31,
            width: 18,
            in_channels: 20,
            out_channels: 70,
            kernel: 3,
            stride: 2,
            padding: 1,
            dilation: 1,
        };
        assert_same_bits_on_any_threads(|| run(shape).concat());
    }

    #[test]
    #[should_panic(expected = "a kernel that spans 5 pixels does not fit into 4 padded pixels")]
    fn a_kernel_larger_than_the_map_says_both_numbers() {
        let shape = ConvShape {
            batch: 1,
            height: 4,
            width: 9,
            in_channels: 1,
            out_channels: 1,
            kernel: 3,
            stride: 1,
            padding: 0,
            dilation: 2,
        };
        shape.output_len();
    }
}
