//! A convolution with packed weights, perhaps with the norm behind it folded in, for scoring on the CPU.

use std::sync::Arc;

use burn::tensor::Tensor;
use mmad_kernels::conv2d::{ConvShape, PackedConv};
use mmad_kernels::precision::Precision;

use super::ConvOptions2d;
use super::host_op::{HostOp, Input, call, runs_here};
use super::spare;

/// A convolution with packed weights.
#[derive(Debug, Clone)]
pub struct FoldedConv {
    packed: Arc<PackedConv>,
}

/// True where a [`FoldedConv`] can take `x`: on the CPU, with no gradients to record.
///
/// # Shapes
///
/// - `x`: any
pub fn can_fold<const D: usize>(x: &Tensor<D>) -> bool {
    runs_here(x) && !x.device().is_autodiff()
}

/// Folds `y · scale + shift` into a convolution: its weight and its bias.
///
/// # Shapes
///
/// - `weight` and the first output: `[n_out, n_in, k, k]`
/// - `bias`, `scale`, `shift` and the second output: `[n_out]`
pub fn fold(
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    scale: Tensor<1>,
    shift: Tensor<1>,
) -> (Tensor<4>, Tensor<1>) {
    let bias = match bias {
        Some(bias) => bias * scale.clone() + shift,
        None => shift,
    };
    let [n_out, ..] = weight.dims();
    (weight * scale.reshape([n_out, 1, 1, 1]), bias)
}

impl FoldedConv {
    /// Packs a convolution, such as [`fold`] makes, and rounds its weight.
    ///
    /// # Shapes
    ///
    /// - `weight`: `[n_out, n_in, k, k]`; `bias`: `[n_out]`
    pub fn new(
        (weight, bias): (Tensor<4>, Tensor<1>),
        options: ConvOptions2d,
        precision: Precision,
    ) -> Self {
        let [out_channels, in_channels, kernel, _] = weight.dims();
        let values = |tensor: Tensor<1>| -> Vec<f32> {
            tensor.into_data().try_to_vec().expect("weights are f32")
        };
        let n_values = out_channels * in_channels * kernel * kernel;
        let weight = values(weight.reshape([n_values]));
        let ConvOptions2d { stride, padding, dilation } = options;
        let shape = ConvShape {
            batch: 1,
            height: kernel * dilation,
            width: kernel * dilation,
            in_channels,
            out_channels,
            kernel,
            stride,
            padding,
            dilation,
        };
        let packed = PackedConv::rounded(shape, &weight, Some(&values(bias)), precision);
        Self { packed: Arc::new(packed) }
    }

    /// The convolution, its input rounded like its weight, plus `residual` where given, then perhaps ReLU.
    ///
    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; `residual` and output: `[b, h', w', n_out]`
    pub fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>, relu: bool) -> Tensor<4> {
        let [batch, height, width, _] = x.dims();
        let shape = self.packed.shape(batch, height, width);
        super::macs::add(shape.output_len() * shape.in_channels * shape.kernel * shape.kernel);
        let op = FoldedOp { packed: Arc::clone(&self.packed), shape, relu };
        let x: Input = x.into();
        match residual {
            Some(residual) => call(op, [x, residual.into()]),
            None => call(op, [x]),
        }
    }
}

#[derive(Debug)]
struct FoldedOp {
    packed: Arc<PackedConv>,
    shape: ConvShape,
    relu: bool,
}

impl HostOp for FoldedOp {
    fn output_shape(&self) -> Vec<usize> {
        let shape = self.shape;
        vec![shape.batch, shape.out_height(), shape.out_width(), shape.out_channels]
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(self.shape.output_len());
        let residual = inputs.get(1).copied();
        let ConvShape { batch, height, width, .. } = self.shape;
        let size = [batch, height, width];
        self.packed.forward(size, inputs[0], residual, self.relu, &mut y);
        y
    }
}
