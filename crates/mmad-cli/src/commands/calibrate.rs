//! `mmad calibrate`: thresholds, without training again.

use std::path::{Path, PathBuf};

use clap::Args;
use mmad::calibrate::{
    Basis, Calibration, ClassCalibration, ClassScores, Plan, RateInterval, Rule, Source,
};
use mmad::detector::Detector;
use mmad::fit::{part, score_labelled};
use mmad::model_file::ModelFile;
use mmad::run_file::Precision;
use mmad::score_list::{PictureScore, by_class};
use mmad_data::{Dataset, LoaderOptions, Sample, Split};
use serde::Deserialize;

use super::train::precision;
use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::Output;

/// Show or change the thresholds of a model; the weights stay as they are
///
/// Thresholds come from good pictures that were held out of training, never from a test set unless
/// you give one with `--labelled` or `--scores`. The model keeps their scores, so another rate or
/// rule takes no time. With `--data` they are scored anew.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Model file written by `mmad train`; it is changed in place
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Share of good pictures that may be rejected, such as 0.01: the conformal quantile, which
    /// keeps to it on average
    #[arg(long, value_name = "RATE")]
    max_fpr: Option<f64>,
    /// Share of good pictures that may be rejected or looked at by a person: a second threshold,
    /// below the first; 0 takes it away
    #[arg(long, value_name = "RATE")]
    review_fpr: Option<f64>,
    /// Threshold above this share of the good scores, without a guarantee
    #[arg(long, value_name = "SHARE", group = "rule")]
    quantile: Option<f64>,
    /// Threshold with the best F1; needs labelled pictures, see `--labelled` and `--scores`
    #[arg(long, group = "rule")]
    f1: bool,
    /// Threshold with the least cost of a false reject and of a miss, as in `--cost 1,20`; needs
    /// labelled pictures, see `--labelled` and `--scores`
    #[arg(long, value_name = "REJECT,MISS", group = "rule", value_parser = parse_costs)]
    cost: Option<(f64, f64)>,
    /// Share of defective parts in production, for `--cost` [default: that of the pictures]
    #[arg(long, value_name = "SHARE", requires = "cost")]
    defect_rate: Option<f64>,
    /// Folder the model was trained on: score its held-out good pictures anew
    #[arg(long, value_name = "DIR", group = "pictures")]
    data: Option<PathBuf>,
    /// Folder with new good pictures (class folders; plain for a model of one class): score all of
    /// them. Classes without new pictures keep their thresholds
    #[arg(long, value_name = "DIR", group = "pictures")]
    good: Option<PathBuf>,
    /// Folder with labelled pictures in a known layout: score its test pictures, good and
    /// defective. Numbers of the same pictures then flatter the thresholds
    #[arg(long, value_name = "DIR", group = "pictures")]
    labelled: Option<PathBuf>,
    /// `results.json` of `mmad eval` with this model: take its scores, good and defective. Numbers
    /// of the same test set then flatter the thresholds
    #[arg(long, value_name = "FILE", group = "pictures")]
    scores: Option<PathBuf>,
    /// Another precision for the model's encoder, `f32`, `bf16` or `f16`: scores, thresholds and self-test
    /// are made anew with the pictures of `--data`; thresholds by hand are lost
    #[arg(
        long,
        value_name = "TYPE",
        requires = "data",
        conflicts_with_all = ["good", "labelled", "scores"],
        value_parser = precision
    )]
    encoder_precision: Option<Precision>,
    /// Threshold by hand, as in `--set bottle=0.12`; may be given several times
    #[arg(long, value_name = "CLASS=SCORE")]
    set: Vec<String>,
    /// Review threshold by hand, as in `--set-review bottle=0.1`; may be given several times
    #[arg(long, value_name = "CLASS=SCORE")]
    set_review: Vec<String>,
    #[command(flatten)]
    device: DeviceArg,
}

fn parse_costs(text: &str) -> Result<(f64, f64), String> {
    let pair = text.split_once(',').map(|(a, b)| (a.trim(), b.trim()));
    let number = |text: &str| text.parse::<f64>().ok();
    pair.and_then(|(a, b)| Some((number(a)?, number(b)?)))
        .ok_or_else(|| "write two numbers, the cost of a false reject and of a miss".to_owned())
}

impl CalibrateArgs {
    /// The plan that is asked for, over the one the model has.
    fn plan(&self, before: Option<&Plan>) -> Plan {
        let mut plan = before.copied().unwrap_or_default();
        if let Some(rate) = self.max_fpr {
            plan.max_false_reject_rate = rate;
            plan.rule = Rule::Conformal;
        }
        match self.review_fpr {
            Some(0.0) => plan.review_rate = None,
            Some(rate) => plan.review_rate = Some(rate),
            None => {}
        }
        match (self.quantile, self.f1, self.cost) {
            (Some(share), ..) => plan.rule = Rule::Quantile { share },
            (_, true, _) => plan.rule = Rule::F1,
            (.., Some((false_reject, miss))) => {
                plan.rule = Rule::Cost { false_reject, miss, defect_rate: self.defect_rate };
            }
            _ => {}
        }
        plan
    }

    /// Whether anything but thresholds by hand is asked for.
    fn has_plan(&self) -> bool {
        let rates = self.max_fpr.is_some() || self.review_fpr.is_some();
        rates || self.quantile.is_some() || self.f1 || self.cost.is_some()
    }
}

pub(crate) fn run(args: &CalibrateArgs, output: &mut Output) -> Result<Status, Failure> {
    let mut status = Status::Ok;
    let mut file = ModelFile::read(&args.model)?;
    let mut plan = args.plan(file.card.calibration.as_ref().map(|calibration| &calibration.plan));
    let mut detector = None;
    let mut calibrated: Vec<String> = Vec::new();
    if let Some(precision) = args.encoder_precision {
        if plan.rule.needs_defects() && !args.has_plan() {
            plan.rule = Rule::Conformal;
            output.warn(
                "the model's thresholds were chosen with defects, of which `--data` gives none: they \
                 now follow the false-reject rate; calibrate again with `--labelled` to choose them so",
            );
        }
        let classes = file.card.calibration.iter().flat_map(|calibration| &calibration.classes);
        calibrated = classes.map(|class| class.class.clone()).collect();
        let device = args.device.open(output)?;
        let changed = Detector::in_precision(file, precision, &device)?;
        (file, detector) = (changed.0, Some(changed.1));
    }
    // Without the thresholds of another precision.
    let before = file.card.calibration.clone();
    let new = match (&args.data, &args.good, &args.labelled, &args.scores) {
        (Some(folder), ..) => {
            let pictures = part(&Dataset::open(folder)?, &file.card.config)?.calibration;
            let pictures = of_known_classes(folder, pictures, &file.card.classes)?;
            let scores = match &detector {
                Some(detector) => score_with(detector, &pictures, output, &mut status)?,
                None => score(args, &pictures, output, &mut status)?,
            };
            Some((scores, Source::HeldOut))
        }
        (_, Some(folder), ..) => {
            let mut good = Dataset::open(folder)?.samples().to_vec();
            good.retain(|sample| !sample.is_anomalous());
            let pictures = of_known_classes(folder, good, &file.card.classes)?;
            Some((score(args, &pictures, output, &mut status)?, Source::GoodPictures))
        }
        (_, _, Some(folder), _) => {
            let test = Dataset::open(folder)?.of_split(Split::Test);
            let pictures = of_known_classes(folder, test, &file.card.classes)?;
            let scores = score(args, &pictures, output, &mut status)?;
            need_good(&scores, folder, "leave the class out of the folder")?;
            Some((scores, Source::LabelledPictures))
        }
        (.., Some(path)) => Some((read_scores(path, &file)?, Source::ScoresFile)),
        _ => None,
    };
    let mut calibration = match (new, before.clone()) {
        (Some((scores, source)), kept) => {
            let scored = Calibration::new(scores, plan, source)?;
            if scored.classes.is_empty() {
                return Err(Failure::new(
                    "there is no good picture to calibrate with",
                    "a model that held nothing out in training needs new pictures with `--good`",
                ));
            }
            let kept = match (kept, args.has_plan()) {
                // Scores that stay may have no defects, which the rule needs.
                (Some(kept), true) if !plan.rule.needs_defects() => Some(kept.with_plan(plan)?),
                (kept, _) => kept,
            };
            with_others(scored, kept)
        }
        (None, Some(kept)) if args.has_plan() => kept.with_plan(plan)?,
        (None, Some(kept)) => kept,
        (None, None) => {
            return Err(Failure::new(
                "the model has no held-out scores",
                "give good pictures with `--data` or `--good`",
            ));
        }
    };
    for class in calibrated.iter().filter(|class| calibration.class(class).is_none()) {
        if !file.card.classes.contains(class) {
            output.warn(&format!(
                "class `{class}`, on which the model was not trained, has no threshold now"
            ));
            continue;
        }
        return Err(Failure::new(
            format!(
                "class `{class}` would lose its threshold: `--data` has no held-out picture of it"
            ),
            "give the folder that the model was trained on; nothing was changed",
        ));
    }
    for assignment in &args.set {
        let (class, threshold) = parse_assignment(assignment, &calibration)?;
        calibration.set_threshold(class, threshold)?;
    }
    for assignment in &args.set_review {
        let (class, review) = parse_assignment(assignment, &calibration)?;
        calibration.set_review(class, review)?;
    }
    if before.as_ref() != Some(&calibration) {
        file.card.calibration = Some(calibration.clone());
        file.write(&args.model)?;
        output.note(&format!("changed: {}", args.model.display()));
    }
    show(&calibration, output)?;
    Ok(status)
}

fn parse_assignment<'a>(
    assignment: &'a str,
    calibration: &Calibration,
) -> Result<(&'a str, f32), Failure> {
    let bad = || {
        Failure::new(
            format!("`{assignment}` is not of the form `class=score`"),
            "write for example `--set bottle=0.12`",
        )
    };
    let (class, threshold) = assignment.rsplit_once('=').ok_or_else(bad)?;
    let threshold: f32 = threshold.trim().parse().map_err(|_| bad())?;
    let known = calibration.class(class.trim());
    let can_be_negative = known.is_some_and(ClassCalibration::has_negative_scores);
    if !(threshold.is_finite() && (threshold > 0.0 || can_be_negative)) {
        let message = format!("the threshold of `{}` is {threshold}", class.trim());
        return Err(Failure::new(message, "give a raw score above 0"));
    }
    Ok((class.trim(), threshold))
}

fn score(
    args: &CalibrateArgs,
    pictures: &[Sample],
    output: &mut Output,
    status: &mut Status,
) -> Result<Vec<ClassScores>, Failure> {
    let detector = Detector::load(&args.model, &args.device.open(output)?)?;
    score_with(&detector, pictures, output, status)
}

fn score_with(
    detector: &Detector,
    pictures: &[Sample],
    output: &mut Output,
    status: &mut Status,
) -> Result<Vec<ClassScores>, Failure> {
    let n_defective = pictures.iter().filter(|sample| sample.is_anomalous()).count();
    let n_good = pictures.len() - n_defective;
    output.note(&match n_defective {
        0 => format!("scoring {n_good} good pictures"),
        _ => format!("scoring {n_good} good and {n_defective} defective pictures"),
    });
    let found = score_labelled(detector, pictures, &LoaderOptions::default())?;
    for error in &found.unreadable {
        output.warn(&format!("skipped: {error}"));
        *status = Status::DataProblems;
    }
    Ok(found.scores)
}

/// The part of `results.json` that is read here.
#[derive(Deserialize)]
struct ScoresFile {
    scores: Vec<PictureScore>,
    #[serde(default)]
    tensors_sha256: Option<String>,
    /// Missing in files of programs that knew `f32` alone.
    #[serde(default)]
    encoder_precision: Option<String>,
}

fn read_scores(path: &Path, model: &ModelFile) -> Result<Vec<ClassScores>, Failure> {
    let hint = "give the `results.json` that `mmad eval MODEL DATA --out DIR` writes";
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("cannot read `{}`: {error}", path.display()), hint)
    })?;
    let file: ScoresFile = serde_json::from_str(&text).map_err(|error| {
        Failure::new(format!("`{}` holds no scores: {error}", path.display()), hint)
    })?;
    if file.tensors_sha256.as_ref().is_some_and(|digest| *digest != model.card.tensors_sha256) {
        return Err(Failure::new(
            format!("the scores in `{}` are those of another model", path.display()),
            "evaluate this model with `mmad eval MODEL DATA --out DIR`",
        ));
    }
    let precision = model.card.config.encoder.precision.name();
    let scored_in = file.encoder_precision.as_deref().unwrap_or(Precision::F32.name());
    if scored_in != precision {
        return Err(Failure::new(
            format!("the scores in `{}` were made with the encoder in {scored_in}", path.display()),
            format!(
                "the model's is in {precision}: evaluate it with `mmad eval MODEL DATA --out DIR`"
            ),
        ));
    }
    let scores = by_class(&file.scores);
    need_good(&scores, path, "leave the class out with `mmad eval --class`")?;
    Ok(scores)
}

/// Refuses scores of a class without good pictures.
fn need_good(scores: &[ClassScores], path: &Path, mend: &str) -> Result<(), Failure> {
    match scores.iter().find(|class| class.good.is_empty()) {
        None => Ok(()),
        Some(class) => Err(Failure::new(
            format!("`{}` has no good picture of class `{}`", path.display(), class.class),
            format!("a threshold needs good pictures; {mend}"),
        )),
    }
}

/// The pictures of a folder under the names of the model's classes.
fn of_known_classes(
    folder: &Path,
    mut pictures: Vec<Sample>,
    known: &[String],
) -> Result<Vec<Sample>, Failure> {
    let is_one_class = pictures.iter().all(|sample| sample.class == pictures[0].class);
    if let ([class], true) = (known, is_one_class) {
        // A plain folder is named after no class; here there is only one that it can be.
        for sample in &mut pictures {
            sample.class.clone_from(class);
        }
    }
    // A model that was imported without pictures knows no classes and takes any.
    match pictures.iter().find(|sample| !known.is_empty() && !known.contains(&sample.class)) {
        None => Ok(pictures),
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
    let plan = &calibration.plan;
    output.line(&aim(calibration))?;
    let width = calibration.classes.iter().map(|c| c.class.chars().count()).max().unwrap_or(0);
    for class in &calibration.classes {
        let review = class.review.map_or(String::new(), |t| format!("review from {t:.4}  "));
        let pixel = class.pixel_threshold.map_or(String::new(), |t| format!("pixel {t:.4}  "));
        output.line(&format!(
            "{:width$}  threshold {:.4}  {review}{pixel}{} good pictures, expected rejects {}{}  {}",
            class.class,
            class.threshold,
            class.scores.len(),
            in_words(class.false_reject_rate()),
            class.miss_rate().map_or(String::new(), |rate| {
                let n = class.defective_scores.len();
                format!(", {n} defective, misses {}", in_words(Some(rate)))
            }),
            promise(class, plan.max_false_reject_rate),
        ))?;
    }
    let rows: Vec<_> = calibration
        .classes
        .iter()
        .map(|class| {
            serde_json::json!({
                "class": class.class,
                "threshold": class.threshold,
                "review": class.review,
                "pixel_threshold": class.pixel_threshold,
                "basis": class.basis,
                "held_out": class.scores.len(),
                "defective": class.defective_scores.len(),
                "false_reject_rate": class.false_reject_rate(),
                "miss_rate": class.miss_rate(),
            })
        })
        .collect();
    output.object(&serde_json::json!({
        "max_false_reject_rate": plan.max_false_reject_rate,
        "review_rate": plan.review_rate,
        "rule": plan.rule,
        "source": calibration.source,
        "classes": rows,
    }))?;
    Ok(())
}

/// What the thresholds aim at, in a line.
pub(crate) fn aim(calibration: &Calibration) -> String {
    let plan = &calibration.plan;
    let mut text = match plan.rule {
        Rule::Conformal => format!(
            "good pictures that may be rejected: at most {:.2} %",
            100.0 * plan.max_false_reject_rate
        ),
        Rule::Quantile { share } => {
            format!("above {:.2} % of the good scores, without a guarantee", 100.0 * share)
        }
        Rule::F1 => "best F1 on labelled pictures".to_owned(),
        Rule::Cost { false_reject, miss, defect_rate } => format!(
            "least cost on labelled pictures: {false_reject} for a false reject, {miss} for a miss{}",
            defect_rate
                .map_or(String::new(), |p| format!(", {:.2} % of parts defective", 100.0 * p))
        ),
    };
    if let Some(rate) = plan.review_rate {
        text = format!("{text}; rejected or to review: at most {:.2} %", 100.0 * rate);
    }
    match calibration.source {
        Source::HeldOut => text,
        Source::GoodPictures => format!("{text}; from good pictures given later"),
        Source::ScoresFile => {
            format!("{text}; from the scores of an evaluation, which they flatter")
        }
        Source::LabelledPictures => {
            format!(
                "{text}; from labelled pictures, defects among them, whose numbers they flatter"
            )
        }
    }
}

fn in_words(rate: Option<RateInterval>) -> String {
    rate.map_or_else(
        || "-".to_owned(),
        |RateInterval { expected, low, high, .. }| {
            format!("{:.1} % (95 %: {:.1} to {:.1} %)", 100.0 * expected, 100.0 * low, 100.0 * high)
        },
    )
}

/// What a threshold promises, in a few words.
pub(crate) fn promise(class: &ClassCalibration, rate: f64) -> String {
    match class.basis {
        Basis::Conformal => "guaranteed on average".to_owned(),
        Basis::Quantile => "plain quantile, no guarantee".to_owned(),
        Basis::F1 => "best F1, no guarantee".to_owned(),
        Basis::Cost => "least cost, no guarantee".to_owned(),
        Basis::Manual => "set by hand".to_owned(),
        Basis::BeyondLargest => {
            let needed = (1.0 / rate - 1.0).ceil();
            format!("no guarantee: needs at least {needed:.0} held-out pictures")
        }
    }
}
