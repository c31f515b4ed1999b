//! A detector over a test set: seven metrics per class, one class in memory at a time.

use std::collections::BTreeMap;

use mmad_data::{DataError, LoadedSample, Loader, LoaderOptions, Sample};
use mmad_metrics::{
    ClassMetrics, Evaluation, MetricError, MetricOptions, Protocol, ScoredImage, class_metrics,
};

use crate::decisions::{Decisions, decide};
use crate::detector::{Detector, Scored};
use crate::pixel_counts::ClassPixelCounts;

/// One picture of the test set after scoring.
#[derive(Debug)]
pub struct TestPicture {
    /// The picture as loaded, in the model's size.
    pub loaded: LoadedSample,
    /// What the model says.
    pub scored: Scored,
    /// Milliseconds that scoring took, without loading.
    pub ms: f32,
}

/// What evaluation reports while it runs.
pub trait Watch {
    /// A picture was scored or could not be read; `n_done` of `n_all` are through.
    fn progress(&mut self, n_done: usize, n_all: usize);
    /// All readable pictures of a class, before they are dropped.
    fn class_done(&mut self, class: &str, pictures: &[TestPicture]);
}

/// What an evaluation found.
#[derive(Debug)]
pub struct Evaluated {
    /// The metrics.
    pub evaluation: Evaluation,
    /// What the pixel metrics of any selection of pictures follow from, for the classes that have
    /// some; none with a protocol of bins, whose values cannot be had from it.
    pub pixel_counts: Vec<ClassPixelCounts>,
    /// Files that could not be read; they are in no metric.
    pub unreadable: Vec<DataError>,
    /// What the shipped thresholds do, for the classes that have any.
    pub decisions: Vec<(String, Decisions)>,
    /// Milliseconds that scoring took per picture, ascending.
    pub score_ms: Vec<f32>,
    /// Seconds spent scoring, loading not counted where it was hidden.
    pub seconds: f64,
    /// Pictures scored.
    pub n_pictures: usize,
}

/// What keeps an evaluation from being made at all.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The loader could not be started.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A class whose scores have no metrics.
    #[error("class `{class}`: {reason}")]
    Metric {
        /// Name of the class.
        class: String,
        /// What is wrong.
        reason: MetricError,
    },
    /// No picture at all.
    #[error("there is no test picture to evaluate")]
    Empty,
}

impl EvaluateError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Data(error) => error.hint(),
            Self::Metric { reason, .. } => reason.hint(),
            Self::Empty => Some("`mmad data check` shows what was found in the folder".to_owned()),
        }
    }
}

/// Scores `samples` class by class and computes the metrics.
///
/// # Errors
///
/// [`EvaluateError`]; a single unreadable picture is not an error but is listed in the result.
pub fn evaluate(
    detector: &Detector,
    samples: &[Sample],
    options: &MetricOptions,
    loader: &LoaderOptions,
    watch: &mut dyn Watch,
) -> Result<Evaluated, EvaluateError> {
    let mut by_class = BTreeMap::<&str, Vec<Sample>>::new();
    for sample in samples {
        by_class.entry(&sample.class).or_default().push(sample.clone());
    }
    let start = std::time::Instant::now();
    let mut classes: Vec<(String, ClassMetrics)> = Vec::new();
    let (mut decisions, mut score_ms) = (Vec::new(), Vec::new());
    let mut pixel_counts = Vec::new();
    let is_binned = !matches!(options.protocol, Protocol::Exact | Protocol::Mvtec);
    let mut unreadable = Vec::new();
    let (mut n_done, mut n_pictures) = (0, 0);
    for (class, of_class) in by_class {
        let mut pictures = Vec::new();
        for item in Loader::new(of_class, *detector.preprocess(), loader.clone())? {
            match item {
                Ok(mut loaded) => {
                    let pixels = std::mem::take(&mut loaded.pixels);
                    let begin = std::time::Instant::now();
                    let scored = detector.score_pixels(pixels);
                    let ms = 1000.0 * begin.elapsed().as_secs_f32();
                    pictures.push(TestPicture { loaded, scored, ms });
                }
                Err(error) => unreadable.push(error),
            }
            n_done += 1;
            watch.progress(n_done, samples.len());
        }
        if pictures.is_empty() {
            continue;
        }
        n_pictures += pictures.len();
        let images = as_images(&pictures);
        let metrics = class_metrics(&images, options)
            .map_err(|reason| EvaluateError::Metric { class: class.to_owned(), reason })?;
        if !is_binned {
            // Broken pictures are refused above; what is left is that nothing can be measured.
            pixel_counts.extend(ClassPixelCounts::of(class, &images, options.pro_fpr_limit).ok());
        }
        classes.push((class.to_owned(), metrics));
        score_ms.extend(pictures.iter().map(|picture| picture.ms));
        let calibration = detector.card().calibration.as_ref();
        if let Some(calibrated) = calibration.and_then(|calibration| calibration.class(class)) {
            decisions.push((class.to_owned(), decide(&pictures, calibrated)));
        }
        watch.class_done(class, &pictures);
    }
    if classes.is_empty() {
        return Err(EvaluateError::Empty);
    }
    let evaluation = Evaluation { options: *options, classes };
    let seconds = start.elapsed().as_secs_f64();
    score_ms.sort_by(f32::total_cmp);
    Ok(Evaluated { evaluation, pixel_counts, unreadable, decisions, score_ms, seconds, n_pictures })
}

fn as_images(pictures: &[TestPicture]) -> Vec<ScoredImage<'_>> {
    let image = |picture| {
        let TestPicture { loaded, scored, .. }: &TestPicture = picture;
        ScoredImage {
            name: &loaded.sample.name,
            width: scored.width,
            map: &scored.map,
            mask: loaded.mask.as_deref(),
            score: scored.score,
            is_anomalous: loaded.sample.is_anomalous(),
        }
    };
    pictures.iter().map(image).collect()
}
