//! A convolution that rounds its factors, in Burn's operations, for GPUs.

use burn::tensor::{DType, Tensor};
use mmad_kernels::precision::Precision;

use super::{ConvOptions2d, reference};

/// A convolution with its batch norm folded in, whose inputs and weight are rounded.
///
/// Both stay in 16 bits, and so does the result up to the bias: sums are rounded once more than by the
/// kernels of the CPU.
#[derive(Debug, Clone)]
pub struct RoundedConv {
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions2d,
    to: DType,
}

impl RoundedConv {
    /// Rounds the weight of a convolution that [`super::fold`] made.
    ///
    /// # Shapes
    ///
    /// - `weight`: `[n_out, n_in, k, k]`; `bias`: `[n_out]`
    pub fn new(
        (weight, bias): (Tensor<4>, Tensor<1>),
        options: ConvOptions2d,
        precision: Precision,
    ) -> Self {
        let to = match precision {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
            Precision::F16 => DType::F16,
        };
        Self { weight: weight.cast(to), bias, options, to }
    }

    /// The convolution of rounded factors, plus the bias.
    ///
    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; output: `[b, h', w', n_out]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.multiply(x);
        let [_, n_in, kernel, _] = self.weight.dims();
        super::macs::add(y.dims().iter().product::<usize>() * n_in * kernel * kernel);
        y + self.bias.clone().unsqueeze()
    }

    /// The products and their sums, in 16 bits.
    fn multiply(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.clone();
        reference::conv2d(x.cast(self.to), weight, None, self.options).cast(DType::F32)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::ops::{FoldedConv, fold};

    const OPTIONS: ConvOptions2d = ConvOptions2d { stride: 2, padding: 1, dilation: 1 };

    fn values<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Weight and bias of a convolution from 6 to 5 channels behind which a norm was folded in.
    fn folded(device: &Device) -> (Tensor<4>, Tensor<1>) {
        let vector = |seed| values([5], seed, device);
        fold(values([5, 6, 3, 3], 2, device), Some(vector(3)), vector(4), vector(5))
    }

    fn x(device: &Device) -> Tensor<4> {
        values([2, 9, 7, 6], 1, device)
    }

    /// Largest difference between two tensors over the largest value.
    fn apart(a: Tensor<4>, b: Tensor<4>) -> f32 {
        let device = Device::flex();
        let same = |x: Tensor<4>| Tensor::<4>::from_data(x.into_data(), &device);
        let (a, b) = (same(a), same(b));
        let size = b.clone().abs().max().into_scalar::<f32>();
        (a - b).abs().max().into_scalar::<f32>() / size
    }

    /// 1e-6: sums of 54 products in another order. Not rounding at all is 1e-4 away and more.
    #[test]
    fn packed_layers_equal_the_reference() {
        let device = Device::flex();
        for (precision, to) in [(Precision::Bf16, DType::BF16), (Precision::F16, DType::F16)] {
            let (weight, bias) = folded(&device);
            let slow =
                reference::rounded_conv2d(x(&device), weight.clone(), Some(bias), OPTIONS, to);
            let packed = FoldedConv::new(folded(&device), OPTIONS, precision);
            let fast = packed.forward(x(&device), None, false);
            assert!(apart(fast, slow.clone()) < 1e-6);
            let exact = FoldedConv::new(folded(&device), OPTIONS, Precision::F32);
            assert!(apart(exact.forward(x(&device), None, false), slow) > 1e-5);
        }
    }

    /// As a GPU does it: sums keep 11 bits, half of the last of which is 5e-4.
    #[test]
    fn products_in_16_bits_are_those_of_the_reference_to_11_bits() {
        let device = Device::flex();
        let (weight, bias) = folded(&device);
        let slow = reference::rounded_conv2d(x(&device), weight, None, OPTIONS, DType::F16);
        let half = RoundedConv::new(folded(&device), OPTIONS, Precision::F16);
        assert!(apart(half.multiply(x(&device)), slow.clone()) < 1e-3);
        let both = half.multiply(x(&device)) + bias.clone().unsqueeze();
        assert!(apart(both, half.forward(x(&device))) < 1e-3);
    }
}
