//! The state of a stopped run, whole or not there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mmad_weights::{HostTensor, Precision, read_metadata, write_safetensors};
use serde::{Deserialize, Serialize};

use super::optimiser::{Group, Optimiser};
use super::plan::Plan;
use crate::params::ParamSet;
use crate::weights::{self, WeightsError};

const KEY: &str = "mmad_checkpoint";
const N_STEPS_KEY: &str = "mmad_optimiser_steps";
const FIRST: &str = "optimiser.first.";
const SECOND: &str = "optimiser.second.";

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps taken.
    pub step: u64,
    /// The run's length.
    pub plan: Plan,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Digest of configuration, data and encoder; a run goes on only with the same.
    pub run_sha256: String,
}

/// What keeps a run from going on.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file without the run's state, or with one that cannot be understood.
    #[error("`{path}` is not a checkpoint of a run: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another configuration, other pictures or another encoder.
    #[error("`{path}` belongs to a run with another configuration, other pictures or weights")]
    OtherRun {
        /// The file.
        path: PathBuf,
    },
}

impl From<mmad_weights::Error> for CheckpointError {
    fn from(error: mmad_weights::Error) -> Self {
        Self::Weights(error.into())
    }
}

impl CheckpointError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Weights(error) => return error.hint(),
            Self::Damaged { .. } => "start the run anew in an empty folder".to_owned(),
            Self::OtherRun { .. } => {
                "resume with the folder, data and settings that the run began \
                 with, or start a new run in another folder"
                    .to_owned()
            }
        })
    }
}

/// Writes the state of a run.
///
/// # Errors
///
/// [`CheckpointError`] where the file cannot be written; an older one is then still there.
pub fn write(
    path: &Path,
    progress: &Progress,
    params: &ParamSet,
    optimiser: &Optimiser,
) -> Result<(), CheckpointError> {
    let mut state = weights::to_state(params)?;
    for (param, moments) in params.trained().zip(optimiser.moments()) {
        let parts = [(FIRST, &moments.first), (SECOND, &moments.second)];
        for (prefix, values) in parts.into_iter().filter(|(_, values)| !values.is_empty()) {
            let tensor = HostTensor::from_f32(param.shape(), values.clone())?;
            state.insert(format!("{prefix}{}", param.name()), tensor);
        }
    }
    let damaged = |error: serde_json::Error| CheckpointError::Damaged {
        path: path.into(),
        why: error.to_string(),
    };
    let text = serde_json::to_string(progress).map_err(damaged)?;
    let n_steps = serde_json::to_string(optimiser.n_steps()).map_err(damaged)?;
    let metadata = BTreeMap::from([(KEY.to_owned(), text), (N_STEPS_KEY.to_owned(), n_steps)]);
    write_safetensors(path, &state, &metadata, Precision::Full)?;
    Ok(())
}

/// Reads where a run stands, without its tensors.
///
/// # Errors
///
/// [`CheckpointError`] where the file is no checkpoint.
pub fn read_progress(path: &Path) -> Result<Progress, CheckpointError> {
    let metadata = read_metadata(path)?;
    let damaged = |why: String| CheckpointError::Damaged { path: path.to_owned(), why };
    let text = metadata.get(KEY).ok_or_else(|| damaged("it has no state".to_owned()))?;
    serde_json::from_str(text).map_err(|error| damaged(error.to_string()))
}

/// Puts the state of a run back in place.
///
/// # Errors
///
/// [`CheckpointError`] where the file is no checkpoint of a run with `run_sha256`.
pub fn restore(
    path: &Path,
    run_sha256: &str,
    params: &ParamSet,
    groups: Vec<Group>,
) -> Result<(Progress, Optimiser), CheckpointError> {
    let progress = read_progress(path)?;
    if progress.run_sha256 != run_sha256 {
        return Err(CheckpointError::OtherRun { path: path.to_owned() });
    }
    let damaged = |why: String| CheckpointError::Damaged { path: path.to_owned(), why };
    let n_steps = read_metadata(path)?.remove(N_STEPS_KEY);
    let n_steps = n_steps.ok_or_else(|| damaged("it has no state of the optimiser".to_owned()))?;
    let n_steps: Vec<u64> =
        serde_json::from_str(&n_steps).map_err(|error| damaged(error.to_string()))?;
    let mut state = mmad_weights::read_all(path)?;
    weights::load(params, "", &state, "the checkpoint", "the run")?;
    let mut optimiser = Optimiser::new(groups, params);
    optimiser.set_n_steps(&n_steps);
    for (param, moments) in params.trained().zip(optimiser.moments_mut()) {
        moments.first = state.take_f32(&format!("{FIRST}{}", param.name()), &param.shape())?;
        if !moments.second.is_empty() {
            moments.second =
                state.take_f32(&format!("{SECOND}{}", param.name()), &param.shape())?;
        }
    }
    Ok((progress, optimiser))
}

/// The checkpoint of the run in `folder`.
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}
