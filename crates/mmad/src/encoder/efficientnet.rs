//! EfficientNet-B4 up to its fifth stage, under timm's names (`tf_efficientnet_b4`).
//!
//! Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
//! Networks"; squeeze and excitation of Hu et al. 2018. The weights were trained with TensorFlow,
//! whose "SAME" padding puts the odd pixel below and to the right, and with 1e-3 in the norms.
//! Stages 6 and 7, the last convolution and the classifier serve no map and do not exist here.

use burn::tensor::{Tensor, activation};

use crate::nn::{Activation, BatchNorm, Conv2d, ConvConfig, ConvNorm};
use crate::ops;
use crate::params::{Init, Scope, Weight};

const EPS: f64 = 1e-3;
const STEM: usize = 48;

/// One stage: blocks that are alike but for the first.
#[derive(Debug, Clone, Copy)]
struct Stage {
    n_blocks: usize,
    n_out: usize,
    /// Side of the depthwise kernels.
    kernel: usize,
    /// Stride of the first block.
    stride: usize,
    /// Inner channels over channels in.
    expansion: usize,
}

const fn stage(
    n_blocks: usize,
    n_out: usize,
    kernel: usize,
    stride: usize,
    expansion: usize,
) -> Stage {
    Stage { n_blocks, n_out, kernel, stride, expansion }
}

/// The seven stages of the network; the last two are counted, not built.
const STAGES: [Stage; 7] = [
    stage(2, 24, 3, 1, 1),
    stage(4, 32, 3, 2, 6),
    stage(4, 56, 5, 2, 6),
    stage(6, 112, 3, 2, 6),
    stage(6, 160, 5, 1, 6),
    stage(8, 272, 5, 2, 6),
    stage(2, 448, 3, 1, 6),
];
const N_BUILT: usize = 5;
/// Stages whose outputs are the maps.
const MAPS: [usize; 4] = [0, 1, 2, 4];

/// Channels of the four maps, finest first; their strides are 2, 4, 8 and 16.
pub const CHANNELS: [usize; 4] = [24, 32, 56, 160];

/// Values in the stages that are not built, which a published network of the maps still holds.
pub fn n_dead_values() -> usize {
    let mut n_in = STAGES[N_BUILT - 1].n_out;
    let mut sum = 0;
    for Stage { n_blocks, n_out, kernel, expansion, .. } in &STAGES[N_BUILT..] {
        for _ in 0..*n_blocks {
            let (inner, squeezed) = (n_in * expansion, squeezed(n_in));
            let squeeze = 2 * inner * squeezed + squeezed + inner;
            sum += inner * (n_in + kernel * kernel + n_out) + squeeze + 4 * inner + 2 * n_out;
            n_in = *n_out;
        }
    }
    sum
}

/// Stem and five stages.
#[derive(Debug, Clone)]
pub struct EfficientNet {
    stem: SameConv,
    blocks: Vec<Vec<Block>>,
}

impl EfficientNet {
    /// Makes the network in `scope`.
    pub fn new(scope: &Scope<'_>) -> Self {
        let stem = SameConv::new(scope);
        let mut n_in = STEM;
        let blocks = STAGES[..N_BUILT].iter().enumerate();
        let blocks = blocks
            .map(|(index, &stage)| {
                let scope = scope.sub("blocks").sub(index);
                let block = |number: usize| {
                    let stride = if number == 0 { stage.stride } else { 1 };
                    let block = Block::new(&scope.sub(number), n_in, stride, stage);
                    n_in = stage.n_out;
                    block
                };
                (0..stage.n_blocks).map(block).collect()
            })
            .collect();
        Self { stem, blocks }
    }

    /// The four maps, scoring: running statistics and no drop-path.
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`; output `i`: `[b, h / s, w / s, CHANNELS[i]]`, `s` = 2, 4, 8, 16
    pub fn forward(&self, images: Tensor<4>) -> [Tensor<4>; 4] {
        let mut x = self.stem.forward(images);
        let mut maps = Vec::new();
        for (index, blocks) in self.blocks.iter().enumerate() {
            x = blocks.iter().fold(x, |x, block| block.forward(x));
            if MAPS.contains(&index) {
                maps.push(x.clone());
            }
        }
        maps.try_into().expect("there are four maps")
    }
}

/// 3×3 convolution with stride 2 and "SAME" padding, norm and SiLU.
#[derive(Debug, Clone)]
struct SameConv {
    conv: Conv2d,
    norm: BatchNorm,
}

impl SameConv {
    fn new(scope: &Scope<'_>) -> Self {
        let config = ConvConfig::new(3, STEM, 3).without_bias();
        Self {
            conv: Conv2d::new(&scope.sub("conv_stem"), config),
            norm: BatchNorm::with_eps(&scope.sub("bn1"), STEM, EPS),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        // Among the outputs of stride 1, whose padding is symmetric, are those of "SAME".
        let y = self.conv.forward(x);
        let y = every_nth(every_nth(y, 1, 3, 2), 2, 3, 2);
        self.norm.forward(y, false, Activation::Silu)
    }
}

/// Depthwise block; inverted bottleneck where it expands.
#[derive(Debug, Clone)]
struct Block {
    expand: Option<ConvNorm>,
    depthwise: SameDepthwise,
    squeeze: SqueezeExcite,
    project: ConvNorm,
    has_shortcut: bool,
}

impl Block {
    fn new(scope: &Scope<'_>, n_in: usize, stride: usize, stage: Stage) -> Self {
        let Stage { n_out, kernel, expansion, .. } = stage;
        let inner = n_in * expansion;
        let point = |conv: &str, norm: &str, n_in, n_out| {
            let config = ConvConfig::new(n_in, n_out, 1).without_bias();
            let conv = Conv2d::new(&scope.sub(conv), config);
            ConvNorm::of(conv, BatchNorm::with_eps(&scope.sub(norm), n_out, EPS))
        };
        // Blocks that do not expand have one norm less, and their projection another name.
        let expands = expansion > 1;
        let [norm, last_norm] = if expands { ["bn2", "bn3"] } else { ["bn1", "bn2"] };
        Self {
            expand: expands.then(|| point("conv_pw", "bn1", n_in, inner)),
            depthwise: SameDepthwise::new(scope, norm, inner, kernel, stride),
            squeeze: SqueezeExcite::new(&scope.sub("se"), inner, squeezed(n_in)),
            project: point(if expands { "conv_pwl" } else { "conv_pw" }, last_norm, inner, n_out),
            has_shortcut: stride == 1 && n_in == n_out,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = match &self.expand {
            Some(expand) => expand.forward(x.clone(), false, Activation::Silu),
            None => x.clone(),
        };
        let y = self.squeeze.forward(self.depthwise.forward(y));
        let y = self.project.forward(y, false, Activation::None);
        if self.has_shortcut { x + y } else { y }
    }
}

/// Channels between the two layers of squeeze and excitation: a quarter of the block's.
fn squeezed(n_in: usize) -> usize {
    (n_in as f64 / 4.0).round_ties_even() as usize
}

/// Depthwise convolution with "SAME" padding, norm and SiLU.
#[derive(Debug, Clone)]
struct SameDepthwise {
    weight: Weight<4>,
    norm: BatchNorm,
    kernel: usize,
    stride: usize,
}

impl SameDepthwise {
    fn new(scope: &Scope<'_>, norm: &str, channels: usize, kernel: usize, stride: usize) -> Self {
        let init = Init::Normal { std: (2.0 / (kernel * kernel) as f64).sqrt() };
        let shape = [channels, 1, kernel, kernel];
        Self {
            weight: scope.sub("conv_dw").weight("weight", shape, init),
            norm: BatchNorm::with_eps(&scope.sub(norm), channels, EPS),
            kernel,
            stride,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (scale, shift) = self.norm.scale_and_shift();
        let [channels] = scale.dims();
        let weight = self.weight.get() * scale.reshape([channels, 1, 1, 1]);
        let mut y = ops::depthwise_conv2d(x, weight, Some(shift));
        if self.stride > 1 {
            // The strided outputs are among those of stride 1; only four layers are strided.
            y = every_nth(every_nth(y, 1, self.kernel, self.stride), 2, self.kernel, self.stride);
        }
        ops::silu(y)
    }
}

/// Every `stride`-th row or column of a map that was made with symmetric padding, beginning where
/// "SAME" padding begins.
fn every_nth(x: Tensor<4>, axis: usize, kernel: usize, stride: usize) -> Tensor<4> {
    let side = x.dims()[axis];
    let n_out = side.div_ceil(stride);
    let padding = ((n_out - 1) * stride + kernel).saturating_sub(side);
    let first = kernel / 2 - padding / 2;
    let places: Vec<i64> = (0..n_out).map(|out| (first + out * stride) as i64).collect();
    let data = burn::tensor::TensorData::new(places, [n_out]);
    let device = x.device();
    x.select(axis, Tensor::<1, burn::tensor::Int>::from_data(data, &device))
}

/// `x · sigmoid(expand(silu(reduce(mean of x))))`.
#[derive(Debug, Clone)]
struct SqueezeExcite {
    reduce: Conv2d,
    expand: Conv2d,
}

impl SqueezeExcite {
    fn new(scope: &Scope<'_>, channels: usize, squeezed: usize) -> Self {
        let conv = |name: &str, n_in, n_out| {
            Conv2d::new(&scope.sub(name), ConvConfig::new(n_in, n_out, 1))
        };
        Self {
            reduce: conv("conv_reduce", channels, squeezed),
            expand: conv("conv_expand", squeezed, channels),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mean = x.clone().mean_dim(1).mean_dim(2);
        let gate = self.expand.forward(ops::silu(self.reduce.forward(mean)));
        x * activation::sigmoid(gate)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::params::{Builder, InitRule, Param, ParamSet};

    fn built<T>(make: impl FnOnce(&Scope<'_>) -> T) -> (T, ParamSet) {
        let builder = Builder::new(&Device::flex(), ChaCha8Rng::seed_from_u64(3));
        let made = make(&builder.root(InitRule::Fuser).frozen());
        (made, builder.finish())
    }

    fn map(height: usize, width: usize, channels: usize) -> Tensor<4> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let values: Vec<f32> =
            (0..2 * height * width * channels).map(|_| rng.random_range(-1.0..1.0)).collect();
        let data = TensorData::new(values, [2, height, width, channels]);
        Tensor::from_data(data, &Device::flex())
    }

    /// One output of a "SAME" convolution by its definition: `tap(channel in, ky, kx)` weighs it.
    fn by_definition(
        x: &Tensor<4>,
        [picture, row, column]: [usize; 3],
        [kernel, stride]: [usize; 2],
        channels: std::ops::Range<usize>,
        tap: impl Fn(usize, usize, usize) -> f32,
    ) -> f32 {
        let [_, height, width, n_in] = x.dims();
        let values: Vec<f32> = x.clone().into_data().try_to_vec().unwrap();
        let before =
            |side: usize| ((side.div_ceil(stride) - 1) * stride + kernel).saturating_sub(side) / 2;
        let mut sum = 0.0;
        for ky in 0..kernel {
            for kx in 0..kernel {
                let y = (row * stride + ky).wrapping_sub(before(height));
                let x = (column * stride + kx).wrapping_sub(before(width));
                if y < height && x < width {
                    for channel in channels.clone() {
                        let at = ((picture * height + y) * width + x) * n_in + channel;
                        sum += values[at] * tap(channel, ky, kx);
                    }
                }
            }
        }
        sum
    }

    /// Even and odd sides, both kernels: the odd pixel of the padding lies below and to the right.
    #[test]
    fn strided_layers_pad_as_tensorflow_does() {
        for (height, width) in [(8, 12), (7, 10), (9, 5)] {
            for kernel in [3, 5] {
                let (layer, params) = built(|scope| SameDepthwise::new(scope, "bn1", 3, kernel, 2));
                let x = map(height, width, 3);
                let y = layer.forward(x.clone());
                let [_, out_height, out_width, _] = y.dims();
                assert_eq!([out_height, out_width], [height.div_ceil(2), width.div_ceil(2)]);
                let weight = params.find("conv_dw.weight").unwrap().values();
                let y: Vec<f32> = y.into_data().try_to_vec().unwrap();
                for (index, &ours) in y.iter().enumerate() {
                    let channel = index % 3;
                    let column = index / 3 % out_width;
                    let row = index / 3 / out_width % out_height;
                    let picture = index / 3 / out_width / out_height;
                    let tap = |c: usize, ky: usize, kx: usize| {
                        weight[(c * kernel + ky) * kernel + kx] / (1.0 + EPS as f32).sqrt()
                    };
                    let at = [picture, row, column];
                    let sum = by_definition(&x, at, [kernel, 2], channel..channel + 1, tap);
                    let theirs = sum / (1.0 + (-sum).exp());
                    assert!((ours - theirs).abs() < 1e-5, "{height}x{width} k{kernel} {index}");
                }
            }
        }
    }

    #[test]
    fn the_stem_pads_as_tensorflow_does() {
        for (height, width) in [(8, 12), (7, 10)] {
            let (layer, params) = built(SameConv::new);
            let x = map(height, width, 3);
            let y = layer.forward(x.clone());
            let [_, out_height, out_width, channels] = y.dims();
            assert_eq!([out_height, out_width], [height.div_ceil(2), width.div_ceil(2)]);
            let weight = params.find("conv_stem.weight").unwrap().values();
            let y: Vec<f32> = y.into_data().try_to_vec().unwrap();
            for (index, &ours) in y.iter().enumerate().step_by(37) {
                let (out, pixel) = (index % channels, index / channels);
                let at = [
                    pixel / out_width / out_height,
                    pixel / out_width % out_height,
                    pixel % out_width,
                ];
                let tap = |c: usize, ky: usize, kx: usize| {
                    weight[((out * 3 + c) * 3 + ky) * 3 + kx] / (1.0 + EPS as f32).sqrt()
                };
                let sum = by_definition(&x, at, [3, 2], 0..3, tap);
                let theirs = sum / (1.0 + (-sum).exp());
                assert!((ours - theirs).abs() < 1e-5, "{height}x{width} {index}");
            }
        }
    }

    /// With the dead stages it is the published network of 19,341,616 values without its last
    /// convolution (448 to 1,792 channels with norm) and its classifier of 1,000 classes.
    #[test]
    fn maps_and_counts() {
        let (network, params) = built(EfficientNet::new);
        let maps = network.forward(map(64, 96, 3));
        for (index, map) in maps.iter().enumerate() {
            let stride = 2 << index;
            assert_eq!(map.dims(), [2, 64 / stride, 96 / stride, CHANNELS[index]]);
        }
        let counted = |param: &&Param| !param.leaf_name().starts_with("running_");
        let n_built: usize = params.iter().filter(counted).map(Param::len).sum();
        let head = 448 * 1792 + 2 * 1792 + 1792 * 1000 + 1000;
        assert_eq!(n_built + n_dead_values(), 19_341_616 - head);
        assert!(params.find("blocks.1.0.se.conv_reduce.bias").is_some());
    }
}
