//! `mmad encoder`: how the embedded encoder came about.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};
use mmad::pretrain::{PretrainConfig, pretrain};
use mmad_weights::{Precision, write_safetensors};

use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::{Output, duration};

/// Train the small encoder that is embedded in the program
#[derive(Debug, Args)]
pub(crate) struct EncoderArgs {
    #[command(subcommand)]
    command: EncoderCommand,
}

#[derive(Debug, Subcommand)]
enum EncoderCommand {
    /// Train a resnet10 from scratch on procedural pictures; the same seed gives the same file
    Train {
        /// Weight file to write (safetensors)
        #[arg(long, short, value_name = "FILE", default_value = "resnet10.safetensors")]
        out: PathBuf,
        /// Seed of weights and pictures
        #[arg(long, value_name = "N", default_value_t = PretrainConfig::default().seed)]
        seed: u64,
        /// Steps; 0 writes random weights, to compare with
        #[arg(long, value_name = "N", default_value_t = PretrainConfig::default().steps)]
        steps: u64,
        /// Pictures per step
        #[arg(long, value_name = "N", default_value_t = PretrainConfig::default().batch)]
        batch: usize,
        /// Height and width of the pictures, in pixels; a multiple of 16
        #[arg(long, value_name = "PX", default_value_t = PretrainConfig::default().side_px)]
        size: usize,
        /// Largest learning rate
        #[arg(long, value_name = "RATE", default_value_t = PretrainConfig::default().learning_rate)]
        learning_rate: f64,
        #[command(flatten)]
        device: DeviceArg,
    },
}

pub(crate) fn run(args: &EncoderArgs, output: &mut Output) -> Result<Status, Failure> {
    let EncoderCommand::Train { out, seed, steps, batch, size, learning_rate, device } =
        &args.command;
    let device = device.open(output)?;
    let config = PretrainConfig {
        seed: *seed,
        steps: *steps,
        batch: (*batch).max(2),
        side_px: *size,
        learning_rate: *learning_rate,
    };
    let start = Instant::now();
    let mut bar = output.bar(config.steps, "steps").label("encoder");
    let (mut loss, mut accuracy) = (f64::NAN, f64::NAN);
    let state = pretrain(&config, &device, &mut |step| {
        // The share of right answers is noisy from batch to batch.
        let share = if step.step == 1 { 1.0 } else { 0.02 };
        loss = if loss.is_nan() { step.loss } else { loss + share * (step.loss - loss) };
        let right = step.accuracy;
        accuracy = if accuracy.is_nan() { right } else { accuracy + share * (right - accuracy) };
        let message = format!("loss {loss:.3}  right answers {:.1} %", 100.0 * accuracy);
        bar.advance_to(step.step, message);
    });
    bar.finish();
    let state = state?;
    let metadata = BTreeMap::from([(
        "origin".to_owned(),
        format!("mmad encoder train --seed {seed} --steps {steps} --batch {batch} --size {size}"),
    )]);
    write_safetensors(out, &state, &metadata, Precision::HalfMatrices)?;
    let seconds = start.elapsed().as_secs_f64();
    output.line(&format!(
        "{} steps in {}, loss {loss:.3}, right answers {:.1} %",
        config.steps,
        duration(seconds),
        100.0 * accuracy
    ))?;
    output.line(&format!("weights: {}", out.display()))?;
    output.object(&serde_json::json!({
        "steps": config.steps,
        "seconds": seconds,
        "loss": loss,
        "accuracy": accuracy,
        "sha256": state.sha256(),
        "file": out,
    }))?;
    Ok(Status::Ok)
}
