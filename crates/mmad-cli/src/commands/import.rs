//! `mmad import`: a checkpoint of the original project becomes a model file.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use mmad::import::import_checkpoint;
use mmad_data::{Dataset, LoaderOptions};

use super::train::Settings;
use crate::failure::{Failure, Status};
use crate::output::Output;

/// Turn a checkpoint of the original project into a model file
///
/// Names and shapes are checked; pickle is never executed. Without `--data` the model has no
/// thresholds and knows no classes.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Checkpoint: `.pth`, or `.safetensors` with the same names
    #[arg(value_name = "FILE")]
    checkpoint: PathBuf,
    /// Model file to write
    #[arg(long, short, value_name = "FILE", default_value = "model.mmad")]
    out: PathBuf,
    /// Folder of pictures whose good training pictures give classes and thresholds
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

pub(crate) fn run(args: &ImportArgs, output: &mut Output) -> Result<Status, Failure> {
    let config = args.settings.resolve()?;
    let dataset = args.data.as_deref().map(Dataset::open).transpose()?;
    let imported = import_checkpoint(
        &args.checkpoint,
        &args.out,
        &config,
        dataset.as_ref(),
        &LoaderOptions::default(),
        &Device::flex(),
    )?;
    output.line(&format!(
        "imported {} parameters, {} scan tables checked, {} tensors without use",
        imported.n_params,
        imported.n_tables,
        imported.unused.len()
    ))?;
    for name in &imported.unused {
        output.note(&format!("not used: {name}"));
    }
    output.line(&format!("model: {}", args.out.display()))?;
    output.object(&serde_json::json!({
        "model": args.out,
        "parameters": imported.n_params,
        "scan_tables": imported.n_tables,
        "unused": imported.unused,
    }))?;
    Ok(Status::Ok)
}
