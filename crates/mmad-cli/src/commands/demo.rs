//! `mmad demo`: the whole of it on procedural pictures, with nothing given and no network.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use mmad::detector::Detector;
use mmad::run_file::{Preset, RunConfig};
use mmad_data::{Dataset, LoaderOptions};
use mmad_metrics::{METRICS, MetricOptions};
use mmad_synthetic::{DatasetPlan, write_dataset};
use serde_json::{Map, Value, json};

use super::eval::{evaluate_with_bar, write_results};
use super::train::{above_zero, fit_with_bar, save_config};
use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::{Output, duration, peak_memory_mb};
use crate::report_page::write_report;

/// Make pictures of procedural products, train one model on all of them, and report
///
/// Needs no network, no weights and no pictures: the encoder is embedded, the products are drawn.
/// Procedural products are easier than real ones; the numbers say that the program works, not how
/// it does in a factory.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Folder for pictures, model and report; an earlier demo in it is replaced
    #[arg(long, short, value_name = "DIR", default_value = "demo")]
    out: PathBuf,
    /// Seed of pictures and training
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Minutes of training
    #[arg(long, value_name = "N", default_value_t = 2.4)]
    minutes: f64,
    /// Height and width of the pictures, in pixels; a multiple of 32
    #[arg(long, value_name = "PX", default_value_t = 128)]
    size: usize,
    /// Good training pictures per class
    #[arg(long, value_name = "N", default_value_t = 400)]
    train: usize,
    #[command(flatten)]
    device: DeviceArg,
}

/// A file that marks a folder as a demo's, so that nothing else is ever deleted.
const MARK: &str = ".mmad-demo";

pub(crate) fn run(args: &DemoArgs, output: &mut Output) -> Result<Status, Failure> {
    let start = Instant::now();
    let device = args.device.open(output)?;
    let mut config = RunConfig::preset(Preset::Quick);
    config.seed = args.seed;
    config.train.minutes = above_zero(args.minutes)?;
    (config.data.height_px, config.data.width_px) = (args.size, args.size);
    config.validate()?;

    let pictures = fresh_folder(&args.out)?.join("pictures");
    let plan = DatasetPlan {
        side_px: args.size,
        train_good: args.train,
        test_good: 20,
        test_per_defect: 4,
        seed: args.seed,
        ..DatasetPlan::default()
    };
    let summary = write_dataset(&pictures, &plan)?;
    output.note(&format!(
        "drew {} procedural product classes in {}",
        summary.classes.len(),
        duration(start.elapsed().as_secs_f64())
    ));
    let dataset = Dataset::open(&pictures)?;
    output.note(&dataset.describe());

    let run_folder = args.out.join("run");
    save_config(&run_folder, &config)?;
    let loader = LoaderOptions::default();
    let fitted = fit_with_bar(&config, &dataset, &run_folder, false, loader, &device, output)?;
    let Some(model) = fitted.model else {
        output.line("stopped")?;
        output.object(&json!({ "complete": false, "steps": fitted.trained.progress.step }))?;
        return Ok(Status::Interrupted);
    };
    let detector = Detector::load(&model, &device)?;
    let options = MetricOptions::default();
    let result = evaluate_with_bar(&detector, &dataset, &options, true, output)?;
    let report = args.out.join("report.html");
    write_results(&args.out, &result.table, &result.to_json(&detector)?)?;
    write_report(&report, &detector, &dataset, &result)?;

    output.line(&result.table.to_text())?;
    let seconds = start.elapsed().as_secs_f64();
    output.line(&format!("procedural pictures, embedded encoder; {}", duration(seconds)))?;
    output.line(&format!("report: {}", report.display()))?;
    output.line(&format!(
        "next: mmad predict {} {} -o {}",
        model.display(),
        pictures.join("gear").join("test").display(),
        args.out.join("maps").display()
    ))?;
    let evaluation = &result.evaluated.evaluation;
    let mut object: Map<String, Value> =
        METRICS.iter().map(|m| (m.id.to_owned(), json!(evaluation.mean(m.id)))).collect();
    object.insert("m_ad".into(), json!(evaluation.m_ad()));
    object.insert("seconds".into(), json!(seconds));
    object.insert("train_seconds".into(), json!(fitted.trained.progress.seconds));
    object.insert("complete".into(), json!(true));
    object.insert("steps".into(), json!(fitted.trained.progress.step));
    object.insert(
        "ms_per_picture".into(),
        json!(1000.0 * result.evaluated.seconds / result.evaluated.n_pictures.max(1) as f64),
    );
    object.insert("peak_memory_mb".into(), json!(peak_memory_mb()));
    object.insert("report".into(), json!(report));
    object.insert("model".into(), json!(model));
    object.insert("table".into(), result.table.to_json());
    output.object(&object)?;
    Ok(Status::Ok)
}

/// Makes the folder, or empties it where it is an earlier demo's.
fn fresh_folder(folder: &Path) -> Result<&Path, Failure> {
    let io = |verb: &'static str| move |error| Failure::io(verb, folder, error);
    if folder.is_dir() && std::fs::read_dir(folder).map_err(io("read"))?.next().is_some() {
        if !folder.join(MARK).is_file() {
            return Err(Failure::new(
                format!("`{}` is not empty and not an earlier demo's", folder.display()),
                "choose another folder with `--out`",
            ));
        }
        std::fs::remove_dir_all(folder).map_err(io("empty"))?;
    }
    Failure::make_folder(folder)?;
    std::fs::write(folder.join(MARK), "made by `mmad demo`\n").map_err(io("write to"))?;
    Ok(folder)
}
