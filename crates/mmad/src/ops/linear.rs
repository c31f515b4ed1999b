//! Linear layers and convolutions on the CPU.

use mmad_kernels::conv2d::{self, ConvEpilogue, ConvGrads, ConvShape};
use mmad_kernels::depthwise::{self, DepthwiseGrads, DepthwiseShape};
use mmad_kernels::linear::{self, LinearGrads, LinearShape};

use super::host_op::{HostOp, room};
use super::spare;

#[derive(Debug)]
pub(super) struct LinearOp {
    pub(super) shape: LinearShape,
    pub(super) output: Vec<usize>,
}

impl HostOp for LinearOp {
    fn output_shape(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(self.shape.rows * self.shape.outputs);
        linear::forward(self.shape, inputs[0], inputs[1], inputs.get(2).copied(), &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], wanted: &[bool]) -> Vec<Option<Vec<f32>>> {
        let mut grads = rooms(inputs, wanted);
        let [x, weight, bias] = three(&mut grads);
        linear::backward(self.shape, inputs[0], inputs[1], grad, LinearGrads { x, weight, bias });
        grads
    }
}

#[derive(Debug)]
pub(super) struct ConvOp {
    pub(super) shape: ConvShape,
}

impl HostOp for ConvOp {
    fn output_shape(&self) -> Vec<usize> {
        let shape = self.shape;
        vec![shape.batch, shape.out_height(), shape.out_width(), shape.out_channels]
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(self.shape.output_len());
        let epilogue = ConvEpilogue { bias: inputs.get(2).copied(), residual: None, relu: false };
        conv2d::forward(self.shape, inputs[0], inputs[1], &epilogue, &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], wanted: &[bool]) -> Vec<Option<Vec<f32>>> {
        let mut grads = rooms(inputs, wanted);
        let [x, weight, bias] = three(&mut grads);
        conv2d::backward(self.shape, inputs[0], inputs[1], grad, ConvGrads { x, weight, bias });
        grads
    }
}

#[derive(Debug)]
pub(super) struct DepthwiseOp {
    pub(super) shape: DepthwiseShape,
}

/// With SiLU behind it, of the first channels of an input; for scoring.
#[derive(Debug)]
pub(super) struct DepthwiseSiluOp(pub(super) DepthwiseShape);

impl HostOp for DepthwiseSiluOp {
    fn output_shape(&self) -> Vec<usize> {
        DepthwiseOp { shape: self.0 }.output_shape()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let DepthwiseShape { batch, height, width, .. } = self.0;
        let x_channels = inputs[0].len() / (batch * height * width).max(1);
        let mut y = spare::take(self.0.map_len());
        let bias = inputs.get(2).copied();
        depthwise::forward(self.0, (inputs[0], x_channels), inputs[1], bias, true, &mut y);
        y
    }
}

impl HostOp for DepthwiseOp {
    fn output_shape(&self) -> Vec<usize> {
        let DepthwiseShape { batch, height, width, channels, .. } = self.shape;
        vec![batch, height, width, channels]
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(self.shape.map_len());
        let bias = inputs.get(2).copied();
        let x = (inputs[0], self.shape.channels);
        depthwise::forward(self.shape, x, inputs[1], bias, false, &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], wanted: &[bool]) -> Vec<Option<Vec<f32>>> {
        let mut grads = rooms(inputs, wanted);
        let [x, weight, bias] = three(&mut grads);
        let grads_to = DepthwiseGrads { x, weight, bias };
        depthwise::backward(self.shape, inputs[0], inputs[1], grad, grads_to);
        grads
    }
}

fn rooms(inputs: &[&[f32]], wanted: &[bool]) -> Vec<Option<Vec<f32>>> {
    inputs.iter().zip(wanted).map(|(input, &wanted)| room(wanted, input.len())).collect()
}

/// The first three buffers, where they exist.
fn three(grads: &mut [Option<Vec<f32>>]) -> [Option<&mut [f32]>; 3] {
    let mut grads = grads.iter_mut().map(Option::as_deref_mut);
    [0, 1, 2].map(|_| grads.next().flatten())
}
