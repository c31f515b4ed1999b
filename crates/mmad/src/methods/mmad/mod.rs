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

use self::model::{Mmad, MmadConfig, ScanName};
use crate::anomaly_map::cosine_maps;
use crate::encoder::Arch;
use crate::method::{BuildError, Method, MethodEntry, Observation, ScoredMap};
use crate::mode::{Mode, TrainStep};
use crate::params::ParamSet;
use crate::recipe::Recipe;
use crate::run_file::{Preset, RunConfig, TrainConfig};

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
    Recipe {
        method: ENTRY.id,
        encoder: (Arch::Resnet34, "resnet34.bt_in1k"),
        train: TrainConfig::default(),
        ader: None,
        original: None,
        quick: |config| {
            config.mmad = MmadConfig {
                widths: [32, 64, 128],
                depths: [3, 3, 3, 3],
                scans: vec![ScanName::Hilbert],
                directions: 2,
                states: 8,
                drop_path: 0.0,
                standardise: true,
                // Chosen on procedural pictures of another seed than the demo's.
                level_weights: [1.0, 1.0, 0.5],
                ..MmadConfig::default()
            };
        },
    }
    .of(preset)
}

fn build(config: &RunConfig, device: &Device) -> Result<Box<dyn Method>, BuildError> {
    config.encoder.fits(device)?;
    Ok(Box::new(Mmad::new(&config.mmad, &config.encoder, config.seed, device)?))
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
        let rebuilt = self.rebuild(three(seen), &Mode::SCORE);
        cosine_maps(seen, &rebuilt, &self.level_weights(), height, width)
    }
}

fn three(seen: &Observation) -> &[Tensor<4>; 3] {
    seen.as_slice().try_into().expect("`observe` gives three maps")
}
