//! Linear layer over the last axis.

use burn::tensor::Tensor;

use super::derived::Derived;
use crate::ops::{self, PackedLinear};
use crate::params::{Init, InitRule, Scope, Weight};

/// `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight<2>,
    bias: Option<Weight<1>>,
    packed: Derived<PackedLinear>,
}

impl Linear {
    /// Makes `weight` `[n_out, n_in]` and, if asked for, `bias` `[n_out]` in `scope`.
    pub fn new(scope: &Scope<'_>, n_in: usize, n_out: usize, has_bias: bool) -> Self {
        let bound = 1.0 / (n_in as f64).sqrt();
        let (weight, bias) = match scope.rule() {
            InitRule::Decoder => (Init::Normal { std: 0.02 }, Init::Zeros),
            InitRule::Fuser => (Init::Uniform { bound }, Init::Uniform { bound }),
            InitRule::Xavier => {
                (Init::Uniform { bound: (6.0 / (n_in + n_out) as f64).sqrt() }, Init::Zeros)
            }
        };
        let weight = scope.weight("weight", [n_out, n_in], weight);
        let bias = has_bias.then(|| scope.weight("bias", [n_out], bias));
        Self { weight, bias, packed: Derived::default() }
    }

    /// The same with fresh values of its own instead of the scope's rule.
    pub fn with_init(
        scope: &Scope<'_>,
        n_in: usize,
        n_out: usize,
        weight: Init,
        bias: Option<Init>,
    ) -> Self {
        let weight = scope.weight("weight", [n_out, n_in], weight);
        let bias = bias.map(|bias| scope.weight("bias", [n_out], bias));
        Self { weight, bias, packed: Derived::default() }
    }

    /// # Shapes
    ///
    /// - `x`: `[…, n_in]`
    /// - output: `[…, n_out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if ops::can_fold(&x) {
            return self.packed().forward(x, None);
        }
        ops::linear(x, self.weight.get(), self.bias.as_ref().map(Weight::get))
    }

    /// `forward(x) + residual`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[…, n_in]`
    /// - `residual` and output: `[…, n_out]`
    pub fn forward_residual<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        if ops::can_fold(&x) {
            return self.packed().forward(x, Some(residual));
        }
        self.forward(x) + residual
    }

    fn packed(&self) -> PackedLinear {
        let bias = self.bias.as_ref();
        packed(&self.packed, self.weight.version(), bias, || self.weight.get())
    }
}

/// The same kept in the shape of a 1×1 convolution, `[n_out, n_in, 1, 1]`.
#[derive(Debug, Clone)]
pub struct Linear1x1 {
    weight: Weight<4>,
    bias: Option<Weight<1>>,
    packed: Derived<PackedLinear>,
}

impl Linear1x1 {
    /// Makes `weight` and, if asked for, `bias` `[n_out]` in `scope`: normal with deviation
    /// `sqrt(2 / n_out)`, and zero.
    pub fn new(scope: &Scope<'_>, n_in: usize, n_out: usize, has_bias: bool) -> Self {
        let init = Init::Normal { std: (2.0 / n_out as f64).sqrt() };
        let weight = scope.weight("weight", [n_out, n_in, 1, 1], init);
        let bias = has_bias.then(|| scope.weight("bias", [n_out], Init::Zeros));
        Self { weight, bias, packed: Derived::default() }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; output: `[b, h, w, n_out]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if ops::can_fold(&x) {
            return self.packed().forward(x, None);
        }
        ops::linear(x, self.matrix(), self.bias.as_ref().map(Weight::get))
    }

    /// `forward(x) + residual`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; `residual` and output: `[b, h, w, n_out]`
    pub fn forward_residual(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        if ops::can_fold(&x) {
            return self.packed().forward(x, Some(residual));
        }
        self.forward(x) + residual
    }

    /// `[n_out, n_in]`.
    fn matrix(&self) -> Tensor<2> {
        let weight = self.weight.get();
        let [n_out, n_in, _, _] = weight.dims();
        weight.reshape([n_out, n_in])
    }

    fn packed(&self) -> PackedLinear {
        packed(&self.packed, self.weight.version(), self.bias.as_ref(), || self.matrix())
    }
}

/// The packed layer of a weight and a bias, made anew only after one of them was replaced.
fn packed(
    kept: &Derived<PackedLinear>,
    weight_version: u64,
    bias: Option<&Weight<1>>,
    weight: impl FnOnce() -> Tensor<2>,
) -> PackedLinear {
    let version = weight_version + bias.map_or(0, Weight::version);
    kept.get(version, || PackedLinear::new(weight(), bias.map(Weight::get)))
}
