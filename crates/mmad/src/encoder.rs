//! The frozen encoder: stages 1 to 3 of a ResNet under torchvision's and timm's names, or an
//! EfficientNet.
//!
//! Source: He et al. 2016, "Deep Residual Learning for Image Recognition"; the variants are
//! torchvision's. Only what the maps need exists here: no stage 4 unless it is asked for, and no
//! classifier.

pub mod efficientnet;

use burn::tensor::{Device, Tensor};
use mmad_kernels::precision::Precision;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::efficientnet::EfficientNet;
use crate::nn::{Activation, BasicBlock, Bottleneck, BottleneckConfig, ConvConfig, ConvNorm};
use crate::ops;
use crate::params::{Builder, InitRule, ParamSet, Scope};

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arch {
    /// One basic block per stage; the embedded encoder.
    #[serde(rename = "resnet10")]
    Resnet10,
    /// Two basic blocks per stage.
    #[serde(rename = "resnet18")]
    Resnet18,
    /// 3, 4 and 6 basic blocks; the paper's encoder.
    #[serde(rename = "resnet34")]
    Resnet34,
    /// 3, 4 and 6 bottlenecks, stride in the 3×3 convolution (v1.5, torchvision and timm).
    #[serde(rename = "resnet50")]
    Resnet50,
    /// ResNet-50 with the stride in the first 1×1 convolution (v1, Caffe and Keras).
    #[serde(rename = "resnet50-v1")]
    Resnet50V1,
    /// ResNet-50 with twice the inner width.
    #[serde(rename = "wide-resnet50-2")]
    WideResnet50x2,
    /// EfficientNet-B4 with TensorFlow's padding; UniAD's encoder.
    #[serde(rename = "tf-efficientnet-b4")]
    EfficientnetB4,
}

/// Every encoder, with its name on the command line and in files.
pub const ARCHS: [(&str, Arch); 7] = [
    ("resnet10", Arch::Resnet10),
    ("resnet18", Arch::Resnet18),
    ("resnet34", Arch::Resnet34),
    ("resnet50", Arch::Resnet50),
    ("resnet50-v1", Arch::Resnet50V1),
    ("wide-resnet50-2", Arch::WideResnet50x2),
    ("tf-efficientnet-b4", Arch::EfficientnetB4),
];

impl Arch {
    /// Its name in [`ARCHS`].
    pub fn name(self) -> &'static str {
        ARCHS.iter().find(|(_, arch)| *arch == self).map_or("resnet", |(name, _)| name)
    }

    /// Channels of the maps at strides 4, 8 and 16.
    pub fn channels(self) -> [usize; 3] {
        match self {
            Self::EfficientnetB4 => {
                let [_, c4, c8, c16] = efficientnet::CHANNELS;
                [c4, c8, c16]
            }
            Self::Resnet10 | Self::Resnet18 | Self::Resnet34 => [64, 128, 256],
            Self::Resnet50 | Self::Resnet50V1 | Self::WideResnet50x2 => [256, 512, 1024],
        }
    }

    /// Channels of all maps that its [`Backbone`] gives, finest first.
    pub fn all_channels(self) -> Vec<usize> {
        match self {
            Self::EfficientnetB4 => efficientnet::CHANNELS.to_vec(),
            _ => self.channels().to_vec(),
        }
    }

    /// Blocks of the four stages of a ResNet.
    fn depths(self) -> [usize; 4] {
        match self {
            Self::Resnet10 => [1, 1, 1, 1],
            Self::Resnet18 => [2, 2, 2, 2],
            _ => [3, 4, 6, 3],
        }
    }

    /// Values in stage 4 and the classifier of the published network of 1,000 classes, or for the
    /// EfficientNet in the stages that are not built; some implementations hold them without need.
    pub fn n_dead_values(self) -> usize {
        let n_in = self.channels()[2];
        let (n_out, n_classes) = (2 * n_in, 1000);
        let depth = self.depths()[3];
        let blocks: usize = match self {
            Self::EfficientnetB4 => return efficientnet::n_dead_values(),
            Self::Resnet10 | Self::Resnet18 | Self::Resnet34 => (0..depth)
                .map(|block| if block == 0 { n_in } else { n_out })
                .map(|n_in| 9 * n_out * (n_in + n_out) + 4 * n_out)
                .sum(),
            Self::Resnet50 | Self::Resnet50V1 | Self::WideResnet50x2 => {
                let width = self.bottleneck_width(n_out);
                (0..depth)
                    .map(|block| if block == 0 { n_in } else { n_out })
                    .map(|n_in| width * (n_in + 9 * width + n_out) + 4 * width + 2 * n_out)
                    .sum()
            }
        };
        blocks + n_in * n_out + 2 * n_out + (n_out + 1) * n_classes
    }

    fn bottleneck_width(self, n_out: usize) -> usize {
        if self == Self::WideResnet50x2 { n_out / 2 } else { n_out / 4 }
    }
}

/// Pixels of the picture per pixel of each map, finest map first.
pub const STRIDES: [usize; 3] = [4, 8, 16];

/// The network of an [`Arch`].
#[derive(Debug, Clone)]
pub enum Backbone {
    /// Stages 1 to 3 of a ResNet.
    Resnet(Box<Resnet<3>>),
    /// Stages 1 to 5 of an EfficientNet; frozen only.
    EfficientNet(Box<EfficientNet>),
}

impl Backbone {
    /// Makes the network in `scope`. Of its dense convolutions all but the first, which sees the
    /// picture itself, have the scope's precision; those of single vectors (squeeze and excitation)
    /// and the depthwise ones stay in `f32`.
    pub fn new(scope: &Scope<'_>, arch: Arch) -> Self {
        match arch {
            Arch::EfficientnetB4 => Self::EfficientNet(Box::new(EfficientNet::new(scope))),
            arch => Self::Resnet(Box::new(Resnet::new(scope, arch))),
        }
    }

    /// The maps at strides 4, 8 and 16, scoring.
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`, RGB normalised with the ImageNet mean and deviation
    /// - output `i`: `[b, h / s, w / s, Arch::channels[i]]` with `s` of [`STRIDES`], rounded up
    pub fn forward(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        match self {
            Self::Resnet(resnet) => resnet.forward(images, false),
            Self::EfficientNet(network) => {
                let [_, m4, m8, m16] = network.forward(images);
                [m4, m8, m16]
            }
        }
    }

    /// All maps that the network gives, scoring.
    ///
    /// # Shapes
    ///
    /// - `images`: as of [`Backbone::forward`]
    /// - output `i`: `[b, h / s, w / s, Arch::all_channels[i]]`, the last with `s` = 16, each
    ///   before with half the stride
    pub fn all_maps(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        match self {
            Self::Resnet(resnet) => resnet.forward(images, false).into(),
            Self::EfficientNet(network) => network.forward(images).into(),
        }
    }
}

/// Stem and the first `N` stages of a ResNet.
#[derive(Debug, Clone)]
pub struct Resnet<const N: usize> {
    arch: Arch,
    stem: ConvNorm,
    stages: [Vec<Block>; N],
}

#[derive(Debug, Clone)]
enum Block {
    Basic(BasicBlock),
    Bottleneck(Bottleneck),
}

impl<const N: usize> Resnet<N> {
    /// Makes the network in `scope`.
    ///
    /// # Panics
    ///
    /// When `arch` is no ResNet.
    pub fn new(scope: &Scope<'_>, arch: Arch) -> Self {
        let stem = ConvConfig::new(3, 64, 7).stride(2).without_bias();
        assert!(arch != Arch::EfficientnetB4, "{} is no ResNet", arch.name());
        let channels = resnet_channels(arch);
        let stage = |index: usize| {
            let scope = scope.sub(format_args!("layer{}", index + 1));
            let n_out = channels[index];
            let block = |number: usize| {
                let n_in = match (number, index) {
                    (0, 0) => 64,
                    (0, _) => channels[index - 1],
                    _ => n_out,
                };
                let stride = if number == 0 && index > 0 { 2 } else { 1 };
                block(&scope.sub(number), arch, n_in, n_out, stride)
            };
            (0..arch.depths()[index]).map(block).collect()
        };
        Self {
            arch,
            // Eight bits of precision are less than a picture's levels have, and with three channels
            // hardware for 16 bits gains little here.
            stem: ConvNorm::new(&scope.with_precision(Precision::F32), "conv1", "bn1", stem),
            stages: std::array::from_fn(stage),
        }
    }

    /// Which ResNet this is.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The maps after the last ReLU of every stage.
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`, RGB normalised with the ImageNet mean and deviation
    /// - output `i`: `[b, h / s, w / s, channels[i]]` with `s` of [`STRIDES`], then 32, sizes
    ///   rounded up
    pub fn forward(&self, images: Tensor<4>, is_training: bool) -> [Tensor<4>; N] {
        let x = self.stem.forward(images, is_training, Activation::Relu);
        let mut x = ops::max_pool(x);
        self.stages.each_ref().map(|blocks| {
            x = blocks.iter().fold(x.clone(), |x, block| match block {
                Block::Basic(block) => block.forward(x, is_training),
                Block::Bottleneck(block) => block.forward(x, is_training),
            });
            x.clone()
        })
    }
}

/// Channels of the four stages of a ResNet.
pub fn resnet_channels(arch: Arch) -> [usize; 4] {
    let [c1, c2, c3] = arch.channels();
    [c1, c2, c3, 2 * c3]
}

fn block(scope: &Scope<'_>, arch: Arch, n_in: usize, n_out: usize, stride: usize) -> Block {
    let bottleneck = |width: usize| {
        let stride_in_first = arch == Arch::Resnet50V1;
        let config = BottleneckConfig { n_in, width, n_out, stride, stride_in_first };
        Block::Bottleneck(Bottleneck::new(scope, config))
    };
    match arch {
        Arch::Resnet10 | Arch::Resnet18 | Arch::Resnet34 => {
            Block::Basic(BasicBlock::new(scope, n_in, n_out, stride))
        }
        _ => bottleneck(arch.bottleneck_width(n_out)),
    }
}

/// A network whose weights never change, with its parameters.
#[derive(Debug, Clone)]
pub struct Encoder {
    backbone: Backbone,
    arch: Arch,
    params: ParamSet,
}

impl Encoder {
    /// A network with fresh weights drawn from `seed`; load weights before using it.
    pub fn new(arch: Arch, seed: u64, device: &Device) -> Self {
        let builder = Builder::new(device, ChaCha8Rng::seed_from_u64(seed));
        let backbone = Backbone::new(&builder.root(InitRule::Fuser).frozen(), arch);
        Self { backbone, arch, params: builder.finish() }
    }

    /// Which network this is.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Its parameters under the names of published files.
    pub fn params(&self) -> &ParamSet {
        &self.params
    }

    /// The three feature maps; see [`Backbone::forward`].
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`
    /// - output `i`: `[b, h / s, w / s, channels[i]]`
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        self.backbone.forward(images)
    }
}
