//! How long a picture and a training step take, and where the time goes.
//!
//! Measured on pictures of noise with fresh weights: neither changes the work.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng as _;

use crate::fit::FitError;
use crate::methods;
use crate::mode::TrainStep;
use crate::ops::profile::{self, OpTime};
use crate::random;
use crate::run_file::RunConfig;
use crate::train::optimiser::Optimiser;
use crate::train::take_step;

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    /// Seconds of every run, in order.
    pub runs_s: Vec<f64>,
    /// Parts of a run, each with the shortest of its times in seconds.
    pub parts_s: Vec<(&'static str, f64)>,
    /// Fused operations, over all runs.
    pub ops: Vec<OpTime>,
}

impl Latency {
    /// The shortest run, in seconds.
    pub fn min_s(&self) -> f64 {
        self.runs_s.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The run in the middle, in seconds; of an even number the slower of the two.
    pub fn p50_s(&self) -> f64 {
        let mut sorted = self.runs_s.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Runs before the first that counts: caches, tables, packed weights.
const N_WARM_UP: usize = 2;

/// Scores `batch` pictures at once, `n_runs` times, from normalised pixels to anomaly maps.
///
/// # Errors
///
/// [`FitError`] for a configuration that no model can be built from.
pub fn measure_score(
    config: &RunConfig,
    batch: usize,
    n_runs: usize,
    device: &Device,
) -> Result<Latency, FitError> {
    let method = build(config, device)?;
    let images = noise(config, batch, device);
    Ok(measure(n_runs, ["encoder", "method"], || {
        let start = Instant::now();
        let seen = method.observe(images.clone());
        let encoder_s = start.elapsed().as_secs_f64();
        let scored = method.score(&seen, config.data.height_px, config.data.width_px);
        drop(scored);
        [encoder_s, start.elapsed().as_secs_f64() - encoder_s]
    }))
}

/// Takes `n_runs` training steps of `config.train.batch` pictures in the first phase, encoder
/// included.
///
/// # Errors
///
/// [`FitError`] for a configuration that no model can be built from.
pub fn measure_step(
    config: &RunConfig,
    n_runs: usize,
    device: &Device,
) -> Result<Latency, FitError> {
    let method = build(config, device)?;
    let images = noise(config, config.train.batch, device);
    let params = method.params();
    let mut optimiser = Optimiser::new(method.groups(&config.train), params);
    params.track_only(|param| optimiser.moves(param, 0));
    let mut number = 0;
    Ok(measure(n_runs, ["encoder", "forward", "backward", "optimiser"], || {
        let start = Instant::now();
        let seen = method.observe(images.clone());
        let encoder_s = start.elapsed().as_secs_f64();
        let step = TrainStep::new(random::stream(config.seed, "latency", number));
        number += 1;
        // A rate that moves nothing, so that noise cannot make the run diverge.
        let taken = take_step(method.as_ref(), seen, &step, &mut optimiser, 1e-12);
        let [forward_s, backward_s, optimiser_s] = taken.map_or([f64::NAN; 3], |t| t.seconds);
        [encoder_s, forward_s, backward_s, optimiser_s]
    }))
}

fn build(config: &RunConfig, device: &Device) -> Result<Box<dyn crate::method::Method>, FitError> {
    config.validate()?;
    let unknown = || FitError::UnknownMethod(config.method.clone());
    let entry = methods::find(&config.method).ok_or_else(unknown)?;
    Ok((entry.build)(config, device)?)
}

fn noise(config: &RunConfig, batch: usize, device: &Device) -> Tensor<4> {
    let shape = [batch, config.data.height_px, config.data.width_px, 3];
    let mut rng = random::stream(config.seed, "latency pictures", 0);
    let pixels = (0..shape.iter().product()).map(|_| rng.random_range(-2.0_f32..2.0)).collect();
    Tensor::from_data(TensorData::new::<f32, _>(pixels, shape), device)
}

fn measure<const N: usize>(
    n_runs: usize,
    names: [&'static str; N],
    mut run: impl FnMut() -> [f64; N],
) -> Latency {
    for _ in 0..N_WARM_UP {
        run();
    }
    profile::start();
    let runs: Vec<[f64; N]> = (0..n_runs.max(1)).map(|_| run()).collect();
    let ops = profile::stop();
    let shortest = |part: usize| runs.iter().map(|run| run[part]).fold(f64::INFINITY, f64::min);
    Latency {
        runs_s: runs.iter().map(|run| run.iter().sum()).collect(),
        parts_s: names.into_iter().enumerate().map(|(part, name)| (name, shortest(part))).collect(),
        ops,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_file::Preset;

    #[test]
    fn parts_make_up_a_run_and_operations_are_named() {
        let mut config = RunConfig::preset(Preset::Quick);
        (config.data.height_px, config.data.width_px) = (32, 64);
        config.train.batch = 2;
        let device = Device::flex();
        let score = measure_score(&config, 1, 3, &device).unwrap();
        assert_eq!(score.runs_s.len(), 3);
        assert!(score.min_s() > 0.0 && score.min_s() <= score.p50_s());
        assert!(
            score.ops.iter().any(|op| op.name == "PackedScan" && !op.is_backward && op.n_calls > 0)
        );
        assert!(score.ops.iter().all(|op| !op.is_backward));
        let step = measure_step(&config, 2, &device).unwrap();
        let parts: f64 = step.parts_s.iter().map(|(_, seconds)| seconds).sum();
        assert!(parts > 0.0 && parts <= step.min_s() * (1.0 + 1e-9), "{parts} {step:?}");
        assert!(step.ops.iter().any(|op| op.name == "Ss2dFeatures" && op.is_backward));
    }
}
