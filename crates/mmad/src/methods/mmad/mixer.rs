//! The mixer of a Hybrid State Space block: Grouped State Space (GSS) scans beside depthwise
//! convolutions, steered by the token router.
//!
//! Source: MMAD paper, sections 3.2 and 3.3; reference implementation, `Mixer`.
//!
//! ```text
//! x ─ project_v ─ v ─ keep, or times the spatial gate ─┬─ group 1: hilbert, z-order, zigzag ─┐
//!                                                      ├─ group 2 …                          ├─ ssm_pro = o
//!                                                      ├─ group 3 …                          │
//!                                                      └─ group 4 …                          ┘
//! o ─ dw 3×3, 5×5, 7×7 (each instance norm, SiLU) ─ GELU ─ times channel gate ─ plus o ─ project_out
//! ```
//!
//! Differences: the reference also computes an attention over windows of one element, which is
//! exactly the value itself; `project_q` and `project_k` are loaded, saved and counted, not used.

use burn::tensor::Tensor;
use mmad_kernels::orders::ScanOrder;
use rayon::prelude::*;

use super::router::Router;
use super::ss2d::{Ss2dConfig, VssBlock};
use crate::mode::Mode;
use crate::nn::{DepthwiseConv2d, Linear, Linear1x1};
use crate::ops;
use crate::params::Scope;

/// How to build a [`Mixer`].
#[derive(Debug, Clone)]
pub struct MixerConfig {
    /// Channels in and out; a multiple of `groups`.
    pub channels: usize,
    /// Channel groups that are scanned apart. MMAD uses 4.
    pub groups: usize,
    /// Base orders that each group is scanned in, one block after the other.
    pub orders: Vec<ScanOrder>,
    /// Directions of every scan.
    pub directions: usize,
    /// States of every scan.
    pub states: usize,
    /// Drop-path rate of its blocks.
    pub drop_path: f64,
}

/// Mixer.
#[derive(Debug, Clone)]
pub struct Mixer {
    router: Router,
    project_v: Linear1x1,
    local: [DepthwiseConv2d; 3],
    project_out: Linear1x1,
    groups: Vec<Vec<VssBlock>>,
    merge: Linear1x1,
}

impl Mixer {
    /// Makes the mixer in `scope`.
    pub fn new(scope: &Scope<'_>, config: &MixerConfig) -> Self {
        let channels = config.channels;
        let router = Router::new(&scope.sub("route"), channels);
        let project_v = Linear1x1::new(&scope.sub("project_v"), channels, channels, true);
        // The attention over one element: without effect, kept for the checkpoint alone.
        Linear::new(&scope.sub("project_q"), channels, channels, true);
        Linear::new(&scope.sub("project_k"), channels, channels, true);
        let local = [(0, 3), (3, 5), (6, 7)].map(|(index, kernel)| {
            let scope = scope.sub("conv_sptial").sub(index);
            DepthwiseConv2d::new(&scope, channels, kernel, false)
        });
        let project_out = Linear1x1::new(&scope.sub("project_out"), channels, channels, true);
        let block = |group: usize, (index, &order): (usize, &ScanOrder)| {
            let scope = scope.sub(format_args!("ssm_blocks_{}", group + 1)).sub(index);
            let ss2d = Ss2dConfig {
                channels: channels / config.groups,
                order,
                directions: config.directions,
                states: config.states,
                dropout: 0.0,
            };
            VssBlock::new(&scope, ss2d, config.drop_path)
        };
        let groups = (0..config.groups)
            .map(|group| {
                config.orders.iter().enumerate().map(|order| block(group, order)).collect()
            })
            .collect();
        let merge = Linear1x1::new(&scope.sub("ssm_pro"), channels, channels, true);
        Self { router, project_v, local, project_out, groups, merge }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[b, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        self.project_out.forward(self.mixed(x, mode))
    }

    /// `x + forward(x)`.
    ///
    /// # Shapes
    ///
    /// - `x` and output: `[b, h, w, channels]`
    pub fn forward_residual(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        self.project_out.forward_residual(self.mixed(x.clone(), mode), x)
    }

    /// What goes into `project_out`.
    fn mixed(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let routing = self.router.forward(x.clone(), mode);
        let keep = routing.keep;
        let gate: Tensor<4> = keep.clone() + keep.sub_scalar(1.0).neg() * routing.spatial_gate;
        let a = self.project_v.forward(x) * gate;

        let o = self.merge.forward(Tensor::cat(self.scan_groups(&a, mode), 3));

        let local = self
            .local
            .iter()
            .fold(o.clone(), |x, conv| ops::instance_norm_silu(conv.forward(x), 1e-5));
        ops::gelu(local) * routing.channel_gate + o
    }

    /// Every group of channels through its own blocks.
    fn scan_groups(&self, a: &Tensor<4>, mode: &Mode<'_>) -> Vec<Tensor<4>> {
        let width = a.dims()[3] / self.groups.len();
        let scan = |(index, blocks): (usize, &Vec<VssBlock>), mode: &Mode<'_>| {
            let group = a.clone().narrow(3, index * width, width);
            blocks.iter().fold(group, |x, block| block.forward(x, mode))
        };
        match *mode {
            // The operations of one group are too small to share out well, and scoring draws
            // nothing at random that would need an order: the groups run side by side.
            Mode::Score(keep) if ops::runs_here(a) && !ops::macs::is_counting() => {
                let groups = self.groups.par_iter().enumerate();
                groups.map(|group| scan(group, &Mode::Score(keep))).collect()
            }
            _ => self.groups.iter().enumerate().map(|group| scan(group, mode)).collect(),
        }
    }
}
