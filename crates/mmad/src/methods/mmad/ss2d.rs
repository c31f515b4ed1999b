//! 2-D selective scan (SS2D) and the block around it: the Mamba part of MMAD.
//!
//! Source: MMAD paper, section 3.3 (GSS); the scan itself: Gu and Dao 2023, "Mamba".
//!
//! ```text
//! x ─ in_proj ─┬─ u: depthwise 3×3, SiLU ─ scan in K directions, sum ─ LN ─┐
//!              └─ z ──────────────────────────────────── SiLU ──────────── × ─ out_proj
//! ```
//!
//! Differences: the maps of the directions and their projections are never written out; the order
//! of summing the directions is fixed but not the reference's; scan tables are built from the map's
//! real height and width.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use burn::tensor::Tensor;
use mmad_kernels::orders::{DirectionTable, ScanOrder};

use crate::mode::Mode;
use crate::nn::{DepthwiseConv2d, Derived, LayerNorm, Linear};
use crate::ops::{self, PackedScan, ScanWeights};
use crate::params::{Init, Scope, Weight};

/// How to build an [`Ss2d`].
#[derive(Debug, Clone, Copy)]
pub struct Ss2dConfig {
    /// Channels in and out; the scan runs on twice as many.
    pub channels: usize,
    /// Base order of the scan.
    pub order: ScanOrder,
    /// Number of directions: 2, 4 or 8.
    pub directions: usize,
    /// Number of states per channel. MMAD uses 16.
    pub states: usize,
    /// Dropout of the output in training.
    pub dropout: f64,
}

/// 2-D selective scan.
#[derive(Debug, Clone)]
pub struct Ss2d {
    config: Ss2dConfig,
    x_proj: Weight<3>,
    dt_weight: Weight<3>,
    dt_bias: Weight<2>,
    a_log: Weight<2>,
    d_skip: Weight<1>,
    packed: Derived<PackedScan>,
    in_proj: Linear,
    conv: DepthwiseConv2d,
    out_norm: LayerNorm,
    out_proj: Linear,
}

impl Ss2d {
    /// Makes the weights in `scope`, in the order of the reference's checkpoints.
    pub fn new(scope: &Scope<'_>, config: Ss2dConfig) -> Self {
        let Ss2dConfig { channels, directions, states, .. } = config;
        let inner = 2 * channels;
        let rank = channels.div_ceil(16);
        let row = rank + 2 * states;
        let x_init = Init::Uniform { bound: 1.0 / (inner as f64).sqrt() };
        let dt_init = Init::Uniform { bound: (rank as f64).powf(-0.5) };
        Self {
            config,
            x_proj: scope.weight("x_proj_weight", [directions, row, inner], x_init),
            dt_weight: scope.weight("dt_projs_weight", [directions, inner, rank], dt_init),
            dt_bias: scope.weight("dt_projs_bias", [directions, inner], Init::StepBias),
            a_log: scope.weight("A_logs", [directions * inner, states], Init::LogStates),
            d_skip: scope.weight("Ds", [directions * inner], Init::Ones),
            packed: Derived::default(),
            in_proj: Linear::new(&scope.sub("in_proj"), channels, 2 * inner, false),
            conv: DepthwiseConv2d::new(&scope.sub("conv2d"), inner, 3, true),
            out_norm: LayerNorm::new(&scope.sub("out_norm"), inner, 1e-5),
            out_proj: Linear::new(&scope.sub("out_proj"), inner, channels, false),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[b, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let out = self.out_proj.forward(self.gated(x));
        mode.dropout(out, self.config.dropout)
    }

    /// What goes into `out_proj`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[b, h, w, channels]`; output: `[b, h, w, 2 · channels]`
    fn gated(&self, x: Tensor<4>) -> Tensor<4> {
        let Ss2dConfig { channels, order, directions, .. } = self.config;
        let [batch, height, width, _] = x.dims();
        let (inner, pixels) = (2 * channels, height * width);
        let table = direction_table(order, directions, height, width);

        let both = self.in_proj.forward(x);
        let u = self.conv.forward_silu(both.clone()).reshape([batch, pixels, inner]);

        let y = if ops::can_fold(&u) {
            self.packed().forward(u, &table)
        } else {
            ops::ss2d_features(u, self.x_proj.get(), self.weights(), &table)
        };
        let y = y.reshape([batch, height, width, inner]);
        self.out_norm.forward_gated(y, both)
    }

    fn weights(&self) -> ScanWeights {
        let Ss2dConfig { channels, directions, states, .. } = self.config;
        let inner = 2 * channels;
        ScanWeights {
            dt_weight: self.dt_weight.get(),
            dt_bias: self.dt_bias.get(),
            a_log: self.a_log.get().reshape([directions, inner, states]),
            d_skip: self.d_skip.get().reshape([directions, inner]),
        }
    }

    fn packed(&self) -> PackedScan {
        let version = self.x_proj.version()
            + self.dt_weight.version()
            + self.dt_bias.version()
            + self.a_log.version()
            + self.d_skip.version();
        self.packed.get(version, || PackedScan::new(self.x_proj.get(), self.weights()))
    }
}

/// `x + drop_path(ss2d(norm(x)))`.
#[derive(Debug, Clone)]
pub struct VssBlock {
    norm: LayerNorm,
    ss2d: Ss2d,
    drop_path: f64,
}

impl VssBlock {
    /// Makes the block in `scope`; `drop_path` is the rate of leaving the branch out in training.
    pub fn new(scope: &Scope<'_>, config: Ss2dConfig, drop_path: f64) -> Self {
        Self {
            norm: LayerNorm::new(&scope.sub("ln_1"), config.channels, 1e-5),
            ss2d: Ss2d::new(&scope.sub("self_attention"), config),
            drop_path,
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[b, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let normed = self.norm.forward(x.clone());
        match mode {
            // Nothing is dropped: the sum joins the last product.
            Mode::Score(_) => self.ss2d.out_proj.forward_residual(self.ss2d.gated(normed), x),
            Mode::Train(_) => x + mode.drop_path(self.ss2d.forward(normed, mode), self.drop_path),
        }
    }
}

type TableKey = (ScanOrder, usize, usize, usize);

/// The table of a scan, computed once per order and map size.
fn direction_table(
    order: ScanOrder,
    directions: usize,
    height: usize,
    width: usize,
) -> Arc<DirectionTable> {
    static TABLES: LazyLock<Mutex<HashMap<TableKey, Arc<DirectionTable>>>> =
        LazyLock::new(Mutex::default);
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (order, directions, height, width);
    let make = || {
        let table = DirectionTable::new(order, height, width, directions);
        Arc::new(table.expect("the number of directions was checked with the configuration"))
    };
    tables.entry(key).or_insert_with(make).clone()
}
