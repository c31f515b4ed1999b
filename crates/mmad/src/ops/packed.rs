//! A linear layer with packed weights, for scoring on the CPU.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::host_op::{HostOp, Input, call};
use super::spare;

/// A linear layer whose weight was brought into the kernel's order once; see [`super::can_fold`].
#[derive(Debug, Clone)]
pub struct PackedLinear {
    kernel: Arc<mmad_kernels::linear::PackedLinear>,
}

impl PackedLinear {
    /// Packs a layer.
    ///
    /// # Shapes
    ///
    /// - `weight`: `[n_out, n_in]`; `bias`: `[n_out]`
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        let [n_out, n_in] = weight.dims();
        let bias = bias.map(|bias| super::with_values(bias, <[f32]>::to_vec));
        let kernel = super::with_values(weight, |weight| {
            mmad_kernels::linear::PackedLinear::new(n_in, n_out, weight, bias.as_deref())
        });
        Self { kernel: Arc::new(kernel) }
    }

    /// `x Wᵀ + b`, plus `residual` where given.
    ///
    /// # Shapes
    ///
    /// - `x`: `[…, n_in]`; `residual` and output: `[…, n_out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>, residual: Option<Tensor<D>>) -> Tensor<D> {
        super::macs::add(x.dims().iter().product::<usize>() * self.kernel.outputs());
        let mut output = x.dims().to_vec();
        output[D - 1] = self.kernel.outputs();
        let op = PackedLinearOp { kernel: Arc::clone(&self.kernel), output };
        let x: Input = x.into();
        match residual {
            Some(residual) => call(op, [x, residual.into()]),
            None => call(op, [x]),
        }
    }
}

#[derive(Debug)]
struct PackedLinearOp {
    kernel: Arc<mmad_kernels::linear::PackedLinear>,
    output: Vec<usize>,
}

impl HostOp for PackedLinearOp {
    fn output_shape(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(self.output.iter().product());
        let rows = y.len() / self.kernel.outputs().max(1);
        self.kernel.forward(rows, inputs[0], inputs.get(1).copied(), &mut y);
        y
    }

    fn backward(&self, _: &[&[f32]], _: &[f32], wanted: &[bool]) -> Vec<Option<Vec<f32>>> {
        // `can_fold` keeps recorded tensors away from here.
        wanted.iter().map(|_| None).collect()
    }
}
