//! Hybrid State Space (HSS) block: mixer and gated feed-forward, each with a norm after the sum.
//!
//! Source: MMAD paper, section 3.2; reference implementation, `HybridBlock` and `GatedFeedForward`.
//!
//! ```text
//! x ─ x + mixer(x) ─ LN ─ x + ffn(x) ─ LN
//! ```

use burn::tensor::Tensor;

use super::mixer::{Mixer, MixerConfig};
use crate::mode::Mode;
use crate::nn::{DepthwiseConv2d, LayerNorm, Linear1x1};
use crate::ops;
use crate::params::Scope;

/// Hybrid State Space block.
#[derive(Debug, Clone)]
pub struct HssBlock {
    mixer: Mixer,
    norm1: LayerNorm,
    ffn: GatedFeedForward,
    norm2: LayerNorm,
}

impl HssBlock {
    /// Makes the block in `scope`.
    pub fn new(scope: &Scope<'_>, config: &MixerConfig) -> Self {
        let channels = config.channels;
        Self {
            mixer: Mixer::new(&scope.sub("mixer"), config),
            norm1: LayerNorm::new(&scope.sub("norm1"), channels, 1e-6),
            ffn: GatedFeedForward::new(&scope.sub("ffn"), channels),
            norm2: LayerNorm::new(&scope.sub("norm2"), channels, 1e-6),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[b, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let x = self.norm1.forward(self.mixer.forward_residual(x, mode));
        self.norm2.forward(self.ffn.forward_residual(x))
    }
}

/// `project_out(gelu(a) · b)` with `a | b = dw3×3(project_in(x))`.
#[derive(Debug, Clone)]
pub struct GatedFeedForward {
    project_in: Linear1x1,
    dwconv: DepthwiseConv2d,
    project_out: Linear1x1,
}

impl GatedFeedForward {
    /// Makes the layer in `scope`.
    pub fn new(scope: &Scope<'_>, channels: usize) -> Self {
        Self {
            project_in: Linear1x1::new(&scope.sub("project_in"), channels, 2 * channels, false),
            dwconv: DepthwiseConv2d::new(&scope.sub("dwconv"), 2 * channels, 3, false),
            project_out: Linear1x1::new(&scope.sub("project_out"), channels, channels, false),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[b, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.project_out.forward(self.gated(x))
    }

    /// `x + forward(x)`.
    ///
    /// # Shapes
    ///
    /// - `x` and output: `[b, h, w, channels]`
    pub fn forward_residual(&self, x: Tensor<4>) -> Tensor<4> {
        self.project_out.forward_residual(self.gated(x.clone()), x)
    }

    /// What goes into `project_out`.
    fn gated(&self, x: Tensor<4>) -> Tensor<4> {
        ops::gelu_gate(self.dwconv.forward(self.project_in.forward(x)))
    }
}
