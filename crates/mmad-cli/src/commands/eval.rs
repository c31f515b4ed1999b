//! `mmad eval`: the seven metrics of a model on a test set.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::{Args, ValueEnum};
use mmad::calibrate::ScoreScale;
use mmad::detector::Detector;
use mmad::evaluate::{Evaluated, TestPicture, Watch, evaluate};
use mmad_data::{Dataset, LoaderOptions, Split};
use mmad_metrics::{Evaluation, METRICS, MetricOptions, Protocol};
use mmad_report::{
    EncodedImage, MetricColumn, PicturesPerClass, Report, ReportPicture, ResultTable, RgbRaster,
    ScoreMap, ScoreRow, Verdict, choose_pictures, write_page,
};
use serde_json::{Value, json};

use crate::failure::{Failure, Status};
use crate::output::{Bar, Output, duration, peak_memory_mb};

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
}

impl From<ProtocolName> for Protocol {
    fn from(name: ProtocolName) -> Self {
        match name {
            ProtocolName::Exact => Self::Exact,
            ProtocolName::Mvtec => Self::Mvtec,
            ProtocolName::Ader => Self::Ader,
            ProtocolName::AderCuda => Self::AderCuda,
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
    let detector = Detector::load(&args.model, &Device::flex())?;
    let options = MetricOptions { pro_fpr_limit: args.pro_limit, protocol: args.protocol.into() };
    let result = evaluate_with_bar(&detector, &dataset, &options, args.report.is_some(), output)?;

    output.line(&result.table.to_text())?;
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
    pub(crate) scores: Vec<ScoreRow>,
    pub(crate) pictures: Vec<ReportPicture>,
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
            "scores": serde_json::to_value(&self.scores)?,
            "training": serde_json::to_value(&detector.card().training)?,
            "program_version": env!("CARGO_PKG_VERSION"),
        }))
    }
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
        pictures: Vec::new(),
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
    Ok(EvalResult { evaluated, table, scores: watch.scores, pictures: watch.pictures })
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
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("make", folder, error))?;
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

/// Writes the page.
pub(crate) fn write_report(
    path: &Path,
    detector: &Detector,
    dataset: &Dataset,
    result: &EvalResult,
) -> Result<(), Failure> {
    let card = detector.card();
    let config = &card.config;
    let evaluated = &result.evaluated;
    let ms = 1000.0 * evaluated.seconds / evaluated.n_pictures.max(1) as f64;
    let text = |name: &str, value: String| (name.to_owned(), value);
    let report = Report {
        title: "Defect detection report".to_owned(),
        subtitle: format!(
            "{} classes, {} test pictures, one {} model",
            evaluated.evaluation.classes.len(),
            evaluated.n_pictures,
            config.method
        ),
        run_card: vec![
            text("Data", dataset.root().display().to_string()),
            text("Data digest", dataset.digest()),
            text("Trained on digest", card.training.data_sha256.clone()),
            text("Training pictures", card.training.n_pictures.to_string()),
            text("Encoder", format!("{} ({})", config.encoder.arch.name(), config.encoder.weights)),
            text("Input", format!("{} x {} px", config.data.height_px, config.data.width_px)),
            text("Steps", card.training.n_steps.to_string()),
            text("Training time", duration(card.training.seconds)),
            text("Seed", config.seed.to_string()),
            text("Version", format!("mmad {}", env!("CARGO_PKG_VERSION"))),
        ],
        table: result.table.clone(),
        pictures: result.pictures.clone(),
        scores: result.scores.clone(),
        curves: Vec::new(),
        findings: dataset.findings().iter().map(|finding| finding.what.clone()).collect(),
        timings: vec![
            text("Per picture", format!("{ms:.1} ms")),
            text("Whole test set", duration(evaluated.seconds)),
            text("Peak memory", peak_memory_mb().map_or("-".into(), |mb| format!("{mb:.0} MB"))),
        ],
    };
    write_page(&report, path)?;
    Ok(())
}

struct EvalWatch<'a> {
    bar: Bar,
    detector: &'a Detector,
    with_pictures: bool,
    scores: Vec<ScoreRow>,
    pictures: Vec<ReportPicture>,
    failure: Option<Failure>,
}

/// Pictures of each class on the page.
const SHOWN: PicturesPerClass = PicturesPerClass { worst_good: 3, worst_defective: 3, random: 4 };

impl Watch for EvalWatch<'_> {
    fn progress(&mut self, n_done: usize, _n_all: usize) {
        self.bar.advance_to(n_done as u64, String::new());
    }

    fn class_done(&mut self, class: &str, pictures: &[TestPicture]) {
        let scale = self.scale(class, pictures);
        let rows: Vec<ScoreRow> = pictures
            .iter()
            .map(|picture| ScoreRow {
                class: class.to_owned(),
                name: picture.loaded.sample.name.clone(),
                is_anomalous: picture.loaded.sample.is_anomalous(),
                score01: f64::from(scale.of(picture.scored.score)),
                score: f64::from(picture.scored.score),
            })
            .collect();
        if self.with_pictures {
            for index in choose_pictures(&rows, SHOWN, 0) {
                match shown(&pictures[index], &rows[index], scale) {
                    Ok(picture) => self.pictures.push(picture),
                    Err(failure) => self.failure = Some(failure),
                }
            }
        }
        self.scores.extend(rows);
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

fn shown(
    picture: &TestPicture,
    row: &ScoreRow,
    scale: ScoreScale,
) -> Result<ReportPicture, Failure> {
    let TestPicture { loaded, scored } = picture;
    let (width, height) = (scored.width as u32, scored.height as u32);
    let map = scored.map.iter().map(|&value| scale.of(value)).collect();
    let mask = match (&loaded.mask, loaded.sample.is_anomalous()) {
        (Some(mask), true) => {
            let mask: Vec<bool> = mask.iter().map(|&value| value > 0).collect();
            Some(EncodedImage::mask(width, height, &mask)?)
        }
        _ => None,
    };
    Ok(ReportPicture {
        name: row.name.clone(),
        class: row.class.clone(),
        defect: loaded.sample.defect.clone(),
        verdict: if row.score01 >= 0.5 { Verdict::Defect } else { Verdict::Ok },
        score: row.score,
        score01: row.score01,
        threshold: f64::from(scale.threshold),
        picture: EncodedImage::jpeg(&RgbRaster::new(width, height, loaded.rgb.clone())?, 88)?,
        map: EncodedImage::map(&ScoreMap::new(width, height, map)?)?,
        mask,
    })
}
