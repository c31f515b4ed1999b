//! Pooling on the CPU.

use mmad_kernels::pool::{self, MaxPoolShape};

use super::host_op::HostOp;
use super::spare;

#[derive(Debug)]
pub(super) struct MaxPoolOp {
    pub(super) shape: MaxPoolShape,
}

impl HostOp for MaxPoolOp {
    fn output_shape(&self) -> Vec<usize> {
        let shape = self.shape;
        vec![shape.batch, shape.out_height(), shape.out_width(), shape.channels]
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(self.shape.output_len());
        pool::max_pool(self.shape, inputs[0], &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let mut x = vec![0.0; inputs[0].len()];
        pool::max_pool_backward(self.shape, inputs[0], grad, &mut x);
        vec![Some(x)]
    }
}
