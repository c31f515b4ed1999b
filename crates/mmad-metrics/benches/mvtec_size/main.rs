//! Times the metrics on made-up maps in the numbers and sizes of MVTec AD: 15 classes, 1,725
//! pictures of 256x256 pixels, 1,258 of them defective.
//!
//! ```text
//! cargo bench -p mmad-metrics --bench mvtec_size -- [options]
//!   --json             one line of JSON instead of text
//!   --threads N        threads, one class each at a time (2)
//!   --runs N           runs, of which the best is told (5)
//!   --protocol NAME    exact, mvtec, ader or ader-cuda (exact)
//!   --streaming        the streaming bounds instead
//!   --export DIR       write the maps and masks as .npy for other tools
//! ```
//!
//! A run takes the image scores from the maps and all metrics of all classes, those beside the
//! seven too. CPU seconds are those of all threads. Memory is the peak above the loaded maps, in
//! the first run.

#![allow(clippy::print_stdout)]

mod clocks;
mod made_up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clocks::{Clock, PeakMemory};
use made_up::{Class, MVTEC, SIDE};
use mmad_metrics::{
    Evaluation, METRICS, MetricError, MetricOptions, Protocol, STREAMING_BITS, ScoredImage,
    StreamedMetrics, StreamingClass,
};
use rayon::prelude::*;
use serde_json::{Value, json};

struct Options {
    json: bool,
    threads: usize,
    runs: usize,
    protocol: Protocol,
    streaming: bool,
    export: Option<PathBuf>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            json: false,
            threads: 2,
            runs: 5,
            protocol: Protocol::Exact,
            streaming: false,
            export: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value"));
            let number = |text: String| text.parse().map_err(|_| format!("`{text}` is no number"));
            match word.as_str() {
                "--json" => options.json = true,
                "--threads" => options.threads = number(value()?)?,
                "--runs" => options.runs = number(value()?)?,
                "--protocol" => {
                    let name = value()?;
                    options.protocol =
                        Protocol::find(&name).ok_or_else(|| format!("no protocol `{name}`"))?;
                }
                "--streaming" => options.streaming = true,
                "--export" => options.export = Some(value()?.into()),
                // Cargo adds it.
                "--bench" => {}
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("{message}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads);
    pool.build_global().map_err(|error| error.to_string())?;
    let classes: Vec<(&str, Class)> = MVTEC
        .par_iter()
        .enumerate()
        .map(|(seed, &(name, n, n_anomalous))| (name, Class::made_up(n, n_anomalous, seed as u64)))
        .collect();
    if let Some(folder) = &options.export {
        export(folder, &classes).map_err(|error| error.to_string())?;
    }

    let peak = PeakMemory::start();
    let (mut least_wall_s, mut least_cpu_s, mut extra_mb) = (f64::INFINITY, f64::INFINITY, None);
    let mut result = json!(null);
    for index in 0..options.runs.max(1) {
        let clock = Clock::start();
        let measured = measure(&classes, options).map_err(|error| error.to_string())?;
        let (wall_s, cpu_s) = clock.seconds();
        least_wall_s = least_wall_s.min(wall_s);
        least_cpu_s = least_cpu_s.min(cpu_s.unwrap_or(f64::NAN));
        if index == 0 {
            extra_mb = peak.extra_mb();
        }
        result = measured;
    }

    let pixels: usize = classes.iter().map(|(_, class)| class.maps.len()).sum();
    let pictures = pixels / (SIDE * SIDE);
    if options.json {
        let line = json!({
            "what": if options.streaming { "streaming" } else { options.protocol.name() },
            "pictures": pictures,
            "side_px": SIDE,
            "threads": options.threads,
            "runs": options.runs,
            "cpu_s": least_cpu_s,
            "wall_s": least_wall_s,
            "peak_extra_mb": extra_mb,
            "ns_per_pixel": 1e9 * least_cpu_s / pixels as f64,
            "means": result,
        });
        println!("{line}");
        return Ok(());
    }
    println!("{pictures} pictures of {SIDE}x{SIDE} pixels, {} threads", options.threads);
    println!("CPU {least_cpu_s:.3} s, wall {least_wall_s:.3} s, best of {} runs", options.runs);
    println!("{:.2} ns of CPU per pixel", 1e9 * least_cpu_s / pixels as f64);
    if let Some(extra_mb) = extra_mb {
        println!("{extra_mb:.1} MB at most above the maps");
    }
    println!("{result:#}");
    Ok(())
}

/// All metrics of all classes; returns the means of the seven.
fn measure(classes: &[(&str, Class)], options: &Options) -> Result<Value, MetricError> {
    if options.streaming {
        return stream(classes);
    }
    let scored: Vec<(&str, Vec<ScoredImage<'_>>)> =
        classes.par_iter().map(|(name, class)| (*name, class.images())).collect();
    let named: Vec<(&str, &[ScoredImage<'_>])> =
        scored.iter().map(|(name, images)| (*name, &images[..])).collect();
    let metrics = MetricOptions { protocol: options.protocol, ..MetricOptions::default() };
    let evaluation = Evaluation::of(&named, &metrics)?;
    let mean = |id: &'static str| (id.to_owned(), json!(evaluation.mean(id)));
    Ok(Value::Object(METRICS.iter().map(|metric| mean(metric.id)).collect()))
}

/// The means of the middles of the seven, and the largest half width in any class.
fn stream(classes: &[(&str, Class)]) -> Result<Value, MetricError> {
    let stream = |class: &Class| {
        let mut accumulator = StreamingClass::new(STREAMING_BITS)?;
        for image in class.images() {
            accumulator.add(&image)?;
        }
        accumulator.metrics(&MetricOptions::default())
    };
    let streamed: Vec<StreamedMetrics> =
        classes.par_iter().map(|(_, class)| stream(class)).collect::<Result<_, _>>()?;
    let mean = |id: &'static str| {
        let bounds = || streamed.iter().filter_map(|class| class.get(id)?.as_ref().ok());
        let sum: f64 = bounds().map(mmad_metrics::Bounds::value).sum();
        let widest = bounds().map(mmad_metrics::Bounds::half_width).fold(0.0, f64::max);
        (id.to_owned(), json!([sum / bounds().count() as f64, widest]))
    };
    Ok(Value::Object(METRICS.iter().map(|metric| mean(metric.id)).collect()))
}

/// Writes `maps/<class>.npy` (`<f4`) and `masks/<class>.npy` (`|u1`), both `[n, height, width]`, as
/// `mmad metrics` reads them.
fn export(folder: &Path, classes: &[(&str, Class)]) -> std::io::Result<()> {
    for kind in ["maps", "masks"] {
        std::fs::create_dir_all(folder.join(kind))?;
    }
    for (name, class) in classes {
        let n = class.maps.len() / (SIDE * SIDE);
        let maps: Vec<u8> = class.maps.iter().flat_map(|value| value.to_le_bytes()).collect();
        for (kind, descr, data) in [("maps", "<f4", &maps), ("masks", "|u1", &class.masks)] {
            let mut header = format!(
                "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({n}, {SIDE}, {SIDE}), }}"
            );
            // Magic, version and length are 10 bytes; all of it is a multiple of 64.
            let padding = 63 - (10 + header.len()) % 64;
            header.push_str(&" ".repeat(padding));
            header.push('\n');
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend(data);
            std::fs::write(folder.join(kind).join(format!("{name}.npy")), bytes)?;
        }
    }
    Ok(())
}
