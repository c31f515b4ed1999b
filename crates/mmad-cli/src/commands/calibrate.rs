//! `mmad calibrate`: thresholds, without training again.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use mmad::calibrate::{Basis, Calibration, ClassCalibration};
use mmad::detector::Detector;
use mmad::fit::{part, score_good};
use mmad::model_file::ModelFile;
use mmad_data::{Dataset, LoaderOptions, Sample};

use crate::failure::{Failure, Status};
use crate::output::Output;

/// Show or change the thresholds of a model; the weights stay as they are
///
/// Thresholds come from good pictures that were held out of training, never from a test set. The
/// model keeps their scores, so another rate takes no time. With `--data` they are scored anew.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Model file written by `mmad train`; it is changed in place
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Share of good pictures that may be rejected, such as 0.01
    #[arg(long, value_name = "RATE")]
    max_fpr: Option<f64>,
    /// Folder the model was trained on: score its held-out good pictures anew
    #[arg(long, value_name = "DIR", conflicts_with = "good")]
    data: Option<PathBuf>,
    /// Folder with new good pictures (class folders; plain for a model of one class): score all of
    /// them. Classes without new pictures keep their thresholds
    #[arg(long, value_name = "DIR")]
    good: Option<PathBuf>,
    /// Threshold by hand, as in `--set bottle=0.12`; may be given several times
    #[arg(long, value_name = "CLASS=SCORE")]
    set: Vec<String>,
}

pub(crate) fn run(args: &CalibrateArgs, output: &mut Output) -> Result<Status, Failure> {
    let mut status = Status::Ok;
    let mut file = ModelFile::read(&args.model)?;
    let before = file.card.calibration.clone();
    let rate = args
        .max_fpr
        .or(before.as_ref().map(|calibration| calibration.max_false_reject_rate))
        .unwrap_or(mmad::fit::DEFAULT_FALSE_REJECT_RATE);
    let pictures = match (&args.data, &args.good) {
        (Some(folder), _) => Some(part(&Dataset::open(folder)?, &file.card.config)?.calibration),
        (_, Some(folder)) => Some(good_pictures(folder, &file.card.classes)?),
        _ => None,
    };
    let kept = match (before.clone(), args.max_fpr) {
        (Some(before), Some(rate)) => Some(before.with_rate(rate)?),
        (before, _) => before,
    };
    let mut calibration = match (pictures, kept) {
        (Some(pictures), kept) => {
            let detector = Detector::load(&args.model, &Device::flex())?;
            output.note(&format!("scoring {} good pictures", pictures.len()));
            let found = score_good(&detector, &pictures, &LoaderOptions::default())?;
            for error in &found.unreadable {
                output.warn(&format!("skipped: {error}"));
                status = Status::DataProblems;
            }
            let scores = found.scores.into_iter().filter(|(_, scores)| !scores.is_empty());
            let scored = Calibration::new(scores.collect(), rate)?;
            if scored.classes.is_empty() {
                return Err(Failure::new(
                    "there is no good picture to calibrate with",
                    "a model that held nothing out in training needs new pictures with `--good`",
                ));
            }
            with_others(scored, kept)
        }
        (None, Some(kept)) => kept,
        (None, None) => {
            return Err(Failure::new(
                "the model has no held-out scores",
                "give good pictures with `--data` or `--good`",
            ));
        }
    };
    for assignment in &args.set {
        let bad = || {
            Failure::new(
                format!("`{assignment}` is not of the form `class=score`"),
                "write for example `--set bottle=0.12`",
            )
        };
        let (class, threshold) = assignment.rsplit_once('=').ok_or_else(bad)?;
        let threshold: f32 = threshold.trim().parse().map_err(|_| bad())?;
        if !(threshold.is_finite() && threshold > 0.0) {
            let message = format!("the threshold of `{}` is {threshold}", class.trim());
            return Err(Failure::new(message, "give a raw score above 0"));
        }
        calibration.set_threshold(class.trim(), threshold)?;
    }
    if before.as_ref() != Some(&calibration) {
        file.card.calibration = Some(calibration.clone());
        file.write(&args.model)?;
        output.note(&format!("changed: {}", args.model.display()));
    }
    show(&calibration, output)?;
    Ok(status)
}

/// The good pictures of a folder under the names of the model's classes.
fn good_pictures(folder: &Path, known: &[String]) -> Result<Vec<Sample>, Failure> {
    let dataset = Dataset::open(folder)?;
    let mut good: Vec<Sample> =
        dataset.samples().iter().filter(|sample| !sample.is_anomalous()).cloned().collect();
    let is_one_class = good.iter().all(|sample| sample.class == good[0].class);
    if let ([class], true) = (known, is_one_class) {
        // A plain folder is named after no class; here there is only one that it can be.
        for sample in &mut good {
            sample.class.clone_from(class);
        }
    }
    // A model that was imported without pictures knows no classes and takes any.
    match good.iter().find(|sample| !known.is_empty() && !known.contains(&sample.class)) {
        None => Ok(good),
        Some(sample) => Err(Failure::new(
            format!("class `{}` is unknown to this model", sample.class),
            format!(
                "the model knows: {}; name the folders after them, as in `{}`",
                known.join(", "),
                folder.join(&known[0]).join("good").display()
            ),
        )),
    }
}

/// The new thresholds, and the old ones of the classes that have no new one.
fn with_others(mut scored: Calibration, kept: Option<Calibration>) -> Calibration {
    for class in kept.into_iter().flat_map(|kept| kept.classes) {
        if scored.class(&class.class).is_none() {
            scored.classes.push(class);
        }
    }
    scored.classes.sort_by(|a, b| a.class.cmp(&b.class));
    scored
}

/// Prints the thresholds and what they promise.
pub(crate) fn show(calibration: &Calibration, output: &mut Output) -> Result<(), Failure> {
    let rate = calibration.max_false_reject_rate;
    output.line(&format!("good pictures that may be rejected: at most {:.2} %", 100.0 * rate))?;
    let width = calibration.classes.iter().map(|c| c.class.chars().count()).max().unwrap_or(0);
    for class in &calibration.classes {
        let interval = class.false_reject_rate();
        output.line(&format!(
            "{:width$}  threshold {:.4}  {} held out, {:.1} % rejected (95 %: {:.1} to {:.1} %)  {}",
            class.class,
            class.threshold,
            class.scores.len(),
            100.0 * interval.observed,
            100.0 * interval.low,
            100.0 * interval.high,
            promise(class, rate),
        ))?;
    }
    let rows: Vec<_> = calibration
        .classes
        .iter()
        .map(|class| {
            serde_json::json!({
                "class": class.class,
                "threshold": class.threshold,
                "basis": class.basis,
                "held_out": class.scores.len(),
                "false_reject_rate": class.false_reject_rate(),
            })
        })
        .collect();
    output.object(&serde_json::json!({ "max_false_reject_rate": rate, "classes": rows }))?;
    Ok(())
}

fn promise(class: &ClassCalibration, rate: f64) -> String {
    match class.basis {
        Basis::Conformal => "guaranteed on average".to_owned(),
        Basis::Manual => "set by hand".to_owned(),
        Basis::BeyondLargest => {
            let needed = (1.0 / rate - 1.0).ceil();
            format!("no guarantee: needs at least {needed:.0} held-out pictures")
        }
    }
}
