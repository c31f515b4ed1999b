//! Hybrid Mamba Decoder (HMD): rebuilds the encoder's three feature maps from the fused one.
//!
//! Source: MMAD paper, section 3.2; reference implementation, `HMD`, `HSS`, `PatchExpand`.
//!
//! ```text
//! [b,8,8,512] ─ stage 0 ─ expand, stage 1 ─ expand, stage 2 ─ expand, stage 3
//!                             [16,16,256]       [32,32,128]       [64,64,64]
//! ```
//! (sizes at 256×256 pixels; maps are `[b, h, w, channels]`)

use burn::tensor::Tensor;
use mmad_kernels::orders::ScanOrder;

use super::hss::HssBlock;
use super::mixer::MixerConfig;
use crate::mode::Mode;
use crate::nn::{LayerNorm, Linear};
use crate::params::Scope;

/// How to build an [`Hmd`].
#[derive(Debug, Clone)]
pub struct HmdConfig {
    /// Channels of the four stages, coarsest first; each half of the one before.
    pub channels: Vec<usize>,
    /// Hybrid State Space blocks per stage.
    pub blocks: Vec<usize>,
    /// Drop-path rate per stage and block.
    pub drop_path: Vec<Vec<f64>>,
    /// Channel groups of a mixer.
    pub groups: usize,
    /// Base orders of each group.
    pub orders: Vec<ScanOrder>,
    /// Directions of every scan.
    pub directions: usize,
    /// States of every scan.
    pub states: usize,
}

impl HmdConfig {
    /// Blocks per stage and drop-path rates as the reference derives them from `depths`.
    ///
    /// A depth divisible by three makes a third as many blocks, an even one half as many. The rates
    /// fall linearly from `max_rate` to 0 over the sum of the depths; a block uses the rate at its
    /// own number within the stage.
    ///
    /// # Errors
    ///
    /// Names the depth that is divisible by neither.
    pub fn schedule(
        depths: &[usize],
        max_rate: f64,
    ) -> Result<(Vec<usize>, Vec<Vec<f64>>), UnknownDepth> {
        let n_rates: usize = depths.iter().sum();
        let rate = |index: usize| match n_rates {
            0 | 1 => 0.0,
            _ => max_rate * (n_rates - 1 - index) as f64 / (n_rates - 1) as f64,
        };
        let mut blocks = Vec::new();
        let mut rates = Vec::new();
        let mut offset = 0;
        for &depth in depths {
            let n_blocks = match depth {
                0 => return Err(UnknownDepth(depth)),
                _ if depth % 3 == 0 => depth / 3,
                _ if depth % 2 == 0 => depth / 2,
                _ => return Err(UnknownDepth(depth)),
            };
            blocks.push(n_blocks);
            rates.push((0..n_blocks).map(|block| rate(offset + block)).collect());
            offset += depth;
        }
        Ok((blocks, rates))
    }
}

/// A depth for which the reference defines no number of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("depth `{0}` is divisible neither by 3 nor by 2")]
pub struct UnknownDepth(pub usize);

/// Hybrid Mamba Decoder.
#[derive(Debug, Clone)]
pub struct Hmd {
    stages: Vec<Stage>,
}

#[derive(Debug, Clone)]
struct Stage {
    expand: Option<PatchExpand>,
    blocks: Vec<HssBlock>,
}

impl Hmd {
    /// Makes the decoder in `scope`.
    pub fn new(scope: &Scope<'_>, config: &HmdConfig) -> Self {
        let stage = |(index, &channels): (usize, &usize)| {
            let scope = scope.sub("layers_up").sub(index);
            let blocks = (0..config.blocks[index])
                .map(|block| {
                    let mixer = MixerConfig {
                        channels,
                        groups: config.groups,
                        orders: config.orders.clone(),
                        directions: config.directions,
                        states: config.states,
                        drop_path: config.drop_path[index][block],
                    };
                    HssBlock::new(&scope.sub("blocks").sub(block), &mixer)
                })
                .collect();
            let expand = (index > 0).then(|| PatchExpand::new(&scope.sub("upsample"), channels));
            Stage { expand, blocks }
        };
        Self { stages: config.channels.iter().enumerate().map(stage).collect() }
    }

    /// The outputs of all stages but the first, finest first.
    ///
    /// # Shapes
    ///
    /// - `x`: `[b, h, w, channels[0]]`
    /// - output `i`: `[b, h · 2^(n-i), w · 2^(n-i), channels[n-i]]` with `n = stages - 1`
    pub fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Vec<Tensor<4>> {
        let mut outputs = Vec::new();
        let mut x = x;
        for stage in &self.stages {
            if let Some(expand) = &stage.expand {
                x = expand.forward(x);
            }
            x = stage.blocks.iter().fold(x, |x, block| block.forward(x, mode));
            outputs.push(x.clone());
        }
        outputs.remove(0);
        outputs.reverse();
        outputs
    }
}

/// Doubles height and width: one product to four pixels, then a norm.
#[derive(Debug, Clone)]
pub struct PatchExpand {
    expand: Linear,
    norm: LayerNorm,
}

impl PatchExpand {
    /// Makes the layer in `scope`; it takes `2 · channels` in and gives `channels`.
    pub fn new(scope: &Scope<'_>, channels: usize) -> Self {
        Self {
            expand: Linear::new(&scope.sub("expand"), 2 * channels, 4 * channels, false),
            norm: LayerNorm::new(&scope.sub("norm"), channels, 1e-5),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, 2 · channels]`
    /// - output: `[b, 2h, 2w, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, wide] = x.dims();
        let channels = wide / 2;
        let x = self.expand.forward(x).reshape([batch, height, width, 2, 2, channels]);
        let x = x.permute([0, 1, 3, 2, 4, 5]).reshape([batch, 2 * height, 2 * width, channels]);
        self.norm.forward(x)
    }
}
