//! `mmad metrics`: the metrics of maps that any tool wrote.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use mmad_data::{LoadedMap, MapClass, MapPair, MapSet};
use mmad_metrics::{
    ADER_METRICS, BoundedValue, ClassMetrics, EXTRA_METRICS, Evaluation, ImageScore, METRICS,
    MetricInfo, MetricOptions, Protocol, STREAMING_BITS, ScoredImage, StreamedMetrics,
    StreamingClass, class_metrics,
};
use mmad_report::{MetricColumn, ResultTable};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::eval::ProtocolName;
use crate::failure::{Failure, Status};
use crate::output::{Output, peak_memory_mb};

/// Measure anomaly maps of any tool against masks: no model, no training
///
/// MAPS holds .npy files (any plain numbers, [h, w] or stacks [n, h, w]) and grey .png and .tif
/// files (8 and 16 bits, floating point). MASKS holds the ground truth: the same paths, names with
/// or without `_mask`, above zero where something is wrong. A map without a mask is good. The class
/// is the first folder. Both may be a single .npy stack.
#[derive(Debug, Args)]
// Each is a switch of its own on the command line.
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct MetricsArgs {
    /// Folder of maps, or one .npy stack
    #[arg(value_name = "MAPS")]
    maps: PathBuf,
    /// Folder of masks, or one .npy stack
    #[arg(value_name = "MASKS")]
    masks: PathBuf,
    /// Whose definitions to follow
    #[arg(long, value_enum, default_value_t = ProtocolName::Exact)]
    protocol: ProtocolName,
    /// False positive rate up to which AU-PRO is taken
    #[arg(long, value_name = "RATE", default_value_t = 0.3)]
    aupro_limit: f64,
    /// How a map becomes the score of its picture
    #[arg(long, value_enum, default_value_t = ScoreName::Max)]
    image_score: ScoreName,
    /// Also the metrics beside the seven (always in `--json`)
    #[arg(long)]
    extra: bool,
    /// Keep no map in memory; pixel metrics become bounds that hold
    #[arg(long)]
    streaming: bool,
    /// Bring masks to the size of their maps
    #[arg(long)]
    resize_masks: bool,
    /// Print the table as CSV
    #[arg(long, conflicts_with = "markdown")]
    csv: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
}

/// The ways from a map to a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScoreName {
    /// The largest value
    Max,
    /// The mean value
    Mean,
    /// The largest mean of 16x16 pixels
    Avgpool16,
}

impl From<ScoreName> for ImageScore {
    fn from(name: ScoreName) -> Self {
        match name {
            ScoreName::Max => Self::Max,
            ScoreName::Mean => Self::Mean,
            ScoreName::Avgpool16 => Self::AveragePool16,
        }
    }
}

pub(crate) fn run(args: &MetricsArgs, output: &mut Output) -> Result<Status, Failure> {
    let options = MetricOptions { pro_fpr_limit: args.aupro_limit, protocol: args.protocol.into() };
    if !(args.aupro_limit > 0.0 && args.aupro_limit <= 1.0) {
        let message = format!("`--aupro-limit` is {}", args.aupro_limit);
        return Err(Failure::new(message, "give a rate above 0 and at most 1"));
    }
    if args.streaming && options.protocol != Protocol::Exact {
        let message = format!("`--streaming` has no protocol `{}`", options.protocol.name());
        return Err(Failure::new(
            message,
            "leave `--streaming` away: the others need all maps at once",
        ));
    }
    let started = Instant::now();
    let set = MapSet::open(&args.maps, &args.masks)?;
    for note in &set.notes {
        output.note(&format!("note: {note}"));
    }
    let mut measure = Measure { args, options, problems: set.problems.clone(), first: None };
    let results = if args.streaming {
        Results::Bounds(measure.all(&set, Measure::stream)?)
    } else {
        let classes = measure.all(&set, Measure::whole)?;
        Results::Exact(Evaluation { options, classes })
    };
    let table = results.table(args.extra);
    if args.csv {
        output.text(&table.to_csv())?;
    } else if args.markdown {
        output.text(&table.to_markdown())?;
    } else {
        output.line(&table.to_text())?;
    }
    for problem in &measure.problems {
        output.warn(&format!("skipped: {problem}"));
    }
    output.object(&json!({
        "table": results.table(true).to_json(),
        "protocol": options.protocol.name(),
        "aupro_limit": args.aupro_limit,
        "streaming": args.streaming,
        "classes": results.to_json()?,
        "seconds": started.elapsed().as_secs_f64(),
        "peak_memory_mb": peak_memory_mb(),
        "notes": set.notes,
        "problems": measure.problems,
        "program_version": env!("CARGO_PKG_VERSION"),
    }))?;
    Ok(if measure.problems.is_empty() { Status::Ok } else { Status::DataProblems })
}

/// Reads and measures class by class.
struct Measure<'a> {
    args: &'a MetricsArgs,
    options: MetricOptions,
    problems: Vec<String>,
    /// The first file that could not be used, for when none can.
    first: Option<Failure>,
}

impl Measure<'_> {
    /// The classes that have a picture that can be used.
    fn all<T>(
        &mut self,
        set: &MapSet,
        measure: fn(&mut Self, &MapClass) -> Result<Option<T>, Failure>,
    ) -> Result<Vec<(String, T)>, Failure> {
        let mut measured = Vec::new();
        for class in &set.classes {
            if let Some(metrics) = measure(self, class)? {
                measured.push((class.name.clone(), metrics));
            } else {
                self.problems.push(format!("class `{}`: no map of it can be used", class.name));
            }
        }
        if !measured.is_empty() {
            return Ok(measured);
        }
        Err(self.first.take().unwrap_or_else(|| {
            let message = self.problems.first().cloned().unwrap_or_else(|| "no maps".to_owned());
            Failure::new(message, "none of the maps can be used; mend this one first")
        }))
    }

    /// Measures a class whose maps lie in memory.
    fn whole(&mut self, class: &MapClass) -> Result<Option<ClassMetrics>, Failure> {
        let (args, n) = (self.args, class.pairs.len());
        let read: Vec<_> = class.pairs.par_iter().map(|pair| read(args, pair)).collect();
        let mut loaded = Vec::with_capacity(n);
        for (pair, read) in class.pairs.iter().zip(read) {
            match read {
                Ok(picture) => loaded.push((pair.name.as_str(), picture)),
                Err(failure) => self.skip(failure),
            }
        }
        if loaded.is_empty() {
            return Ok(None);
        }
        let images: Vec<ScoredImage<'_>> =
            loaded.iter().map(|(name, picture)| picture.scored(name)).collect();
        Ok(Some(class_metrics(&images, &self.options)?))
    }

    /// Measures a class of which one map per thread lies in memory.
    fn stream(&mut self, class: &MapClass) -> Result<Option<StreamedMetrics>, Failure> {
        let args = self.args;
        let stream = |pairs: &[MapPair]| {
            let mut part = StreamingClass::new(STREAMING_BITS)?;
            let mut failures = Vec::new();
            for pair in pairs {
                match read(args, pair) {
                    Ok(picture) => part.add(&picture.scored(&pair.name))?,
                    Err(failure) => failures.push(failure),
                }
            }
            Ok::<_, mmad_metrics::MetricError>((part, failures))
        };
        let share = class.pairs.len().div_ceil(rayon::current_num_threads()).max(1);
        let parts: Vec<_> = class.pairs.par_chunks(share).map(stream).collect();
        let mut whole = StreamingClass::new(STREAMING_BITS)?;
        let mut n_skipped = 0;
        for part in parts {
            let (part, failures) = part?;
            whole.merge(part)?;
            n_skipped += failures.len();
            for failure in failures {
                self.skip(failure);
            }
        }
        if n_skipped == class.pairs.len() {
            return Ok(None);
        }
        Ok(Some(whole.metrics(&self.options)?))
    }

    fn skip(&mut self, failure: ReadFailure) {
        self.problems.push(failure.message.clone());
        self.first.get_or_insert_with(|| Failure::new(failure.message, failure.hint));
    }
}

/// A map in memory with its score.
struct Picture {
    loaded: LoadedMap,
    score: f32,
    is_anomalous: bool,
}

impl Picture {
    fn scored<'a>(&'a self, name: &'a str) -> ScoredImage<'a> {
        ScoredImage {
            name,
            width: self.loaded.width,
            map: &self.loaded.map,
            mask: self.loaded.mask.as_deref(),
            score: self.score,
            is_anomalous: self.is_anomalous,
        }
    }
}

/// Why a picture is left out.
struct ReadFailure {
    message: String,
    hint: String,
}

fn read(args: &MetricsArgs, pair: &MapPair) -> Result<Picture, ReadFailure> {
    let loaded = pair.read(args.resize_masks).map_err(|error| ReadFailure {
        message: error.to_string(),
        hint: error.hint().unwrap_or_default(),
    })?;
    let score = ImageScore::from(args.image_score).of(&loaded.map, loaded.width);
    let score = score.ok_or_else(|| ReadFailure {
        message: format!("map `{}` is smaller than the 16x16 pixels of the average", pair.name),
        hint: "take `--image-score max`".to_owned(),
    })?;
    let is_anomalous = loaded.mask.as_ref().is_some_and(|mask| mask.contains(&1));
    Ok(Picture { loaded, score, is_anomalous })
}

/// What was measured.
enum Results {
    Exact(Evaluation),
    Bounds(Vec<(String, StreamedMetrics)>),
}

impl Results {
    fn table(&self, extra: bool) -> ResultTable {
        match self {
            Self::Exact(evaluation) => table_of_evaluation(evaluation, extra),
            Self::Bounds(classes) => table_of_bounds(classes, extra),
        }
    }

    /// Everything that is known of every class.
    fn to_json(&self) -> Result<Value, Failure> {
        let object = |name: &str, metrics: Value| json!({ "class": name, "metrics": metrics });
        Ok(match self {
            Self::Exact(evaluation) => {
                let classes = evaluation.classes.iter();
                classes
                    .map(|(name, class)| Ok(object(name, serde_json::to_value(class)?)))
                    .collect::<Result<_, serde_json::Error>>()?
            }
            Self::Bounds(classes) => classes
                .iter()
                .map(|(name, class)| {
                    let values: Map<String, Value> = class
                        .values
                        .iter()
                        .map(|(id, value)| ((*id).to_owned(), bounds_to_json(value)))
                        .collect();
                    object(name, json!({ "bounds": values, "counts": class.counts }))
                })
                .collect(),
        })
    }
}

fn bounds_to_json(value: &BoundedValue) -> Value {
    match value {
        Ok(bounds) => json!({
            "value": bounds.value(),
            "half_width": bounds.half_width(),
            "low": bounds.low,
            "high": bounds.high,
        }),
        Err(reason) => json!({ "undefined": reason.to_string(), "cause": reason }),
    }
}

fn column(metric: &MetricInfo) -> MetricColumn {
    MetricColumn { id: metric.id.into(), heading: metric.heading.into() }
}

fn table_of_evaluation(evaluation: &Evaluation, extra: bool) -> ResultTable {
    let more = match evaluation.options.protocol {
        Protocol::Exact | Protocol::Mvtec => EXTRA_METRICS,
        Protocol::Ader | Protocol::AderCuda | Protocol::Adeval => ADER_METRICS,
    };
    let metrics: Vec<&MetricInfo> = METRICS.iter().chain(more.iter().filter(|_| extra)).collect();
    let row = |(name, class): &(String, ClassMetrics)| {
        let values = metrics.iter().map(|metric| metric.of(class).as_ref().ok().copied());
        (name.clone(), values.collect())
    };
    let mut notes = Vec::new();
    for (name, class) in &evaluation.classes {
        for metric in &metrics {
            if let Err(reason) = metric.of(class) {
                notes.push(format!("{name}: no {}, {reason}", metric.heading));
            }
        }
    }
    ResultTable {
        metrics: metrics.iter().map(|metric| column(metric)).collect(),
        rows: evaluation.classes.iter().map(row).collect(),
        mean: metrics.iter().map(|metric| evaluation.mean(metric.id)).collect(),
        m_ad: evaluation.m_ad(),
        notes,
    }
}

/// The middles of the bounds, and how far off they can be.
fn table_of_bounds(classes: &[(String, StreamedMetrics)], extra: bool) -> ResultTable {
    let metrics: Vec<&MetricInfo> = METRICS
        .iter()
        .chain(EXTRA_METRICS.iter().filter(|_| extra))
        .filter(|metric| classes.iter().all(|(_, class)| class.get(metric.id).is_some()))
        .collect();
    let middle = |class: &StreamedMetrics, metric: &MetricInfo| {
        class.get(metric.id)?.as_ref().ok().map(mmad_metrics::Bounds::value)
    };
    let mean_of = |metric: &MetricInfo| {
        let values: Vec<f64> =
            classes.iter().filter_map(|(_, class)| middle(class, metric)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let row = |(name, class): &(String, StreamedMetrics)| {
        (name.clone(), metrics.iter().map(|metric| middle(class, metric)).collect())
    };
    let mut notes = Vec::new();
    let mut widest = 0.0_f64;
    for (name, class) in classes {
        for metric in &metrics {
            match class.get(metric.id) {
                Some(Ok(bounds)) => widest = widest.max(bounds.half_width()),
                Some(Err(reason)) => notes.push(format!("{name}: no {}, {reason}", metric.heading)),
                None => {}
            }
        }
    }
    notes.push(format!(
        "streamed: every value is exact or at most {:.4} points off (`--json` has the bounds)",
        100.0 * widest
    ));
    let seven: Option<Vec<f64>> = METRICS.iter().map(mean_of).collect();
    ResultTable {
        metrics: metrics.iter().map(|metric| column(metric)).collect(),
        rows: classes.iter().map(row).collect(),
        mean: metrics.iter().map(|metric| mean_of(metric)).collect(),
        m_ad: seven.map(|seven| seven.iter().sum::<f64>() / seven.len() as f64),
        notes,
    }
}
