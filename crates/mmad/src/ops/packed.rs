//! Layers with packed weights, for scoring on the CPU.

use std::sync::Arc;

use burn::tensor::Tensor;
use mmad_kernels::orders::DirectionTable;
use mmad_kernels::scan::{PackedSs2d, Ss2dParams, Ss2dShape};

use super::host_op::{HostOp, Input, call};
use super::{ScanWeights, spare, with_values};

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
        let bias = bias.map(|bias| with_values(bias, <[f32]>::to_vec));
        let kernel = with_values(weight, |weight| {
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
}

/// A two-dimensional scan whose weights were brought into the kernel's order once; see
/// [`super::can_fold`].
#[derive(Debug, Clone)]
pub struct PackedScan(Arc<PackedSs2d>);

impl PackedScan {
    /// Packs a scan.
    ///
    /// # Shapes
    ///
    /// - `projection`: `[directions, rank + 2 · states, channels]`
    pub fn new(projection: Tensor<3>, weights: ScanWeights) -> Self {
        let [directions, channels, rank] = weights.dt_weight.dims();
        let [_, _, states] = weights.a_log.dims();
        let shape = Ss2dShape { batch: 0, pixels: 0, channels, directions, rank, states };
        let values = |tensor: Tensor<1>| with_values(tensor, <[f32]>::to_vec);
        let projection = values(projection.flatten(0, 2));
        let params = Ss2dParams {
            orders: &[],
            dt_weight: &values(weights.dt_weight.flatten(0, 2)),
            dt_bias: &values(weights.dt_bias.flatten(0, 1)),
            a_log: &values(weights.a_log.flatten(0, 2)),
            d_skip: &values(weights.d_skip.flatten(0, 1)),
        };
        Self(Arc::new(PackedSs2d::new(shape, &projection, &params)))
    }

    /// As [`super::ss2d_features`].
    ///
    /// # Shapes
    ///
    /// - `u` and output: `[b, pixels, channels]`
    pub fn forward(&self, u: Tensor<3>, table: &Arc<DirectionTable>) -> Tensor<3> {
        let [batch, pixels, _] = u.dims();
        let shape = self.0.shape(batch, pixels);
        super::macs::add(super::scan_features_macs(shape));
        let op = PackedScanOp { kernel: Arc::clone(&self.0), table: Arc::clone(table), shape };
        call(op, [u.into()])
    }
}

#[derive(Debug)]
struct PackedScanOp {
    kernel: Arc<PackedSs2d>,
    table: Arc<DirectionTable>,
    shape: Ss2dShape,
}

impl HostOp for PackedScanOp {
    fn output_shape(&self) -> Vec<usize> {
        vec![self.shape.batch, self.shape.pixels, self.shape.channels]
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let Ss2dShape { batch, pixels, .. } = self.shape;
        let mut y = spare::take(inputs[0].len());
        self.kernel.forward([batch, pixels], inputs[0], self.table.orders(), &mut y);
        y
    }
}
