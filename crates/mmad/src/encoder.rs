//! The frozen encoder: stages 1 to 3 of a ResNet, under torchvision's and timm's names.
//!
//! Source: He et al. 2016, "Deep Residual Learning for Image Recognition"; the variants are
//! torchvision's. Only what the maps need exists here: no stage 4, no classifier.

use burn::tensor::{Device, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::nn::{Activation, BasicBlock, Bottleneck, BottleneckConfig, ConvConfig, ConvNorm};
use crate::ops;
use crate::params::{Builder, InitRule, ParamSet, Scope};

/// Which ResNet.
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
}

/// Every encoder, with its name on the command line and in files.
pub const ARCHS: [(&str, Arch); 6] = [
    ("resnet10", Arch::Resnet10),
    ("resnet18", Arch::Resnet18),
    ("resnet34", Arch::Resnet34),
    ("resnet50", Arch::Resnet50),
    ("resnet50-v1", Arch::Resnet50V1),
    ("wide-resnet50-2", Arch::WideResnet50x2),
];

impl Arch {
    /// Its name in [`ARCHS`].
    pub fn name(self) -> &'static str {
        ARCHS.iter().find(|(_, arch)| *arch == self).map_or("resnet", |(name, _)| name)
    }

    /// Channels of the three maps, finest first.
    pub fn channels(self) -> [usize; 3] {
        match self {
            Self::Resnet10 | Self::Resnet18 | Self::Resnet34 => [64, 128, 256],
            Self::Resnet50 | Self::Resnet50V1 | Self::WideResnet50x2 => [256, 512, 1024],
        }
    }

    fn depths(self) -> [usize; 3] {
        match self {
            Self::Resnet10 => [1, 1, 1],
            Self::Resnet18 => [2, 2, 2],
            _ => [3, 4, 6],
        }
    }
}

/// Pixels of the picture per pixel of each map, finest map first.
pub const STRIDES: [usize; 3] = [4, 8, 16];

/// Stem and stages 1 to 3 of a ResNet.
#[derive(Debug, Clone)]
pub struct Resnet {
    arch: Arch,
    stem: ConvNorm,
    stages: [Vec<Block>; 3],
}

#[derive(Debug, Clone)]
enum Block {
    Basic(BasicBlock),
    Bottleneck(Bottleneck),
}

impl Resnet {
    /// Makes the network in `scope`.
    pub fn new(scope: &Scope<'_>, arch: Arch) -> Self {
        let stem = ConvConfig::new(3, 64, 7).stride(2).without_bias();
        let channels = arch.channels();
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
            stem: ConvNorm::new(scope, "conv1", "bn1", stem),
            stages: [stage(0), stage(1), stage(2)],
        }
    }

    /// Which ResNet this is.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The three maps after the last ReLU of stages 1 to 3.
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`, RGB normalised with the ImageNet mean and deviation
    /// - output `i`: `[b, h / s, w / s, channels[i]]` with `s` of [`STRIDES`], sizes rounded up
    pub fn forward(&self, images: Tensor<4>, is_training: bool) -> [Tensor<4>; 3] {
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
        Arch::Resnet50 | Arch::Resnet50V1 => bottleneck(n_out / 4),
        Arch::WideResnet50x2 => bottleneck(n_out / 2),
    }
}

/// A ResNet whose weights never change, with its parameters.
#[derive(Debug, Clone)]
pub struct Encoder {
    resnet: Resnet,
    params: ParamSet,
}

impl Encoder {
    /// A network with fresh weights drawn from `seed`; load weights before using it.
    pub fn new(arch: Arch, seed: u64, device: &Device) -> Self {
        let builder = Builder::new(device, ChaCha8Rng::seed_from_u64(seed));
        let resnet = Resnet::new(&builder.root(InitRule::Fuser).frozen(), arch);
        Self { resnet, params: builder.finish() }
    }

    /// The network itself.
    pub fn resnet(&self) -> &Resnet {
        &self.resnet
    }

    /// Which ResNet this is.
    pub fn arch(&self) -> Arch {
        self.resnet.arch()
    }

    /// Its parameters under torchvision's names.
    pub fn params(&self) -> &ParamSet {
        &self.params
    }

    /// The three feature maps; see [`Resnet::forward`].
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`
    /// - output `i`: `[b, h / s, w / s, channels[i]]`
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        self.resnet.forward(images, false)
    }
}
