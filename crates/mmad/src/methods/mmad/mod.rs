//! MMAD: a frozen encoder, a fuser and a decoder that rebuilds the encoder's maps.
//!
//! Source: Ma, Xu, Li, Jia, Wang, Wang, "A Unified Model for Multi-class Unsupervised Anomaly
//! Detection with State Space Model". Where reconstruction and encoder disagree is the anomaly map.
//!
//! ```text
//! picture ─ encoder ─ three maps ─ DMF ─ one small map ─ HMD ─ three rebuilt maps
//!                         └──────────── 1 - cosine, upsample, sum, blur ────┘
//! ```

pub mod dmf;
pub mod hmd;
pub mod hss;
pub mod mixer;
pub mod model;
pub mod router;
pub mod ss2d;

use burn::tensor::{Device, Tensor};

use self::model::{ConfigError, Mmad};
use crate::method::{Method, MethodEntry, Observation};
use crate::mode::{Mode, TrainStep};
use crate::params::ParamSet;
use crate::run_file::RunConfig;

/// MMAD in the list of methods.
pub const ENTRY: MethodEntry = MethodEntry {
    id: "mmad",
    about: "frozen encoder, dilated Mamba fuser, hybrid Mamba decoder; one model for many classes",
    source: "Ma et al., \"A Unified Model for Multi-class Unsupervised Anomaly Detection with \
             State Space Model\"",
    build,
};

fn build(config: &RunConfig, device: &Device) -> Result<Box<dyn Method>, ConfigError> {
    Ok(Box::new(Mmad::new(&config.mmad, config.encoder.arch, config.seed, device)?))
}

impl Method for Mmad {
    fn params(&self) -> &ParamSet {
        self.params()
    }

    fn n_table_values(&self) -> usize {
        self.n_scan_table_values()
    }

    fn prepare(&self, images: &[Tensor<4>]) {
        self.prepare(images);
    }

    fn observe(&self, images: Tensor<4>) -> Observation {
        self.observe(images)
    }

    fn loss(&self, seen: &Observation, step: &TrainStep) -> Tensor<1> {
        self.loss(seen, step)
    }

    fn rebuild(&self, seen: &Observation) -> Observation {
        let rebuilt = self.rebuild(seen, &Mode::SCORE);
        rebuilt.try_into().expect("the decoder has three outputs")
    }
}
