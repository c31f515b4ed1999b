//! The model file, `.mmad`: safetensors with a card inside.
//!
//! The tensors are the parameters under their own names, the mean features of every class
//! (`class_features`, `[classes, channels]`), and pictures with which the file tests itself
//! (`self_test`, `[pictures, height, width, 3]`, levels 0 to 255). The card is JSON in the metadata under
//! `mmad`: configuration, classes, calibration, digests, versions. No code, no pickle.
//!
//! Version 2 has several self-test pictures and, in its calibration, review and pixel thresholds.
//! Files of version 1 are read as what they are: one picture, one threshold per class.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mmad_weights::{HostTensor, Precision, StateDict, read_metadata, write_safetensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calibrate::Calibration;
use crate::run_file::RunConfig;
use crate::weights::WeightsError;

/// Version of the card that is written; files of this one and of all before it are read.
pub const FORMAT_VERSION: u32 = 2;

/// Key of the card in the metadata.
const CARD_KEY: &str = "mmad";
const FEATURES: &str = "class_features";
const SELF_TEST: &str = "self_test";

/// Everything about a model but its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Version of this format.
    pub format_version: u32,
    /// Version of the program that wrote the file.
    pub program_version: String,
    /// The run's whole configuration.
    pub config: RunConfig,
    /// Names of the classes, in the order of `class_features`.
    pub classes: Vec<String>,
    /// Thresholds, and the scores that they rest on. `None` until the model is calibrated.
    pub calibration: Option<Calibration>,
    /// Where the weights come from.
    pub training: TrainingRecord,
    /// Scores of the self-test pictures, at least one.
    pub self_test_scores: Vec<f32>,
    /// SHA-256 of all tensors of the file; filled in when it is written.
    pub tensors_sha256: String,
}

/// How the weights came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Digest of the training data: names, sizes, labels.
    pub data_sha256: String,
    /// SHA-256 of the encoder's weights.
    pub encoder_sha256: String,
    /// Pictures trained on.
    pub n_pictures: usize,
    /// Optimiser steps.
    pub n_steps: u64,
    /// Mean loss over the last steps.
    pub final_loss: Option<f64>,
    /// Seconds of training.
    pub seconds: f64,
    /// Threads used.
    pub threads: usize,
}

/// A model file in memory.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// The card.
    pub card: ModelCard,
    /// The parameters.
    pub tensors: StateDict,
    /// Mean features per class, `[classes, channels]`, row-major; empty where there are none.
    pub class_features: Vec<f32>,
    /// The self-test pictures, `[pictures, height, width, 3]`, RGB.
    pub self_test_rgb: Vec<u8>,
}

/// The part of a card that every version has.
#[derive(Debug, Deserialize)]
struct VersionOnly {
    format_version: u32,
}

/// What keeps a model file from being read.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// Not there, or not a file of tensors.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file of tensors without a card.
    #[error("`{path}` has no model card")]
    NoCard {
        /// The file.
        path: PathBuf,
    },
    /// A card that cannot be understood.
    #[error("the model card of `{path}` is damaged: {why}")]
    Card {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Tensors that are not those that the card was written with.
    #[error("the tensors of `{path}` are damaged: their digest is not the one in the card")]
    Tensors {
        /// The file.
        path: PathBuf,
    },
    /// A card of another version.
    #[error(
        "`{path}` has format version {found}; this program reads versions 1 to {FORMAT_VERSION}"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        found: u32,
    },
}

impl From<mmad_weights::Error> for ModelFileError {
    fn from(error: mmad_weights::Error) -> Self {
        Self::Weights(error.into())
    }
}

impl ModelFileError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Weights(error) => return error.hint(),
            Self::NoCard { .. } => "give a `.mmad` file written by `mmad train` or `mmad import`; \
                 a checkpoint of the original project is converted by `mmad import`"
                .to_owned(),
            Self::Tensors { .. } => "copy the file again; a bit of it was changed".to_owned(),
            Self::Card { .. } => "the file was changed or cut off; write it again with \
                 `mmad train --resume`"
                .to_owned(),
            Self::Version { .. } => {
                "use the program that wrote the file, or one that is newer; or train again"
                    .to_owned()
            }
        })
    }
}

impl ModelFile {
    /// Reads a model file.
    ///
    /// # Errors
    ///
    /// [`ModelFileError`] where the file is missing, damaged, or of another version.
    pub fn read(path: &Path) -> Result<Self, ModelFileError> {
        let metadata = read_metadata(path)?;
        let text = metadata
            .get(CARD_KEY)
            .ok_or_else(|| ModelFileError::NoCard { path: path.to_owned() })?;
        let damaged = |why: String| ModelFileError::Card { path: path.to_owned(), why };
        let VersionOnly { format_version } =
            serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        if !(1..=FORMAT_VERSION).contains(&format_version) {
            return Err(ModelFileError::Version { path: path.to_owned(), found: format_version });
        }
        let card = read_card(text, format_version).map_err(|error| damaged(error.to_string()))?;
        let mut tensors = mmad_weights::read_all(path)?;
        if tensors.sha256() != card.tensors_sha256 {
            return Err(ModelFileError::Tensors { path: path.to_owned() });
        }
        let class_features = tensors.take(FEATURES);
        let n_rows = class_features.as_ref().map_or(0, |features| features.shape()[0]);
        if class_features.is_some() && n_rows != card.classes.len() {
            let why = format!("{} classes, but features of {n_rows}", card.classes.len());
            return Err(damaged(why));
        }
        let class_features = class_features.and_then(HostTensor::into_f32).unwrap_or_default();
        let picture = tensors.take(SELF_TEST).and_then(HostTensor::into_f32);
        let picture = picture.ok_or_else(|| damaged(format!("no tensor `{SELF_TEST}`")))?;
        let (height, width) = (card.config.data.height_px, card.config.data.width_px);
        let n_pictures = card.self_test_scores.len();
        let mut sides = [height, width, 3].into_iter();
        let expected = sides.try_fold(n_pictures, usize::checked_mul);
        if n_pictures == 0 || Some(picture.len()) != expected {
            let why = format!("`{SELF_TEST}` is not {n_pictures} pictures of {height} x {width}");
            return Err(damaged(why));
        }
        let self_test_rgb =
            picture.into_iter().map(|level| level.clamp(0.0, 255.0) as u8).collect();
        Ok(Self { card, tensors, class_features, self_test_rgb })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`ModelFileError`] where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ModelFileError> {
        let mut tensors = self.tensors.clone();
        let data = &self.card.config.data;
        let picture = self.self_test_rgb.iter().map(|&level| f32::from(level)).collect();
        let shape = vec![self.card.self_test_scores.len(), data.height_px, data.width_px, 3];
        tensors.insert(SELF_TEST, HostTensor::from_f32(shape, picture)?);
        let n_classes = self.card.classes.len();
        if !self.class_features.is_empty() && n_classes > 0 {
            let shape = vec![n_classes, self.class_features.len() / n_classes];
            tensors.insert(FEATURES, HostTensor::from_f32(shape, self.class_features.clone())?);
        }
        let card = ModelCard {
            format_version: FORMAT_VERSION,
            tensors_sha256: tensors.sha256(),
            ..self.card.clone()
        };
        let card = serde_json::to_string(&card).map_err(|error| ModelFileError::Card {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        let metadata = BTreeMap::from([(CARD_KEY.to_owned(), card)]);
        write_safetensors(path, &tensors, &metadata, Precision::Full)?;
        Ok(())
    }
}

/// The card of any version that this program reads.
fn read_card(text: &str, version: u32) -> Result<ModelCard, serde_json::Error> {
    if version > 1 {
        return serde_json::from_str(text);
    }
    let mut card: Value = serde_json::from_str(text)?;
    if let Some(card) = card.as_object_mut() {
        let score = card.remove("self_test_score").unwrap_or_default();
        card.insert("self_test_scores".into(), Value::Array(vec![score]));
    }
    serde_json::from_value(card)
}
