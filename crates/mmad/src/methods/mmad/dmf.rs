//! Dilated Mamba Fuser (DMF): one small map from the encoder's three.
//!
//! Source: MMAD paper, section 3.1; reference implementation, `MambaFuser`.
//!
//! ```text
//! t0 ─ 3×3 s2 ─┐
//! t1 ─ 1×1 ────┴─ 3×3 s2 ─┐
//! t2 ─ 1×1 ───────────────┴─ 1×1 = g ┬─ d1 ───────────┐
//!                                    ├─ d1, d3 ───────┤
//!                                    ├─ d1, d3, d5 ───┼─ 1×1 ─ + vss(ln) ─ + cab(ln) ─ bottlenecks
//!                                    └────────────────┘
//! ```
//!
//! Every convolution but the last 1×1 is followed by batch norm and ReLU (SiLU in the dilated
//! branches).
//!
//! Differences: none in the default. In the reference the convolutions of `cab` feed a channel
//! attention whose gate replaces them instead of scaling them; published weights need that, so
//! it is the default, and [`ChannelAttentionUse::Scale`] is the textbook form.

use burn::tensor::{Tensor, activation};
use mmad_kernels::orders::ScanOrder;
use serde::{Deserialize, Serialize};

use super::ss2d::{Ss2dConfig, VssBlock};
use crate::mode::Mode;
use crate::nn::{
    Activation, Bottleneck, BottleneckConfig, Conv2d, ConvConfig, ConvNorm, LayerNorm,
};
use crate::ops;
use crate::params::Scope;

/// What is done with the gate of the channel attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelAttentionUse {
    /// The gate itself is added to every pixel, as in the reference.
    GateOnly,
    /// The gate scales the convolved features, as in the literature.
    Scale,
}

/// How to build a [`Dmf`].
#[derive(Debug, Clone)]
pub struct DmfConfig {
    /// Channels of the three maps, finest first; the paper has 64, 128, 256.
    pub channels: [usize; 3],
    /// Channels inside the bottlenecks; the paper has 128.
    pub bottleneck_channels: usize,
    /// Channels out; the paper has 512.
    pub out_channels: usize,
    /// Directions of the scan.
    pub directions: usize,
    /// States of the scan.
    pub states: usize,
    /// What is done with the channel attention.
    pub channel_attention: ChannelAttentionUse,
}

/// Dilated Mamba Fuser.
#[derive(Debug, Clone)]
pub struct Dmf {
    bottlenecks: Vec<Bottleneck>,
    conv1: ConvNorm,
    conv2: ConvNorm,
    conv21: ConvNorm,
    conv31: ConvNorm,
    convf: ConvNorm,
    branches: [Vec<ConvNorm>; 3],
    mix: Conv2d,
    ln1: LayerNorm,
    vss: VssBlock,
    ln2: LayerNorm,
    cab: [Conv2d; 2],
    attention: ChannelAttention,
    channel_attention: ChannelAttentionUse,
}

impl Dmf {
    /// Makes the fuser in `scope`.
    pub fn new(scope: &Scope<'_>, config: &DmfConfig) -> Self {
        let [c0, c1, c2] = config.channels;
        let named = |conv: &str, norm: &str, config| ConvNorm::new(scope, conv, norm, config);
        let step = |branch: &str, index: usize, dilation: usize| {
            let scope = scope.sub(branch);
            let (conv, norm) = (format!("{}", 3 * index), format!("{}", 3 * index + 1));
            let config = ConvConfig::new(c2, c2, 3).dilation(dilation);
            ConvNorm::new(&scope, &conv, &norm, config)
        };
        let branch = |name: &str, n_steps: usize| -> Vec<ConvNorm> {
            let dilations = [1, 3, 5].into_iter().enumerate().take(n_steps);
            dilations.map(|(index, dilation)| step(name, index, dilation)).collect()
        };
        let out = config.out_channels;
        let bottlenecks = [(c2, 2), (out, 1), (out, 1)].into_iter().enumerate();
        let bottleneck = |(index, (n_in, stride))| {
            let config = BottleneckConfig {
                n_in,
                width: config.bottleneck_channels,
                n_out: out,
                stride,
                stride_in_first: false,
            };
            Bottleneck::new(&scope.sub("bn_layer").sub(index), config)
        };
        let ss2d = Ss2dConfig {
            channels: c2,
            order: ScanOrder::Hilbert,
            directions: config.directions,
            states: config.states,
            dropout: 0.1,
        };
        Self {
            bottlenecks: bottlenecks.map(bottleneck).collect(),
            conv1: named("conv1", "bn1", ConvConfig::new(c0, c1, 3).stride(2).without_bias()),
            conv2: named("conv2", "bn2", ConvConfig::new(c1, c2, 3).stride(2).without_bias()),
            conv21: named("conv21", "bn21", ConvConfig::new(c1, c1, 1)),
            conv31: named("conv31", "bn31", ConvConfig::new(c2, c2, 1)),
            convf: named("convf", "bnf", ConvConfig::new(c2, c2, 1)),
            branches: [branch("dc_1", 1), branch("dc_3", 2), branch("dc_5", 3)],
            mix: Conv2d::new(&scope.sub("dc_out"), ConvConfig::new(4 * c2, c2, 1)),
            ln1: LayerNorm::new(&scope.sub("ln1"), c2, 1e-5),
            vss: VssBlock::new(&scope.sub("ssm_blocks"), ss2d, 0.1),
            ln2: LayerNorm::new(&scope.sub("ln2"), c2, 1e-5),
            cab: [
                Conv2d::new(&scope.sub("cab.0"), ConvConfig::new(c2, c2 / 4, 3)),
                Conv2d::new(&scope.sub("cab.2"), ConvConfig::new(c2 / 4, c2, 3)),
            ],
            attention: ChannelAttention::new(&scope.sub("cab.3"), c2),
            channel_attention: config.channel_attention,
        }
    }

    /// # Shapes
    ///
    /// - `features`: `[b, 4h, 4w, c0]`, `[b, 2h, 2w, c1]`, `[b, h, w, c2]`
    /// - output: `[b, h / 2, w / 2, out_channels]`, sizes rounded up
    pub fn forward(&self, features: &[Tensor<4>; 3], mode: &Mode<'_>) -> Tensor<4> {
        let [t0, t1, t2] = features;
        let training = mode.is_training();
        let relu = |layer: &ConvNorm, x: Tensor<4>| layer.forward(x, training, Activation::Relu);
        let f0 = relu(&self.conv1, t0.clone());
        let f1 = relu(&self.conv21, t1.clone()) + f0;
        let g = relu(&self.conv2, f1) + relu(&self.conv31, t2.clone());
        let g = relu(&self.convf, g);

        let mut seen: Vec<Tensor<4>> = self
            .branches
            .iter()
            .map(|steps| {
                steps.iter().fold(g.clone(), |x, step| step.forward(x, training, Activation::Silu))
            })
            .collect();
        seen.push(g);
        let h = self.mix.forward(Tensor::cat(seen, 3));
        let h = h.clone() + self.vss.forward(self.ln1.forward(h), mode);
        let h = h.clone() + self.cab(self.ln2.forward(h));
        self.bottlenecks.iter().fold(h, |x, block| block.forward(x, training))
    }

    fn cab(&self, x: Tensor<4>) -> Tensor<4> {
        let [narrow, widen] = &self.cab;
        let x = widen.forward(ops::gelu(narrow.forward(x)));
        let gate = self.attention.forward(x.clone());
        match self.channel_attention {
            ChannelAttentionUse::GateOnly => gate,
            ChannelAttentionUse::Scale => x * gate,
        }
    }
}

/// `sigmoid(mlp(mean) + mlp(max))` over the pixels, one gate per channel.
#[derive(Debug, Clone)]
pub struct ChannelAttention {
    fc1: Conv2d,
    fc2: Conv2d,
}

impl ChannelAttention {
    /// Makes the two 1×1 convolutions in `scope`, with a sixteenth of the channels between them.
    pub fn new(scope: &Scope<'_>, channels: usize) -> Self {
        let hidden = channels / 16;
        let conv = |name: &str, n_in, n_out| {
            Conv2d::new(&scope.sub(name), ConvConfig::new(n_in, n_out, 1).without_bias())
        };
        Self { fc1: conv("fc1", channels, hidden), fc2: conv("fc2", hidden, channels) }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, channels]`
    /// - output: `[b, 1, 1, channels]`, in `0..1`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mlp = |x: Tensor<4>| self.fc2.forward(activation::relu(self.fc1.forward(x)));
        let mean = x.clone().mean_dim(1).mean_dim(2);
        let max = x.max_dim(1).max_dim(2);
        activation::sigmoid(mlp(mean) + mlp(max))
    }
}
