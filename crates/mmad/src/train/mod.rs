//! The one training loop, for every method.
//!
//! ```text
//! order of the epoch ─ pictures ─ frozen encoder (kept) ─ loss ─ gradients ─ clip ─ rule
//! ```
//!
//! A method says which parameters are moved by which rule ([`optimiser::Group`]) and in which phase
//! of the run.
//!
//! Everything random about a step is a function of the seed and the step's number, so a run that
//! was killed and resumed ends with the same bits as one that was not.

pub mod adamw;
pub mod checkpoint;
pub mod feature_cache;
mod fetch;
pub mod log;
pub mod optimiser;
pub mod pictures;
pub mod plan;
pub mod sgd;

use std::io;
use std::path::Path;
use std::time::Instant;

use burn::tensor::Tensor;
use mmad_data::DataError;

use self::checkpoint::{CheckpointError, Progress};
use self::feature_cache::FeatureCacheError;
use self::log::{Log, LogLine};
use self::optimiser::Optimiser;
use self::pictures::{Pictures, Place};
use self::plan::Plan;
use crate::method::{Method, Observation};
use crate::mode::TrainStep;
use crate::random;
use crate::run_file::RunConfig;

/// What keeps a run from reaching its end.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// There is nothing to train on.
    #[error("there is no good training picture")]
    NoPictures,
    /// Not one picture of a batch can be read.
    #[error("no picture of a whole batch can be read; the first: {first}")]
    AllUnreadable {
        /// What is wrong with the first.
        first: Box<DataError>,
    },
    /// The loss or the gradients are no longer numbers.
    #[error("training diverged at step {step}: the loss is {loss}, the gradient norm {grad_norm}")]
    Diverged {
        /// Number of the step, from 1.
        step: u64,
        /// Loss of the batch.
        loss: f64,
        /// Norm of the gradients.
        grad_norm: f64,
    },
    /// A loader.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What is kept of the encoder's maps.
    #[error(transparent)]
    FeatureCache(#[from] FeatureCacheError),
    /// The log.
    #[error("cannot write the log")]
    Log(#[from] io::Error),
}

impl TrainError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoPictures => {
                Some("`mmad data check` shows what was found in the folder".to_owned())
            }
            Self::AllUnreadable { first } => first.hint(),
            Self::Diverged { .. } => Some(
                "the last good checkpoint is kept; start again with a smaller \
                 `--set train.learning_rate=…` or another seed"
                    .to_owned(),
            ),
            Self::Data(error) => error.hint(),
            Self::Checkpoint(error) => error.hint(),
            Self::FeatureCache(error) => Some(error.hint()),
            Self::Log(_) => Some("is the disk full, or the folder read-only?".to_owned()),
        }
    }
}

/// What a run reports, and how it is asked to stop.
pub trait Watch {
    /// The length of the run is known; `step` steps are done already.
    fn begin(&mut self, plan: &Plan, step: u64);
    /// A step was taken.
    fn step(&mut self, line: &LogLine, plan: &Plan);
    /// A checkpoint was written.
    fn checkpoint(&mut self, step: u64);
    /// True when the run should save its state and end.
    fn should_stop(&mut self) -> bool;
}

/// Everything a run needs.
#[derive(Debug)]
pub struct Run<'a> {
    /// The configuration.
    pub config: &'a RunConfig,
    /// Digest of configuration, data and encoder.
    pub run_sha256: &'a str,
    /// Where checkpoint and log go; `None` keeps neither.
    pub folder: Option<&'a Path>,
    /// Whether to go on from the checkpoint in `folder`, if there is one.
    pub resume: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct Trained {
    /// Where it stands.
    pub progress: Progress,
    /// False where it was asked to stop early.
    pub is_complete: bool,
    /// Mean loss over the last steps of the run; `None` where it took none.
    pub final_loss: Option<f64>,
    /// Steps taken by this call.
    pub n_new_steps: u64,
}

/// Steps over which the final loss is averaged.
const N_FINAL: usize = 20;

/// Trains `method` on `pictures`.
///
/// # Errors
///
/// [`TrainError`]. After [`TrainError::Diverged`] the last checkpoint is still the good one.
pub fn train(
    method: &dyn Method,
    pictures: &mut Pictures,
    run: &Run<'_>,
    watch: &mut dyn Watch,
) -> Result<Trained, TrainError> {
    if pictures.is_empty() {
        return Err(TrainError::NoPictures);
    }
    let trained = steps(method, pictures, run, watch);
    method.params().track(false);
    trained
}

fn steps(
    method: &dyn Method,
    pictures: &mut Pictures,
    run: &Run<'_>,
    watch: &mut dyn Watch,
) -> Result<Trained, TrainError> {
    let config = &run.config.train;
    let saved = run.folder.map(checkpoint::path_in).filter(|path| run.resume && path.is_file());
    let (mut progress, mut optimiser) = if let Some(path) = saved {
        checkpoint::restore(&path, run.run_sha256, method.params(), method.groups(config))?
    } else {
        let plan = plan(method, pictures, run.config)?;
        let run_sha256 = run.run_sha256.to_owned();
        let progress = Progress { step: 0, plan, seconds: 0.0, run_sha256 };
        (progress, Optimiser::new(method.groups(config), method.params()))
    };
    let (mut log, mut losses) = match run.folder {
        Some(folder) => {
            let (log, lines) = Log::open(&Log::path_in(folder), progress.step)?;
            (Some(log), lines.iter().map(|line| line.loss).collect())
        }
        None => (None, Vec::new()),
    };
    let first_step = progress.step;
    let plan = progress.plan;
    let phase_shares = method.phase_shares();
    let mut tracked_phase = None;
    watch.begin(&plan, progress.step);

    let start = Instant::now();
    let seconds_before = progress.seconds;
    let mut last_checkpoint = Instant::now();
    let mut stopped = false;
    while progress.step < plan.n_steps && !stopped {
        let epoch = plan.epoch(progress.step);
        let order = plan.order(run.config.seed, epoch);
        let first = (progress.step % plan.steps_per_epoch()) as usize * plan.batch;
        let mut loader = pictures.start(&order[first..])?;
        for batch in order[first..].chunks(plan.batch) {
            let phase = plan.phase(progress.step, &phase_shares);
            let place = Place { step: progress.step, phase };
            let seen = pictures.batch(batch, &mut loader, method, place)?;
            let seen = seen.ok_or_else(|| all_unreadable(pictures))?;
            if tracked_phase != Some(phase) {
                method.params().track_only(|param| optimiser.moves(param, phase));
                tracked_phase = Some(phase);
            }
            let noise = random::stream(run.config.seed, "step", progress.step);
            let step = TrainStep::new(noise).in_phase(phase);
            let learning_rate = plan.learning_rate(config, progress.step);
            let taken = take_step(method, seen, &step, &mut optimiser, learning_rate);
            let Taken { loss, grad_norm, .. } = taken.map_err(|(loss, grad_norm)| {
                TrainError::Diverged { step: progress.step + 1, loss, grad_norm }
            })?;
            progress.step += 1;
            progress.seconds = seconds_before + start.elapsed().as_secs_f64();
            losses.push(loss);
            let line = LogLine {
                step: progress.step,
                epoch: epoch + 1,
                loss,
                grad_norm,
                learning_rate,
                seconds: progress.seconds,
            };
            if let Some(log) = &mut log {
                log.append(&line)?;
            }
            watch.step(&line, &plan);
            stopped = watch.should_stop();
            let is_last = progress.step == plan.n_steps;
            let is_due = last_checkpoint.elapsed().as_secs_f64() >= config.checkpoint_s;
            if let Some(folder) = run.folder.filter(|_| stopped || is_last || is_due) {
                let path = checkpoint::path_in(folder);
                checkpoint::write(&path, &progress, method.params(), &optimiser)?;
                watch.checkpoint(progress.step);
                last_checkpoint = Instant::now();
            }
            if stopped || is_last {
                break;
            }
        }
    }
    let last = &losses[losses.len().saturating_sub(N_FINAL)..];
    let final_loss = (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64);
    let is_complete = progress.step == plan.n_steps;
    let n_new_steps = progress.step - first_step;
    Ok(Trained { progress, is_complete, final_loss, n_new_steps })
}

fn all_unreadable(pictures: &mut Pictures) -> TrainError {
    match pictures.take_unreadable().into_iter().next() {
        Some(first) => TrainError::AllUnreadable { first: Box::new(first) },
        None => TrainError::NoPictures,
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    loss: f64,
    grad_norm: f64,
    /// Seconds of the loss, of its gradients, and of moving the parameters.
    pub(crate) seconds: [f64; 3],
}

/// Takes a step; the error is loss and gradient norm where they are no numbers and nothing was
/// moved.
pub(crate) fn take_step(
    method: &dyn Method,
    seen: Observation,
    step: &TrainStep,
    optimiser: &mut Optimiser,
    learning_rate: f64,
) -> Result<Taken, (f64, f64)> {
    let start = Instant::now();
    let seen: Observation = seen.into_iter().map(Tensor::from_inner).collect();
    let loss = method.loss(&seen, step);
    let value = f64::from(loss.clone().detach().into_scalar::<f32>());
    if !value.is_finite() {
        return Err((value, f64::NAN));
    }
    let forward_s = start.elapsed().as_secs_f64();
    let gradients = loss.backward();
    let backward_s = start.elapsed().as_secs_f64() - forward_s;
    let norms = optimiser.step(method.params(), &gradients, step.phase(), learning_rate);
    let optimiser_s = start.elapsed().as_secs_f64() - forward_s - backward_s;
    if !norms.total.is_finite() {
        return Err((value, norms.total));
    }
    let seconds = [forward_s, backward_s, optimiser_s];
    Ok(Taken { loss: value, grad_norm: norms.total, seconds })
}

/// Length of the run: its epochs, its steps, or what fits the time, measured on a few trial steps.
fn plan(
    method: &dyn Method,
    pictures: &mut Pictures,
    config: &RunConfig,
) -> Result<Plan, TrainError> {
    let train = &config.train;
    let n_pictures = pictures.len();
    if train.minutes <= 0.0 {
        return Ok(match train.steps {
            0 => Plan::of_epochs(n_pictures, train.batch, train.epochs),
            steps => Plan::of_steps(n_pictures, train.batch, steps),
        });
    }
    let one_epoch = Plan::of_epochs(n_pictures, train.batch, 1);
    let order = one_epoch.order(config.seed, 0);
    let batch = &order[..one_epoch.batch];
    let (mut step_s, mut first_look_s) = (0.0, 0.0);
    for (phase, share) in method.phase_shares().into_iter().enumerate() {
        let start = Instant::now();
        let mut loader = pictures.start(batch)?;
        let seen = pictures.batch(batch, &mut loader, method, Place { step: 0, phase })?;
        let seen = seen.ok_or_else(|| all_unreadable(pictures))?;
        first_look_s += share * start.elapsed().as_secs_f64() / batch.len() as f64;
        step_s += share * trial_step_s(method, &seen, phase, config);
    }
    let budget_s = train.minutes * 60.0;
    Ok(Plan::of_time(n_pictures, train.batch, budget_s, step_s, first_look_s))
}

/// Trial steps at least and at most, and the share of the budget that they may take in between.
const N_TRIALS: [usize; 2] = [3, 40];
const TRIAL_SHARE: f64 = 0.02;

/// Seconds of a step: the quicker quarter of some trial steps, whose effects are undone. The first
/// ones are slower, because they build tables and touch memory for the first time, and others may
/// be, because something else is running.
fn trial_step_s(method: &dyn Method, seen: &Observation, phase: usize, config: &RunConfig) -> f64 {
    let params = method.params();
    let before: Vec<Vec<f32>> = params.iter().map(crate::params::Param::values).collect();
    let mut optimiser = Optimiser::new(method.groups(&config.train), params);
    params.track_only(|param| optimiser.moves(param, phase));
    let budget_s = config.train.minutes * 60.0 * TRIAL_SHARE;
    let mut seconds = Vec::new();
    let all = Instant::now();
    while seconds.len() < N_TRIALS[0]
        || (seconds.len() < N_TRIALS[1] && all.elapsed().as_secs_f64() < budget_s)
    {
        let noise = random::stream(config.seed, "trial step", seconds.len() as u64);
        let step = TrainStep::new(noise).in_phase(phase);
        let start = Instant::now();
        // A trial that diverges still took its time; the run itself will report it.
        let _ = take_step(method, seen.clone(), &step, &mut optimiser, 1e-6);
        seconds.push(start.elapsed().as_secs_f64());
    }
    for (param, values) in params.iter().zip(before) {
        param.set_values(values);
    }
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 4]
}
