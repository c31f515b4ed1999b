//! RD4AD, reverse distillation: a decoder rebuilds the encoder's maps from one narrow embedding.
//!
//! Source: Deng and Li 2022, "Anomaly Detection via Reverse Distillation from One-Class Embedding";
//! the multi-class recipe is ADer's.
//!
//! ```text
//! picture ─ encoder ─ t1 ─ 3×3 s2 ─ 3×3 s2 ─┐
//!                     t2 ──────── 3×3 s2 ───┼ concat ─ bottlenecks ─ embedding
//!                     t3 ───────────────────┘                            │
//!           1 - cosine per level ─ s1, s2, s3 ── stages of bottlenecks ──┘
//! ```

use burn::tensor::{Device, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::anomaly_map::cosine_maps;
use crate::encoder::{Arch, Backbone};
use crate::method::{BuildError, Method, MethodEntry, Observation, ScoredMap};
use crate::mode::TrainStep;
use crate::nn::{
    Activation, BatchNorm, Bottleneck, BottleneckConfig, ConvConfig, ConvNorm, TransposedConv2x2,
};
use crate::params::{Builder, InitRule, ParamSet, Scope};
use crate::recipe::Recipe;
use crate::run_file::{EncoderConfig, Preset, RunConfig, Schedule, TrainConfig};
use crate::train::adamw::AdamWConfig;
use crate::unfit::{require, require_in};

/// RD4AD in the list of methods.
pub const ENTRY: MethodEntry = MethodEntry {
    id: "rd4ad",
    about: "frozen encoder, one-class bottleneck embedding, decoder that rebuilds the encoder's maps",
    source: "Deng and Li, \"Anomaly Detection via Reverse Distillation from One-Class Embedding\", \
             CVPR 2022",
    needs: "any encoder; wide-resnet50-2 in its paper",
    recipe,
    build,
};

/// What a run file says about RD4AD; the defaults are ADer's. Widths follow the encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rd4adConfig {
    /// Blocks of the embedding.
    pub embedding_blocks: usize,
    /// Inner channels of the embedding's blocks over its channels out: 1/4 in ADer. The original
    /// has 1/2, which is another network.
    pub embedding_divisor: usize,
    /// Blocks of the three decoder stages, coarsest first.
    pub decoder_blocks: [usize; 3],
}

impl Default for Rd4adConfig {
    fn default() -> Self {
        Self { embedding_blocks: 3, embedding_divisor: 4, decoder_blocks: [3, 4, 6] }
    }
}

/// ADer's and the original's constants.
fn adam() -> AdamWConfig {
    AdamWConfig { beta1: 0.5, weight_decay: 0.0, ..AdamWConfig::default() }
}

fn recipe(preset: Preset) -> Option<RunConfig> {
    Recipe {
        method: ENTRY.id,
        encoder: (Arch::WideResnet50x2, "wide_resnet50_2.racm_in1k"),
        train: TrainConfig {
            epochs: 100,
            batch: 16,
            learning_rate: 5e-3,
            adamw: adam(),
            ..TrainConfig::default()
        },
        ader: Some(|_| {}),
        // One class per run.
        original: Some(|config| {
            "wide_resnet50_2.tv_v1".clone_into(&mut config.encoder.weights);
            config.train.epochs = 200;
            config.train.schedule = Schedule::Constant;
            config.rd4ad.embedding_divisor = 2;
        }),
        quick: |config| {
            config.train.adamw = adam();
            config.train.learning_rate = 2e-3;
            config.rd4ad.embedding_blocks = 2;
            config.rd4ad.decoder_blocks = [2, 2, 2];
        },
    }
    .of(preset)
}

fn build(config: &RunConfig, device: &Device) -> Result<Box<dyn Method>, BuildError> {
    let Rd4adConfig { embedding_blocks, embedding_divisor, decoder_blocks } = config.rd4ad;
    let blocks = 1..=64;
    let key = "rd4ad.embedding_blocks";
    require_in(&blocks, "a number from 1 to 64", &[(key, embedding_blocks)])?;
    let fits = matches!(embedding_divisor, 1 | 2 | 4 | 8);
    require(fits, "rd4ad.embedding_divisor", embedding_divisor, "1, 2, 4 or 8")?;
    let fits = decoder_blocks.iter().all(|number| blocks.contains(number));
    let value = format!("{decoder_blocks:?}");
    require(fits, "rd4ad.decoder_blocks", value, "three numbers from 1 to 64")?;
    config.encoder.fits(device)?;
    Ok(Box::new(Rd4ad::new(&config.rd4ad, &config.encoder, config.seed, device)))
}

/// Encoder, embedding and decoder.
#[derive(Debug)]
pub struct Rd4ad {
    encoder: Backbone,
    embedding: Embedding,
    decoder: Decoder,
    params: ParamSet,
}

impl Rd4ad {
    /// Builds it with fresh weights; the encoder's are to be loaded before use.
    pub fn new(config: &Rd4adConfig, encoder: &EncoderConfig, seed: u64, device: &Device) -> Self {
        let builder = Builder::new(device, ChaCha8Rng::seed_from_u64(seed));
        let root = builder.root(InitRule::Fuser);
        let EncoderConfig { arch, precision, .. } = *encoder;
        let channels = arch.channels();
        let frozen = root.sub("net_t").frozen().with_precision(precision);
        Self {
            encoder: Backbone::new(&frozen, arch),
            embedding: Embedding::new(&root.sub("mff_oce"), channels, config),
            decoder: Decoder::new(&root.sub("net_s"), channels, config.decoder_blocks),
            params: builder.finish(),
        }
    }

    fn rebuild(&self, seen: &Observation, is_training: bool) -> [Tensor<4>; 3] {
        let seen = seen.as_slice().try_into().expect("`observe` gives three maps");
        self.decoder.forward(self.embedding.forward(seen, is_training), is_training)
    }
}

impl Method for Rd4ad {
    fn params(&self) -> &ParamSet {
        &self.params
    }

    fn observe(&self, images: Tensor<4>) -> Observation {
        self.encoder.forward(images).into()
    }

    fn loss(&self, seen: &Observation, _step: &TrainStep) -> Tensor<1> {
        cosine_loss(seen, &self.rebuild(seen, true))
    }

    fn score(&self, seen: &Observation, height: usize, width: usize) -> Vec<ScoredMap> {
        cosine_maps(seen, &self.rebuild(seen, false), &[1.0; 3], height, width)
    }
}

/// Sum over the levels of the mean over the pictures of `1 - cos`, every level being one vector.
///
/// # Shapes
///
/// - `seen` and `rebuilt`: equal, level by level, `[b, h, w, c]`; output: one number
pub fn cosine_loss(seen: &[Tensor<4>], rebuilt: &[Tensor<4>]) -> Tensor<1> {
    const EPS: f64 = 1e-8;
    let losses = seen.iter().zip(rebuilt).map(|(seen, rebuilt)| {
        let [batch, height, width, channels] = seen.dims();
        let vector = |map: &Tensor<4>| map.clone().reshape([batch, height * width * channels]);
        let (a, b) = (vector(seen), vector(rebuilt));
        let dot = (a.clone() * b.clone()).sum_dim(1);
        let norm = |x: Tensor<2>| x.powi_scalar(2).sum_dim(1).sqrt();
        let cosine = dot / (norm(a) * norm(b)).clamp_min(EPS);
        (-cosine + 1.0).mean()
    });
    losses.reduce(|a, b| a + b).expect("there is a level")
}

/// Three maps become one, at half the side of the coarsest: multi-scale feature fusion (MFF) and
/// one-class embedding (OCE).
#[derive(Debug, Clone)]
pub struct Embedding {
    conv1: ConvNorm,
    conv2: ConvNorm,
    conv3: ConvNorm,
    blocks: Vec<Bottleneck>,
}

impl Embedding {
    /// Makes the layers in `scope` for maps of these channels.
    pub fn new(scope: &Scope<'_>, channels: [usize; 3], config: &Rd4adConfig) -> Self {
        let [c1, c2, c3] = channels;
        let halve = |conv: &str, norm: &str, n_in, n_out| {
            let config = ConvConfig::new(n_in, n_out, 3).stride(2).without_bias();
            ConvNorm::new(scope, conv, norm, config)
        };
        let n_out = 2 * c3;
        let block = |index: usize| {
            let (n_in, stride) = if index == 0 { (3 * c3, 2) } else { (n_out, 1) };
            let width = n_out / config.embedding_divisor;
            let config = BottleneckConfig { n_in, width, n_out, stride, stride_in_first: false };
            Bottleneck::new(&scope.sub("bn_layer").sub(index), config)
        };
        Self {
            conv1: halve("conv1", "bn1", c1, c2),
            conv2: halve("conv2", "bn2", c2, c3),
            conv3: halve("conv3", "bn3", c2, c3),
            blocks: (0..config.embedding_blocks).map(block).collect(),
        }
    }

    /// # Shapes
    ///
    /// - `maps`: `[b, 4h, 4w, c1]`, `[b, 2h, 2w, c2]`, `[b, h, w, c3]`
    /// - output: `[b, h / 2, w / 2, 2 · c3]`
    pub fn forward(&self, maps: &[Tensor<4>; 3], is_training: bool) -> Tensor<4> {
        let [t1, t2, t3] = maps;
        let relu = |layer: &ConvNorm, x| layer.forward(x, is_training, Activation::Relu);
        let l1 = relu(&self.conv2, relu(&self.conv1, t1.clone()));
        let l2 = relu(&self.conv3, t2.clone());
        let all = Tensor::cat(vec![l1, l2, t3.clone()], 3);
        self.blocks.iter().fold(all, |x, block| block.forward(x, is_training))
    }
}

/// Three stages that double the side and halve the channels.
#[derive(Debug, Clone)]
pub struct Decoder {
    stages: [(Doubling, Vec<Bottleneck>); 3],
}

impl Decoder {
    /// Makes the stages in `scope`; `blocks` counts theirs, coarsest first.
    pub fn new(scope: &Scope<'_>, channels: [usize; 3], blocks: [usize; 3]) -> Self {
        let [c1, c2, c3] = channels;
        let stage = |index: usize, n_in: usize, n_out: usize| {
            let scope = scope.sub(format_args!("layer{}", index + 1));
            let width = n_out / 2;
            let config =
                BottleneckConfig { n_in: n_out, width, n_out, stride: 1, stride_in_first: false };
            let others = 1..blocks[index];
            let first = Doubling::new(&scope.sub(0), n_in, width, n_out);
            (first, others.map(|number| Bottleneck::new(&scope.sub(number), config)).collect())
        };
        Self { stages: [stage(0, 2 * c3, c3), stage(1, c3, c2), stage(2, c2, c1)] }
    }

    /// The rebuilt maps, finest first.
    ///
    /// # Shapes
    ///
    /// - `x`: `[b, h, w, 2 · c3]`
    /// - output: `[b, 8h, 8w, c1]`, `[b, 4h, 4w, c2]`, `[b, 2h, 2w, c3]`
    pub fn forward(&self, x: Tensor<4>, is_training: bool) -> [Tensor<4>; 3] {
        let mut x = x;
        let mut maps = self.stages.each_ref().map(|(first, others)| {
            x = first.forward(x.clone(), is_training);
            x = others.iter().fold(x.clone(), |x, block| block.forward(x, is_training));
            x.clone()
        });
        maps.reverse();
        maps
    }
}

/// Bottleneck whose middle convolution and shortcut are transposed, 2×2 with stride 2.
#[derive(Debug, Clone)]
struct Doubling {
    conv1: ConvNorm,
    conv2: TransposedConv2x2,
    norm2: BatchNorm,
    conv3: ConvNorm,
    shortcut: TransposedConv2x2,
    shortcut_norm: BatchNorm,
}

impl Doubling {
    fn new(scope: &Scope<'_>, n_in: usize, width: usize, n_out: usize) -> Self {
        let bare = |n_in, n_out| ConvConfig::new(n_in, n_out, 1).without_bias();
        let shortcut = scope.sub("upsample");
        Self {
            conv1: ConvNorm::new(scope, "conv1", "bn1", bare(n_in, width)),
            conv2: TransposedConv2x2::new(&scope.sub("conv2"), width, width),
            norm2: BatchNorm::new(&scope.sub("bn2"), width),
            conv3: ConvNorm::new(scope, "conv3", "bn3", bare(width, n_out)),
            shortcut: TransposedConv2x2::new(&shortcut.sub(0), n_in, n_out),
            shortcut_norm: BatchNorm::new(&shortcut.sub(1), n_out),
        }
    }

    fn forward(&self, x: Tensor<4>, is_training: bool) -> Tensor<4> {
        let y = self.conv1.forward(x.clone(), is_training, Activation::Relu);
        let y = self.norm2.forward(self.conv2.forward(y), is_training, Activation::Relu);
        let x = self.shortcut.forward(x);
        let x = self.shortcut_norm.forward(x, is_training, Activation::None);
        self.conv3.forward_residual(y, x, is_training)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::n_params;

    /// 80.610 M of the paper's table; the original's embedding is larger.
    #[test]
    fn the_published_numbers_of_parameters() {
        let count = |preset| {
            let config = recipe(preset).unwrap();
            n_params(build(&config, &Device::flex()).unwrap().as_ref())
        };
        assert_eq!(count(Preset::Paper), 80_609_600);
        assert!(count(Preset::Original) > count(Preset::Paper));
    }
}
