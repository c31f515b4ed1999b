//! Named parameters of a model: where they are made, their names, and how all of them are reached.
//!
//! A layer asks a [`Scope`] for its weights while it is being built, under the name that the
//! published checkpoints use, so no table of names stands between a model and its file. The layer
//! keeps a [`Weight`], a shared handle; the [`ParamSet`] keeps the same handles in the order in
//! which they were made, for the optimiser, for saving and for counting.

use std::cell::RefCell;
use std::fmt::Display;
use std::sync::{Arc, PoisonError, RwLock};

use burn::tensor::{Device, Gradients, Shape, Tensor, TensorData};
use mmad_kernels::precision::Precision;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;

use crate::ops::with_values;

/// A shared handle to one weight tensor of rank `D`.
#[derive(Debug, Clone)]
pub struct Weight<const D: usize>(Arc<RwLock<Versioned<D>>>);

/// A tensor and how often it was replaced.
#[derive(Debug)]
struct Versioned<const D: usize> {
    value: Tensor<D>,
    version: u64,
}

impl<const D: usize> Weight<D> {
    fn new(value: Tensor<D>) -> Self {
        Self(Arc::new(RwLock::new(Versioned { value, version: 0 })))
    }

    /// The tensor as it is now. Cheap: the data is shared.
    pub fn get(&self) -> Tensor<D> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).value.clone()
    }

    /// Replaces the tensor.
    pub fn set(&self, value: Tensor<D>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        held.value = value;
        held.version += 1;
    }

    /// Number of times the tensor was replaced; tells whether something made from it is stale.
    pub fn version(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).version
    }
}

/// How a parameter takes part in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Changed by the optimiser.
    Trained,
    /// Measured along the way rather than learned: running statistics.
    Measured,
    /// Part of a frozen network; never on a device that records gradients.
    Frozen,
}

/// A weight of any rank that models use.
#[derive(Debug, Clone)]
enum AnyWeight {
    Rank1(Weight<1>),
    Rank2(Weight<2>),
    Rank3(Weight<3>),
    Rank4(Weight<4>),
}

macro_rules! any_weight {
    ($($rank:literal $variant:ident),+) => {
        $(impl From<Weight<$rank>> for AnyWeight {
            fn from(weight: Weight<$rank>) -> Self {
                Self::$variant(weight)
            }
        })+
    };
}
any_weight!(1 Rank1, 2 Rank2, 3 Rank3, 4 Rank4);

macro_rules! for_any_rank {
    ($any:expr, $weight:ident => $body:expr) => {
        match $any {
            AnyWeight::Rank1($weight) => $body,
            AnyWeight::Rank2($weight) => $body,
            AnyWeight::Rank3($weight) => $body,
            AnyWeight::Rank4($weight) => $body,
        }
    };
}

/// One named parameter.
#[derive(Debug, Clone)]
pub struct Param {
    name: String,
    role: Role,
    weight: AnyWeight,
}

impl Param {
    /// Name in checkpoints, for example `net_s.layers_up.1.norm.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last part of its name, such as `weight` or `bias`.
    pub fn leaf_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// How it takes part in training.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Sizes of its axes.
    pub fn shape(&self) -> Vec<usize> {
        for_any_rank!(&self.weight, weight => weight.get().shape().to_vec())
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// True for a tensor with an axis of length zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its values in row-major order.
    pub fn values(&self) -> Vec<f32> {
        for_any_rank!(&self.weight, weight => to_values(weight.get().detach()))
    }

    /// Replaces its values, keeping shape, device and tracking.
    ///
    /// # Panics
    ///
    /// When the number of values is not the one of its shape.
    pub fn set_values(&self, values: Vec<f32>) {
        for_any_rank!(&self.weight, weight => {
            let old = weight.get();
            let tracked = old.is_require_grad();
            let data = TensorData::new(values, old.shape());
            let new = Tensor::from_data(data, &old.device());
            weight.set(if tracked { new.require_grad() } else { new });
        });
    }

    /// Sum of the squares of its gradient; 0 where the loss does not depend on it.
    pub fn grad_squares(&self, gradients: &Gradients) -> f64 {
        for_any_rank!(&self.weight, weight => {
            weight.get().grad(gradients).map_or(0.0, |grad| with_values(grad, squares))
        })
    }

    /// Its values as one row, recording nothing.
    pub(crate) fn flat_value(&self) -> Tensor<1> {
        for_any_rank!(&self.weight, weight => {
            let value = weight.get();
            let value = if value.device().is_autodiff() { value.inner() } else { value };
            value.reshape([self.len()])
        })
    }

    /// Its gradient as one row; `None` where the loss does not depend on it.
    pub(crate) fn flat_grad(&self, gradients: &Gradients) -> Option<Tensor<1>> {
        for_any_rank!(&self.weight, weight => {
            weight.get().grad(gradients).map(|grad| grad.reshape([self.len()]))
        })
    }

    /// Replaces its values by what `update` makes of them and of the gradient, which is `None` where
    /// the loss does not depend on it.
    pub fn update(
        &self,
        gradients: &Gradients,
        update: impl FnOnce(&[f32], Option<&[f32]>) -> Vec<f32>,
    ) {
        let values = for_any_rank!(&self.weight, weight => {
            let grad = weight.get().grad(gradients);
            with_values(weight.get().inner(), |values| match grad {
                Some(grad) => with_values(grad, |grad| update(values, Some(grad))),
                None => update(values, None),
            })
        });
        self.set_values(values);
    }

    /// Its gradient in row-major order; `None` where the loss does not depend on it.
    pub fn grad(&self, gradients: &Gradients) -> Option<Vec<f32>> {
        for_any_rank!(&self.weight, weight => weight.get().grad(gradients).map(to_values))
    }

    fn track(&self, tracked: bool, moves: bool) {
        if self.role == Role::Frozen {
            return;
        }
        let tracked_here = tracked && moves && self.role == Role::Trained;
        for_any_rank!(&self.weight, weight => {
            let value = weight.get();
            let plain =
                if value.device().is_autodiff() { value.inner() } else { value };
            weight.set(match (tracked, tracked_here) {
                (true, true) => Tensor::from_inner(plain).require_grad(),
                (true, false) => Tensor::from_inner(plain),
                _ => plain,
            });
        });
    }
}

/// Sum of the squares, in parts of a fixed size, so that the bits do not depend on the threads.
pub(crate) fn squares(values: &[f32]) -> f64 {
    const PART: usize = 1 << 14;
    let square = |x: &f32| f64::from(*x) * f64::from(*x);
    let part = |part: &[f32]| part.iter().map(square).sum::<f64>();
    values.par_chunks(PART).map(part).collect::<Vec<f64>>().iter().sum()
}

fn to_values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("parameters are f32")
}

/// All parameters of a model, in the order in which they were made.
#[derive(Debug, Clone, Default)]
pub struct ParamSet {
    params: Vec<Param>,
}

impl ParamSet {
    /// The parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = &Param> {
        self.params.iter()
    }

    /// Those that the optimiser changes.
    pub fn trained(&self) -> impl Iterator<Item = &Param> {
        self.iter().filter(|param| param.role == Role::Trained)
    }

    /// The parameter of this name.
    pub fn find(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name == name)
    }

    /// Number of values in all parameters.
    pub fn n_values(&self) -> usize {
        self.iter().map(Param::len).sum()
    }

    /// Root of the sum of the squares of all gradients together.
    pub fn grad_norm(&self, gradients: &Gradients) -> f64 {
        self.trained().map(|param| param.grad_squares(gradients)).sum::<f64>().sqrt()
    }

    /// A loss whose gradient is what `grad_of` says, for checking an optimiser against recorded
    /// gradients: the sum over parameters of `parameter · gradient`.
    pub fn stand_in_loss(&self, grad_of: impl Fn(&Param) -> Option<Vec<f32>>) -> Tensor<1> {
        let terms = self.trained().filter_map(|param| {
            let grad = grad_of(param)?;
            Some(for_any_rank!(&param.weight, weight => {
                let value = weight.get();
                let data = TensorData::new(grad, value.shape());
                (value.clone() * Tensor::from_data(data, &value.device())).sum()
            }))
        });
        terms.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], &Device::flex().autodiff()))
    }

    /// Switches gradient tracking of the trained parameters on or off.
    pub fn track(&self, tracked: bool) {
        self.iter().for_each(|param| param.track(tracked, true));
    }

    /// Records gradients of those trained parameters that `moves` picks, and of no other.
    pub fn track_only(&self, moves: impl Fn(&Param) -> bool) {
        self.iter().for_each(|param| param.track(true, moves(param)));
    }

    /// Both sets, this one first.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        self.params.extend(other.params.iter().cloned());
        self
    }
}

/// How fresh values are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Uniform in `-bound..bound`.
    Uniform {
        /// Largest absolute value.
        bound: f64,
    },
    /// Uniform in `0..1`.
    Unit,
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// `ln 1, ln 2, …` along the last axis: the state matrix of a selective scan.
    LogStates,
    /// Inverse softplus of a step drawn log-uniformly from `0.001..0.1`, at least `1e-4`.
    StepBias,
}

/// Which rule the layers of a part follow for their fresh weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitRule {
    /// Linear: normal with deviation 0.02. Convolution: normal, deviation
    /// `sqrt(2 / (k · k · out / groups))`. Biases zero.
    Decoder,
    /// Linear: uniform `±1 / sqrt(fan_in)`. Convolution: normal, deviation `sqrt(2 / (k · k · out))`,
    /// biases uniform `±1 / sqrt(fan_in)`.
    Fuser,
    /// Linear: uniform `±sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010). Convolution as
    /// under `Decoder`. Biases zero.
    Xavier,
}

/// Collects the parameters of a model while it is built.
#[derive(Debug)]
pub struct Builder {
    device: Device,
    rng: RefCell<ChaCha8Rng>,
    params: RefCell<Vec<Param>>,
}

impl Builder {
    /// Starts a model on `device` whose fresh values come from `rng`.
    pub fn new(device: &Device, rng: ChaCha8Rng) -> Self {
        Self { device: device.clone(), rng: RefCell::new(rng), params: RefCell::default() }
    }

    /// The scope in which names have no prefix.
    pub fn root(&self, rule: InitRule) -> Scope<'_> {
        let (prefix, role, precision) = (String::new(), Role::Trained, Precision::F32);
        Scope { builder: self, prefix, rule, role, precision }
    }

    /// The parameters made so far.
    pub fn finish(self) -> ParamSet {
        ParamSet { params: self.params.into_inner() }
    }
}

/// A place in the tree of names where layers make their weights.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    builder: &'a Builder,
    prefix: String,
    rule: InitRule,
    role: Role,
    precision: Precision,
}

impl Scope<'_> {
    /// The scope one name deeper.
    #[must_use]
    pub fn sub(&self, name: impl Display) -> Self {
        let prefix = format!("{}{name}.", self.prefix);
        Self { prefix, ..self.clone() }
    }

    /// The same scope under another rule for fresh weights.
    #[must_use]
    pub fn with_rule(&self, rule: InitRule) -> Self {
        Self { rule, ..self.clone() }
    }

    /// The same scope for a network that never changes.
    #[must_use]
    pub fn frozen(&self) -> Self {
        Self { role: Role::Frozen, ..self.clone() }
    }

    /// The same scope for layers that round the factors of their products, where they can.
    #[must_use]
    pub fn with_precision(&self, precision: Precision) -> Self {
        Self { precision, ..self.clone() }
    }

    /// What layers here round to.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The rule for fresh weights here.
    pub fn rule(&self) -> InitRule {
        self.rule
    }

    /// The device on which the model is built.
    pub fn device(&self) -> &Device {
        &self.builder.device
    }

    /// Makes a weight.
    #[allow(private_bounds)]
    pub fn weight<const D: usize>(&self, name: &str, shape: [usize; D], init: Init) -> Weight<D>
    where
        AnyWeight: From<Weight<D>>,
    {
        self.make(name, shape, init, self.role)
    }

    /// Makes a tensor that is saved with the model but never trained.
    #[allow(private_bounds)]
    pub fn buffer<const D: usize>(&self, name: &str, shape: [usize; D], init: Init) -> Weight<D>
    where
        AnyWeight: From<Weight<D>>,
    {
        let role = if self.role == Role::Frozen { Role::Frozen } else { Role::Measured };
        self.make(name, shape, init, role)
    }

    fn make<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        init: Init,
        role: Role,
    ) -> Weight<D>
    where
        AnyWeight: From<Weight<D>>,
    {
        let values = draw(init, &shape, &mut self.builder.rng.borrow_mut());
        let data = TensorData::new(values, Shape::from(shape));
        let weight = Weight::new(Tensor::from_data(data, &self.builder.device));
        let name = format!("{}{name}", self.prefix);
        let param = Param { name, role, weight: AnyWeight::from(weight.clone()) };
        self.builder.params.borrow_mut().push(param);
        weight
    }
}

fn draw(init: Init, shape: &[usize], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let n_values = shape.iter().product();
    let last = shape.last().copied().unwrap_or(1);
    let each = |value: &mut dyn FnMut(usize) -> f64| -> Vec<f32> {
        (0..n_values).map(|index| value(index) as f32).collect()
    };
    match init {
        Init::Zeros => each(&mut |_| 0.0),
        Init::Ones => each(&mut |_| 1.0),
        Init::Uniform { bound } => each(&mut |_| rng.random_range(-1.0..1.0) * bound),
        Init::Unit => each(&mut |_| rng.random()),
        Init::Normal { std } => each(&mut |_| {
            let normal: f64 = StandardNormal.sample(rng);
            normal * std
        }),
        Init::LogStates => each(&mut |index| ((index % last + 1) as f64).ln()),
        Init::StepBias => each(&mut |_| {
            let (low, high) = (0.001_f64.ln(), 0.1_f64.ln());
            let step = rng.random_range(low..high).exp().max(1e-4);
            // Inverse of softplus, written so that small steps keep their digits.
            step + (-(-step).exp_m1()).ln()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    fn small() -> (ParamSet, Weight<2>) {
        let builder = Builder::new(&Device::flex(), ChaCha8Rng::seed_from_u64(1));
        let root = builder.root(InitRule::Decoder);
        let weight = root.sub("a").sub(0).weight("weight", [2, 3], Init::Normal { std: 1.0 });
        root.sub("a").buffer("mean", [3], Init::Zeros);
        (builder.finish(), weight)
    }

    #[test]
    fn names_follow_the_tree() {
        let (params, _) = small();
        let names: Vec<&str> = params.iter().map(Param::name).collect();
        assert_eq!(names, ["a.0.weight", "a.mean"]);
        assert_eq!(params.n_values(), 9);
        assert_eq!(params.trained().count(), 1);
    }

    #[test]
    fn set_values_reaches_the_layer_and_keeps_tracking() {
        let (params, weight) = small();
        params.track(true);
        let param = params.find("a.0.weight").unwrap();
        param.set_values(vec![1.0; 6]);
        assert!(weight.get().is_require_grad());
        let loss = (weight.get() * 3.0).sum();
        assert_eq!(param.grad(&loss.backward()), Some(vec![3.0; 6]));
        params.track(false);
        assert!(!weight.get().device().is_autodiff());
        assert_eq!(param.values(), vec![1.0; 6]);
    }

    #[test]
    fn step_bias_inverts_softplus() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for bias in draw(Init::StepBias, &[1000], &mut rng) {
            let step = f64::from(bias).exp().ln_1p();
            assert!((0.000_99..0.101).contains(&step), "{step}");
        }
    }
}
