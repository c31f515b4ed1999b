//! `mmad eval`: the seven metrics of a model on a test set.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use mmad::calibrate::ScoreScale;
use mmad::detector::Detector;
use mmad::evaluate::{Evaluated, TestPicture, Watch, evaluate};
use mmad::score_list::PictureScore;
use mmad_data::{Dataset, LoaderOptions, Split};
use mmad_metrics::{Evaluation, METRICS, MetricOptions, Protocol};
use mmad_report::{MetricColumn, ResultTable};
use mmad_weights::check_writable;
use serde_json::{Value, json};

use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::{Bar, Output, peak_memory_mb};
use crate::report_page::{ReportParts, write_report};

/// Score a test set and print image and pixel metrics per class
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Model file written by `mmad train`
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Folder of pictures with a test set
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Folder for results.json, results.csv, results.md and results.tex
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One self-contained page with pictures, maps and the table
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Only these classes; may be given several times
    #[arg(long = "class", value_name = "NAME")]
    classes: Vec<String>,
    /// How pixel metrics are computed
    #[arg(long, value_enum, default_value_t = ProtocolName::Exact)]
    protocol: ProtocolName,
    /// False positive rate up to which AU-PRO is taken
    #[arg(long, value_name = "RATE", default_value_t = 0.3)]
    pro_limit: f64,
    #[command(flatten)]
    device: DeviceArg,
}

/// The definitions of the pixel metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtocolName {
    /// Every threshold counts, as in scikit-learn
    Exact,
    /// With the rounding and the ties of the evaluation that comes with MVTec AD
    Mvtec,
    /// 50 bins and 21 thresholds, as published tables of this field often are
    Ader,
    /// The same, as ADer computes it on a GPU
    AderCuda,
    /// The same, as adeval computes it from maps in single precision
    Adeval,
}

impl From<ProtocolName> for Protocol {
    fn from(name: ProtocolName) -> Self {
        match name {
            ProtocolName::Exact => Self::Exact,
            ProtocolName::Mvtec => Self::Mvtec,
            ProtocolName::Ader => Self::Ader,
            ProtocolName::AderCuda => Self::AderCuda,
            ProtocolName::Adeval => Self::Adeval,
        }
    }
}

pub(crate) fn run(args: &EvalArgs, output: &mut Output) -> Result<Status, Failure> {
    if !(args.pro_limit > 0.0 && args.pro_limit <= 1.0) {
        let message = format!("`--pro-limit` is {}", args.pro_limit);
        return Err(Failure::new(message, "give a rate above 0 and at most 1"));
    }
    let mut dataset = Dataset::open(&args.data)?;
    if !args.classes.is_empty() {
        dataset = dataset.with_classes(&args.classes)?;
    }
    output.note(&dataset.describe());
    let device = args.device.open(output)?;
    let detector = Detector::load(&args.model, &device)?;
    // Scoring can take hours: what cannot be written is said before.
    if let Some(folder) = &args.out {
        Failure::make_folder(folder)?;
        check_writable(&folder.join("results.json"))?;
    }
    if let Some(path) = &args.report {
        check_writable(path)?;
    }
    let options = MetricOptions { pro_fpr_limit: args.pro_limit, protocol: args.protocol.into() };
    let result = evaluate_with_bar(&detector, &dataset, &options, args.report.is_some(), output)?;

    output.line(&result.table.to_text())?;
    if !result.evaluated.decisions.is_empty() {
        let decisions = decisions_in_words(&result.evaluated);
        output.line(&format!("at the thresholds of the model:{decisions}\n"))?;
    }
    for error in &result.evaluated.unreadable {
        output.warn(&format!("skipped: {error}"));
    }
    let object = result.to_json(&detector)?;
    if let Some(folder) = &args.out {
        write_results(folder, &result.table, &object)?;
        output.line(&format!("results: {}", folder.display()))?;
    }
    if let Some(path) = &args.report {
        write_report(path, &detector, &dataset, &result)?;
        output.line(&format!("report: {}", path.display()))?;
    }
    output.object(&object)?;
    let is_clean = result.evaluated.unreadable.is_empty();
    Ok(if is_clean { Status::Ok } else { Status::DataProblems })
}

/// An evaluation with everything that its page shows.
pub(crate) struct EvalResult {
    pub(crate) evaluated: Evaluated,
    pub(crate) table: ResultTable,
    pub(crate) scores: Vec<PictureScore>,
    /// What only the page shows; empty where none is asked for.
    pub(crate) parts: ReportParts,
}

impl EvalResult {
    pub(crate) fn to_json(&self, detector: &Detector) -> Result<Value, Failure> {
        Ok(json!({
            "table": self.table.to_json(),
            "evaluation": serde_json::to_value(&self.evaluated.evaluation)?,
            "n_pictures": self.evaluated.n_pictures,
            "seconds": self.evaluated.seconds,
            "peak_memory_mb": peak_memory_mb(),
            "unreadable": self.evaluated.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "decisions": decisions(&self.evaluated)?,
            "score_ms": {
                "median": self.score_ms(0.5),
                "p95": self.score_ms(0.95),
                "p99": self.score_ms(0.99),
            },
            "scores": serde_json::to_value(&self.scores)?,
            "pixel_counts": serde_json::to_value(&self.evaluated.pixel_counts)?,
            "calibration": detector.card().calibration.as_ref().map(|calibration| calibration.plan),
            "tensors_sha256": detector.card().tensors_sha256,
            "encoder_precision": detector.card().config.encoder.precision.name(),
            "training": serde_json::to_value(&detector.card().training)?,
            "program_version": env!("CARGO_PKG_VERSION"),
        }))
    }
}

impl EvalResult {
    /// Milliseconds that this share of the pictures took to score at most.
    pub(crate) fn score_ms(&self, share: f64) -> f32 {
        let ms = &self.evaluated.score_ms;
        let at = (share * ms.len().saturating_sub(1) as f64).round() as usize;
        ms.get(at).copied().unwrap_or_default()
    }
}

fn decisions(evaluated: &Evaluated) -> Result<Value, Failure> {
    let rows = evaluated.decisions.iter().map(|(class, decisions)| {
        let mut row = serde_json::to_value(decisions)?;
        row["class"] = json!(class);
        Ok(row)
    });
    Ok(Value::Array(rows.collect::<Result<_, Failure>>()?))
}

/// What the shipped thresholds did, in a line per class.
fn decisions_in_words(evaluated: &Evaluated) -> String {
    let mut text = String::new();
    for (class, found) in &evaluated.decisions {
        let reviews = found.good_reviews + found.defective_reviews;
        let review = if reviews > 0 { format!(", {reviews} to review") } else { String::new() };
        let pixels = found.pixels.and_then(|pixels| pixels.f1);
        let pixels = pixels.map_or(String::new(), |f1| format!(", pixel F1 {:.1} %", 100.0 * f1));
        let _ = write!(
            text,
            "\n  {class}: {} of {} good rejected, {} of {} defective missed{review}{pixels}",
            found.false_rejects, found.n_good, found.misses, found.n_defective
        );
    }
    text
}

pub(crate) fn evaluate_with_bar(
    detector: &Detector,
    dataset: &Dataset,
    options: &MetricOptions,
    with_pictures: bool,
    output: &mut Output,
) -> Result<EvalResult, Failure> {
    let samples = dataset.of_split(Split::Test);
    let mut watch = EvalWatch {
        bar: output.bar(samples.len() as u64, "pictures").label("eval"),
        detector,
        with_pictures,
        scores: Vec::new(),
        parts: ReportParts::default(),
        failure: None,
    };
    let loader = LoaderOptions::default();
    let evaluated = evaluate(detector, &samples, options, &loader, &mut watch);
    watch.bar.finish();
    if let Some(failure) = watch.failure {
        return Err(failure);
    }
    let evaluated = evaluated?;
    let table = table_of(&evaluated.evaluation);
    Ok(EvalResult { evaluated, table, scores: watch.scores, parts: watch.parts })
}

/// The paper's table.
pub(crate) fn table_of(evaluation: &Evaluation) -> ResultTable {
    let metrics = METRICS
        .iter()
        .map(|metric| MetricColumn { id: metric.id.into(), heading: metric.heading.into() })
        .collect();
    let rows = evaluation
        .classes
        .iter()
        .map(|(name, class)| {
            let values = METRICS.iter().map(|metric| metric.of(class).as_ref().ok().copied());
            (name.clone(), values.collect())
        })
        .collect();
    let notes = evaluation
        .undefined()
        .into_iter()
        .map(|(class, metric, reason)| format!("{class}: no {}, {reason}", metric.heading))
        .collect();
    ResultTable {
        metrics,
        rows,
        mean: METRICS.iter().map(|metric| evaluation.mean(metric.id)).collect(),
        m_ad: evaluation.m_ad(),
        notes,
    }
}

/// Writes the table in every form.
pub(crate) fn write_results(
    folder: &Path,
    table: &ResultTable,
    object: &Value,
) -> Result<(), Failure> {
    Failure::make_folder(folder)?;
    let files = [
        ("results.json", serde_json::to_string_pretty(object)?),
        ("results.csv", table.to_csv()),
        ("results.md", table.to_markdown()),
        ("results.tex", table.to_latex()),
    ];
    for (name, text) in files {
        mmad_weights::write_whole(&folder.join(name), |out| out.write_all(text.as_bytes()))?;
    }
    Ok(())
}

struct EvalWatch<'a> {
    bar: Bar,
    detector: &'a Detector,
    with_pictures: bool,
    scores: Vec<PictureScore>,
    parts: ReportParts,
    failure: Option<Failure>,
}

impl Watch for EvalWatch<'_> {
    fn progress(&mut self, n_done: usize, _n_all: usize) {
        self.bar.advance_to(n_done as u64, String::new());
    }

    fn class_done(&mut self, class: &str, pictures: &[TestPicture]) {
        let scale = self.scale(class, pictures);
        let calibration = self.detector.card().calibration.as_ref();
        let calibrated = calibration.and_then(|calibration| calibration.class(class));
        let first = self.scores.len();
        self.scores.extend(pictures.iter().map(|TestPicture { loaded, scored, .. }| {
            PictureScore {
                class: class.to_owned(),
                name: loaded.sample.name.clone(),
                is_anomalous: loaded.sample.is_anomalous(),
                defect: loaded.sample.defect.clone(),
                score: scored.score,
                score01: f64::from(scale.of(scored.score)),
                pixel_score: Some(scored.pixel_score()),
                verdict: calibrated.map(|class| class.verdict(scored.score)),
            }
        }));
        if self.with_pictures {
            let added = self.parts.add(class, pictures, &self.scores[first..], scale);
            self.failure = self.failure.take().or(added.err());
        }
    }
}

impl EvalWatch<'_> {
    /// The scale of the shipped threshold, or for a class that has none of the median score.
    fn scale(&self, class: &str, pictures: &[TestPicture]) -> ScoreScale {
        let calibration = self.detector.card().calibration.as_ref();
        if let Some(class) = calibration.and_then(|calibration| calibration.class(class)) {
            return class.scale();
        }
        let mut scores: Vec<f32> = pictures.iter().map(|picture| picture.scored.score).collect();
        scores.sort_by(f32::total_cmp);
        ScoreScale::new(scores.get(scores.len() / 2).copied().unwrap_or(1.0), &[])
    }
}
