//! Layer norm over channels.

use burn::tensor::Tensor;

use crate::ops;
use crate::params::{Init, Scope, Weight};

/// `(x - mean) / sqrt(var + eps) · weight + bias` over the last axis.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Weight<1>,
    bias: Weight<1>,
    eps: f64,
}

impl LayerNorm {
    /// Makes `weight` and `bias` in `scope`.
    pub fn new(scope: &Scope<'_>, channels: usize, eps: f64) -> Self {
        Self {
            weight: scope.weight("weight", [channels], Init::Ones),
            bias: scope.weight("bias", [channels], Init::Zeros),
            eps,
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[…, channels]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::layer_norm(x, self.weight.get(), self.bias.get(), self.eps)
    }

    /// `norm(y) · silu(z)`, `z` being the second half of the channels of `both`.
    ///
    /// # Shapes
    ///
    /// - `y` and output: `[b, h, w, channels]`; `both`: `[b, h, w, 2 · channels]`
    pub fn forward_gated(&self, y: Tensor<4>, both: Tensor<4>) -> Tensor<4> {
        ops::norm_gate(y, both, self.weight.get(), self.bias.get(), self.eps)
    }
}
