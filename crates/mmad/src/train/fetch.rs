//! Parameters and gradients of a step, brought from a GPU's memory in a few large pieces.
//!
//! The optimiser works on the processor. Reading hundreds of tensors one by one would make a GPU
//! wait for each of them.

use burn::tensor::{Device, Gradients, Tensor};

use crate::params::{Param, ParamSet};

/// Largest piece that is read at once, in values; the buffers of some drivers end at 128 MiB.
const PIECE: usize = 1 << 24;

/// Values and gradients of trained parameters, in their order.
#[derive(Debug)]
pub(super) struct Fetched(Vec<HostCopy>);

/// One parameter; empty where it was not wanted.
#[derive(Debug, Default)]
pub(super) struct HostCopy {
    pub(super) values: Vec<f32>,
    pub(super) grad: Option<Vec<f32>>,
}

impl Fetched {
    /// Brings the parameters that are `wanted`; `None` on the processor, where they are already.
    pub(super) fn of(
        params: &ParamSet,
        gradients: &Gradients,
        wanted: impl Fn(usize, &Param) -> bool,
    ) -> Option<Self> {
        let device = params.trained().next()?.flat_value().device().without_autodiff();
        if device == Device::flex() {
            return None;
        }
        let mut copies = Vec::new();
        let mut tensors = Vec::new();
        for (index, param) in params.trained().enumerate() {
            copies.push(HostCopy::default());
            if wanted(index, param) {
                tensors.push((index, false, param.flat_value()));
                tensors.extend(param.flat_grad(gradients).map(|grad| (index, true, grad)));
            }
        }
        let mut rest = tensors.as_slice();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(n_in_piece(rest));
            for ((index, is_grad, _), values) in piece.iter().zip(read(piece)) {
                match is_grad {
                    true => copies[*index].grad = Some(values),
                    false => copies[*index].values = values,
                }
            }
            rest = behind;
        }
        Some(Self(copies))
    }

    /// The parameter at `index` among the trained ones.
    pub(super) fn copy(&self, index: usize) -> &HostCopy {
        &self.0[index]
    }
}

/// How many of the first tensors fit a piece; at least one.
fn n_in_piece(tensors: &[(usize, bool, Tensor<1>)]) -> usize {
    let mut n_values = 0;
    let fits = tensors.iter().take_while(|(.., tensor)| {
        n_values += tensor.dims()[0];
        n_values <= PIECE
    });
    fits.count().max(1)
}

fn read(piece: &[(usize, bool, Tensor<1>)]) -> Vec<Vec<f32>> {
    let all = Tensor::cat(piece.iter().map(|(.., tensor)| tensor.clone()).collect(), 0);
    let mut all: Vec<f32> = all.into_data().try_to_vec().expect("parameters are f32");
    let mut apart: Vec<Vec<f32>> = piece
        .iter()
        .rev()
        .map(|(.., tensor)| all.split_off(all.len() - tensor.dims()[0]))
        .collect();
    apart.reverse();
    apart
}
