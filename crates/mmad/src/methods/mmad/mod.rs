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

use self::model::Mmad;
use crate::anomaly_map::cosine_maps;
use crate::method::{BuildError, Method, MethodEntry, Observation, ScoredMap};
use crate::mode::{Mode, TrainStep};
use crate::params::ParamSet;
use crate::run_file::{Preset, RunConfig};

/// MMAD in the list of methods.
pub const ENTRY: MethodEntry = MethodEntry {
    id: "mmad",
    about: "frozen encoder, dilated Mamba fuser, hybrid Mamba decoder; one model for many classes",
    source: "Ma et al., \"A Unified Model for Multi-class Unsupervised Anomaly Detection with \
             State Space Model\"",
    needs: "any encoder; resnet34 in the paper",
    recipe,
    build,
};

fn recipe(preset: Preset) -> Option<RunConfig> {
    matches!(preset, Preset::Paper | Preset::Quick).then(|| RunConfig::preset(preset))
}

fn build(config: &RunConfig, device: &Device) -> Result<Box<dyn Method>, BuildError> {
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
        self.observe(images).into()
    }

    fn loss(&self, seen: &Observation, step: &TrainStep) -> Tensor<1> {
        self.loss(three(seen), step)
    }

    fn score(&self, seen: &Observation, height: usize, width: usize) -> Vec<ScoredMap> {
        cosine_maps(seen, &self.rebuild(three(seen), &Mode::SCORE), height, width)
    }
}

fn three(seen: &Observation) -> &[Tensor<4>; 3] {
    seen.as_slice().try_into().expect("`observe` gives three maps")
}
