//! The whole of MMAD, and its configuration.
//!
//! Source: MMAD paper, section 3; sizes and loss from the reference configuration.

use burn::tensor::{Device, Tensor, TensorData};
use mmad_kernels::orders::ScanOrder;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::dmf::{ChannelAttentionUse, Dmf, DmfConfig};
use super::hmd::{Hmd, HmdConfig};
use crate::encoder::{Arch, Backbone};
use crate::mode::{Mode, TrainStep};
use crate::ops;
use crate::params::{Builder, Init, InitRule, ParamSet, Scope, Weight};
use crate::projection::{mean_and_scale, principal_directions};
use crate::run_file::EncoderConfig;

/// What a run file says about MMAD; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MmadConfig {
    /// Channels of the three maps, finest first, each twice the one before. Where the encoder is
    /// wider, a frozen orthonormal projection brings it to these.
    pub widths: [usize; 3],
    /// Depths of the four decoder stages, coarsest first; a depth divisible by three makes a third
    /// as many blocks, an even one half as many.
    pub depths: [usize; 4],
    /// Channel groups of every mixer.
    pub groups: usize,
    /// Base orders that every group is scanned in.
    pub scans: Vec<ScanName>,
    /// Directions of every scan: 2, 4 or 8.
    pub directions: usize,
    /// States of every scan, 1 to 16.
    pub states: usize,
    /// Largest drop-path rate.
    pub drop_path: f64,
    /// What the fuser does with its channel attention.
    pub channel_attention: ChannelAttentionUse,
    /// Bring every channel of the encoder's maps to mean 0 and deviation 1 over the training
    /// pictures before they are rebuilt and compared. Not in the paper; short trainings gain from
    /// it, because the decoder's norms start at that scale.
    pub standardise: bool,
    /// How much the distances of each level count in the anomaly map, finest first; equal in the
    /// paper.
    pub level_weights: [f64; 3],
}

impl Default for MmadConfig {
    fn default() -> Self {
        Self {
            widths: [64, 128, 256],
            depths: [3, 4, 6, 3],
            groups: 4,
            scans: vec![ScanName::Hilbert, ScanName::Zorder, ScanName::Zigzag],
            directions: 8,
            states: 16,
            drop_path: 0.2,
            channel_attention: ChannelAttentionUse::GateOnly,
            standardise: false,
            level_weights: [1.0; 3],
        }
    }
}

/// A scan order in a run file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScanName {
    /// Row by row.
    Sweep,
    /// Row by row, every other row backwards.
    Scan,
    /// Z-order curve.
    Zorder,
    /// Anti-diagonals, to and fro.
    Zigzag,
    /// Hilbert curve.
    Hilbert,
}

impl From<ScanName> for ScanOrder {
    fn from(name: ScanName) -> Self {
        match name {
            ScanName::Sweep => Self::Sweep,
            ScanName::Scan => Self::Scan,
            ScanName::Zorder => Self::Zorder,
            ScanName::Zigzag => Self::Zigzag,
            ScanName::Hilbert => Self::Hilbert,
        }
    }
}

/// Deepest stage and longest list of scans that a model is built with.
const MAX_DEPTH: usize = 96;
const MAX_SCANS: usize = 8;

/// A value of the configuration that no model can be built from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Widths that do not double.
    #[error("`mmad.widths` is {0:?}")]
    Widths([usize; 3]),
    /// A depth divisible by neither 3 nor 2.
    #[error("`mmad.depths` has {0}")]
    Depth(usize),
    /// A number of groups that does not divide the channels.
    #[error("`mmad.groups` is {0}")]
    Groups(usize),
    /// No scan order at all, or too many.
    #[error("`mmad.scans` has none or more than {MAX_SCANS} entries")]
    Scans,
    /// Not 2, 4 or 8.
    #[error("`mmad.directions` is {0}")]
    Directions(usize),
    /// Not 1 to 16.
    #[error("`mmad.states` is {0}")]
    States(usize),
    /// Not in `0..1`.
    #[error("`mmad.drop_path` is {0}")]
    DropPath(String),
    /// Weights that make no map.
    #[error("`mmad.level_weights` is {0}")]
    LevelWeights(String),
    /// The encoder has fewer channels than the widths ask for.
    #[error("encoder `{encoder}` has {channels:?} channels, fewer than `mmad.widths` {widths:?}")]
    NarrowEncoder {
        /// Name of the encoder.
        encoder: &'static str,
        /// Its channels.
        channels: [usize; 3],
        /// What was asked for.
        widths: [usize; 3],
    },
}

impl ConfigError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Widths(_) => {
                "each width is twice the one before and the first a multiple of 16, as in \
                 `[64, 128, 256]` or `[32, 64, 128]`"
            }
            Self::Depth(_) => "use depths up to 96 that 3 or 2 divides, such as `[3, 4, 6, 3]`",
            Self::Groups(_) => "use 1, 2 or 4 groups, so that they divide every stage's channels",
            Self::Scans => "name at least one of sweep, scan, zorder, zigzag, hilbert",
            Self::Directions(_) => "use 2, 4 or 8",
            Self::States(_) => "use a number from 1 to 16",
            Self::DropPath(_) => "use a rate from 0 up to, not including, 1",
            Self::LevelWeights(_) => "use three numbers from 0 to 1000, not all 0",
            Self::NarrowEncoder { .. } => "lower the widths, or use a wider encoder",
        }
        .to_owned()
    }
}

impl MmadConfig {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first value that no model can be built from.
    pub fn validate(&self, encoder: Arch) -> Result<(), ConfigError> {
        let [w0, w1, w2] = self.widths;
        if w0 == 0 || w0 % 16 != 0 || w1 != 2 * w0 || w2 != 2 * w1 || w2 > 4096 {
            return Err(ConfigError::Widths(self.widths));
        }
        if let Some(&depth) = self.depths.iter().find(|&&depth| depth > MAX_DEPTH) {
            return Err(ConfigError::Depth(depth));
        }
        HmdConfig::schedule(&self.depths, self.drop_path)
            .map_err(|unknown| ConfigError::Depth(unknown.0))?;
        if !matches!(self.groups, 1 | 2 | 4) {
            return Err(ConfigError::Groups(self.groups));
        }
        if self.scans.is_empty() || self.scans.len() > MAX_SCANS {
            return Err(ConfigError::Scans);
        }
        if !matches!(self.directions, 2 | 4 | 8) {
            return Err(ConfigError::Directions(self.directions));
        }
        if !(1..=16).contains(&self.states) {
            return Err(ConfigError::States(self.states));
        }
        if !(0.0..1.0).contains(&self.drop_path) {
            return Err(ConfigError::DropPath(self.drop_path.to_string()));
        }
        let weights = self.level_weights;
        let is_weight = |weight: &f64| (0.0..=1000.0).contains(weight);
        if !weights.iter().all(is_weight) || !(weights.iter().sum::<f64>() > 0.0) {
            return Err(ConfigError::LevelWeights(format!("{weights:?}")));
        }
        let channels = encoder.channels();
        if channels.iter().zip(self.widths).any(|(&channels, width)| channels < width) {
            return Err(ConfigError::NarrowEncoder {
                encoder: encoder.name(),
                channels,
                widths: self.widths,
            });
        }
        Ok(())
    }
}

/// MMAD with its frozen encoder.
#[derive(Debug, Clone)]
pub struct Mmad {
    encoder: Backbone,
    projections: Option<[Weight<2>; 3]>,
    standards: Option<[Standard; 3]>,
    dmf: Dmf,
    hmd: Hmd,
    params: ParamSet,
    n_scan_table_values: usize,
    level_weights: [f64; 3],
    device: Device,
}

impl Mmad {
    /// Builds the model with fresh weights; the encoder's are to be loaded before use.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as of [`MmadConfig::validate`].
    pub fn new(
        config: &MmadConfig,
        encoder: &EncoderConfig,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let EncoderConfig { arch, precision, .. } = *encoder;
        config.validate(arch)?;
        let (blocks, drop_path) = HmdConfig::schedule(&config.depths, config.drop_path)
            .map_err(|unknown| ConfigError::Depth(unknown.0))?;
        let [w0, w1, w2] = config.widths;
        let dmf = DmfConfig {
            channels: config.widths,
            bottleneck_channels: w2 / 2,
            out_channels: 2 * w2,
            directions: config.directions,
            states: config.states,
            channel_attention: config.channel_attention,
        };
        let hmd = HmdConfig {
            channels: vec![2 * w2, w2, w1, w0],
            blocks,
            drop_path,
            groups: config.groups,
            orders: config.scans.iter().map(|&name| name.into()).collect(),
            directions: config.directions,
            states: config.states,
        };
        // The fuser scans 16x16 pixels, decoder stage i scans (8 · 2^i) squared.
        let scans_per_block = config.groups * config.scans.len();
        let pixels = (0..4).map(|stage| 64 << (2 * stage));
        let in_stages: usize =
            hmd.blocks.iter().zip(pixels).map(|(blocks, pixels)| blocks * pixels).sum();
        let n_scan_table_values = 2 * (256 + scans_per_block * in_stages);
        let builder = Builder::new(device, ChaCha8Rng::seed_from_u64(seed));
        let root = builder.root(InitRule::Decoder);
        let fuser_scope = root.sub("mamba_fuser").with_rule(InitRule::Fuser);
        let encoder_scope = root.sub("net_t").with_rule(InitRule::Fuser).frozen();
        let encoder_scope = encoder_scope.with_precision(precision);
        Ok(Self {
            encoder: Backbone::new(&encoder_scope, arch),
            projections: projections(&root, arch, config.widths),
            standards: standards(&root, config),
            dmf: Dmf::new(&fuser_scope, &dmf),
            hmd: Hmd::new(&root.sub("net_s"), &hmd),
            params: builder.finish(),
            n_scan_table_values,
            level_weights: config.level_weights,
            device: device.clone(),
        })
    }

    /// All parameters, the encoder's first.
    pub fn params(&self) -> &ParamSet {
        &self.params
    }

    /// Values of the scan tables at 256x256 pixels, which the reference stores as frozen
    /// parameters: every scan's order and its inverse.
    pub fn n_scan_table_values(&self) -> usize {
        self.n_scan_table_values
    }

    /// How much the distances of each level count, finest first.
    pub fn level_weights(&self) -> [f64; 3] {
        self.level_weights
    }

    /// The frozen encoder.
    pub fn encoder(&self) -> &Backbone {
        &self.encoder
    }

    /// The encoder's maps in the widths of the configuration.
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`, normalised; `h` and `w` multiples of 32
    /// - output `i`: `[b, h / s, w / s, widths[i]]`, `s` = 4, 8, 16
    pub fn observe(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        let maps = self.project(self.encoder.forward(images));
        match &self.standards {
            None => maps,
            Some(standards) => {
                let [m0, m1, m2] = maps;
                let [s0, s1, s2] = standards;
                [s0.apply(m0), s1.apply(m1), s2.apply(m2)]
            }
        }
    }

    fn project(&self, maps: [Tensor<4>; 3]) -> [Tensor<4>; 3] {
        let Some(projections) = &self.projections else { return maps };
        let [m0, m1, m2] = maps;
        let [p0, p1, p2] = projections.each_ref().map(Weight::get);
        [ops::linear(m0, p0, None), ops::linear(m1, p1, None), ops::linear(m2, p2, None)]
    }

    /// Fits the projections and the standardisation, where the configuration has them, on some
    /// training pictures.
    ///
    /// # Shapes
    ///
    /// - each of `images`: `[1, h, w, 3]`, normalised
    pub fn prepare(&self, images: &[Tensor<4>]) {
        let vector = |values: Vec<f32>| {
            let n_values = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [n_values]), &self.device)
        };
        if let Some(projections) = &self.projections {
            for (level, projection) in projections.iter().enumerate() {
                let maps = images.iter().map(|image| {
                    let [m0, m1, m2] = self.encoder.forward(image.clone());
                    [m0, m1, m2].into_iter().nth(level).expect("there are three levels")
                });
                let [width, channels] = projection.get().dims();
                let rows = principal_directions(maps, width);
                projection.set(vector(rows).reshape([width, channels]));
            }
        }
        if let Some(standards) = &self.standards {
            for (level, standard) in standards.iter().enumerate() {
                let maps = images.iter().map(|image| {
                    let maps = self.project(self.encoder.forward(image.clone()));
                    maps.into_iter().nth(level).expect("there are three levels")
                });
                let (mean, scale) = mean_and_scale(maps);
                standard.mean.set(vector(mean));
                standard.scale.set(vector(scale));
            }
        }
    }

    /// The decoder's maps, finest first.
    ///
    /// # Shapes
    ///
    /// - `seen` and output: `[b, h / s, w / s, widths[i]]`, `s` = 4, 8, 16
    pub fn rebuild(&self, seen: &[Tensor<4>; 3], mode: &Mode<'_>) -> Vec<Tensor<4>> {
        self.hmd.forward(self.dmf.forward(seen, mode), mode)
    }

    /// The fused map.
    ///
    /// # Shapes
    ///
    /// - `seen`: as of [`Mmad::observe`]; output: `[b, h / 32, w / 32, 2 · widths[2]]`
    pub fn fuse(&self, seen: &[Tensor<4>; 3], mode: &Mode<'_>) -> Tensor<4> {
        self.dmf.forward(seen, mode)
    }

    /// Five times the mean squared difference of each level, summed over the levels.
    ///
    /// Source: reference configuration, `L2Loss` with weight 5.
    ///
    /// # Shapes
    ///
    /// - `seen`: as of [`Mmad::observe`]; output: one number
    pub fn loss(&self, seen: &[Tensor<4>; 3], step: &TrainStep) -> Tensor<1> {
        reconstruction_loss(seen, self.rebuild(seen, &Mode::Train(step)))
    }
}

/// Weight of the loss in the reference configuration.
const LOSS_WEIGHT: f64 = 5.0;

/// See [`Mmad::loss`].
///
/// # Shapes
///
/// - `seen` and `rebuilt`: equal, level by level; output: one number
pub fn reconstruction_loss(seen: &[Tensor<4>], rebuilt: Vec<Tensor<4>>) -> Tensor<1> {
    let levels = seen.iter().zip(rebuilt);
    let losses = levels.map(|(seen, rebuilt)| (rebuilt - seen.clone()).powi_scalar(2).mean());
    losses.reduce(|a, b| a + b).expect("there are three levels") * LOSS_WEIGHT
}

/// Frozen projections, where the encoder is wider than asked for.
fn projections(root: &Scope<'_>, encoder: Arch, widths: [usize; 3]) -> Option<[Weight<2>; 3]> {
    let channels = encoder.channels();
    (channels != widths).then(|| {
        [0, 1, 2].map(|level| {
            let scope = root.sub("projection").sub(level).frozen();
            let shape = [widths[level], channels[level]];
            scope.weight("weight", shape, Init::Normal { std: 1.0 })
        })
    })
}

/// Mean and inverse deviation of every channel.
#[derive(Debug, Clone)]
struct Standard {
    mean: Weight<1>,
    scale: Weight<1>,
}

impl Standard {
    fn apply(&self, map: Tensor<4>) -> Tensor<4> {
        (map - self.mean.get().unsqueeze()) * self.scale.get().unsqueeze()
    }
}

fn standards(root: &Scope<'_>, config: &MmadConfig) -> Option<[Standard; 3]> {
    config.standardise.then(|| {
        [0, 1, 2].map(|level| {
            let scope = root.sub("standard").sub(level).frozen();
            let width = config.widths[level];
            Standard {
                mean: scope.weight("mean", [width], Init::Zeros),
                scale: scope.weight("scale", [width], Init::Ones),
            }
        })
    })
}
