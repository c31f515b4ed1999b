//! A layer whose weight is packed once, for inference. Its factors may be rounded to 16 bits.

use super::forward::{convolve, weight_source};
use super::source_map::Taps;
use super::winograd::Winograd;
use super::{ConvEpilogue, ConvShape};
#[cfg(target_arch = "x86_64")]
use crate::pairs::{Pair, pair};
use crate::panels::{KeptWeight, pack_for_keeps};
use crate::partition::expect_len;
use crate::precision::Precision;
#[cfg(target_arch = "x86_64")]
use crate::precision::has_bf16_unit;
use crate::scratch;

/// Weights in the order of the kernel, for layers that are used many times.
#[derive(Clone, Debug)]
pub struct PackedConv {
    weight: Weight,
    bias: Option<Vec<f32>>,
    layer: ConvShape,
}

#[derive(Clone, Debug)]
enum Weight {
    /// As [`Single`](Self::Single), in the basis of Winograd's products.
    Winograd(Winograd, Precision),
    /// Rounded already; so are the inputs before they are multiplied.
    Single(KeptWeight, Precision),
    /// `bf16` with hardware for it.
    #[cfg(target_arch = "x86_64")]
    Pairs(KeptWeight<Pair>),
}

impl PackedConv {
    /// Packs `weight`, `[out_channels, in_channels, kernel, kernel]`, and keeps `bias`,
    /// `[out_channels]`. Batch, height and width of `shape` do not matter here.
    ///
    /// # Panics
    ///
    /// When a slice does not have the length of its shape.
    pub fn new(shape: ConvShape, weight: &[f32], bias: Option<&[f32]>) -> Self {
        Self::rounded(shape, weight, bias, Precision::F32)
    }

    /// [`PackedConv::new`] for a layer that rounds its weight, and its input whenever it is used.
    /// Sums, bias and what follows stay `f32`.
    ///
    /// Processors with `AVX512_BF16` multiply `bf16` at twice the rate of `f32`. All others multiply
    /// the rounded numbers as `f32`, and so does every processor for `f16`: results are then equal
    /// up to the rounding of `f32`.
    ///
    /// # Panics
    ///
    /// When a slice does not have the length of its shape.
    pub fn rounded(
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
        precision: Precision,
    ) -> Self {
        expect_len("conv2d", "weight", weight.len(), shape.weight_len());
        if let Some(bias) = bias {
            expect_len("conv2d", "bias", bias.len(), shape.out_channels);
        }
        let weight = Weight::new(shape, weight, precision);
        Self { weight, bias: bias.map(<[f32]>::to_vec), layer: shape }
    }

    /// The sizes of this layer on a map of `height` x `width` pixels.
    pub fn shape(&self, batch: usize, height: usize, width: usize) -> ConvShape {
        ConvShape { batch, height, width, ..self.layer }
    }

    /// `y = relu(x * weight + bias + residual)` on a map of `height` x `width` pixels.
    ///
    /// Most 3x3 layers of stride 1 multiply in Winograd's basis, unless in `bf16` with hardware for it.
    /// In that basis an infinite input may make NaN of the outputs whose window sees it.
    ///
    /// # Panics
    ///
    /// When a slice does not have the length of its shape.
    pub fn forward(
        &self,
        [batch, height, width]: [usize; 3],
        x: &[f32],
        residual: Option<&[f32]>,
        relu: bool,
        y: &mut [f32],
    ) {
        let shape = self.shape(batch, height, width);
        expect_len("conv2d", "x", x.len(), shape.input_len());
        let epilogue = ConvEpilogue { bias: self.bias.as_deref(), residual, relu };
        match &self.weight {
            Weight::Winograd(weight, precision) => {
                precision.with_rounded(x, |x| weight.forward(shape, x, &epilogue, y));
            }
            Weight::Single(packed, precision) => {
                precision.with_rounded(x, |x| convolve(shape, x, packed.panels(), &epilogue, y));
            }
            #[cfg(target_arch = "x86_64")]
            Weight::Pairs(packed) => {
                let shape_in_pairs = in_pairs(shape);
                let mut memory = scratch::take(shape_in_pairs.input_len());
                let pairs: &mut [Pair] = pulp::bytemuck::cast_slice_mut(&mut memory);
                pair(x, shape.in_channels, pairs);
                convolve(shape_in_pairs, pairs, packed.panels(), &epilogue, y);
            }
        }
    }
}

impl Weight {
    fn new(shape: ConvShape, weight: &[f32], precision: Precision) -> Self {
        #[cfg(target_arch = "x86_64")]
        if precision == Precision::Bf16 && has_bf16_unit() {
            return Self::pairs(shape, weight);
        }
        Self::single(shape, weight, precision)
    }

    fn single(shape: ConvShape, weight: &[f32], precision: Precision) -> Self {
        precision.with_rounded(weight, |rounded| {
            if Winograd::suits(shape) {
                return Self::Winograd(Winograd::new(shape, rounded), precision);
            }
            let taps = Taps::of(shape);
            let source = weight_source(shape, taps, rounded);
            Self::Single(pack_for_keeps(taps.panel_shape(shape), &source), precision)
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn pairs(shape: ConvShape, weight: &[f32]) -> Self {
        // Pairs are neighbouring channels, which lie one kernel apart.
        let ConvShape { in_channels, kernel, .. } = shape;
        let positions = kernel * kernel;
        let mut channels_last = Vec::with_capacity(weight.len());
        for weight in weight.chunks_exact((in_channels * positions).max(1)) {
            for position in 0..positions {
                channels_last.extend(weight.iter().skip(position).step_by(positions));
            }
        }
        let shape = in_pairs(shape);
        let mut pairs = vec![0; shape.weight_len()];
        pair(&channels_last, in_channels, &mut pairs);
        let mut channels_first = vec![0; pairs.len()];
        let n_channels = shape.in_channels;
        for (i, both) in pairs.into_iter().enumerate() {
            let (output, position) = (i / n_channels / positions, i / n_channels % positions);
            channels_first[(output * n_channels + i % n_channels) * positions + position] = both;
        }
        let taps = Taps::of(shape);
        let source = weight_source(shape, taps, &channels_first);
        Self::Pairs(pack_for_keeps(taps.panel_shape(shape), &source))
    }
}

/// The same layer over pairs of channels.
#[cfg(target_arch = "x86_64")]
fn in_pairs(shape: ConvShape) -> ConvShape {
    ConvShape { in_channels: shape.in_channels.div_ceil(2), ..shape }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conv2d::reference;
    use crate::conv2d::tests::any_shape;
    use crate::precision::reference::round;
    use crate::testing::{assert_close, assert_same_bits_on_any_threads, values, widen};

    const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::F16];

    fn layer(shape: ConvShape, precision: Precision, bias: Option<&[f32]>) -> PackedConv {
        PackedConv::rounded(shape, &values(2, shape.weight_len()), bias, precision)
    }

    fn forward(
        layer: &PackedConv,
        shape: ConvShape,
        x: &[f32],
        residual: Option<&[f32]>,
    ) -> Vec<f32> {
        let mut y = vec![f32::NAN; shape.output_len()];
        let map = [shape.batch, shape.height, shape.width];
        layer.forward(map, x, residual, residual.is_some(), &mut y);
        y
    }

    /// Rounds both factors, then convolves, adds and cuts off in `f64`.
    fn slow(
        shape: ConvShape,
        precision: Precision,
        bias: Option<&[f32]>,
        residual: Option<&[f32]>,
    ) -> Vec<f64> {
        let rounded = |v: Vec<f32>| -> Vec<f64> {
            v.into_iter().map(|v| round(precision, f64::from(v))).collect()
        };
        let (x, weight) = (values(1, shape.input_len()), values(2, shape.weight_len()));
        let bias = bias.map(widen);
        let mut y = reference::forward(shape, &rounded(x), &rounded(weight), bias.as_deref());
        if let Some(residual) = residual {
            for (y, residual) in y.iter_mut().zip(residual) {
                *y = (*y + f64::from(*residual)).max(0.0);
            }
        }
        y
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Odd channels, strides, dilations, paddings and batches, with every epilogue.
        #[test]
        fn equals_the_reference_on_rounded_factors(
            shape in any_shape(),
            has_bias in any::<bool>(),
            has_residual in any::<bool>(),
        ) {
            let (bias, residual) = (values(3, shape.out_channels), values(4, shape.output_len()));
            let bias = has_bias.then_some(bias.as_slice());
            let residual = has_residual.then_some(residual.as_slice());
            let x = values(1, shape.input_len());
            let terms = shape.kernel * shape.kernel * shape.in_channels;
            for precision in ALL {
                let y = forward(&layer(shape, precision, bias), shape, &x, residual);
                let slow = slow(shape, precision, bias, residual);
                assert_close(&format!("{precision:?}"), &y, &slow, terms, 2e-6);
            }
        }

        /// Processors with and without hardware for `bf16` agree up to the rounding of `f32`.
        #[test]
        fn any_processor_gives_the_same(shape in any_shape()) {
            let (x, weight) = (values(1, shape.input_len()), values(2, shape.weight_len()));
            let here = layer(shape, Precision::Bf16, None);
            let elsewhere = Weight::single(shape, &weight, Precision::Bf16);
            let elsewhere = PackedConv { weight: elsewhere, ..here.clone() };
            let terms = shape.kernel * shape.kernel * shape.in_channels;
            let y = widen(&forward(&elsewhere, shape, &x, None));
            assert_close("y", &forward(&here, shape, &x, None), &y, terms, 2e-6);
        }
    }

    /// Sizes of a small layer with a kernel of `kernel` pixels.
    fn small(in_channels: usize, kernel: usize) -> ConvShape {
        ConvShape {
            batch: 2,
            height: 9,
            width: 7,
            in_channels,
            out_channels: 21,
            kernel,
            stride: 1,
            padding: kernel / 2,
            dilation: 1,
        }
    }

    /// An output is no number, or infinite, exactly where its window holds such an input: neither
    /// is lost, and neither reaches a neighbour by way of a padded channel.
    #[test]
    fn infinity_and_nan_reach_their_windows_and_nothing_else() {
        for (in_channels, kernel) in [(3, 3), (5, 1), (17, 3), (32, 3), (33, 1)] {
            let shape = small(in_channels, kernel);
            let (row, column) = (4, 3);
            for precision in ALL {
                for special in [f32::NAN, f32::INFINITY, f32::from_bits(0x7f80_0001)] {
                    let mut x = values(1, shape.input_len());
                    x[(row * shape.width + column) * in_channels + in_channels - 1] = special;
                    let y = forward(&layer(shape, precision, None), shape, &x, None);
                    for (i, y) in y.iter().enumerate() {
                        let pixel = i / shape.out_channels;
                        let (picture, r) = (pixel / 63, pixel / 7 % 9);
                        let reach = kernel / 2;
                        let sees = picture == 0
                            && r.abs_diff(row) <= reach
                            && (pixel % 7).abs_diff(column) <= reach;
                        let passed_on = if special.is_nan() { y.is_nan() } else { y.is_infinite() };
                        assert_eq!(
                            passed_on, sees,
                            "{precision:?} {shape:?} {special} at {i}: {y}"
                        );
                        assert!(sees || y.is_finite());
                    }
                }
            }
        }
    }

    /// A layer that multiplies the plain way, and one that does so in Winograd's basis.
    fn both_ways() -> [ConvShape; 2] {
        let shapes = [small(32, 3), ConvShape { out_channels: 48, ..small(32, 3) }];
        assert_eq!(shapes.map(Winograd::suits), [false, true]);
        shapes
    }

    #[test]
    fn precision_makes_a_difference_of_its_size() {
        for shape in both_ways() {
            let x = values(1, shape.input_len());
            let single = forward(&layer(shape, Precision::F32, None), shape, &x, None);
            let largest = |precision| {
                forward(&layer(shape, precision, None), shape, &x, None)
                    .iter()
                    .zip(&single)
                    .fold(0.0_f32, |largest, (a, b)| largest.max((a - b).abs()))
            };
            let (bf16, f16) = (largest(Precision::Bf16), largest(Precision::F16));
            assert!((1e-3..1e-1).contains(&bf16), "{bf16}");
            assert!((1e-4..1e-2).contains(&f16), "{f16}");
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let strided = ConvShape { batch: 3, height: 31, stride: 2, ..small(19, 3) };
        for shape in both_ways().into_iter().chain([strided]) {
            let x = values(1, shape.input_len());
            for precision in ALL {
                let layer = layer(shape, precision, None);
                assert_same_bits_on_any_threads(|| forward(&layer, shape, &x, None));
            }
        }
    }
}
