//! How a fused CPU kernel joins Burn: one object per call with a forward and a hand-written
//! backward over plain `f32` slices, dispatched on the Flex back end and recorded by autodiff.
//!
//! Burn's extension macro wants one method per number of inputs; everything else is shared.

// Burn's macro implements the traits for a public type, so they must be public themselves.
#![allow(unreachable_pub)]

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchTensorKind, TensorMetadata, backend_extension,
};
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor};

use super::{profile, spare};

/// One call of a fused operation. It knows the shapes of its inputs, and may keep what its
/// backward needs (batch statistics, for example) in a `OnceLock` of its own.
pub(crate) trait HostOp: Debug + Send + Sync + 'static {
    /// Name of the kind of operation, for profiles.
    fn name(&self) -> &'static str {
        let path = std::any::type_name::<Self>();
        let name = path.rsplit("::").next().unwrap_or(path);
        name.strip_suffix("Op").unwrap_or(name)
    }

    /// Shape of the result.
    fn output_shape(&self) -> Vec<usize>;

    /// The result of the operation on contiguous row-major inputs, best in memory from
    /// [`spare::take`].
    fn forward(&self, inputs: &[&[f32]]) -> Vec<f32>;

    /// Gradients of the inputs marked in `wanted`, given the gradient of the result.
    ///
    /// Operations for scoring alone have none: [`super::can_fold`] keeps recorded tensors away from
    /// them.
    fn backward(&self, _: &[&[f32]], _: &[f32], wanted: &[bool]) -> Vec<Option<Vec<f32>>> {
        vec![None; wanted.len()]
    }
}

/// Back ends that can run a [`HostOp`] directly.
pub trait HostBackend: Backend {
    #[doc(hidden)]
    fn host_forward(op: &Call, inputs: &[FloatTensor<Self>]) -> FloatTensor<Self>;
    #[doc(hidden)]
    fn host_backward(
        op: &Call,
        inputs: &[FloatTensor<Self>],
        grad: FloatTensor<Self>,
        wanted: &[bool],
    ) -> Vec<Option<FloatTensor<Self>>>;
}

/// Shared handle to one call of an operation.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Call(Arc<dyn HostOp>);

impl HostBackend for Flex {
    fn host_forward(op: &Call, inputs: &[FlexTensor]) -> FlexTensor {
        let op = &op.0;
        profile::timed(op.name(), false, || {
            let held: Vec<FlexTensor> = inputs.iter().map(FlexTensor::to_contiguous).collect();
            let output = op.forward(&held.iter().map(values).collect::<Vec<_>>());
            from_values(output, op.output_shape())
        })
    }

    fn host_backward(
        op: &Call,
        inputs: &[FlexTensor],
        grad: FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let op = &op.0;
        let grads = profile::timed(op.name(), true, || {
            let held: Vec<FlexTensor> = inputs.iter().map(FlexTensor::to_contiguous).collect();
            let grad = grad.to_contiguous();
            let slices: Vec<&[f32]> = held.iter().map(values).collect();
            op.backward(&slices, values(&grad), wanted)
        });
        assert_eq!(grads.len(), inputs.len(), "{op:?} returned the wrong number of gradients");
        grads
            .into_iter()
            .zip(inputs)
            .map(|(grad, input)| grad.map(|grad| from_values(grad, input.shape().to_vec())))
            .collect()
    }
}

fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("fused operations take contiguous f32 tensors")
}

fn from_values(values: Vec<f32>, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape)))
}

/// The operations by number of inputs, as Burn's dispatch wants them.
#[backend_extension(Autodiff, Flex)]
pub trait HostOps: Backend {
    #[doc(hidden)]
    fn host_op1(op: Call, a: FloatTensor<Self>) -> FloatTensor<Self>;
    #[doc(hidden)]
    fn host_op2(op: Call, a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    #[doc(hidden)]
    fn host_op3(
        op: Call,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    #[doc(hidden)]
    fn host_op4(
        op: Call,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    #[doc(hidden)]
    fn host_op6(
        op: Call,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    #[doc(hidden)]
    fn host_op7(
        op: Call,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        g: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

macro_rules! by_arity {
    ($run:expr; $($name:ident($($input:ident),+);)+) => {
        $(fn $name(op: Call, $($input: FloatTensor<Self>),+) -> FloatTensor<Self> {
            $run(op, [$($input),+])
        })+
    };
}

macro_rules! all_arities {
    ($run:expr) => {
        by_arity! { $run;
            host_op1(a);
            host_op2(a, b);
            host_op3(a, b, c);
            host_op4(a, b, c, d);
            host_op6(a, b, c, d, e, f);
            host_op7(a, b, c, d, e, f, g);
        }
    };
}

impl HostOps for Flex {
    all_arities!(direct);
}

impl<B: HostBackend, C: CheckpointStrategy> HostOps for Autodiff<B, C> {
    all_arities!(recorded::<B, C, _>);
}

fn direct<const N: usize>(op: Call, inputs: [FlexTensor; N]) -> FlexTensor {
    let output = Flex::host_forward(&op, &inputs);
    inputs.into_iter().for_each(spare::keep);
    output
}

#[derive(Debug)]
struct HostStep;

impl<B: HostBackend, const N: usize> Backward<B, N> for HostStep {
    type State = (Call, Vec<FloatTensor<B>>);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let (op, inputs) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = B::host_backward(&op, &inputs, grad, &wanted);
        for (parent, grad) in ops.parents.iter().zip(found) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

// The type that has these methods is private, so they have no path.
#[allow(clippy::redundant_closure_for_method_calls)]
fn recorded<B: HostBackend, C: CheckpointStrategy, const N: usize>(
    op: Call,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs: Vec<FloatTensor<B>> =
        inputs.into_iter().map(|input| input.into_primitive()).collect();
    let output = B::host_forward(&op, &inputs);
    match HostStep.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish((op, inputs), output),
        OpsKind::UnTracked(step) => step.finish(output),
    }
}

/// True where fused operations can run: on the CPU, in `f32`.
pub(crate) fn runs_here<const D: usize>(x: &Tensor<D>) -> bool {
    x.device().without_autodiff() == Device::flex() && x.dtype() == DType::F32
}

/// Shows the values of a tensor that records no gradients, row-major; not copied on the CPU.
pub(crate) fn with_values<const D: usize, R>(
    tensor: Tensor<D>,
    see: impl FnOnce(&[f32]) -> R,
) -> R {
    match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => {
            see(values(&tensor.to_contiguous()))
        }
        _ => see(&tensor.into_data().try_to_vec::<f32>().expect("the tensor is f32")),
    }
}

/// A buffer for a gradient that is wanted, nothing otherwise.
pub(crate) fn room(wanted: bool, n_values: usize) -> Option<Vec<f32>> {
    wanted.then(|| vec![0.0; n_values])
}

/// A tensor of any rank on its way into [`call`].
pub(crate) struct Input(burn::backend::DispatchTensor);

impl<const D: usize> From<Tensor<D>> for Input {
    fn from(tensor: Tensor<D>) -> Self {
        Self(tensor.into_dispatch())
    }
}

/// Runs `op` on `inputs`, recording it where autodiff is on.
///
/// # Panics
///
/// When the number of inputs is not one of those that [`HostOps`] knows.
pub(crate) fn call<const D: usize, const N: usize>(
    op: impl HostOp,
    inputs: [Input; N],
) -> Tensor<D> {
    let op = Call(Arc::new(op));
    let mut inputs = inputs.into_iter().map(|Input(tensor)| tensor);
    let mut next = || inputs.next().expect("the arity was matched");
    let output = match N {
        1 => Dispatch::host_op1(op, next()),
        2 => Dispatch::host_op2(op, next(), next()),
        3 => Dispatch::host_op3(op, next(), next(), next()),
        4 => Dispatch::host_op4(op, next(), next(), next(), next()),
        6 => Dispatch::host_op6(op, next(), next(), next(), next(), next(), next()),
        7 => Dispatch::host_op7(op, next(), next(), next(), next(), next(), next(), next()),
        n => panic!("{op:?}: no fused operation takes {n} inputs"),
    };
    Tensor::from_dispatch(output)
}
