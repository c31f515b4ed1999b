//! Transposed 2×2 convolution with stride 2: every pixel becomes four.

use burn::tensor::Tensor;

use crate::ops;
use crate::params::{Init, Scope, Weight};

/// `y[2i + a, 2j + b] = x[i, j] · W[:, :, a, b]`, without bias. No two products overlap, so it is a
/// linear layer whose outputs are laid out as pixels.
#[derive(Debug, Clone)]
pub struct TransposedConv2x2 {
    weight: Weight<4>,
}

impl TransposedConv2x2 {
    /// Makes `weight`, `[n_in, n_out, 2, 2]`, in `scope`.
    pub fn new(scope: &Scope<'_>, n_in: usize, n_out: usize) -> Self {
        // PyTorch's default, whose fan-in is that of the transposed kernel.
        let init = Init::Uniform { bound: 1.0 / ((4 * n_out) as f64).sqrt() };
        Self { weight: scope.weight("weight", [n_in, n_out, 2, 2], init) }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; output: `[b, 2h, 2w, n_out]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, _] = x.dims();
        let weight = self.weight.get();
        let [n_in, n_out, ..] = weight.dims();
        let weight = weight.permute([2, 3, 1, 0]).reshape([4 * n_out, n_in]);
        let y = ops::linear(x, weight, None).reshape([batch * height, width, 2, 2 * n_out]);
        // [rows, width, a, (b, n_out)] to [rows, a, width, (b, n_out)]
        y.permute([0, 2, 1, 3]).reshape([batch, 2 * height, 2 * width, n_out])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::module::conv_transpose2d;
    use burn::tensor::ops::ConvTransposeOptions;
    use burn::tensor::{Device, Distribution};
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::params::{Builder, InitRule};

    /// Values and gradients of Burn's own transposed convolution, height and width unequal.
    #[test]
    fn equals_the_reference() {
        let device = Device::flex().autodiff();
        let builder = Builder::new(&device, ChaCha8Rng::seed_from_u64(1));
        let layer = TransposedConv2x2::new(&builder.root(InitRule::Fuser), 5, 3);
        builder.finish().track(true);
        let random = |shape| Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), &device);
        let (x, dy) = (random([2, 3, 4, 5]).require_grad(), random([2, 6, 8, 3]));
        let weight = layer.weight.get();
        let options = ConvTransposeOptions::new([2; 2], [0; 2], [0; 2], [1; 2], 1);
        let theirs =
            conv_transpose2d(x.clone().permute([0, 3, 1, 2]), weight.clone(), None, options)
                .permute([0, 2, 3, 1]);
        let ours = layer.forward(x.clone());
        let gradients = |y: Tensor<4>| {
            let grads = (y * dy.clone()).sum().backward();
            (x.grad(&grads).unwrap(), weight.grad(&grads).unwrap())
        };
        let apart = |a: Tensor<4>, b: Tensor<4>| (a - b).abs().max().into_scalar::<f32>();
        assert!(apart(ours.clone().inner(), theirs.clone().inner()) < 1e-5);
        let ((x_ours, w_ours), (x_theirs, w_theirs)) = (gradients(ours), gradients(theirs));
        assert!(apart(x_ours, x_theirs) < 1e-5);
        assert!(apart(w_ours, w_theirs) < 1e-5);
    }
}
