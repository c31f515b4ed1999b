//! From a folder of pictures to a model file: hold out, train, calibrate, describe.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use mmad_data::{
    DataError, Dataset, HoldOut, Loader, LoaderOptions, Painter, Preprocess, Sample, Split,
};
use sha2::{Digest as _, Sha256};

use crate::calibrate::{Calibration, CalibrationError, ClassScores, Plan, Source};
use crate::detector::{Detector, DetectorError, mean_features};
use crate::method::{BuildError, ENCODER_PREFIX, Method};
use crate::methods;
use crate::model_file::{FORMAT_VERSION, ModelCard, ModelFile, ModelFileError, TrainingRecord};
use crate::run_file::{RunConfig, RunFileError};
use crate::train::feature_cache::FeatureCacheConfig;
use crate::train::pictures::Pictures;
use crate::train::{Run, TrainError, Trained, Watch, checkpoint, train};
use crate::weights::{self, WeightsError};

/// What keeps a folder of pictures from becoming a model.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The pictures.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run file.
    #[error(transparent)]
    Config(#[from] RunFileError),
    /// The method's own values.
    #[error(transparent)]
    Method(#[from] BuildError),
    /// A method that does not exist.
    #[error("there is no method `{0}`")]
    UnknownMethod(String),
    /// The encoder's weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The thresholds.
    #[error(transparent)]
    Calibrate(#[from] CalibrationError),
    /// The finished model.
    #[error(transparent)]
    Detector(#[from] DetectorError),
    /// The model file.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// A model whose scores are no numbers.
    #[error("the trained model does not give numbers: training diverged in its last steps")]
    NotFinite,
    /// The run's folder.
    #[error("cannot make the folder `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl FitError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Data(error) => error.hint(),
            Self::Config(error) => error.hint(),
            Self::Method(error) => Some(error.hint()),
            Self::UnknownMethod(_) => Some("`mmad methods` lists those that exist".to_owned()),
            Self::Weights(error) => error.hint(),
            Self::Train(error) => error.hint(),
            Self::Calibrate(error) => error.hint(),
            Self::Detector(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::NotFinite => Some(
                "train again with a smaller `--set train.learning_rate=…` or another seed"
                    .to_owned(),
            ),
            Self::Folder { .. } => Some("choose another with `--out`".to_owned()),
        }
    }
}

/// Most training pictures per class that the class's mean features are taken from.
const N_FEATURE_PICTURES: usize = 32;

/// What a run works on.
#[derive(Debug)]
pub struct Fit<'a> {
    /// The configuration.
    pub config: &'a RunConfig,
    /// The pictures; only good training pictures are used.
    pub dataset: &'a Dataset,
    /// Where checkpoint, log and model go.
    pub folder: &'a Path,
    /// Whether to go on from a checkpoint in the folder.
    pub resume: bool,
    /// How pictures are read.
    pub loader: LoaderOptions,
    /// Where to compute.
    pub device: Device,
}

/// What came of a run.
#[derive(Debug)]
pub struct Fitted {
    /// How the training ended.
    pub trained: Trained,
    /// The model file; `None` where the run was stopped before its end.
    pub model: Option<PathBuf>,
    /// Training and calibration pictures that could not be read.
    pub unreadable: Vec<DataError>,
    /// The thresholds.
    pub calibration: Option<Calibration>,
}

/// Pictures of a run, parted into those that train and those that calibrate.
///
/// # Errors
///
/// [`DataError`] for an unknown class or an impossible share.
pub fn part(dataset: &Dataset, config: &RunConfig) -> Result<HoldOut, DataError> {
    let dataset = select(dataset, config)?;
    let good = dataset.of_split(Split::Train);
    mmad_data::hold_out(&good, config.data.calibration_share, config.seed)
}

/// The classes of the configuration; all where it names none.
///
/// # Errors
///
/// [`DataError::UnknownClass`].
pub fn select(dataset: &Dataset, config: &RunConfig) -> Result<Dataset, DataError> {
    match config.data.classes.is_empty() {
        true => Ok(dataset.clone()),
        false => dataset.with_classes(&config.data.classes),
    }
}

/// Trains, calibrates and writes `model.mmad` into the folder.
///
/// # Errors
///
/// [`FitError`]. What was trained up to then is in the folder's checkpoint.
pub fn fit(fit: &Fit<'_>, watch: &mut dyn Watch) -> Result<Fitted, FitError> {
    let config = fit.config;
    config.validate()?;
    let unknown = || FitError::UnknownMethod(config.method.clone());
    let entry = methods::find(&config.method).ok_or_else(unknown)?;
    let source = |source| FitError::Folder { path: fit.folder.to_owned(), source };
    std::fs::create_dir_all(fit.folder).map_err(source)?;
    mmad_weights::remove_incomplete(fit.folder).map_err(WeightsError::from)?;
    let HoldOut { train: samples, calibration } = part(fit.dataset, config)?;
    let data_sha256 = select(fit.dataset, config)?.digest();

    let encoder_state = weights::read_encoder(config.encoder.arch, &config.encoder.weights)?;
    let encoder_sha256 = encoder_state.sha256();
    let method = (entry.build)(config, &fit.device)?;
    let origin = format!("`{}`", config.encoder.weights);
    let arch = config.encoder.arch;
    weights::load_encoder(method.params(), ENCODER_PREFIX, &encoder_state, &origin, arch.name())?;
    drop(encoder_state);

    let data = &config.data;
    let preprocess = Preprocess::imagenet(data.height_px, data.width_px)?;
    method.prepare(&some_images(&samples, &preprocess, &fit.loader, &fit.device)?);

    let text = config.to_toml()?;
    let run_sha256 = digest(&[text.as_bytes(), data_sha256.as_bytes(), encoder_sha256.as_bytes()]);
    let run = Run { config, run_sha256: &run_sha256, folder: Some(fit.folder), resume: fit.resume };
    let mut pictures = Pictures::new(
        samples,
        preprocess,
        fit.loader.clone(),
        &fit.device,
        feature_cache(config, fit.folder),
    );
    if method.wants_painted_defects() {
        let painter = Painter::new(&config.paint, fit.loader.decode)?;
        pictures = pictures.with_painter(painter, config.seed);
    }
    let trained = train(method.as_ref(), &mut pictures, &run, watch)?;
    let mut unreadable: Vec<DataError> = pictures.take_unreadable();
    let path = fit.folder.join("model.mmad");
    if trained.n_new_steps == 0 && path.is_file() {
        // The run had ended: its model may have got other thresholds since, which are kept.
        let calibration = ModelFile::read(&path)?.card.calibration;
        return Ok(Fitted { trained, model: Some(path), unreadable, calibration });
    }
    if !trained.is_complete {
        return Ok(Fitted { trained, model: None, unreadable, calibration: None });
    }

    let (classes, class_features) =
        class_features(method.as_ref(), pictures.samples(), &preprocess, &fit.loader, &fit.device)?;
    let record = TrainingRecord {
        data_sha256,
        encoder_sha256,
        n_pictures: pictures.len(),
        n_steps: trained.progress.step,
        final_loss: trained.final_loss,
        seconds: trained.progress.seconds,
        threads: rayon::current_num_threads(),
    };
    let tensors = weights::to_state(method.params())?;
    let card = ModelCard {
        format_version: FORMAT_VERSION,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        config: config.clone(),
        classes,
        calibration: None,
        training: record,
        self_test_scores: Vec::new(),
        tensors_sha256: String::new(),
    };
    let detector = Detector::new(method, card.clone(), class_features.clone(), &fit.device)?;
    let held_out = score_labelled(&detector, &calibration, &fit.loader)?;
    unreadable.extend(held_out.unreadable);
    let calibration = match held_out.scores.is_empty() {
        true => None,
        false => Some(Calibration::new(held_out.scores, Plan::default(), Source::HeldOut)?),
    };
    let pictures = match held_out.some_rgb.is_empty() {
        true => vec![vec![128; 3 * data.height_px * data.width_px]],
        false => held_out.some_rgb,
    };
    let self_test_scores: Vec<f32> =
        pictures.iter().map(|rgb| detector.score_resized(rgb).score).collect();
    if self_test_scores.iter().any(|score| !score.is_finite()) {
        return Err(FitError::NotFinite);
    }
    let self_test_rgb = pictures.concat();
    let card = ModelCard { calibration: calibration.clone(), self_test_scores, ..card };
    ModelFile { card, tensors, class_features, self_test_rgb }.write(&path)?;
    Ok(Fitted { trained, model: Some(path), unreadable, calibration })
}

fn feature_cache(config: &RunConfig, folder: &Path) -> FeatureCacheConfig {
    const BYTES_PER_MB: u64 = 1_000_000;
    FeatureCacheConfig {
        memory_bytes: config.train.feature_cache_mb.saturating_mul(BYTES_PER_MB),
        disk_bytes: config.train.feature_cache_disk_mb.saturating_mul(BYTES_PER_MB),
        folder: folder.to_owned(),
        feature_type: config.train.feature_cache_type,
    }
}

/// Pictures that frozen parts are fitted on, spread evenly over the training set.
const N_PREPARE_PICTURES: usize = 64;

fn some_images(
    samples: &[Sample],
    preprocess: &Preprocess,
    loader: &LoaderOptions,
    device: &Device,
) -> Result<Vec<Tensor<4>>, FitError> {
    if samples.is_empty() {
        return Err(TrainError::NoPictures.into());
    }
    let every = samples.len().div_ceil(N_PREPARE_PICTURES).max(1);
    // After the evenly spread ones come the others, in case some cannot be read.
    let spread = (0..every).flat_map(|first| samples.iter().skip(first).step_by(every)).cloned();
    let shape = [1, preprocess.height(), preprocess.width(), 3];
    let mut images = Vec::new();
    let mut first_error = None;
    for item in Loader::new(spread.collect(), *preprocess, loader.clone())? {
        match item {
            Ok(loaded) => {
                images.push(Tensor::from_data(TensorData::new(loaded.pixels, shape), device));
            }
            // A picture that cannot be read is reported when its turn to train comes.
            Err(error) => first_error = first_error.or(Some(error)),
        }
        if images.len() == N_PREPARE_PICTURES {
            break;
        }
    }
    match first_error {
        Some(first) if images.is_empty() => {
            Err(TrainError::AllUnreadable { first: Box::new(first) }.into())
        }
        _ => Ok(images),
    }
}

/// SHA-256 of parts, each with its length before it, as hex digits.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) fn class_names(samples: &[Sample]) -> Vec<String> {
    let mut names: Vec<String> = samples.iter().map(|sample| sample.class.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// The classes of which a picture can be read, and their mean features, `[classes, channels]`.
pub(crate) fn class_features(
    method: &dyn Method,
    samples: &[Sample],
    preprocess: &Preprocess,
    loader: &LoaderOptions,
    device: &Device,
) -> Result<(Vec<String>, Vec<f32>), DataError> {
    let (mut classes, mut all) = (Vec::new(), Vec::new());
    for class in class_names(samples) {
        let of_class = samples.iter().filter(|sample| sample.class == class).cloned().collect();
        let mut sum: Vec<f64> = Vec::new();
        let mut n_seen = 0;
        let readable = Loader::new(of_class, *preprocess, loader.clone())?.flatten();
        for loaded in readable.take(N_FEATURE_PICTURES) {
            let shape = [1, preprocess.height(), preprocess.width(), 3];
            let images = Tensor::from_data(TensorData::new(loaded.pixels, shape), device);
            let features = mean_features(&method.observe(images));
            sum.resize(features.len(), 0.0);
            sum.iter_mut().zip(features).for_each(|(sum, value)| *sum += f64::from(value));
            n_seen += 1;
        }
        if n_seen > 0 {
            classes.push(class);
            all.extend(sum.iter().map(|sum| (sum / f64::from(n_seen)) as f32));
        }
    }
    Ok((classes, all))
}

/// Most pictures that a model file tests itself with.
const N_SELF_TESTS: usize = 4;

/// Scores of pictures by class and label.
#[derive(Debug)]
pub struct LabelledScores {
    /// In order of class; those of which no picture could be read are left out.
    pub scores: Vec<ClassScores>,
    /// Pictures that could not be read.
    pub unreadable: Vec<DataError>,
    /// The first good picture of each of a few classes, in the model's size.
    pub some_rgb: Vec<Vec<u8>>,
}

/// Scores pictures, good and defective apart, for calibration.
///
/// # Errors
///
/// [`DataError`] where no loader can be started.
pub fn score_labelled(
    detector: &Detector,
    samples: &[Sample],
    loader: &LoaderOptions,
) -> Result<LabelledScores, DataError> {
    let mut found =
        LabelledScores { scores: Vec::new(), unreadable: Vec::new(), some_rgb: Vec::new() };
    for class in class_names(samples) {
        let of_class = samples.iter().filter(|s| s.class == class).cloned().collect();
        let mut scores = ClassScores { class, ..ClassScores::default() };
        for item in Loader::new(of_class, *detector.preprocess(), loader.clone())? {
            match item {
                Ok(loaded) => {
                    let scored = detector.score_pixels(loaded.pixels);
                    if loaded.sample.is_anomalous() {
                        scores.defective.push(scored.score);
                        continue;
                    }
                    if scores.good.is_empty() && found.some_rgb.len() < N_SELF_TESTS {
                        found.some_rgb.push(loaded.rgb);
                    }
                    scores.good.push(scored.score);
                    scores.good_pixels.push(scored.pixel_score());
                }
                Err(error) => found.unreadable.push(error),
            }
        }
        if !(scores.good.is_empty() && scores.defective.is_empty()) {
            found.scores.push(scores);
        }
    }
    Ok(found)
}

/// The checkpoint of a run's folder, where there is one.
pub fn checkpoint_in(folder: &Path) -> Option<PathBuf> {
    Some(checkpoint::path_in(folder)).filter(|path| path.is_file())
}
