//! `mmad bench`: methods times data sets times seeds, from one file, into one table; or how long a
//! picture and a training step take.
//!
//! A run is named after its data, its label, its seed and a digest of its configuration. A run whose
//! row is in `rows.jsonl` is not made again; one that was interrupted goes on from its checkpoint.

mod latency;
mod plan;
mod plot;
mod row;
mod table;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::{Args, ValueEnum};
use mmad::detector::Detector;
use mmad::method::{n_macs, n_params};
use mmad::methods;
use mmad_data::{Dataset, LoaderOptions};
use mmad_metrics::{METRICS, MetricOptions};
use serde_json::json;

use self::latency::Timing;
use self::plan::{BenchFile, Job};
use self::row::{Row, append, read_rows};
use super::eval::{ProtocolName, evaluate_with_bar};
use super::train::fit_with_bar;
use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::{Output, duration, peak_memory_mb, reset_peak_memory};

/// Train and evaluate methods on data sets with several seeds, and print the table
///
/// The file says what to compare:
///
///     seeds = [0, 1, 2]
///     [[data]]
///     name = "parts"
///     path = "data/parts"
///     quoted = "mvtec-ad"                # published numbers beside: mvtec-ad or visa; optional
///     [[run]]
///     method = "uniad"
///     preset = "quick"                   # optional
///     set = ["train.minutes=5"]          # optional
///     name = "UniAD, five minutes"       # optional
///
/// It can be interrupted at any time; the same command goes on.
///
/// With --latency it needs no file and trains nothing: it times one picture, or one training step,
/// with fresh weights and pictures of noise, which take as long as any, and says where the time
/// goes. The last line of --json is then one object with `min_ms` and `p50_ms`.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BenchArgs {
    /// What to compare (TOML)
    #[arg(
        value_name = "FILE",
        required_unless_present = "latency",
        conflicts_with_all = ["latency", "train", "batch", "runs", "sides", "plot", "Settings"]
    )]
    file: Option<PathBuf>,
    /// Folder for rows, tables and runs
    #[arg(long, short, value_name = "DIR", default_value = "bench")]
    out: PathBuf,
    /// How pixel metrics are computed
    #[arg(long, value_enum, default_value_t = ProtocolName::Exact)]
    protocol: ProtocolName,
    /// Time a picture or a training step instead
    #[arg(long)]
    latency: bool,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    device: DeviceArg,
}

pub(crate) fn run(args: &BenchArgs, output: &mut Output) -> Result<Status, Failure> {
    match &args.file {
        Some(file) => compare(args, file, output),
        None => latency::run(&args.timing, &args.device, output),
    }
}

/// The name of a protocol on the command line.
fn name(protocol: ProtocolName) -> String {
    protocol.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn compare(args: &BenchArgs, file: &Path, output: &mut Output) -> Result<Status, Failure> {
    let plan = BenchFile::read(file)?;
    let protocol = name(args.protocol);
    let folder = args.out.as_path();
    Failure::make_folder(folder)?;
    let rows_path = folder.join("rows.jsonl");
    let mut rows = read_rows(&rows_path)?;
    let jobs = plan.jobs(&protocol)?;
    let mut skipped = false;
    for (number, job) in jobs.iter().enumerate() {
        let dataset = Dataset::open(&job.path)?;
        let data_sha256 = dataset.digest();
        if rows.iter().any(|row| row.run == job.id && row.data_sha256 == data_sha256) {
            continue;
        }
        output.note(&format!("run {} of {}: {}", number + 1, jobs.len(), job.id));
        let Some(row) = take(args, job, &dataset, data_sha256, output)? else {
            output.line("stopped; the same command goes on")?;
            return Ok(Status::Ok);
        };
        skipped |= row.unreadable > 0;
        append(&rows_path, &row)?;
        rows.push(row);
    }
    // Rows of earlier plans stay in the file, and out of the table.
    rows.retain(|row| jobs.iter().any(|job| job.id == row.run));
    let tables = table::tables(&plan, &rows, &protocol);
    for (name, table) in &tables {
        output.line(&table.to_markdown())?;
        let forms =
            [("md", table.to_markdown()), ("tex", table.to_latex()), ("csv", table.to_csv())];
        for (extension, text) in forms {
            let path = folder.join(format!("{name}.{extension}"));
            mmad_weights::write_whole(&path, |out| out.write_all(text.as_bytes()))?;
        }
    }
    output.line(&format!("tables and rows: {}", folder.display()))?;
    output.object(&json!({
        "rows": rows,
        "tables": tables.iter().map(|(name, table)| json!({ "name": name, "table": table }))
            .collect::<Vec<_>>(),
    }))?;
    Ok(if skipped { Status::DataProblems } else { Status::Ok })
}

/// Trains and evaluates; `None` where it was asked to stop.
fn take(
    args: &BenchArgs,
    job: &Job,
    dataset: &Dataset,
    data_sha256: String,
    output: &mut Output,
) -> Result<Option<Row>, Failure> {
    let folder = args.out.join("runs").join(&job.id);
    let device = args.device.open(output)?;
    reset_peak_memory();
    let loader = LoaderOptions::default();
    let fitted = fit_with_bar(&job.config, dataset, &folder, true, loader, &device, output)?;
    let Some(model) = &fitted.model else { return Ok(None) };
    let detector = Detector::load(model, &device)?;
    let options = MetricOptions { protocol: args.protocol.into(), ..MetricOptions::default() };
    // The classes of the run, which may be some of the data set's.
    let tested = mmad::fit::select(dataset, &job.config)?;
    let result = evaluate_with_bar(&detector, &tested, &options, false, output)?;
    let peak_memory_mb = peak_memory_mb();
    let evaluation = &result.evaluated.evaluation;
    let training = detector.card().training.clone();
    drop(detector);
    let (params, macs) = cost(job, &device)?;
    let metrics = METRICS.iter().map(|m| (m.id.to_owned(), evaluation.mean(m.id))).collect();
    let row = Row {
        run: job.id.clone(),
        data: job.data.clone(),
        label: job.label.clone(),
        method: job.config.method.clone(),
        seed: job.config.seed,
        protocol: name(args.protocol),
        config: serde_json::to_value(&job.config)?,
        data_sha256,
        weights_sha256: training.encoder_sha256,
        n_train: training.n_pictures,
        steps: training.n_steps,
        train_seconds: training.seconds,
        n_test: result.evaluated.n_pictures,
        eval_seconds: result.evaluated.seconds,
        pictures_per_s: result.evaluated.n_pictures as f64 / result.evaluated.seconds.max(1e-9),
        peak_memory_mb,
        threads: training.threads,
        params,
        macs,
        metrics,
        m_ad: evaluation.m_ad(),
        unreadable: fitted.unreadable.len() + result.evaluated.unreadable.len(),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    output.note(&format!(
        "mAD {}, {} of training, {:.1} pictures/s",
        row.m_ad.map_or("-".into(), |m_ad| format!("{:.1}", 100.0 * m_ad)),
        duration(row.train_seconds),
        row.pictures_per_s
    ));
    drop_checkpoint(&folder);
    Ok(Some(row))
}

/// Parameters and multiply-adds of the configuration that ran.
fn cost(job: &Job, device: &Device) -> Result<(usize, u64), Failure> {
    let config = &job.config;
    let unknown = || Failure::new(format!("there is no method `{}`", config.method), "");
    let entry = methods::find(&config.method).ok_or_else(unknown)?;
    let method = (entry.build)(config, device)
        .map_err(|error| Failure::new(error.to_string(), error.hint()))?;
    let (height, width) = (config.data.height_px, config.data.width_px);
    Ok((n_params(method.as_ref()), n_macs(method.as_ref(), height, width, device)))
}

/// A finished run needs its checkpoint no more, and it is twice the size of the model.
fn drop_checkpoint(folder: &Path) {
    if let Some(checkpoint) = mmad::fit::checkpoint_in(folder) {
        // What stays takes room and does no harm.
        let _ = std::fs::remove_file(checkpoint);
    }
}
