//! The presets of a method, from what is its own in them.

use crate::encoder::Arch;
use crate::run_file::{EncoderConfig, Preset, RunConfig, Schedule, TrainConfig};
use crate::train::adamw::AdamWConfig;

/// What a preset changes.
pub type Change = fn(&mut RunConfig);

/// Where the presets of a method differ from one another and from those of other methods.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Name of the method.
    pub method: &'static str,
    /// The published encoder, and the id of its weights.
    pub encoder: (Arch, &'static str),
    /// The published optimisation.
    pub train: TrainConfig,
    /// What ADer's benchmark changes besides the number of epochs; `None` where it lacks the method.
    pub ader: Option<Change>,
    /// What the method's own paper changes besides leaving out the clipping; `None` where that is
    /// what is published here.
    pub original: Option<Change>,
    /// What a short run on a CPU with the embedded encoder changes.
    pub quick: Change,
}

/// Larger than any norm of gradients that is a number.
const NO_CLIP: f64 = 1e9;

impl Recipe {
    /// The values of a preset; `None` where the method has none of this name.
    pub fn of(self, preset: Preset) -> Option<RunConfig> {
        let (arch, weights) = self.encoder;
        let mut config = RunConfig {
            method: self.method.to_owned(),
            encoder: EncoderConfig {
                arch,
                weights: weights.to_owned(),
                ..EncoderConfig::default()
            },
            train: self.train,
            ..RunConfig::default()
        };
        let change = match preset {
            Preset::Paper => return Some(config),
            Preset::Ader100 => {
                config.train.epochs = 100;
                self.ader?
            }
            Preset::Ader300 => {
                config.train.epochs = 300;
                self.ader?
            }
            Preset::Original => {
                config.train.adamw.clip_norm = NO_CLIP;
                self.original?
            }
            Preset::Quick => {
                config.encoder = EncoderConfig {
                    arch: Arch::Resnet10,
                    weights: "embedded".to_owned(),
                    ..EncoderConfig::default()
                };
                config.train = TrainConfig {
                    minutes: 10.0,
                    batch: 4,
                    schedule: Schedule::Cosine,
                    warmup_share: 0.05,
                    // A run of a few thousand steps is over before a longer memory pays.
                    adamw: AdamWConfig { beta2: 0.99, ..AdamWConfig::default() },
                    ..TrainConfig::default()
                };
                self.quick
            }
        };
        change(&mut config);
        Some(config)
    }
}
