//! The trained parts of DeSTSeg: a decoder that ends in the teacher's maps, and a segmentation head.
//!
//! Source: Zhang et al. 2023, "DeSTSeg", section 3; the head's dilated branches are those of
//! Chen et al. 2018, "Encoder-Decoder with Atrous Separable Convolution". Names are those of the reference.

use burn::tensor::{Tensor, activation};

use crate::nn::{Activation, BasicBlock, BatchNorm, Conv2d, ConvConfig, ConvNorm, Corners, resize};
use crate::params::Scope;

/// Four stages of two basic blocks, with a bilinear doubling before each but the first.
#[derive(Debug, Clone)]
pub struct StudentDecoder {
    stages: [[BasicBlock; 2]; 4],
}

impl StudentDecoder {
    /// Makes the stages in `scope`, from `n_in` channels to maps of `channels`, finest first.
    pub fn new(scope: &Scope<'_>, n_in: usize, channels: [usize; 3]) -> Self {
        let [c1, c2, c3] = channels;
        let stage = |number: usize, n_in: usize, n_out: usize| {
            let scope = scope.sub(format_args!("decoder_layer{number}"));
            [
                BasicBlock::new(&scope.sub(0), n_in, n_out, 1),
                BasicBlock::new(&scope.sub(1), n_out, n_out, 1),
            ]
        };
        Self {
            stages: [stage(4, n_in, n_in), stage(3, n_in, c3), stage(2, c3, c2), stage(1, c2, c1)],
        }
    }

    /// The student's maps, finest first.
    ///
    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`
    /// - output: `[b, 8h, 8w, c1]`, `[b, 4h, 4w, c2]`, `[b, 2h, 2w, c3]`
    pub fn forward(&self, x: Tensor<4>, is_training: bool) -> [Tensor<4>; 3] {
        let through = |stage: &[BasicBlock; 2], x: Tensor<4>| {
            stage.iter().fold(x, |x, block| block.forward(x, is_training))
        };
        let [first, others @ ..] = &self.stages;
        let mut x = through(first, x);
        let mut maps = others.each_ref().map(|stage| {
            let [_, height, width, _] = x.dims();
            let doubled = resize(x.clone(), 2 * height, 2 * width, Corners::HalfPixel);
            x = through(stage, doubled);
            x.clone()
        });
        maps.reverse();
        maps
    }
}

/// Two basic blocks, dilated branches, and a probability per place.
#[derive(Debug, Clone)]
pub struct SegmentationHead {
    res: [BasicBlock; 2],
    branches: DilatedBranches,
    conv: ConvNorm,
    last: Conv2d,
}

/// Distances between the taps of the three dilated convolutions, in pixels.
const DILATIONS: [usize; 3] = [6, 12, 18];

impl SegmentationHead {
    /// Makes the layers in `scope`.
    pub fn new(scope: &Scope<'_>, n_in: usize, width: usize) -> Self {
        let (res, head) = (scope.sub("res"), scope.sub("head"));
        let bare = ConvConfig::new(width, width, 3).without_bias();
        let conv = Conv2d::new(&head.sub(1), bare);
        Self {
            res: [
                BasicBlock::new(&res.sub(0), n_in, width, 1),
                BasicBlock::new(&res.sub(1), width, width, 1),
            ],
            branches: DilatedBranches::new(&head.sub(0), width),
            conv: ConvNorm::of(conv, BatchNorm::new(&head.sub(2), width)),
            last: Conv2d::new(&head.sub(4), ConvConfig::new(width, 1, 1)),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; output: `[b, h, w, 1]`, `0..=1`
    pub fn forward(&self, x: Tensor<4>, is_training: bool) -> Tensor<4> {
        let x = self.res.iter().fold(x, |x, block| block.forward(x, is_training));
        let x = self.branches.forward(x, is_training);
        let x = self.conv.forward(x, is_training, Activation::Relu);
        activation::sigmoid(self.last.forward(x))
    }
}

/// The picture's mean and three dilated convolutions side by side, then one convolution.
#[derive(Debug, Clone)]
struct DilatedBranches {
    mean: ConvNorm,
    dilated: [ConvNorm; 3],
    fusion: ConvNorm,
}

impl DilatedBranches {
    fn new(scope: &Scope<'_>, width: usize) -> Self {
        let extractors = scope.sub("aspp_feature_extractors");
        let branch = |scope: &Scope<'_>, config: ConvConfig| {
            ConvNorm::new(scope, "conv", "norm", config.without_bias())
        };
        let dilated = |index: usize| {
            let config = ConvConfig::new(width, width, 3).dilation(DILATIONS[index]);
            branch(&extractors.sub(index + 1), config)
        };
        Self {
            mean: branch(&extractors.sub("0.1"), ConvConfig::new(width, width, 1)),
            dilated: std::array::from_fn(dilated),
            fusion: branch(&scope.sub("aspp_fusion_layer"), ConvConfig::new(4 * width, width, 3)),
        }
    }

    fn forward(&self, x: Tensor<4>, is_training: bool) -> Tensor<4> {
        let relu = |layer: &ConvNorm, x| layer.forward(x, is_training, Activation::Relu);
        let mean = relu(&self.mean, x.clone().mean_dim(1).mean_dim(2));
        let mut seen = vec![mean.expand(x.dims())];
        seen.extend(self.dilated.iter().map(|layer| relu(layer, x.clone())));
        relu(&self.fusion, Tensor::cat(seen, 3))
    }
}
