//! Checks a GPU against the CPU, and times it. Prints one JSON object per call.
//!
//! ```sh
//! cargo build --release -p mmad --features wgpu --example gpu_check
//! target/release/examples/gpu_check vulkan check
//! ```
//!
//! `scripts/gpu_check.py` calls the parts one after the other and joins what they say.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use mmad::device::DeviceChoice;
use mmad::latency::{measure_score, measure_step};
use mmad::method::n_macs;
use mmad::methods::find;
use mmad::mode::TrainStep;
use mmad::ops::{self, ScanWeights};
use mmad::random;
use mmad::run_file::{Preset, RunConfig};
use mmad_kernels::orders::{DirectionTable, ScanOrder};
use rand::Rng as _;
use serde_json::{Value, json};

const USAGE: &str = "usage: gpu_check DEVICE check|rates|scan|score|train [SIZE_PX [BATCH [RUNS]]]";

type Found = Result<Value, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Found {
    let [device, part, numbers @ ..] = args else { return Err(USAGE.into()) };
    let number = |index: usize, default: usize| -> Result<usize, Box<dyn Error>> {
        numbers.get(index).map_or(Ok(default), |text| Ok(text.parse()?))
    };
    let (size_px, batch, runs) = (number(0, 256)?, number(1, 8)?, number(2, 5)?);
    let open = device.parse::<DeviceChoice>()?.open()?;
    let mut found = match part.as_str() {
        "check" => check(&open.device)?,
        "rates" => rates(&open.device, size_px, runs)?,
        "scan" => scan(&open.device, size_px, batch, runs)?,
        "score" => score(&open.device, size_px, batch, runs)?,
        "train" => train(&open.device, size_px, batch, runs)?,
        _ => return Err(USAGE.into()),
    };
    found["device"] = json!(open.name);
    found["is_software"] = json!(open.is_software);
    Ok(found)
}

/// The published configuration at `size_px`.
fn paper(size_px: usize, batch: usize) -> RunConfig {
    let mut config = RunConfig::preset(Preset::Paper);
    (config.data.height_px, config.data.width_px) = (size_px, size_px);
    config.train.batch = batch;
    config
}

/// Seconds of the shortest of `runs` runs, after one that does not count.
fn shortest(device: &Device, runs: usize, mut work: impl FnMut()) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::INFINITY;
    for run in 0..=runs.max(1) {
        device.sync()?;
        let start = Instant::now();
        work();
        device.sync()?;
        if run > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("tensors are f32 here")
}

/// Largest difference as a share of the largest value; infinite where a number is none.
fn apart(found: &[f32], wanted: &[f32]) -> f64 {
    let largest = wanted.iter().fold(f32::MIN_POSITIVE, |max, x| max.max(x.abs()));
    let differences = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
    let worst =
        differences.fold(0.0_f32, |max, x| if x.is_nan() { f32::INFINITY } else { max.max(x) });
    f64::from(worst / largest)
}

/// One scan: `[batch, height, width, channels]` and `[directions, rank, states]`.
struct Scan {
    inputs: [TensorData; 6],
    table: Arc<DirectionTable>,
}

impl Scan {
    fn new(map: [usize; 4], sizes: [usize; 3], order: ScanOrder) -> Result<Self, Box<dyn Error>> {
        let [batch, height, width, channels] = map;
        let [directions, rank, states] = sizes;
        let pixels = height * width;
        let table = Arc::new(DirectionTable::new(order, height, width, directions)?);
        let mut rng = random::stream(1, "gpu check", pixels as u64);
        let mut draw = |shape: &[usize], low: f32, high: f32| {
            let n_values = shape.iter().product();
            let values: Vec<f32> = (0..n_values).map(|_| rng.random_range(low..high)).collect();
            TensorData::new(values, shape)
        };
        let inputs = [
            draw(&[batch, pixels, channels], -1.0, 1.0),
            draw(&[batch, pixels, directions * (rank + 2 * states)], -1.0, 1.0),
            draw(&[directions, channels, rank], -1.0, 1.0),
            draw(&[directions, channels], -7.0, 1.0),
            draw(&[directions, channels, states], 0.0, 2.8),
            draw(&[directions, channels], -1.0, 1.0),
        ];
        Ok(Self { inputs, table })
    }

    fn on(&self, device: &Device) -> (Tensor<3>, Tensor<3>, ScanWeights) {
        let two = |i: usize| Tensor::<2>::from_data(self.inputs[i].clone(), device);
        let three = |i: usize| Tensor::<3>::from_data(self.inputs[i].clone(), device);
        let weights =
            ScanWeights { dt_weight: three(2), dt_bias: two(3), a_log: three(4), d_skip: two(5) };
        (three(0), three(1), weights)
    }

    fn forward(&self, device: &Device) -> impl Fn() -> Tensor<3> {
        let (u, projected, weights) = self.on(device);
        let table = Arc::clone(&self.table);
        move || ops::ss2d(u.clone(), projected.clone(), weights.clone(), &table)
    }

    /// The result and the gradients of all inputs for the loss `sum(y²)`.
    fn gradients(&self, device: &Device) -> Vec<(&'static str, Vec<f32>)> {
        let (u, projected, weights) = self.on(&device.clone().autodiff());
        let (u, projected) = (u.require_grad(), projected.require_grad());
        let weights = ScanWeights {
            dt_weight: weights.dt_weight.require_grad(),
            dt_bias: weights.dt_bias.require_grad(),
            a_log: weights.a_log.require_grad(),
            d_skip: weights.d_skip.require_grad(),
        };
        let y = ops::ss2d(u.clone(), projected.clone(), weights.clone(), &self.table);
        let grads = y.clone().powi_scalar(2).sum().backward();
        let three = |x: &Tensor<3>| values(x.grad(&grads).expect("every input is tracked"));
        let two = |x: &Tensor<2>| values(x.grad(&grads).expect("every input is tracked"));
        vec![
            ("y", values(y.inner())),
            ("u", three(&u)),
            ("projected", three(&projected)),
            ("dt_weight", three(&weights.dt_weight)),
            ("dt_bias", two(&weights.dt_bias)),
            ("a_log", three(&weights.a_log)),
            ("d_skip", two(&weights.d_skip)),
        ]
    }
}

/// Values and gradients against the CPU: the scan alone, then the whole of MMAD.
fn check(device: &Device) -> Found {
    const SCAN: f64 = 5e-5;
    const LOSS: f64 = 1e-4;
    const SCORES: f64 = 1e-3;
    let cpu = Device::flex();
    let cases = [
        ([1, 3, 5, 7], [2, 1, 1], ScanOrder::Sweep),
        ([2, 9, 13, 33], [4, 2, 5], ScanOrder::Hilbert),
        ([2, 16, 16, 128], [8, 4, 16], ScanOrder::Zigzag),
        ([1, 64, 64, 32], [8, 1, 16], ScanOrder::Zorder),
    ];
    let mut scans = Vec::new();
    let mut worst = 0.0_f64;
    for (map, sizes, order) in cases {
        let case = Scan::new(map, sizes, order)?;
        let pairs = case.gradients(device).into_iter().zip(case.gradients(&cpu));
        let apart: Vec<(&str, f64)> =
            pairs.map(|((name, found), (_, wanted))| (name, apart(&found, &wanted))).collect();
        worst = apart.iter().fold(worst, |worst, (_, apart)| worst.max(*apart));
        let apart: serde_json::Map<String, Value> =
            apart.into_iter().map(|(name, apart)| (name.to_owned(), json!(apart))).collect();
        scans.push(json!({ "map": map, "directions_rank_states": sizes, "apart": apart }));
    }

    let config = paper(64, 2);
    let entry = find("mmad").ok_or("there is no method `mmad`")?;
    let whole = |device: &Device| -> Result<(f64, Vec<f32>), Box<dyn Error>> {
        let method = (entry.build)(&config, device)?;
        let mut rng = random::stream(1, "gpu check pictures", 0);
        let pixels: Vec<f32> = (0..2 * 64 * 64 * 3).map(|_| rng.random_range(-2.0..2.0)).collect();
        let images = Tensor::from_data(TensorData::new(pixels, [2, 64, 64, 3]), device);
        let seen = method.observe(images);
        let scored = method.score(&seen, 64, 64);
        method.params().track(true);
        let seen = seen.into_iter().map(Tensor::from_inner).collect();
        let loss = method.loss(&seen, &TrainStep::new(random::stream(1, "gpu check step", 0)));
        let loss = f64::from(loss.detach().into_scalar::<f32>());
        Ok((loss, scored.into_iter().flat_map(|scored| scored.map).collect()))
    };
    let ((loss, maps), (cpu_loss, cpu_maps)) = (whole(device)?, whole(&cpu)?);
    let loss_apart = ((loss - cpu_loss) / cpu_loss).abs();
    let maps_apart = apart(&maps, &cpu_maps);
    // Written so that NaN fails.
    let is_passed = worst <= SCAN && loss_apart <= LOSS && maps_apart <= SCORES;
    Ok(json!({
        "passed": is_passed,
        "scan_apart": worst,
        "scan_tolerance": SCAN,
        "scans": scans,
        "loss_apart": loss_apart,
        "loss_tolerance": LOSS,
        "maps_apart": maps_apart,
        "maps_tolerance": SCORES,
    }))
}

/// What the device can do: bytes per second of a copy, operations per second of a product.
fn rates(device: &Device, side: usize, runs: usize) -> Found {
    // Maps of `side` x `side` pixels with 1024 channels: 256 MiB at 256 pixels.
    let map = Tensor::<3>::random([side, side, 1024], Distribution::Default, device);
    let n_bytes = 4 * side * side * 1024;
    let copy_s = shortest(device, runs, || drop(map.clone().mul_scalar(2.0)))?;
    let n = 16 * side;
    let (a, b) = (
        Tensor::<2>::random([n, n], Distribution::Default, device),
        Tensor::<2>::random([n, n], Distribution::Default, device),
    );
    let product_s = shortest(device, runs, || drop(a.clone().matmul(b.clone())))?;
    Ok(json!({
        "copy_bytes": 2 * n_bytes,
        "copy_s": copy_s,
        "copy_gb_per_s": 2e-9 * n_bytes as f64 / copy_s,
        "matmul_side": n,
        "matmul_s": product_s,
        "matmul_gflop_per_s": 2e-9 * (n as f64).powi(3) / product_s,
    }))
}

/// The largest scan of the model: the finest map, 32 channels, 8 directions, 16 states.
fn scan(device: &Device, size_px: usize, batch: usize, runs: usize) -> Found {
    let (side, channels, directions, rank, states) = (size_px / 4, 32, 8, 1, 16);
    let map = [batch, side, side, channels];
    let case = Scan::new(map, [directions, rank, states], ScanOrder::Hilbert)?;
    let forward = case.forward(device);
    let forward_s = shortest(device, runs, || drop(forward()))?;
    let (u, projected, weights) = case.on(&device.clone().autodiff());
    let (u, projected) = (u.require_grad(), projected.require_grad());
    let step_s = shortest(device, runs, || {
        let y = ops::ss2d(u.clone(), projected.clone(), weights.clone(), &case.table);
        drop(y.sum().backward());
    })?;
    // What must move at least: inputs read and results written, once. Backward reads the inputs and
    // a gradient, and writes a gradient for every input.
    let n_map = batch * side * side * channels;
    let n_rows = batch * side * side * directions * (rank + 2 * states);
    Ok(json!({
        "map": map,
        "forward_s": forward_s,
        "forward_and_backward_s": step_s,
        "least_bytes_forward": 4 * (2 * n_map + n_rows),
        "least_bytes_forward_and_backward": 4 * (5 * n_map + 3 * n_rows),
        "steps_per_s_forward": (directions * n_map * states) as f64 / forward_s,
    }))
}

/// The scoring of a batch, from normalised pixels to anomaly maps.
fn score(device: &Device, size_px: usize, batch: usize, runs: usize) -> Found {
    let config = paper(size_px, batch);
    let latency = measure_score(&config, batch, runs, device)?;
    let entry = find("mmad").ok_or("there is no method `mmad`")?;
    let method = (entry.build)(&config, device)?;
    let macs = n_macs(method.as_ref(), size_px, size_px, device);
    Ok(json!({
        "size_px": size_px,
        "batch": batch,
        "min_s": latency.min_s(),
        "p50_s": latency.p50_s(),
        "parts_s": latency.parts_s,
        "pictures_per_s": batch as f64 / latency.min_s(),
        "gflop": 2e-9 * (macs * batch as u64) as f64,
    }))
}

/// A training step of a batch, encoder and optimiser included.
fn train(device: &Device, size_px: usize, batch: usize, runs: usize) -> Found {
    let latency = measure_step(&paper(size_px, batch), runs, device)?;
    Ok(json!({
        "size_px": size_px,
        "batch": batch,
        "min_s": latency.min_s(),
        "p50_s": latency.p50_s(),
        "parts_s": latency.parts_s,
        "pictures_per_s": batch as f64 / latency.min_s(),
    }))
}
