//! Selective scans on the CPU.

use std::sync::{Arc, OnceLock};

use mmad_kernels::orders::DirectionTable;
use mmad_kernels::scan::{
    Isa, NotedStates, SelectiveScanInputs, SelectiveScanShape, Ss2dParams, Ss2dShape,
    selective_scan_backward, selective_scan_forward, ss2d_backward, ss2d_features_backward,
    ss2d_features_forward, ss2d_features_forward_noting_with, ss2d_forward,
};

use super::host_op::HostOp;
use super::spare;

/// Inputs: `u`, `projected`, `dt_weight`, `dt_bias`, `a_log`, `d_skip`.
#[derive(Debug)]
pub(super) struct Ss2dOp {
    pub(super) shape: Ss2dShape,
    pub(super) table: Arc<DirectionTable>,
}

impl Ss2dOp {
    fn params<'a>(&'a self, inputs: &[&'a [f32]]) -> Ss2dParams<'a> {
        Ss2dParams {
            orders: self.table.orders(),
            dt_weight: inputs[2],
            dt_bias: inputs[3],
            a_log: inputs[4],
            d_skip: inputs[5],
        }
    }
}

impl HostOp for Ss2dOp {
    fn output_shape(&self) -> Vec<usize> {
        vec![self.shape.batch, self.shape.pixels, self.shape.channels]
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(inputs[0].len());
        ss2d_forward(self.shape, inputs[0], inputs[1], &self.params(inputs), &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let found = ss2d_backward(self.shape, inputs[0], inputs[1], &self.params(inputs), grad);
        [found.u, found.projected, found.dt_weight, found.dt_bias, found.a_log, found.d_skip]
            .map(Some)
            .into()
    }
}

/// Inputs: `u`, `projection`, `dt_weight`, `dt_bias`, `a_log`, `d_skip`.
#[derive(Debug)]
pub(super) struct Ss2dFeaturesOp {
    pub(super) scan: Ss2dOp,
    /// Where gradients are recorded, what the backward pass starts from.
    pub(super) noted: Option<OnceLock<NotedStates>>,
}

impl HostOp for Ss2dFeaturesOp {
    fn output_shape(&self) -> Vec<usize> {
        self.scan.output_shape()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(inputs[0].len());
        let (shape, params) = (self.scan.shape, self.scan.params(inputs));
        let (u, projection) = (inputs[0], inputs[1]);
        match &self.noted {
            Some(noted) => {
                let isa = Isa::best();
                let found =
                    ss2d_features_forward_noting_with(isa, shape, u, projection, &params, &mut y);
                // A pass that is repeated finds the same.
                let _ = noted.set(found);
            }
            None => ss2d_features_forward(shape, u, projection, &params, &mut y),
        }
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let (shape, params) = (self.scan.shape, self.scan.params(inputs));
        let noted = self.noted.as_ref().and_then(OnceLock::get);
        let found = ss2d_features_backward(shape, inputs[0], inputs[1], &params, noted, grad);
        [found.u, found.projection, found.dt_weight, found.dt_bias, found.a_log, found.d_skip]
            .map(Some)
            .into()
    }
}

/// Inputs: `u`, `delta`, `a`, `b`, `c`, `d`, `delta_bias`.
#[derive(Debug)]
pub(super) struct SelectiveScanOp {
    pub(super) shape: SelectiveScanShape,
}

fn scan_inputs<'a>(inputs: &[&'a [f32]]) -> SelectiveScanInputs<'a> {
    SelectiveScanInputs {
        u: inputs[0],
        delta: inputs[1],
        a: inputs[2],
        b: inputs[3],
        c: inputs[4],
        d: inputs[5],
        delta_bias: inputs[6],
        delta_softplus: true,
    }
}

impl HostOp for SelectiveScanOp {
    fn output_shape(&self) -> Vec<usize> {
        vec![self.shape.batch, self.shape.channels, self.shape.length]
    }

    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut y = spare::take(inputs[0].len());
        selective_scan_forward(self.shape, &scan_inputs(inputs), &mut y);
        y
    }

    fn backward(&self, inputs: &[&[f32]], grad: &[f32], _: &[bool]) -> Vec<Option<Vec<f32>>> {
        let found = selective_scan_backward(self.shape, &scan_inputs(inputs), grad);
        [found.u, found.delta, found.a, found.b, found.c, found.d, found.delta_bias]
            .map(Some)
            .into()
    }
}
