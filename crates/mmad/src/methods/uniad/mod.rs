//! UniAD: a transformer rebuilds the encoder's features of every place from places far from it.
//!
//! Source: You et al. 2022, "A Unified Model for Multi-class Anomaly Detection"; the recipe with
//! 256 pixels is ADer's.
//!
//! ```text
//! picture ─ encoder ─ all maps ─ resize to the coarsest, concat ─ features ─┬─ jitter ─ tokens
//!                                                                           │            │
//!        L2 distance per place, enlarged, mean over windows, max ── compare ┴─ rebuilt ─ encoder,
//!                                                                                        decoder
//! ```

mod rebuilder;
pub mod transformer;

use burn::tensor::{Device, Tensor};
use mmad_kernels::upsample::bilinear;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use self::rebuilder::{Rebuilder, RebuilderConfig};
use self::transformer::TransformerConfig;
use crate::encoder::{Arch, Backbone, STRIDES};
use crate::method::{BuildError, Method, MethodEntry, Observation, ScoredMap};
use crate::mode::{Mode, TrainStep};
use crate::nn::{Corners, resize};
use crate::params::{Builder, InitRule, ParamSet};
use crate::recipe::Recipe;
use crate::run_file::{EncoderConfig, Preset, RunConfig, TrainConfig};
use crate::train::optimiser::{Group, Rule};
use crate::unfit::{require, require_in};

/// UniAD in the list of methods.
pub const ENTRY: MethodEntry = MethodEntry {
    id: "uniad",
    about: "frozen encoder, transformer with neighbour-masked attention and layer-wise queries",
    source: "You et al., \"A Unified Model for Multi-class Anomaly Detection\", NeurIPS 2022",
    needs: "any encoder; tf-efficientnet-b4 in ADer",
    recipe,
    build,
};

/// What a run file says about UniAD; the defaults are ADer's, which are the paper's but for the
/// grid. The number of tokens follows from the picture's size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UniadConfig {
    /// Channels of a token; a multiple of `heads`, and even.
    pub hidden: usize,
    /// Heads of every attention.
    pub heads: usize,
    /// Channels between the two layers of a feed-forward part.
    pub feed_forward: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Side of the window that a token cannot see, as a share of the grid's; 0 blocks nothing.
    pub neighbour_share: f64,
    /// How strongly training features are jittered.
    pub jitter_scale: f64,
    /// Share of training pictures whose features are jittered.
    pub jitter_probability: f64,
    /// Share of values that training leaves out.
    pub dropout: f64,
    /// Whether weight decay reaches biases and norms too, as in the original.
    pub decays_all: bool,
    /// Sides of the windows whose largest mean is the picture's score, as a share of the picture's;
    /// 16 of 256 pixels in ADer.
    pub score_window: f64,
}

impl Default for UniadConfig {
    fn default() -> Self {
        Self {
            hidden: 256,
            heads: 8,
            feed_forward: 1024,
            encoder_layers: 4,
            decoder_layers: 4,
            neighbour_share: 0.5,
            jitter_scale: 20.0,
            jitter_probability: 1.0,
            dropout: 0.1,
            decays_all: false,
            score_window: 16.0 / 256.0,
        }
    }
}

fn recipe(preset: Preset) -> Option<RunConfig> {
    Recipe {
        method: ENTRY.id,
        encoder: (Arch::EfficientnetB4, "tf_efficientnet_b4.aa_in1k"),
        train: TrainConfig { epochs: 1000, learning_rate: 1e-4, ..TrainConfig::default() },
        ader: Some(|_| {}),
        original: Some(|config| {
            (config.data.height_px, config.data.width_px) = (224, 224);
            config.train.batch = 64;
            config.train.adamw.clip_norm = 0.1;
            config.uniad.decays_all = true;
            // 16 pixels here too.
            config.uniad.score_window = 16.0 / 224.0;
        }),
        quick: |config| {
            config.train.batch = 8;
            config.train.learning_rate = 2e-3;
            // Few steps: fewer layers, and no dropout.
            config.uniad.hidden = 128;
            config.uniad.feed_forward = 512;
            config.uniad.encoder_layers = 2;
            config.uniad.decoder_layers = 2;
            config.uniad.dropout = 0.0;
        },
    }
    .of(preset)
}

fn build(config: &RunConfig, device: &Device) -> Result<Box<dyn Method>, BuildError> {
    let own = &config.uniad;
    require_in(
        &(1..=64),
        "a number from 1 to 64",
        &[
            ("uniad.heads", own.heads),
            ("uniad.encoder_layers", own.encoder_layers),
            ("uniad.decoder_layers", own.decoder_layers),
        ],
    )?;
    let divides = own.hidden.is_multiple_of(2) && own.hidden.is_multiple_of(own.heads);
    let fits = divides && (2..=4096).contains(&own.hidden);
    require(fits, "uniad.hidden", own.hidden, "an even multiple of `uniad.heads`, up to 4096")?;
    let inner = own.feed_forward;
    require_in(&(1..=16_384), "a number from 1 to 16384", &[("uniad.feed_forward", inner)])?;
    let share = own.neighbour_share;
    require_in(&(0.0..=0.75), "a share from 0 to 0.75", &[("uniad.neighbour_share", share)])?;
    let scale = own.jitter_scale;
    require_in(&(0.0..=1e6), "a number from 0 to 1000000", &[("uniad.jitter_scale", scale)])?;
    require_in(
        &(0.0..=1.0),
        "a share from 0 to 1",
        &[
            ("uniad.jitter_probability", own.jitter_probability),
            ("uniad.score_window", own.score_window),
        ],
    )?;
    let want = "a share from 0 up to, not including, 1";
    require_in(&(0.0..1.0), want, &[("uniad.dropout", own.dropout)])?;
    config.encoder.fits(device)?;
    Ok(Box::new(Uniad::new(config, device)))
}

/// Encoder and transformer.
#[derive(Debug)]
pub struct Uniad {
    config: UniadConfig,
    arch: Arch,
    encoder: Backbone,
    rebuilder: Rebuilder,
    params: ParamSet,
}

impl Uniad {
    /// Builds it with fresh weights; the encoder's are to be loaded before use.
    pub fn new(config: &RunConfig, device: &Device) -> Self {
        let own = config.uniad;
        let builder = Builder::new(device, ChaCha8Rng::seed_from_u64(config.seed));
        let root = builder.root(InitRule::Xavier);
        let EncoderConfig { arch, precision, .. } = config.encoder;
        let stride = STRIDES[2];
        let grid = [config.data.height_px / stride, config.data.width_px / stride];
        let transformer = TransformerConfig {
            hidden: own.hidden,
            heads: own.heads,
            feed_forward: own.feed_forward,
            dropout: own.dropout,
        };
        let rebuilder = RebuilderConfig {
            transformer,
            channels: arch.all_channels().iter().sum(),
            grid,
            encoder_layers: own.encoder_layers,
            decoder_layers: own.decoder_layers,
            reach: grid.map(|side| reach(own.neighbour_share, side)),
        };
        let frozen = root.sub("net_t").with_rule(InitRule::Fuser).frozen();
        let frozen = frozen.with_precision(precision);
        let encoder = Backbone::new(&frozen, arch);
        let rebuilder = Rebuilder::new(&root.sub("net_ad"), rebuilder);
        let params = builder.finish();
        rebuilder.start_alike(&params, "net_ad.");
        Self { config: own, arch, encoder, rebuilder, params }
    }
}

/// Pixels to either side that a token cannot see; `None` where it sees all.
fn reach(share: f64, side: usize) -> Option<usize> {
    (share > 0.0).then_some((share * side as f64) as usize / 2)
}

/// Side in pixels of the windows of the score, in a map with this side.
fn window_px(share: f64, side: usize) -> usize {
    ((share * side as f64).round() as usize).clamp(1, side)
}

impl Method for Uniad {
    fn params(&self) -> &ParamSet {
        &self.params
    }

    fn n_dead_values(&self) -> usize {
        // The reference's EfficientNet has two more stages, whose output nobody reads.
        if self.arch == Arch::EfficientnetB4 { self.arch.n_dead_values() } else { 0 }
    }

    fn observe(&self, images: Tensor<4>) -> Observation {
        let maps = self.encoder.all_maps(images);
        let [_, height, width, _] = maps.last().expect("an encoder has maps").dims();
        let maps = maps.into_iter().map(|map| resize(map, height, width, Corners::Aligned));
        vec![Tensor::cat(maps.collect(), 3)]
    }

    fn groups(&self, train: &TrainConfig) -> Vec<Group> {
        let group = Group::everything(Rule::AdamW(train.adamw));
        vec![Group { decays_all: self.config.decays_all, ..group }]
    }

    fn loss(&self, seen: &Observation, step: &TrainStep) -> Tensor<1> {
        let features = &seen[0];
        let jittered = self.rebuilder.jitter(
            features.clone(),
            self.config.jitter_scale,
            self.config.jitter_probability,
            step,
        );
        let rebuilt = self.rebuilder.forward(jittered, &Mode::Train(step));
        (rebuilt - features.clone()).powi_scalar(2).mean()
    }

    fn score(&self, seen: &Observation, height: usize, width: usize) -> Vec<ScoredMap> {
        let features = &seen[0];
        let rebuilt = self.rebuilder.forward(features.clone(), &Mode::SCORE);
        let distance = distance(features.clone(), rebuilt);
        let [batch, grid_height, grid_width, _] = distance.dims();
        let values: Vec<f32> = distance.into_data().try_to_vec().expect("features are f32");
        let window = [height, width].map(|side| window_px(self.config.score_window, side));
        values
            .chunks(grid_height * grid_width)
            .take(batch)
            .map(|small| {
                let small: Vec<f64> = small.iter().map(|&value| f64::from(value)).collect();
                let mut map = vec![0.0; height * width];
                bilinear([grid_height, grid_width], &small, [height, width], &mut map);
                let score = largest_window_mean(&map, [height, width], window);
                let map = map.into_iter().map(|value| value as f32).collect();
                ScoredMap { map, score: score as f32 }
            })
            .collect()
    }
}

/// Length of the difference of the two feature vectors of every place.
///
/// # Shapes
///
/// - `features` and `rebuilt`: `[b, h, w, c]`; output: `[b, h, w, 1]`
pub fn distance(features: Tensor<4>, rebuilt: Tensor<4>) -> Tensor<4> {
    (features - rebuilt).powi_scalar(2).sum_dim(3).sqrt()
}

/// Largest mean over the windows that lie inside a map.
fn largest_window_mean(
    map: &[f64],
    [height, width]: [usize; 2],
    [rows, columns]: [usize; 2],
) -> f64 {
    let mut largest = f64::NEG_INFINITY;
    for top in 0..=height - rows {
        let sums: Vec<f64> = (0..width)
            .map(|column| (top..top + rows).map(|row| map[row * width + column]).sum())
            .collect();
        for window in sums.windows(columns) {
            largest = largest.max(window.iter().sum());
        }
    }
    largest / (rows * columns) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::n_params;

    /// 24.522 M of the paper's table, 13.11 M of them in two stages that nobody needs.
    #[test]
    fn the_published_numbers_of_parameters() {
        let config = recipe(Preset::Ader100).unwrap();
        let method = build(&config, &Device::flex()).unwrap();
        assert_eq!(n_params(method.as_ref()), 24_521_560);
        assert_eq!(method.n_dead_values() / 10_000, 1310);
    }

    /// 16 pixels in ADer's pictures and in the original's; never none, never more than there are.
    #[test]
    fn windows_of_the_score() {
        for preset in [Preset::Paper, Preset::Original] {
            let config = recipe(preset).unwrap();
            assert_eq!(window_px(config.uniad.score_window, config.data.width_px), 16);
        }
        assert_eq!([window_px(0.0, 64), window_px(1.0, 64)], [1, 64]);
    }

    #[test]
    fn the_score_is_the_largest_mean_of_a_window() {
        let mut map = vec![0.0; 6 * 8];
        map[2 * 8 + 3] = 4.0;
        map[3 * 8 + 4] = 8.0;
        assert_eq!(largest_window_mean(&map, [6, 8], [2, 2]), 3.0);
        assert_eq!(largest_window_mean(&map, [6, 8], [1, 1]), 8.0);
    }
}
