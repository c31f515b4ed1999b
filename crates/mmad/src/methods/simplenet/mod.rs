//! SimpleNet: a discriminator learns to tell good patch features from the same with noise.
//!
//! Source: Liu, Zhou, Xu, Wang 2023, "SimpleNet: A Simple Network for Image Anomaly Detection and
//! Localization"; the multi-class recipe is ADer's.
//!
//! ```text
//! picture ─ encoder ─ two maps ─ patch means ─ projection ─┬──────────── discriminator ─ hinge
//!                                                          └─ + noise ─┘      │
//!                              -score per patch, enlarged, blurred, max ──────┘
//! ```

pub mod patches;

use burn::tensor::{Device, Tensor, TensorData, activation};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::patches::embed;
use crate::anomaly_map::smooth;
use crate::encoder::{Arch, Backbone};
use crate::method::{BuildError, Method, MethodEntry, Observation, ScoredMap};
use crate::mode::TrainStep;
use crate::nn::{Activation, BatchNorm, Corners, Linear, resize};
use crate::params::{Builder, Init, InitRule, ParamSet, Scope};
use crate::recipe::Recipe;
use crate::run_file::{EncoderConfig, Preset, RunConfig, Schedule, TrainConfig};
use crate::train::adamw::AdamWConfig;
use crate::train::optimiser::{Group, Rule};
use crate::unfit::{require, require_in};

/// SimpleNet in the list of methods.
pub const ENTRY: MethodEntry = MethodEntry {
    id: "simplenet",
    about: "frozen encoder, patch features, discriminator between them and the same with noise",
    source: "Liu et al., \"SimpleNet: A Simple Network for Image Anomaly Detection and \
             Localization\", CVPR 2023",
    needs: "any encoder; wide-resnet50-2 in its paper; few epochs, for it collapses with many",
    recipe,
    build,
};

/// What a run file says about SimpleNet; the defaults are ADer's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimplenetConfig {
    /// Channels of a patch feature; even. Three times those of the encoder's second map divide
    /// its patches evenly.
    pub channels: usize,
    /// Channels inside the discriminator.
    pub hidden: usize,
    /// Deviation of the noise.
    pub noise: f64,
    /// Scores beyond this on the right side cost nothing.
    pub margin: f64,
    /// Decoupled weight decay of the projection.
    pub projection_decay: f64,
    /// Learning rate of the discriminator over that of the projection, `train.learning_rate`.
    pub discriminator_rate: f64,
    /// Decay of the discriminator, added to its gradient.
    pub discriminator_decay: f64,
    /// Whether decay reaches biases and norms too, as in the original.
    pub decays_all: bool,
    /// What the score of a picture is.
    pub picture_score: PictureScore,
}

/// What the score of a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureScore {
    /// The largest value of the blurred map (ADer).
    Blurred,
    /// The largest score of a patch (the original).
    Patch,
}

impl Default for SimplenetConfig {
    fn default() -> Self {
        Self {
            channels: 1536,
            hidden: 1024,
            noise: 0.015,
            margin: 0.5,
            projection_decay: 1e-2,
            discriminator_rate: 2.0,
            discriminator_decay: 1e-5,
            decays_all: false,
            picture_score: PictureScore::Blurred,
        }
    }
}

fn recipe(preset: Preset) -> Option<RunConfig> {
    Recipe {
        method: ENTRY.id,
        encoder: (Arch::WideResnet50x2, "wide_resnet50_2.tv_v1"),
        train: TrainConfig {
            // Fewer than ADer's 100: the reference falls apart between 100 and 300 epochs.
            epochs: 40,
            batch: 32,
            learning_rate: 1e-4,
            schedule: Schedule::Constant,
            ..TrainConfig::default()
        },
        ader: Some(|_| {}),
        // One class per run.
        original: Some(|config| {
            (config.data.height_px, config.data.width_px) = (288, 288);
            config.train.epochs = 160;
            config.train.batch = 8;
            config.simplenet.decays_all = true;
            config.simplenet.picture_score = PictureScore::Patch;
        }),
        quick: |config| {
            config.train.batch = 8;
            config.train.learning_rate = 5e-4;
            config.simplenet.channels = 384;
            config.simplenet.hidden = 256;
            // The published noise is too faint for the embedded encoder's features.
            config.simplenet.noise = 0.1;
        },
    }
    .of(preset)
}

fn build(config: &RunConfig, device: &Device) -> Result<Box<dyn Method>, BuildError> {
    let own = &config.simplenet;
    let fits = (2..=16_384).contains(&own.channels) && own.channels.is_multiple_of(2);
    require(fits, "simplenet.channels", own.channels, "an even number from 2 to 16384")?;
    require_in(&(1..=16_384), "a number from 1 to 16384", &[("simplenet.hidden", own.hidden)])?;
    require_in(
        &(0.0..=1e3),
        "a number from 0 to 1000",
        &[
            ("simplenet.noise", own.noise),
            ("simplenet.margin", own.margin),
            ("simplenet.projection_decay", own.projection_decay),
            ("simplenet.discriminator_rate", own.discriminator_rate),
            ("simplenet.discriminator_decay", own.discriminator_decay),
        ],
    )?;
    config.encoder.fits(device)?;
    Ok(Box::new(Simplenet::new(*own, &config.encoder, config.seed, device)))
}

/// Encoder, projection and discriminator.
#[derive(Debug)]
pub struct Simplenet {
    config: SimplenetConfig,
    arch: Arch,
    encoder: Backbone,
    judge: Judge,
    params: ParamSet,
}

const PROJECTION: &str = "pre_projection";
const DISCRIMINATOR: &str = "discriminator";

impl Simplenet {
    /// Builds it with fresh weights; the encoder's are to be loaded before use.
    pub fn new(
        config: SimplenetConfig,
        encoder: &EncoderConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        let EncoderConfig { arch, precision, .. } = *encoder;
        let builder = Builder::new(device, ChaCha8Rng::seed_from_u64(seed));
        let root = builder.root(InitRule::Fuser);
        let (projection, discriminator) = (root.sub(PROJECTION), root.sub(DISCRIMINATOR));
        let frozen = root.sub("net_t").frozen().with_precision(precision);
        Self {
            encoder: Backbone::new(&frozen, arch),
            judge: Judge::new(&projection, &discriminator, config.channels, config.hidden),
            params: builder.finish(),
            config,
            arch,
        }
    }

    fn embed(&self, seen: &Observation) -> Tensor<4> {
        let [fine, coarse] = seen.as_slice() else { unreachable!("`observe` gives two maps") };
        embed(fine.clone(), coarse.clone(), self.config.channels)
    }
}

impl Method for Simplenet {
    fn params(&self) -> &ParamSet {
        &self.params
    }

    fn n_dead_values(&self) -> usize {
        // The reference holds the encoder's last stages and its classifier, and uses neither.
        self.arch.n_dead_values()
    }

    fn observe(&self, images: Tensor<4>) -> Observation {
        let [_, fine, coarse] = self.encoder.forward(images);
        vec![fine, coarse]
    }

    fn groups(&self, train: &TrainConfig) -> Vec<Group> {
        let SimplenetConfig { projection_decay, discriminator_decay, decays_all, .. } = self.config;
        let projection = AdamWConfig { weight_decay: projection_decay, ..train.adamw };
        let discriminator = AdamWConfig { weight_decay: discriminator_decay, ..train.adamw };
        vec![
            Group { decays_all, ..Group::named(&[PROJECTION], 0, Rule::AdamW(projection)) },
            Group {
                decays_all,
                rate_factor: self.config.discriminator_rate,
                ..Group::named(&[DISCRIMINATOR], 1, Rule::Adam(discriminator))
            },
        ]
    }

    fn loss(&self, seen: &Observation, step: &TrainStep) -> Tensor<1> {
        let embedded = self.embed(seen);
        let shape = embedded.dims();
        let mut noise = step.normal(shape.iter().product());
        for value in &mut noise {
            *value *= self.config.noise as f32;
        }
        let noise = Tensor::from_data(TensorData::new(noise, shape), &embedded.device());
        let (good, noisy) = self.judge.train(embedded, noise);
        let [on_good, on_noisy] = hinge(good, noisy, self.config.margin);
        on_good + on_noisy
    }

    fn score(&self, seen: &Observation, height: usize, width: usize) -> Vec<ScoredMap> {
        let patches = self.judge.score(self.embed(seen));
        let largest = patches.clone().max_dim(1).max_dim(2);
        let values = |x: Tensor<4>| x.into_data().try_to_vec::<f32>().expect("scores are f32");
        let maps = values(resize(patches, height, width, Corners::HalfPixel));
        let largest = values(largest);
        maps.chunks(height * width)
            .zip(largest)
            .map(|(map, largest)| {
                let map = map.iter().map(|&value| f64::from(value)).collect();
                let scored = smooth(map, height, width);
                match self.config.picture_score {
                    PictureScore::Blurred => scored,
                    PictureScore::Patch => ScoredMap { score: largest, ..scored },
                }
            })
            .collect()
    }
}

/// Mean hinge losses of good and of noisy patches: scores of good ones are to be above the margin,
/// of noisy ones below its negative.
///
/// # Shapes
///
/// - `good` and `noisy`: `[b, h, w, 1]`; output: one number each
pub fn hinge(good: Tensor<4>, noisy: Tensor<4>, margin: f64) -> [Tensor<1>; 2] {
    [(-good + margin).clamp_min(0.0).mean(), (noisy + margin).clamp_min(0.0).mean()]
}

/// Projection and discriminator.
#[derive(Debug, Clone)]
pub struct Judge {
    projection: Linear,
    hidden: Linear,
    norm: BatchNorm,
    tail: Linear,
}

impl Judge {
    /// Makes the layers in the two scopes.
    pub fn new(
        projection: &Scope<'_>,
        discriminator: &Scope<'_>,
        channels: usize,
        hidden: usize,
    ) -> Self {
        let block = discriminator.sub("body.block1");
        let linear = |scope: &Scope<'_>, n_in: usize, n_out: usize, has_bias: bool| {
            let std = (2.0 / (n_in + n_out) as f64).sqrt();
            let bias = Init::Uniform { bound: 1.0 / (n_in as f64).sqrt() };
            let bias = has_bias.then_some(bias);
            Linear::with_init(scope, n_in, n_out, Init::Normal { std }, bias)
        };
        Self {
            projection: linear(&projection.sub("layers.0fc"), channels, channels, true),
            hidden: linear(&block.sub(0), channels, hidden, true),
            norm: BatchNorm::new(&block.sub(1), hidden),
            tail: linear(&discriminator.sub("tail"), hidden, 1, false),
        }
    }

    /// The discriminator's answers for good patches and for the same with noise, which it sees in
    /// one batch.
    ///
    /// # Shapes
    ///
    /// - `embedded` and `noise`: `[b, h, w, channels]`; outputs: `[b, h, w, 1]`
    pub fn train(&self, embedded: Tensor<4>, noise: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, ..] = embedded.dims();
        let good = self.projection.forward(embedded);
        let noisy = good.clone() + noise;
        let answers = self.discriminate(Tensor::cat(vec![good, noisy], 0), true);
        (answers.clone().narrow(0, 0, batch), answers.narrow(0, batch, batch))
    }

    /// Scores of patches, higher for worse.
    ///
    /// # Shapes
    ///
    /// - `embedded`: `[b, h, w, channels]`; output: `[b, h, w, 1]`
    pub fn score(&self, embedded: Tensor<4>) -> Tensor<4> {
        -self.discriminate(self.projection.forward(embedded), false)
    }

    fn discriminate(&self, x: Tensor<4>, is_training: bool) -> Tensor<4> {
        let x = self.norm.forward(self.hidden.forward(x), is_training, Activation::None);
        self.tail.forward(activation::leaky_relu(x, 0.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::n_params;

    /// 72.821 M of the paper's table, 44.0 M of them in layers that nobody needs.
    #[test]
    fn the_published_numbers_of_parameters() {
        let config = recipe(Preset::Paper).unwrap();
        let method = build(&config, &Device::flex()).unwrap();
        assert_eq!(n_params(method.as_ref()), 72_821_032);
        assert_eq!(method.n_dead_values() / 100_000, 440);
    }
}
