//! Linear layer over the last axis.

use burn::tensor::Tensor;

use crate::ops;
use crate::params::{Init, InitRule, Scope, Weight};

/// `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight<2>,
    bias: Option<Weight<1>>,
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
        Self {
            weight: scope.weight("weight", [n_out, n_in], weight),
            bias: has_bias.then(|| scope.weight("bias", [n_out], bias)),
        }
    }

    /// The same with fresh values of its own instead of the scope's rule.
    pub fn with_init(
        scope: &Scope<'_>,
        n_in: usize,
        n_out: usize,
        weight: Init,
        bias: Option<Init>,
    ) -> Self {
        Self {
            weight: scope.weight("weight", [n_out, n_in], weight),
            bias: bias.map(|bias| scope.weight("bias", [n_out], bias)),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[…, n_in]`
    /// - output: `[…, n_out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::linear(x, self.weight.get(), self.bias.as_ref().map(Weight::get))
    }
}
