//! `mmad train`: one model from a folder of good pictures.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use burn::tensor::Device;
use clap::Args;
use mmad::fit::{Fit, Fitted, checkpoint_in, fit, part};
use mmad::run_file::{PRECISIONS, Precision, Preset, RunConfig};
use mmad::train::Watch;
use mmad::train::log::LogLine;
use mmad::train::plan::Plan;
use mmad_data::{CacheOptions, Dataset, HoldOut, LoaderOptions, PictureCache, Preprocess};
use serde_json::{Map, Value, json};

use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::{Bar, Output, duration, peak_memory_mb};

/// Train one model on the good pictures of all classes in a folder
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Folder of pictures: MVTec-AD, VisA, ADer or plain layout
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Folder for checkpoint, log and model
    #[arg(long, short, value_name = "DIR", default_value = "run")]
    out: PathBuf,
    #[command(flatten)]
    settings: Settings,
    /// Go on from the checkpoint in the output folder, with the settings the run began with
    #[arg(long)]
    resume: bool,
    /// Folder for decoded and resized pictures, kept from run to run
    #[arg(long, value_name = "DIR")]
    picture_cache: Option<PathBuf>,
    /// Gigabytes that the folder may take; older caches in it make room
    #[arg(long, value_name = "N", default_value_t = 10.0, requires = "picture_cache")]
    picture_cache_gb: f64,
    /// Print the configuration and stop
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    device: DeviceArg,
}

/// What decides a configuration, shared with `mmad config`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// What is trained; see `mmad methods` [default: mmad]
    #[arg(long, value_name = "ID")]
    pub(crate) method: Option<String>,
    /// Starting values: `quick` for a CPU and a time budget, `paper` for the published recipe;
    /// other methods also have `ader-100`, `ader-300` and `original` [default: quick]
    #[arg(long, value_name = "NAME", value_parser = preset)]
    pub(crate) preset: Option<Preset>,
    /// Run file (TOML) over the preset; see `mmad config`
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Time to train for; the number of steps is then measured at the start
    #[arg(long, value_name = "N")]
    pub(crate) minutes: Option<f64>,
    /// Passes over the pictures, instead of a time
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    pub(crate) epochs: Option<usize>,
    /// Steps, instead of a time
    #[arg(long, value_name = "N", conflicts_with_all = ["minutes", "epochs"],
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) steps: Option<u64>,
    /// Encoder: resnet10 (embedded), resnet18, resnet34, resnet50, resnet50-v1, wide-resnet50-2,
    /// tf-efficientnet-b4
    #[arg(long, value_name = "NAME")]
    pub(crate) encoder: Option<String>,
    /// Weights of the encoder: `embedded`, a file, or an id of `mmad weights list`
    #[arg(long, value_name = "FILE|ID")]
    pub(crate) weights: Option<String>,
    /// What the encoder rounds the factors of its convolutions to: `f32` (nothing), `bf16` (0.7
    /// to 0.9 of its time on processors with `AVX512_BF16`) or `f16` (for GPUs); the model keeps it
    #[arg(long, value_name = "TYPE", value_parser = precision)]
    pub(crate) encoder_precision: Option<Precision>,
    /// Height and width that pictures are resized to, in pixels; a multiple of 32
    #[arg(long, value_name = "PX")]
    pub(crate) size: Option<usize>,
    /// Only these classes; may be given several times
    #[arg(long = "class", value_name = "NAME")]
    pub(crate) classes: Vec<String>,
    /// Seed of weights, order and noise
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Any value of the configuration, as in `--set train.batch=4`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// The preset of this name.
fn preset(name: &str) -> Result<Preset, String> {
    let found = Preset::ALL.iter().find(|(known, _)| *known == name).map(|(_, preset)| *preset);
    found.ok_or_else(|| {
        let known: Vec<&str> = Preset::ALL.iter().map(|(name, _)| *name).collect();
        format!("the presets are: {}", known.join(", "))
    })
}

/// The precision of this name.
pub(crate) fn precision(name: &str) -> Result<Precision, String> {
    let found = PRECISIONS.iter().find(|(known, _)| *known == name);
    found.map(|(_, precision)| *precision).ok_or_else(|| "give f32, bf16 or f16".to_owned())
}

impl Settings {
    /// The configuration: preset, then file, then options.
    pub(crate) fn resolve(&self) -> Result<RunConfig, Failure> {
        let preset = self.preset.unwrap_or(Preset::Quick);
        let start = match &self.config {
            None => RunConfig::of(self.method.as_deref().unwrap_or("mmad"), preset)?,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::io("read", path, error))?;
                RunConfig::parse_for(self.method.as_deref(), &text, preset)?
            }
        };
        let config = self.over(start)?;
        config.validate()?;
        Ok(config)
    }

    /// A configuration with the values of single options in it.
    fn over(&self, mut config: RunConfig) -> Result<RunConfig, Failure> {
        if let Some(minutes) = self.minutes {
            config.train.minutes = above_zero(minutes)?;
        }
        if let Some(epochs) = self.epochs {
            config.train.epochs = epochs;
            (config.train.steps, config.train.minutes) = (0, 0.0);
        }
        if let Some(steps) = self.steps {
            (config.train.steps, config.train.minutes) = (steps, 0.0);
        }
        if let Some(encoder) = &self.encoder {
            config = config.set(&format!("encoder.arch={encoder:?}"))?;
        }
        if let Some(weights) = &self.weights {
            config.encoder.weights.clone_from(weights);
        }
        if let Some(precision) = self.encoder_precision {
            config.encoder.precision = precision;
        }
        if let Some(size) = self.size {
            (config.data.height_px, config.data.width_px) = (size, size);
        }
        if !self.classes.is_empty() {
            config.data.classes.clone_from(&self.classes);
        }
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        for assignment in &self.set {
            config = config.set(assignment)?;
        }
        Ok(config)
    }

    /// Fails where the options ask for another run than the one that `saved` describes.
    ///
    /// Single options that the run began with may be given again, all or some. `--preset` and `--config`
    /// set every value, so with them the whole line has to be given.
    fn check_same_run(&self, saved: &RunConfig, folder: &Path) -> Result<(), Failure> {
        let is_whole_line = self.preset.is_some()
            || self.config.is_some()
            || self.method.as_ref().is_some_and(|method| *method != saved.method);
        let asked = if is_whole_line { self.resolve()? } else { self.over(saved.clone())? };
        let (asked, saved) = (serde_json::to_value(asked)?, serde_json::to_value(saved)?);
        let Some((key, asked, saved)) = first_difference(&asked, &saved) else { return Ok(()) };
        let message = format!(
            "the options ask for `{key}` = {asked}, and the run in `{}` has {saved}",
            folder.display()
        );
        let hint = match is_whole_line {
            true => "leave out all options to go on, or give every one that the run began with",
            false => "leave them out to go on, or choose another `--out` to begin anew",
        };
        Err(Failure::new(message, hint))
    }
}

/// The first value that two objects do not share, with its path.
fn first_difference<'a>(a: &'a Value, b: &'a Value) -> Option<(String, &'a Value, &'a Value)> {
    let (Value::Object(left), Value::Object(right)) = (a, b) else {
        return (a != b).then(|| (String::new(), a, b));
    };
    left.keys().chain(right.keys()).find_map(|key| {
        let value = |object: &'a Map<String, Value>| object.get(key).unwrap_or(&Value::Null);
        let (path, a, b) = first_difference(value(left), value(right))?;
        let key = if path.is_empty() { key.clone() } else { format!("{key}.{path}") };
        Some((key, a, b))
    })
}

/// The value of `--minutes`; in a run file, 0 would mean `epochs`.
pub(crate) fn above_zero(minutes: f64) -> Result<f64, Failure> {
    if minutes > 0.0 {
        return Ok(minutes);
    }
    let message = format!("`--minutes` is {minutes}");
    Err(Failure::new(message, "give a number above 0, or `--epochs`"))
}

pub(crate) fn run(args: &TrainArgs, output: &mut Output) -> Result<Status, Failure> {
    let saved = args.out.join("config.toml");
    if args.resume && !saved.is_file() {
        return Err(Failure::new(
            format!("there is no run in `{}` to go on with", args.out.display()),
            "name its folder with `--out`, or leave out `--resume` to start one",
        ));
    }
    let config = match args.resume {
        true => {
            let text = std::fs::read_to_string(&saved)
                .map_err(|error| Failure::io("read", &saved, error))?;
            let config = RunConfig::parse(&text, Preset::Paper)?;
            args.settings.check_same_run(&config, &args.out)?;
            config
        }
        false => args.settings.resolve()?,
    };
    if args.print_config {
        output.raw(&config.to_toml()?)?;
        return Ok(Status::Ok);
    }
    if !args.resume && checkpoint_in(&args.out).is_some() {
        let message = format!("`{}` already holds a run", args.out.display());
        return Err(Failure::new(message, "go on with `--resume`, or choose another `--out`"));
    }
    let device = args.device.open(output)?;
    let dataset = Dataset::open(&args.data)?;
    output.note(&dataset.describe());
    let parts = part(&dataset, &config)?;
    output.note(&format!(
        "training on {} good pictures, {} more held out for calibration",
        parts.train.len(),
        parts.calibration.len()
    ));
    save_config(&args.out, &config)?;
    let loader = loader(args, &config, parts, output)?;
    let fitted = fit_with_bar(&config, &dataset, &args.out, args.resume, loader, &device, output)?;
    finish(&fitted, &args.out, output)
}

/// How pictures are read: decoded anew, or from the cache that was asked for.
fn loader(
    args: &TrainArgs,
    config: &RunConfig,
    parts: HoldOut,
    output: &mut Output,
) -> Result<LoaderOptions, Failure> {
    let mut loader = LoaderOptions::default();
    if let Some(folder) = &args.picture_cache {
        let max_bytes = (above_zero_gb(args.picture_cache_gb)? * 1e9) as u64;
        let options = CacheOptions { folder: folder.clone(), max_bytes };
        let preprocess = Preprocess::imagenet(config.data.height_px, config.data.width_px)?;
        let samples = [parts.train, parts.calibration].concat();
        let cache = PictureCache::open(&options, &samples, &preprocess, &loader.decode, None)?;
        output.note(&match cache.was_built() {
            true => format!("decoded {} pictures into `{}`", samples.len(), folder.display()),
            false => format!("{} pictures are in `{}`", samples.len(), folder.display()),
        });
        loader.cache = Some(Arc::new(cache));
    }
    Ok(loader)
}

fn above_zero_gb(gigabytes: f64) -> Result<f64, Failure> {
    if gigabytes > 0.0 {
        return Ok(gigabytes);
    }
    let message = format!("`--picture-cache-gb` is {gigabytes}");
    Err(Failure::new(message, "give a number above 0"))
}

/// Writes the configuration beside the run.
pub(crate) fn save_config(folder: &Path, config: &RunConfig) -> Result<(), Failure> {
    Failure::make_folder(folder)?;
    let text = config.to_toml()?;
    let path = folder.join("config.toml");
    mmad_weights::write_whole(&path, |out| out.write_all(text.as_bytes()))?;
    Ok(())
}

/// Trains with a progress bar; Ctrl-C saves and stops.
pub(crate) fn fit_with_bar(
    config: &RunConfig,
    dataset: &Dataset,
    folder: &Path,
    resume: bool,
    loader: LoaderOptions,
    device: &Device,
    output: &mut Output,
) -> Result<Fitted, Failure> {
    let mut watch = BarWatch {
        bar: output.bar(0, "steps").label("train"),
        stop: stop_flag(),
        picture_rate: Rate::default(),
        budget: config.train.minutes > 0.0,
        output,
    };
    let fit_args = Fit { config, dataset, folder, resume, loader, device: device.clone() };
    let fitted = fit(&fit_args, &mut watch);
    watch.bar.finish();
    Ok(fitted?)
}

/// Set by the first Ctrl-C, for this run and all after it; the second ends the program.
fn stop_flag() -> &'static AtomicBool {
    static STOP: AtomicBool = AtomicBool::new(false);
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // Where the system has no handlers, Ctrl-C ends the program at once.
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        });
    });
    &STOP
}

fn finish(fitted: &Fitted, folder: &Path, output: &mut Output) -> Result<Status, Failure> {
    for error in &fitted.unreadable {
        output.warn(&format!("skipped: {error}"));
    }
    let progress = &fitted.trained.progress;
    output.object(&json!({
        "complete": fitted.trained.is_complete,
        "steps": progress.step,
        "planned_steps": progress.plan.n_steps,
        "seconds": progress.seconds,
        "final_loss": fitted.trained.final_loss,
        "model": fitted.model,
        "calibration": fitted.calibration.as_ref().map(|c| &c.classes),
        "unreadable": fitted.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "peak_memory_mb": peak_memory_mb(),
    }))?;
    match &fitted.model {
        Some(model) => {
            output.line(&format!(
                "trained {} steps in {}, loss {}",
                progress.step,
                duration(progress.seconds),
                fitted.trained.final_loss.map_or("-".into(), |loss| format!("{loss:.4}")),
            ))?;
            output.line(&format!("model: {}", model.display()))?;
            output.line(&format!("next: mmad eval {} DATA", model.display()))?;
        }
        None => output.line(&format!(
            "stopped after step {} of {}; go on with: mmad train DATA --resume --out {}",
            progress.step,
            progress.plan.n_steps,
            folder.display()
        ))?,
    }
    Ok(match (&fitted.model, fitted.unreadable.is_empty()) {
        (None, _) => Status::Interrupted,
        (Some(_), true) => Status::Ok,
        (Some(_), false) => Status::DataProblems,
    })
}

struct BarWatch<'a> {
    bar: Bar,
    stop: &'static AtomicBool,
    picture_rate: Rate,
    budget: bool,
    output: &'a mut Output,
}

/// Pictures per second over the last steps.
#[derive(Debug, Default)]
struct Rate {
    last_s: Option<f64>,
    seconds_per_step: f64,
}

impl Rate {
    fn of(&mut self, seconds: f64, batch: usize) -> f64 {
        let last = self.last_s.replace(seconds);
        let took = seconds - last.unwrap_or(0.0);
        let share = if self.seconds_per_step == 0.0 { 1.0 } else { 0.1 };
        self.seconds_per_step += share * (took - self.seconds_per_step);
        batch as f64 / self.seconds_per_step.max(1e-9)
    }
}

impl Watch for BarWatch<'_> {
    fn begin(&mut self, plan: &Plan, step: u64) {
        let epochs = plan.n_steps as f64 / plan.steps_per_epoch() as f64;
        let why = if self.budget { " fit the time" } else { "" };
        self.output.note(&format!(
            "{} steps of {} pictures ({epochs:.1} epochs){why}",
            plan.n_steps, plan.batch
        ));
        if step > 0 {
            self.output.note(&format!("going on after step {step}"));
        }
        self.bar.set_length(plan.n_steps);
        self.bar.set_position(step);
    }

    fn step(&mut self, line: &LogLine, plan: &Plan) {
        let rate = self.picture_rate.of(line.seconds, plan.batch);
        self.bar.advance_to(line.step, format!("loss {:.4}  {rate:.1} pictures/s", line.loss));
    }

    fn checkpoint(&mut self, _step: u64) {}

    fn should_stop(&mut self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}
