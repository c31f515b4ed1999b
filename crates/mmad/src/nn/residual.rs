//! The residual blocks of a residual network (He et al. 2016, "Deep Residual Learning").

use burn::tensor::{Tensor, activation};
use mmad_kernels::precision::Precision;

use super::derived::Derived;
use super::{Activation, BatchNorm, Conv2d, ConvConfig};
use crate::ops::{self, FoldedConv, RoundedConv};
use crate::params::Scope;

/// Convolution and the batch norm after it; one convolution when scoring.
///
/// Where the scope has another precision than `f32`, that one convolution rounds its factors. It is
/// meant for frozen networks: training never rounds.
#[derive(Debug, Clone)]
pub struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
    folded: Derived<FoldedConv>,
    rounded: Derived<RoundedConv>,
}

impl ConvNorm {
    /// Makes the convolution as `conv` and the norm as `norm` in `scope`.
    pub fn new(scope: &Scope<'_>, conv: &str, norm: &str, config: ConvConfig) -> Self {
        let conv = Conv2d::new(&scope.sub(conv), config);
        Self::of(conv, BatchNorm::new(&scope.sub(norm), config.n_out))
    }

    /// Joins a convolution and a norm that were made before.
    pub fn of(conv: Conv2d, norm: BatchNorm) -> Self {
        Self { conv, norm, folded: Derived::default(), rounded: Derived::default() }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; output: `[b, h / stride, w / stride, n_out]`
    pub fn forward(&self, x: Tensor<4>, is_training: bool, activation: Activation) -> Tensor<4> {
        if is_training || self.is_in_two(&x) {
            return self.norm.forward(self.conv.forward(x), is_training, activation);
        }
        let y = self.forward_as_one(x, None, activation == Activation::Relu);
        if activation == Activation::Silu { ops::silu(y) } else { y }
    }

    /// `relu(norm(conv(x)) + residual)`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; `residual` and output: `[b, h / stride, w / stride, n_out]`
    pub fn forward_residual(
        &self,
        x: Tensor<4>,
        residual: Tensor<4>,
        is_training: bool,
    ) -> Tensor<4> {
        if is_training || self.is_in_two(&x) {
            let y = self.norm.forward(self.conv.forward(x), is_training, Activation::None);
            return activation::relu(y + residual);
        }
        self.forward_as_one(x, Some(residual), true)
    }

    /// Whether it takes two operations: gradients are recorded, or nothing is rounded and no kernel does
    /// both.
    fn is_in_two(&self, x: &Tensor<4>) -> bool {
        let is_exact = self.conv.precision() == Precision::F32;
        x.device().is_autodiff() || (is_exact && !ops::can_fold(x))
    }

    /// Scoring as one convolution, made anew only after a tensor was replaced.
    fn forward_as_one(&self, x: Tensor<4>, residual: Option<Tensor<4>>, relu: bool) -> Tensor<4> {
        let version = self.conv.version() + self.norm.version();
        let (options, precision) = (self.conv.options(), self.conv.precision());
        let fold = || {
            let (scale, shift) = self.norm.scale_and_shift();
            ops::fold(self.conv.weight(), self.conv.bias(), scale, shift)
        };
        if ops::can_fold(&x) {
            let make = || FoldedConv::new(fold(), options, precision);
            return self.folded.get(version, make).forward(x, residual, relu);
        }
        let make = || RoundedConv::new(fold(), options, precision);
        let y = self.rounded.get(version, make).forward(x);
        let y = if let Some(residual) = residual { y + residual } else { y };
        if relu { activation::relu(y) } else { y }
    }
}

/// Basic block: 3×3 with the stride, 3×3, plus the shortcut.
#[derive(Debug, Clone)]
pub struct BasicBlock {
    conv1: ConvNorm,
    conv2: ConvNorm,
    shortcut: Option<ConvNorm>,
}

impl BasicBlock {
    /// Makes the block in `scope`.
    pub fn new(scope: &Scope<'_>, n_in: usize, n_out: usize, stride: usize) -> Self {
        let bare = |n_in| ConvConfig::new(n_in, n_out, 3).without_bias();
        Self {
            conv1: ConvNorm::new(scope, "conv1", "bn1", bare(n_in).stride(stride)),
            conv2: ConvNorm::new(scope, "conv2", "bn2", bare(n_out)),
            shortcut: shortcut(scope, n_in, n_out, stride),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; output: `[b, h / stride, w / stride, n_out]`
    pub fn forward(&self, x: Tensor<4>, is_training: bool) -> Tensor<4> {
        let y = self.conv1.forward(x.clone(), is_training, Activation::Relu);
        let x = through_shortcut(x, self.shortcut.as_ref(), is_training);
        self.conv2.forward_residual(y, x, is_training)
    }
}

/// How to build a [`Bottleneck`].
#[derive(Debug, Clone, Copy)]
pub struct BottleneckConfig {
    /// Channels in.
    pub n_in: usize,
    /// Channels of the two inner maps.
    pub width: usize,
    /// Channels out.
    pub n_out: usize,
    /// Stride of the block.
    pub stride: usize,
    /// Stride in the first 1×1 convolution (ResNet v1) rather than in the 3×3 (v1.5).
    pub stride_in_first: bool,
}

/// Bottleneck: 1×1, 3×3, 1×1, plus the shortcut.
#[derive(Debug, Clone)]
pub struct Bottleneck {
    conv1: ConvNorm,
    conv2: ConvNorm,
    conv3: ConvNorm,
    shortcut: Option<ConvNorm>,
}

impl Bottleneck {
    /// Makes the block in `scope`.
    pub fn new(scope: &Scope<'_>, config: BottleneckConfig) -> Self {
        let BottleneckConfig { n_in, width, n_out, stride, stride_in_first } = config;
        let (first, second) = if stride_in_first { (stride, 1) } else { (1, stride) };
        let bare = |n_in, n_out, kernel| ConvConfig::new(n_in, n_out, kernel).without_bias();
        Self {
            conv1: ConvNorm::new(scope, "conv1", "bn1", bare(n_in, width, 1).stride(first)),
            conv2: ConvNorm::new(scope, "conv2", "bn2", bare(width, width, 3).stride(second)),
            conv3: ConvNorm::new(scope, "conv3", "bn3", bare(width, n_out, 1)),
            shortcut: shortcut(scope, n_in, n_out, stride),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`; output: `[b, h / stride, w / stride, n_out]`
    pub fn forward(&self, x: Tensor<4>, is_training: bool) -> Tensor<4> {
        let y = self.conv1.forward(x.clone(), is_training, Activation::Relu);
        let y = self.conv2.forward(y, is_training, Activation::Relu);
        let x = through_shortcut(x, self.shortcut.as_ref(), is_training);
        self.conv3.forward_residual(y, x, is_training)
    }
}

fn shortcut(scope: &Scope<'_>, n_in: usize, n_out: usize, stride: usize) -> Option<ConvNorm> {
    (stride != 1 || n_in != n_out).then(|| {
        let config = ConvConfig::new(n_in, n_out, 1).stride(stride).without_bias();
        ConvNorm::new(&scope.sub("downsample"), "0", "1", config)
    })
}

fn through_shortcut(x: Tensor<4>, shortcut: Option<&ConvNorm>, is_training: bool) -> Tensor<4> {
    match shortcut {
        Some(shortcut) => shortcut.forward(x, is_training, Activation::None),
        None => x,
    }
}
