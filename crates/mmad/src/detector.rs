//! The only way to score a picture: evaluation, prediction and every later server go through it.
//!
//! ```text
//! picture ─ resize, normalise ─ Method::observe ─ Method::score ─ anomaly map and score
//! ```
//!
//! Pictures are scored one at a time, so a score depends on the picture and the weights alone.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use mmad_data::{Picture, Preprocess, restore_map};

use crate::calibrate::{ClassCalibration, PIXEL_SHARE};
use crate::method::{Method, Observation, ScoredMap};
use crate::methods;
use crate::model_file::{ModelCard, ModelFile, ModelFileError};
use crate::params::ParamSet;
use crate::run_file::Precision;
use crate::unfit::Unfit;
use crate::weights;

/// A model that scores pictures.
#[derive(Debug)]
pub struct Detector {
    method: Box<dyn Method>,
    preprocess: Preprocess,
    card: ModelCard,
    class_features: Vec<f32>,
    device: Device,
}

/// What the model says about one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Score of the picture; for most methods the largest value of the map.
    pub score: f32,
    /// Anomaly map in the model's own size, row-major.
    pub map: Vec<f32>,
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
    /// The class whose training pictures look most like this one; an index into the card's.
    pub nearest_class: Option<usize>,
}

/// One picture inside a model file: the score in the card and the score now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelfTest {
    /// In the card.
    pub expected: f32,
    /// Now.
    pub found: f32,
}

impl SelfTest {
    /// Whether both agree as far as processors may differ, for a picture with this map.
    fn is_passed(self, map: &[f32], precision: Precision) -> bool {
        let Self { expected, found } = self;
        // A score of either sign can lie near zero; the map says how large its values are.
        let largest = map.iter().fold(expected.abs().max(1e-3), |max, x| max.max(x.abs()));
        // Written so that NaN fails.
        (found - expected).abs() <= self_test_tolerance(precision) * largest
    }
}

/// What keeps a model from scoring.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// The model file.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// The file names a method that this program does not have.
    #[error("the model uses method `{0}`, which this program does not have")]
    UnknownMethod(String),
    /// The configuration in the file.
    #[error("the configuration in the model file cannot be used: {why}")]
    Config {
        /// What is wrong.
        why: String,
    },
    /// The model's encoder computes in a precision that the device has not.
    #[error("this device cannot run the model's encoder: {0}")]
    Precision(Unfit),
    /// The weights do not fit the configuration.
    #[error(transparent)]
    Weights(#[from] weights::WeightsError),
    /// The file's own picture has another score than when the file was written.
    #[error("self-test failed: the model file's picture scores {found}, expected {expected}")]
    SelfTest {
        /// Score in the card.
        expected: f32,
        /// Score now.
        found: f32,
    },
}

impl DetectorError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Weights(error) => error.hint(),
            Self::UnknownMethod(_) => Some("`mmad methods` lists those that exist".to_owned()),
            Self::Precision(_) => Some(
                "use `--device cpu`, or change the model with `mmad calibrate MODEL --data DIR \
                 --encoder-precision f32`"
                    .to_owned(),
            ),
            Self::Config { .. } => Some("the file was changed; train or import again".to_owned()),
            Self::SelfTest { .. } => Some(
                "the file is damaged, or this machine computes wrongly; copy the file again and \
                 compare its checksum"
                    .to_owned(),
            ),
        }
    }
}

/// Largest relative difference of the self-test score that different processors may show.
///
/// They add in another order. Where the next layer rounds, the last digits of a sum can decide which
/// way, so that scores are as far apart as rounding itself moves them: with `bf16` up to 3e-4 was seen
/// behind a ResNet-18 and 2e-3 behind a ResNet-50. With `f16` a GPU rounds sums too.
fn self_test_tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => 1e-3,
        Precision::F16 => 3e-3,
        Precision::Bf16 => 1e-2,
    }
}

/// The `n` pictures of a self-test, which lie one behind the other.
fn pictures_of(rgb: &[u8], n: usize) -> std::slice::ChunksExact<'_, u8> {
    rgb.chunks_exact((rgb.len() / n.max(1)).max(1))
}

impl Detector {
    /// Loads a model file and lets it test itself with its first picture.
    ///
    /// # Errors
    ///
    /// [`DetectorError`] where the file is missing, damaged or of another version, or where its
    /// own picture does not get the score written beside it.
    pub fn load(path: &Path, device: &Device) -> Result<Self, DetectorError> {
        Ok(Self::load_and_test(path, 1, device)?.0)
    }

    /// Loads a model file and lets it test itself with all its pictures.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn verify(path: &Path, device: &Device) -> Result<(Self, Vec<SelfTest>), DetectorError> {
        Self::load_and_test(path, usize::MAX, device)
    }

    fn load_and_test(
        path: &Path,
        n_pictures: usize,
        device: &Device,
    ) -> Result<(Self, Vec<SelfTest>), DetectorError> {
        Self::from_file_tested(ModelFile::read(path)?, n_pictures, device)
    }

    fn from_file_tested(
        file: ModelFile,
        n_pictures: usize,
        device: &Device,
    ) -> Result<(Self, Vec<SelfTest>), DetectorError> {
        let scores = file.card.self_test_scores.clone();
        let pictures = file.self_test_rgb.clone();
        let precision = file.card.config.encoder.precision;
        let detector = Self::from_file(file, device)?;
        let mut tests = Vec::new();
        let pictures = pictures_of(&pictures, scores.len());
        for (rgb, expected) in pictures.zip(scores).take(n_pictures) {
            let scored = detector.score_resized(rgb);
            let test = SelfTest { expected, found: scored.score };
            if !test.is_passed(&scored.map, precision) {
                let SelfTest { expected, found } = test;
                return Err(DetectorError::SelfTest { expected, found });
            }
            tests.push(test);
        }
        Ok((detector, tests))
    }

    /// Builds a detector from a file in memory, without its self-test.
    ///
    /// # Errors
    ///
    /// [`DetectorError`] where configuration and tensors do not fit.
    pub fn from_file(file: ModelFile, device: &Device) -> Result<Self, DetectorError> {
        let config = &file.card.config;
        let unknown = || DetectorError::UnknownMethod(config.method.clone());
        let entry = methods::find(&config.method).ok_or_else(unknown)?;
        config.validate().map_err(|error| DetectorError::Config { why: error.to_string() })?;
        config.encoder.fits(device).map_err(DetectorError::Precision)?;
        let method = (entry.build)(config, device)
            .map_err(|error| DetectorError::Config { why: error.to_string() })?;
        weights::load(method.params(), "", &file.tensors, "the model file", entry.id)?;
        Self::new(method, file.card, file.class_features, device)
    }

    /// The same model with its encoder in another precision: the file, in which its own pictures
    /// have the scores that they get then, and the detector. The weights stay. The file is without
    /// thresholds, which are to be made anew from held-out pictures.
    ///
    /// The mean features of the classes stay too: rounding moves a mean over whole maps by far less
    /// than classes differ.
    ///
    /// # Errors
    ///
    /// As of [`from_file`](Self::from_file), and [`DetectorError::SelfTest`] where the model as it is
    /// does not score here as it should: on the device, or on the CPU where only that has its precision.
    pub fn in_precision(
        mut file: ModelFile,
        precision: Precision,
        device: &Device,
    ) -> Result<(ModelFile, Self), DetectorError> {
        let fits = file.card.config.encoder.fits(device).is_ok();
        let tested_on = if fits { device.clone() } else { Device::flex() };
        Self::from_file_tested(file.clone(), usize::MAX, &tested_on)?;
        file.card.config.encoder.precision = precision;
        file.card.calibration = None;
        let mut detector = Self::from_file(file.clone(), device)?;
        let pictures = pictures_of(&file.self_test_rgb, file.card.self_test_scores.len());
        file.card.self_test_scores =
            pictures.map(|rgb| detector.score_resized(rgb).score).collect();
        detector.card.self_test_scores.clone_from(&file.card.self_test_scores);
        Ok((file, detector))
    }

    /// A detector around a method whose weights are in place and not tracked.
    ///
    /// # Errors
    ///
    /// [`DetectorError::Config`] for a size that no picture can be resized to.
    pub fn new(
        method: Box<dyn Method>,
        card: ModelCard,
        class_features: Vec<f32>,
        device: &Device,
    ) -> Result<Self, DetectorError> {
        let data = &card.config.data;
        let preprocess = Preprocess::imagenet(data.height_px, data.width_px)
            .map_err(|error| DetectorError::Config { why: error.to_string() })?;
        Ok(Self { method, preprocess, card, class_features, device: device.clone() })
    }

    /// The card of the model.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Its parameters.
    pub fn params(&self) -> &ParamSet {
        self.method.params()
    }

    /// How pictures are brought to the model's size.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Scores a decoded picture of any size.
    pub fn score(&self, picture: &Picture) -> Scored {
        self.score_pixels(self.preprocess.picture(picture))
    }

    /// Scores a picture that has the model's size already.
    ///
    /// # Shapes
    ///
    /// - `rgb`: `[height, width, 3]`, levels 0 to 255
    pub fn score_resized(&self, rgb: &[u8]) -> Scored {
        self.score_pixels(self.preprocess.normalise(rgb))
    }

    /// Scores a resized and normalised picture.
    ///
    /// # Shapes
    ///
    /// - `pixels`: `[height, width, 3]` in the model's size
    ///
    /// # Panics
    ///
    /// When the number of values is another.
    pub fn score_pixels(&self, pixels: Vec<f32>) -> Scored {
        let (height, width) = (self.preprocess.height(), self.preprocess.width());
        let data = TensorData::new(pixels, [1, height, width, 3]);
        let seen = self.method.observe(Tensor::from_data(data, &self.device));
        let nearest_class = self.nearest_class(&mean_features(&seen));
        let mut scored = self.method.score(&seen, height, width);
        let ScoredMap { map, score } = scored.pop().expect("a batch of one gives one map");
        Scored { score, map, height, width, nearest_class }
    }

    /// The threshold for a picture: of `class` where it is given, else of the nearest class.
    pub fn threshold_for(&self, class: Option<&str>, scored: &Scored) -> Option<&ClassCalibration> {
        let calibration = self.card.calibration.as_ref()?;
        let guessed = scored.nearest_class.map(|index| self.card.classes[index].as_str());
        calibration.class(class.or(guessed)?)
    }

    fn nearest_class(&self, features: &[f32]) -> Option<usize> {
        let classes = self.class_features.chunks(features.len().max(1));
        let distance = |class: &[f32]| -> f64 {
            class.iter().zip(features).map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        classes
            .enumerate()
            .map(|(index, class)| (index, distance(class)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(index, _)| index)
    }
}

impl Scored {
    /// The value that the share [`PIXEL_SHARE`] of the map exceeds: with a pixel threshold above
    /// it, no more than that share counts as defective.
    pub fn pixel_score(&self) -> f32 {
        let n_above = (PIXEL_SHARE * self.map.len() as f64) as usize;
        let mut values = self.map.clone();
        if values.is_empty() {
            return self.score;
        }
        *values.select_nth_unstable_by(n_above, |a, b| b.total_cmp(a)).1
    }

    /// The map in the picture's own pixels, row-major; empty for a picture without pixels.
    pub fn map_in_picture(&self, picture_height: usize, picture_width: usize) -> Vec<f32> {
        let (from, to) = ((self.height, self.width), (picture_height, picture_width));
        restore_map(&self.map, from, to).unwrap_or_default()
    }
}

/// Mean of the last map of an observation: what a picture looks like as a whole.
///
/// # Shapes
///
/// - `seen`: a batch of one; output: `[channels]`
pub fn mean_features(seen: &Observation) -> Vec<f32> {
    let Some(last) = seen.last() else { return Vec::new() };
    let mean = last.clone().mean_dim(1).mean_dim(2);
    mean.into_data().try_to_vec().expect("features are f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_test_allows_what_processors_differ_by() {
        let passes = |found: f32, precision| {
            SelfTest { expected: 0.2, found }.is_passed(&[0.1, 0.2], precision)
        };
        for (precision, allowed) in
            [(Precision::F32, 1e-3), (Precision::F16, 3e-3), (Precision::Bf16, 1e-2)]
        {
            assert!(passes(0.2 * (1.0 + 0.9 * allowed), precision));
            assert!(!passes(0.2 * (1.0 + 1.1 * allowed), precision));
            assert!(!passes(f32::NAN, precision));
        }
    }

    #[test]
    fn the_pixel_score_leaves_its_share_above() {
        let map: Vec<f32> = (0..1000).map(|i| (i * 7 % 1000) as f32).collect();
        let scored = Scored { score: 999.0, map, height: 20, width: 50, nearest_class: None };
        assert_eq!(scored.pixel_score(), 989.0);
        let above = scored.map.iter().filter(|&&v| v >= scored.pixel_score().next_up()).count();
        assert_eq!(above, 10);
        let tiny = Scored { map: vec![0.3, 0.7], height: 1, width: 2, ..scored };
        assert_eq!(tiny.pixel_score(), 0.7, "less than one pixel is none");
    }
}
