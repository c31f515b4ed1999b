//! `mmad latency`: how long a picture and a training step take on this machine.

use std::collections::BTreeMap;

use clap::Args;
use mmad::latency::{Latency, measure_score, measure_step};
use mmad::ops::profile::OpTime;
use mmad::run_file::RunConfig;
use serde_json::json;

use super::train::Settings;
use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::{Output, peak_memory_mb};

/// Time one picture, or one training step, and say where the time goes
///
/// With fresh weights and pictures of noise, which take as long as any. The last line of `--json`
/// is one object with `min_ms` and `p50_ms`.
#[derive(Debug, Args)]
pub(crate) struct LatencyArgs {
    /// A training step instead of the scoring of a picture
    #[arg(long)]
    train: bool,
    /// Pictures at once [default: 1; with --train the preset's]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Runs that count, after two that do not
    #[arg(long, value_name = "N", default_value_t = 10)]
    runs: usize,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    device: DeviceArg,
}

/// Operations that a person is shown.
const N_SHOWN: usize = 12;

pub(crate) fn run(args: &LatencyArgs, output: &mut Output) -> Result<Status, Failure> {
    let mut config = args.settings.resolve()?;
    let device = args.device.open(output)?;
    let (what, batch, latency) = if args.train {
        config.train.batch = args.batch.unwrap_or(config.train.batch);
        let latency = measure_step(&config, args.runs, &device)?;
        ("training step", config.train.batch, latency)
    } else {
        let batch = args.batch.unwrap_or(1).max(1);
        ("score", batch, measure_score(&config, batch, args.runs, &device)?)
    };
    show(&config, what, batch, &latency, output)?;
    let Latency { runs_s, parts_s, ops } = &latency;
    output.object(&json!({
        "what": what,
        "method": config.method,
        "encoder": config.encoder.arch.name(),
        "height_px": config.data.height_px,
        "width_px": config.data.width_px,
        "batch": batch,
        "threads": rayon::current_num_threads(),
        "min_ms": 1000.0 * latency.min_s(),
        "p50_ms": 1000.0 * latency.p50_s(),
        "runs_ms": runs_s.iter().map(|s| 1000.0 * s).collect::<Vec<_>>(),
        "parts_ms": parts_s.iter().map(|(name, s)| (*name, 1000.0 * s)).collect::<BTreeMap<_, _>>(),
        "operations": ops.iter().map(|op| json!({
            "name": op.name,
            "pass": pass(op),
            "calls_per_run": op.n_calls as f64 / runs_s.len() as f64,
            "ms_per_run": ms_per_run(op, &latency),
        })).collect::<Vec<_>>(),
        "peak_memory_mb": peak_memory_mb(),
    }))?;
    Ok(Status::Ok)
}

fn show(
    config: &RunConfig,
    what: &str,
    batch: usize,
    latency: &Latency,
    output: &mut Output,
) -> Result<(), Failure> {
    output.line(&format!(
        "{what} of {batch} at {} x {} px, {} with {}, {} threads",
        config.data.height_px,
        config.data.width_px,
        config.method,
        config.encoder.arch.name(),
        rayon::current_num_threads()
    ))?;
    let (min_ms, p50_ms) = (1000.0 * latency.min_s(), 1000.0 * latency.p50_s());
    output.line(&format!("  min {min_ms:.1} ms, median {p50_ms:.1} ms"))?;
    for (name, seconds) in &latency.parts_s {
        output.line(&format!("  {name:10} {:9.1} ms", 1000.0 * seconds))?;
    }
    if let Some(mb) = peak_memory_mb() {
        output.line(&format!("  {:10} {mb:9.0} MB at most", "memory"))?;
    }
    output.line("the longest operations, per run:")?;
    for op in latency.ops.iter().take(N_SHOWN) {
        let n_calls = op.n_calls as f64 / latency.runs_s.len() as f64;
        output.line(&format!(
            "  {:20} {:8} {n_calls:6.0} calls {:9.1} ms",
            op.name,
            pass(op),
            ms_per_run(op, latency)
        ))?;
    }
    Ok(())
}

fn pass(op: &OpTime) -> &'static str {
    if op.is_backward { "backward" } else { "forward" }
}

fn ms_per_run(op: &OpTime, latency: &Latency) -> f64 {
    1000.0 * op.seconds / latency.runs_s.len() as f64
}
