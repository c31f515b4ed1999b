//! Batch norm over pictures and pixels.

use burn::tensor::{Tensor, activation};
pub use mmad_kernels::activation::Activation;

use crate::ops;
use crate::params::{Init, Scope, Weight};

/// Batch norm: batch statistics in training, running statistics otherwise.
///
/// The running variance takes in the unbiased batch variance, as in PyTorch, with momentum 0.1.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    weight: Weight<1>,
    bias: Weight<1>,
    running_mean: Weight<1>,
    running_var: Weight<1>,
    eps: f64,
}

const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

impl BatchNorm {
    /// Makes `weight`, `bias`, `running_mean` and `running_var` in `scope`.
    pub fn new(scope: &Scope<'_>, channels: usize) -> Self {
        Self::with_eps(scope, channels, EPS)
    }

    /// The same with another number added to the variance than the usual 1e-5.
    pub fn with_eps(scope: &Scope<'_>, channels: usize, eps: f64) -> Self {
        Self {
            weight: scope.weight("weight", [channels], Init::Ones),
            bias: scope.weight("bias", [channels], Init::Zeros),
            running_mean: scope.buffer("running_mean", [channels], Init::Zeros),
            running_var: scope.buffer("running_var", [channels], Init::Ones),
            eps,
        }
    }

    /// Normalises, and in training takes the batch into the running statistics.
    ///
    /// # Shapes
    ///
    /// - `x` and output: `[b, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>, is_training: bool, activation: Activation) -> Tensor<4> {
        if is_training {
            let [batch, height, width, _] = x.dims();
            let (weight, bias) = (self.weight.get(), self.bias.get());
            let (y, mean, variance) = ops::batch_norm(x, weight, bias, self.eps, activation);
            self.take_in(mean, variance, batch * height * width);
            return y;
        }
        let (scale, shift) = self.scale_and_shift();
        let y = x * scale.unsqueeze() + shift.unsqueeze();
        match activation {
            Activation::None => y,
            Activation::Relu => activation::relu(y),
            Activation::Silu => ops::silu(y),
        }
    }

    /// The running statistics as `y = x · scale + shift`.
    ///
    /// # Shapes
    ///
    /// - both outputs: `[channels]`
    pub fn scale_and_shift(&self) -> (Tensor<1>, Tensor<1>) {
        let scale = self.weight.get() / (self.running_var.get() + self.eps).sqrt();
        let shift = self.bias.get() - self.running_mean.get() * scale.clone();
        (scale, shift)
    }

    /// Grows whenever one of its tensors is replaced.
    pub fn version(&self) -> u64 {
        [&self.weight, &self.bias, &self.running_mean, &self.running_var]
            .iter()
            .map(|weight| weight.version())
            .sum()
    }

    fn take_in(&self, mean: Tensor<1>, variance: Tensor<1>, n_rows: usize) {
        let unbiased = n_rows as f64 / (n_rows.max(2) - 1) as f64;
        let moved = |old: &Weight<1>, new: Tensor<1>| {
            old.set((old.get() * (1.0 - MOMENTUM) + new * MOMENTUM).detach());
        };
        moved(&self.running_mean, mean);
        moved(&self.running_var, variance * unbiased);
    }
}
