//! One row per run, a line of JSON each.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// Its name.
    pub(super) run: String,
    /// Name of the data set.
    pub(super) data: String,
    /// Name of the method in tables.
    pub(super) label: String,
    /// Id of the method.
    pub(super) method: String,
    pub(super) seed: u64,
    /// Definitions of the pixel metrics.
    pub(super) protocol: String,
    /// The whole configuration.
    pub(super) config: Value,
    pub(super) data_sha256: String,
    pub(super) weights_sha256: String,
    /// Pictures trained on.
    pub(super) n_train: usize,
    pub(super) steps: u64,
    pub(super) train_seconds: f64,
    /// Pictures scored.
    pub(super) n_test: usize,
    pub(super) eval_seconds: f64,
    pub(super) pictures_per_s: f64,
    /// Of training and evaluation.
    pub(super) peak_memory_mb: Option<f64>,
    pub(super) threads: usize,
    pub(super) params: usize,
    /// Multiply-adds of scoring a picture.
    pub(super) macs: u64,
    /// Means over the classes by id, fractions.
    pub(super) metrics: BTreeMap<String, Option<f64>>,
    pub(super) m_ad: Option<f64>,
    /// Pictures that could not be read.
    pub(super) unreadable: usize,
    pub(super) program_version: String,
}

/// The rows of a file; none where there is no file. A last line that was cut off is left out.
pub(super) fn read_rows(path: &Path) -> Result<Vec<Row>, Failure> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, error))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Adds a row, below all that are whole.
pub(super) fn append(path: &Path, row: &Row) -> Result<(), Failure> {
    let io = |error| Failure::io("write", path, error);
    let mut text = serde_json::to_string(row)?;
    text.push('\n');
    // A line that was cut off must not swallow the next.
    let is_cut = std::fs::read(path).is_ok_and(|bytes| bytes.last().is_some_and(|&b| b != b'\n'));
    if is_cut {
        text.insert(0, '\n');
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)
}
