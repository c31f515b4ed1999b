//! A checkpoint of the original project as a model file.
//!
//! Its parameters have the names of ours. Its scan tables are frozen parameters there; here they
//! are built anew, and compared with the file's.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use mmad_data::{Dataset, LoaderOptions, Preprocess};
use mmad_kernels::orders::ScanOrder;
use mmad_weights::{HostTensor, StateDict, Values};

use crate::calibrate::{Calibration, Plan, Source};
use crate::detector::Detector;
use crate::fit::{FitError, class_features, part, score_labelled};
use crate::methods;
use crate::model_file::{FORMAT_VERSION, ModelCard, ModelFile, TrainingRecord};
use crate::run_file::RunConfig;
use crate::weights;

/// What an import found.
#[derive(Debug)]
pub struct Imported {
    /// Parameters taken over.
    pub n_params: usize,
    /// Scan tables compared and found equal.
    pub n_tables: usize,
    /// Tensors that the model has no use for.
    pub unused: Vec<String>,
}

/// What keeps a checkpoint from being imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Everything that can also go wrong when a model is trained.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// A scan table that is not the one of the configuration.
    #[error("scan table `{name}` of `{path}` is not the one of this configuration")]
    OtherTable {
        /// The checkpoint.
        path: PathBuf,
        /// Name of the table.
        name: String,
    },
}

impl ImportError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fit(error) => error.hint(),
            Self::OtherTable { .. } => Some(
                "give the scans and the picture size that the checkpoint was trained with, as in \
                 `--set mmad.scans=[\"hilbert\",\"zorder\",\"zigzag\"]`"
                    .to_owned(),
            ),
        }
    }
}

/// Reads a checkpoint and writes a model file to `out`.
///
/// With a data set, classes and thresholds come from its held-out good training pictures.
///
/// # Errors
///
/// [`ImportError`] where a name is missing, a shape is another, or a scan table is another.
pub fn import_checkpoint(
    checkpoint: &Path,
    out: &Path,
    config: &RunConfig,
    dataset: Option<&Dataset>,
    loader: &LoaderOptions,
    device: &Device,
) -> Result<Imported, ImportError> {
    let read = mmad_weights::read(checkpoint).map_err(weights::WeightsError::from);
    let mut state = read.map_err(FitError::from)?;
    let n_tables = take_tables(&mut state, checkpoint, config)?;
    let unknown = || FitError::UnknownMethod(config.method.clone());
    let entry = methods::find(&config.method).ok_or_else(unknown)?;
    let method = (entry.build)(config, device).map_err(FitError::from)?;
    let origin = format!("`{}`", checkpoint.display());
    weights::load(method.params(), "", &state, &origin, entry.id).map_err(FitError::from)?;
    let params = method.params().clone();
    let unused: Vec<String> = state
        .names()
        .filter(|name| params.find(name).is_none() && !name.ends_with("num_batches_tracked"))
        .map(str::to_owned)
        .collect();
    state.retain(|name, _| params.find(name).is_some());

    let parts = dataset.map(|dataset| part(dataset, config)).transpose().map_err(FitError::from)?;
    let (train, held_out) = parts.map_or_else(Default::default, |p| (p.train, p.calibration));
    let data = &config.data;
    let preprocess = Preprocess::imagenet(data.height_px, data.width_px).map_err(FitError::from)?;
    let found = class_features(method.as_ref(), &train, &preprocess, loader, device);
    let (classes, features) = found.map_err(FitError::from)?;
    let card = ModelCard {
        format_version: FORMAT_VERSION,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        config: config.clone(),
        classes,
        calibration: None,
        training: TrainingRecord {
            data_sha256: dataset.map_or_else(String::new, Dataset::digest),
            encoder_sha256: String::new(),
            n_pictures: train.len(),
            n_steps: 0,
            final_loss: None,
            seconds: 0.0,
            threads: rayon::current_num_threads(),
        },
        self_test_scores: Vec::new(),
        tensors_sha256: String::new(),
    };
    let detector =
        Detector::new(method, card.clone(), features.clone(), device).map_err(FitError::from)?;
    let found = score_labelled(&detector, &held_out, loader).map_err(FitError::from)?;
    let calibration = match found.scores.is_empty() {
        true => None,
        false => Some(
            Calibration::new(found.scores, Plan::default(), Source::HeldOut)
                .map_err(FitError::from)?,
        ),
    };
    let n_bytes = 3 * data.height_px * data.width_px;
    let pictures = match found.some_rgb.is_empty() {
        true => vec![(0..n_bytes).map(pattern).collect()],
        false => found.some_rgb,
    };
    let self_test_scores = pictures.iter().map(|rgb| detector.score_resized(rgb).score).collect();
    let self_test_rgb = pictures.concat();
    let card = ModelCard { calibration, self_test_scores, ..card };
    let n_params = params.iter().count();
    ModelFile { card, tensors: state, class_features: features, self_test_rgb }
        .write(out)
        .map_err(FitError::from)?;
    Ok(Imported { n_params, n_tables, unused })
}

/// A picture for the self-test where there is none: a gradient with a grain.
fn pattern(index: usize) -> u8 {
    (index / 97 % 256) as u8 ^ (index.wrapping_mul(2_654_435_761) >> 13) as u8 & 0x1f
}

/// Takes the scan tables out of a checkpoint, comparing each with ours.
fn take_tables(
    tensors: &mut StateDict,
    path: &Path,
    config: &RunConfig,
) -> Result<usize, ImportError> {
    let names: Vec<String> =
        tensors.names().filter(|name| name.contains(".scans.index_flat")).map(Into::into).collect();
    for name in &names {
        let table = tensors.take(name);
        let is_ours = match table.as_ref().map(HostTensor::values) {
            Some(Values::Int(table)) => is_our_table(name, table, config),
            _ => false,
        };
        if !is_ours {
            return Err(ImportError::OtherTable { path: path.to_owned(), name: name.clone() });
        }
    }
    Ok(names.len())
}

fn is_our_table(name: &str, table: &[i64], config: &RunConfig) -> bool {
    // The fuser scans along the Hilbert curve; block `i` of a group along the `i`-th of the scans.
    let order = match name.split_once(".ssm_blocks_") {
        None => Some(ScanOrder::Hilbert),
        Some((_, rest)) => rest
            .split('.')
            .nth(1)
            .and_then(|index| index.parse::<usize>().ok())
            .and_then(|index| config.mmad.scans.get(index))
            .map(|&scan| scan.into()),
    };
    let ours = order.zip(map_size(name, config));
    let ours = ours.and_then(|(order, (height, width))| order.base_order(height, width).ok());
    let Some(ours) = ours.filter(|ours| ours.len() == table.len()) else { return false };
    if name.ends_with("index_flat_inv") {
        ours.iter().enumerate().all(|(step, &pixel)| table[pixel as usize] == step as i64)
    } else {
        ours.iter().zip(table).all(|(&ours, &theirs)| i64::from(ours) == theirs)
    }
}

/// Height and width of the map that a table scans: a sixteenth of the picture in the fuser, and
/// from a thirty-second on, doubled from stage to stage, in the decoder.
fn map_size(name: &str, config: &RunConfig) -> Option<(usize, usize)> {
    let (height, width) = (config.data.height_px, config.data.width_px);
    let Some((_, rest)) = name.split_once(".layers_up.") else {
        return Some((height / 16, width / 16));
    };
    let stage: u32 = rest.split('.').next()?.parse().ok()?;
    let scale = 1_usize.checked_shl(stage)?;
    Some((height / 32 * scale, width / 32 * scale))
}
