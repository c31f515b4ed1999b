//! `mmad bench --latency`: how long a picture and a training step take on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use mmad::latency::{Latency, measure_score, measure_step};
use mmad::ops::profile::OpTime;
use mmad::run_file::RunConfig;
use serde_json::{Value, json};

use super::plot::{Point, svg};
use crate::commands::train::Settings;
use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::{Output, peak_memory_mb, reset_peak_memory};

/// What `mmad bench --latency` times.
#[derive(Debug, Args)]
pub(super) struct Timing {
    /// A training step instead of the scoring of a picture
    #[arg(long, help_heading = "With --latency")]
    train: bool,
    /// Pictures at once [default: 1; with --train the preset's]
    #[arg(long, value_name = "N", help_heading = "With --latency")]
    batch: Option<usize>,
    /// Runs that count, after two that do not
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "With --latency")]
    runs: usize,
    /// Heights and widths to time one after the other, in pixels, as in 128,256,512
    #[arg(
        long,
        value_name = "PX,…",
        value_delimiter = ',',
        conflicts_with = "size",
        help_heading = "With --latency"
    )]
    sides: Vec<usize>,
    /// Draws time over pixels, of all --sides (SVG)
    #[arg(long, value_name = "FILE", requires = "sides", help_heading = "With --latency")]
    plot: Option<PathBuf>,
    #[command(flatten, next_help_heading = "With --latency")]
    settings: Settings,
}

/// Operations that a person is shown.
const N_SHOWN: usize = 12;

pub(super) fn run(
    args: &Timing,
    device: &DeviceArg,
    output: &mut Output,
) -> Result<Status, Failure> {
    let device = device.open(output)?;
    let mut config = args.settings.resolve()?;
    if args.train {
        config.train.batch = args.batch.unwrap_or(config.train.batch);
    }
    let sides =
        if args.sides.is_empty() { vec![config.data.height_px] } else { args.sides.clone() };
    let mut found = Vec::new();
    let mut points = Vec::new();
    for side_px in sides {
        (config.data.height_px, config.data.width_px) = (side_px, side_px);
        let (object, min_ms) = measure(args, &config, &device, output)?;
        found.push(object);
        points.push(Point { side_px, ms: min_ms });
    }
    if points.len() > 1 {
        let per_megapixel = |p: &Point| p.ms / (p.side_px * p.side_px) as f64 * 1e6;
        output.line("time over pixels:")?;
        for point in &points {
            let (side_px, ms) = (point.side_px, point.ms);
            output.line(&format!(
                "  {side_px:5} px {ms:10.1} ms {:10.1} ms per megapixel",
                per_megapixel(point)
            ))?;
        }
    }
    if let Some(path) = &args.plot {
        let drawn = svg(&points, if args.train { "training step" } else { "score" });
        mmad_weights::write_whole(path, |out| out.write_all(drawn.as_bytes()))?;
        output.line(&format!("plot: {}", path.display()))?;
    }
    for object in found {
        output.object(&object)?;
    }
    Ok(Status::Ok)
}

/// Measures at one size; returns what `--json` says and the shortest time.
fn measure(
    args: &Timing,
    config: &RunConfig,
    device: &Device,
    output: &mut Output,
) -> Result<(Value, f64), Failure> {
    reset_peak_memory();
    let (what, batch, latency) = if args.train {
        ("training step", config.train.batch, measure_step(config, args.runs, device)?)
    } else {
        let batch = args.batch.unwrap_or(1).max(1);
        ("score", batch, measure_score(config, batch, args.runs, device)?)
    };
    show(config, what, batch, &latency, output)?;
    let Latency { runs_s, parts_s, ops } = &latency;
    let min_ms = 1000.0 * latency.min_s();
    let object = json!({
        "what": what,
        "method": config.method,
        "encoder": config.encoder.arch.name(),
        "encoder_precision": config.encoder.precision.name(),
        "height_px": config.data.height_px,
        "width_px": config.data.width_px,
        "batch": batch,
        "threads": rayon::current_num_threads(),
        "min_ms": min_ms,
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
    });
    Ok((object, min_ms))
}

fn show(
    config: &RunConfig,
    what: &str,
    batch: usize,
    latency: &Latency,
    output: &mut Output,
) -> Result<(), Failure> {
    output.line(&format!(
        "{what} of {batch} at {} x {} px, {} with {} in {}, {} threads",
        config.data.height_px,
        config.data.width_px,
        config.method,
        config.encoder.arch.name(),
        config.encoder.precision.name(),
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
    output.line("the longest operations, per run, all threads together:")?;
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
