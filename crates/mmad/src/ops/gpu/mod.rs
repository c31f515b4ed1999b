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
use burn::backend::{Backend, Dispatch, DispatchDevice, ExtensionType, backend_extension};
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
        ScanTensors {
            u: u.into_dispatch(),
            projected: projected.into_dispatch(),
            dt_weight: dt_weight.into_dispatch(),
            dt_bias: dt_bias.into_dispatch(),
            a_log: a_log.into_dispatch(),
            d_skip: d_skip.into_dispatch(),
        },
    ))
}

/// Sizes and orders of one scan.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Call {
    shape: Ss2dShape,
    table: Arc<DirectionTable>,
}

/// What a scan reads, or the gradient of each.
#[doc(hidden)]
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion)]
pub struct ScanTensors<B: Backend> {
    u: FloatTensor<B>,
    projected: FloatTensor<B>,
    dt_weight: FloatTensor<B>,
    dt_bias: FloatTensor<B>,
    a_log: FloatTensor<B>,
    d_skip: FloatTensor<B>,
}

impl<B: Backend> ScanTensors<B> {
    fn into_array(self) -> [FloatTensor<B>; 6] {
        let Self { u, projected, dt_weight, dt_bias, a_log, d_skip } = self;
        [u, projected, dt_weight, dt_bias, a_log, d_skip]
    }

    fn from_array(tensors: [FloatTensor<B>; 6]) -> Self {
        let [u, projected, dt_weight, dt_bias, a_log, d_skip] = tensors;
        Self { u, projected, dt_weight, dt_bias, a_log, d_skip }
    }
}

/// The scan as Burn's dispatch wants it.
#[backend_extension(Autodiff, Cube, Fusion)]
pub trait GpuScan: Backend {
    #[doc(hidden)]
    #[fusion(meta = |_, tensors| tensors.u.clone())]
    fn gpu_ss2d(call: Call, #[extension_type] tensors: ScanTensors<Self>) -> FloatTensor<Self>;
}

/// Back ends with a hand-written backward pass of the scan.
#[backend_extension(Cube, Fusion)]
pub trait GpuScanBackward: GpuScan {
    #[doc(hidden)]
    #[fusion(meta = |_, tensors, _| tensors.clone())]
    fn gpu_ss2d_grads(
        call: Call,
        #[extension_type] tensors: ScanTensors<Self>,
        grad: FloatTensor<Self>,
    ) -> ScanTensors<Self>;
}

impl GpuScan for CubeBackend {
    fn gpu_ss2d(call: Call, tensors: ScanTensors<Self>) -> FloatTensor<Self> {
        scan_forward::forward(&Inputs::new(call.shape, &call.table, tensors.into_array()))
    }
}

impl GpuScanBackward for CubeBackend {
    fn gpu_ss2d_grads(
        call: Call,
        tensors: ScanTensors<Self>,
        grad: FloatTensor<Self>,
    ) -> ScanTensors<Self> {
        let inputs = Inputs::new(call.shape, &call.table, tensors.into_array());
        ScanTensors::from_array(scan_backward::backward(&inputs, grad))
    }
}

#[derive(Debug)]
struct ScanStep;

impl<B: GpuScanBackward> Backward<B, 6> for ScanStep {
    type State = (Call, ScanTensors<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 6>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let (call, tensors) = ops.state;
        let found = B::gpu_ss2d_grads(call, tensors, grad).into_array();
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
    fn gpu_ss2d(call: Call, tensors: ScanTensors<Self>) -> FloatTensor<Self> {
        let tensors = tensors.into_array();
        let nodes = tensors.each_ref().map(|tensor| tensor.node());
        let tensors = ScanTensors::from_array(tensors.map(|tensor| tensor.into_primitive()));
        let y = B::gpu_ss2d(call.clone(), tensors.clone());
        match ScanStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((call, tensors), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }
}
