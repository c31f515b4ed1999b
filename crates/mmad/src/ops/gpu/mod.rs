//! The two-dimensional selective scan on GPUs: kernels in `CubeCL`, which Vulkan and CUDA run.
//!
//! One unit scans one channel of one chunk of one direction, with its states in registers. The
//! pixels are read through the table of orders, so no permuted copy of a map is ever written.
//! The CPU kernels of `mmad-kernels` are the twins that these are tested against.

// Burn's macro implements the traits for a public type, so they must be public themselves.
#![allow(unreachable_pub)]
// Kernels take arrays by reference, as the macro of the kernels wants them.
#![allow(clippy::trivially_copy_pass_by_ref)]
// The macro of the kernels makes a module and functions of its own for each of them.
#![allow(missing_docs)]

mod buffers;
mod carry;
mod lane;
mod math;
mod scan_backward;
mod scan_forward;

use std::sync::Arc;

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeBackend;
use mmad_kernels::orders::DirectionTable;
use mmad_kernels::scan::Ss2dShape;

use self::buffers::Inputs;
use super::ScanWeights;

/// True where the kernels of this module can run: on a GPU, in `f32`.
pub(super) fn runs_here<const D: usize>(x: &Tensor<D>) -> bool {
    let device = x.device().without_autodiff();
    matches!(device.as_dispatch(), DispatchDevice::Cube(_)) && x.dtype() == DType::F32
}

/// See [`super::ss2d`].
pub(super) fn ss2d(
    shape: Ss2dShape,
    u: Tensor<3>,
    projected: Tensor<3>,
    weights: ScanWeights,
    table: &Arc<DirectionTable>,
) -> Tensor<3> {
    let ScanWeights { dt_weight, dt_bias, a_log, d_skip } = weights;
    Tensor::from_dispatch(Dispatch::gpu_ss2d(
        Call { shape, table: Arc::clone(table) },
        u.into_dispatch(),
        projected.into_dispatch(),
        dt_weight.into_dispatch(),
        dt_bias.into_dispatch(),
        a_log.into_dispatch(),
        d_skip.into_dispatch(),
    ))
}

/// Sizes and orders of one scan.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Call {
    shape: Ss2dShape,
    table: Arc<DirectionTable>,
}

/// The scan as Burn's dispatch wants it.
#[backend_extension(Autodiff, Cube)]
pub trait GpuScan: Backend {
    #[doc(hidden)]
    fn gpu_ss2d(
        call: Call,
        u: FloatTensor<Self>,
        projected: FloatTensor<Self>,
        dt_weight: FloatTensor<Self>,
        dt_bias: FloatTensor<Self>,
        a_log: FloatTensor<Self>,
        d_skip: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Back ends with a hand-written backward pass of the scan.
pub trait GpuScanBackward: GpuScan {
    #[doc(hidden)]
    fn gpu_ss2d_grads(
        call: &Call,
        inputs: &[FloatTensor<Self>; 6],
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 6];
}

impl GpuScan for CubeBackend {
    fn gpu_ss2d(
        call: Call,
        u: FloatTensor<Self>,
        projected: FloatTensor<Self>,
        dt_weight: FloatTensor<Self>,
        dt_bias: FloatTensor<Self>,
        a_log: FloatTensor<Self>,
        d_skip: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let inputs = [u, projected, dt_weight, dt_bias, a_log, d_skip];
        scan_forward::forward(&Inputs::new(call.shape, &call.table, &inputs))
    }
}

impl GpuScanBackward for CubeBackend {
    fn gpu_ss2d_grads(
        call: &Call,
        inputs: &[FloatTensor<Self>; 6],
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 6] {
        scan_backward::backward(&Inputs::new(call.shape, &call.table, inputs), grad)
    }
}

#[derive(Debug)]
struct ScanStep;

impl<B: GpuScanBackward> Backward<B, 6> for ScanStep {
    type State = (Call, [FloatTensor<B>; 6]);

    fn backward(
        self,
        ops: Ops<Self::State, 6>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let (call, inputs) = ops.state;
        let found = B::gpu_ss2d_grads(&call, &inputs, grad);
        for (parent, grad) in ops.parents.iter().zip(found) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

impl<B: GpuScanBackward, C: CheckpointStrategy> GpuScan for Autodiff<B, C> {
    // The type that has these methods is private, so they have no path.
    #[allow(clippy::redundant_closure_for_method_calls)]
    fn gpu_ss2d(
        call: Call,
        u: FloatTensor<Self>,
        projected: FloatTensor<Self>,
        dt_weight: FloatTensor<Self>,
        dt_bias: FloatTensor<Self>,
        a_log: FloatTensor<Self>,
        d_skip: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let inputs = [u, projected, dt_weight, dt_bias, a_log, d_skip];
        let nodes = inputs.each_ref().map(|input| input.node());
        let inputs = inputs.map(|input| input.into_primitive());
        let [u, projected, dt_weight, dt_bias, a_log, d_skip] = inputs.clone();
        let y = B::gpu_ss2d(call.clone(), u, projected, dt_weight, dt_bias, a_log, d_skip);
        match ScanStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((call, inputs), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }
}
