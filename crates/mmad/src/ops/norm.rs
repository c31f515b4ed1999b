//! Norms and activations on the CPU.

use std::sync::OnceLock;

use mmad_kernels::activation::{self, Pointwise};
use mmad_kernels::batch_norm::{self, BatchNormGrads, BatchNormShape, BatchStatistics};
use mmad_kernels::instance_norm::{self, InstanceNormShape};
use mmad_kernels::layer_norm::{
    self, GateShape, LayerNormGrads, LayerNormShape, NormGateGrads, norm_gate, norm_gate_backward,
};

use super::host_op::HostOp;
use super::spare;

#[derive(Debug)]
pub(super) struct LayerNormOp {
    pub(super) shape: LayerNormShape,
    pub(super) output: Vec<usize>,
}

impl HostOp for LayerNormOp {
    fn output_shape(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(inputs[0].len());
        layer_norm::forward(self.shape, inputs[0], inputs[1], inputs[2], &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let [mut x, mut weight, mut bias] = [0, 1, 2].map(|i: usize| vec![0.0; inputs[i].len()]);
        let grads = LayerNormGrads { x: &mut x, weight: &mut weight, bias: &mut bias };
        layer_norm::backward(self.shape, inputs[0], inputs[1], grad, grads);
        vec![Some(x), Some(weight), Some(bias)]
    }
}

/// Inputs: `y`, the rows with the gate in them, weight, bias.
#[derive(Debug)]
pub(super) struct NormGateOp {
    pub(super) shape: LayerNormShape,
    pub(super) gate: GateShape,
    pub(super) output: Vec<usize>,
}

impl HostOp for NormGateOp {
    fn output_shape(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(inputs[0].len());
        let [x, gate, weight, bias] = [0, 1, 2, 3].map(|i: usize| inputs[i]);
        norm_gate(self.shape, self.gate, x, gate, weight, bias, &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let mut grads = [0, 1, 2, 3].map(|i: usize| vec![0.0; inputs[i].len()]);
        let [x, gate, weight, bias] = &mut grads;
        let to = NormGateGrads { x, gate, weight, bias };
        let [x, gate, weight, bias] = [0, 1, 2, 3].map(|i: usize| inputs[i]);
        norm_gate_backward(self.shape, self.gate, x, gate, weight, bias, grad, to);
        grads.map(Some).into()
    }
}

#[derive(Debug)]
pub(super) struct InstanceNormSiluOp {
    pub(super) shape: InstanceNormShape,
    pub(super) output: Vec<usize>,
}

impl HostOp for InstanceNormSiluOp {
    fn output_shape(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(inputs[0].len());
        instance_norm::forward(self.shape, inputs[0], &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let mut x = vec![0.0; inputs[0].len()];
        instance_norm::backward(self.shape, inputs[0], grad, &mut x);
        vec![Some(x)]
    }
}

/// Batch norm with the statistics of the batch, which it keeps for its backward.
#[derive(Debug)]
pub(super) struct BatchNormOp {
    pub(super) shape: BatchNormShape,
    pub(super) output: Vec<usize>,
    pub(super) statistics: std::sync::Arc<OnceLock<BatchStatistics>>,
}

impl HostOp for BatchNormOp {
    fn output_shape(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(inputs[0].len());
        let found = batch_norm::forward(self.shape, inputs[0], inputs[1], inputs[2], &mut y);
        self.statistics.get_or_init(|| found);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let mut grads = [0, 1, 2].map(|i: usize| vec![0.0; inputs[i].len()]);
        let [x, weight, bias] = &mut grads;
        let to = BatchNormGrads { x, weight, bias };
        let statistics = self.statistics.get().expect("forward ran before backward");
        batch_norm::backward(self.shape, statistics, inputs[0], inputs[1], inputs[2], grad, to);
        grads.map(Some).into()
    }
}

#[derive(Debug)]
pub(super) struct PointwiseOp {
    pub(super) activation: Pointwise,
    pub(super) output: Vec<usize>,
}

impl HostOp for PointwiseOp {
    fn output_shape(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(inputs[0].len());
        activation::forward(self.activation, inputs[0], &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let mut x = vec![0.0; inputs[0].len()];
        activation::backward(self.activation, inputs[0], grad, &mut x);
        vec![Some(x)]
    }
}

#[derive(Debug)]
pub(super) struct GeluGateOp {
    pub(super) output: Vec<usize>,
}

impl GeluGateOp {
    fn channels(&self) -> usize {
        self.output.last().copied().unwrap_or(0)
    }
}

impl HostOp for GeluGateOp {
    fn output_shape(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(inputs[0].len() / 2);
        activation::gelu_gate(self.channels(), inputs[0], &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let mut x = vec![0.0; inputs[0].len()];
        activation::gelu_gate_backward(self.channels(), inputs[0], grad, &mut x);
        vec![Some(x)]
    }
}
