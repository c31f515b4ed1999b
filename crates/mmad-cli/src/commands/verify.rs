//! `mmad verify`: does a model file still say what it said when it was written?

use std::path::PathBuf;

use clap::Args;
use mmad::detector::{Detector, SelfTest};
use mmad::run_file::EncoderConfig;

use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::Output;

/// Re-score the pictures inside a model file and show the model's card
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Model file
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    device: DeviceArg,
}

pub(crate) fn run(args: &VerifyArgs, output: &mut Output) -> Result<Status, Failure> {
    let device = args.device.open(output)?;
    let (detector, tests) = Detector::verify(&args.model, &device)?;
    let card = detector.card();
    let data = &card.config.data;
    for (i, SelfTest { expected, found }) in tests.iter().enumerate() {
        let same = if found == expected { "to the bit".into() } else { format!("not {expected}") };
        output.line(&format!("ok: picture {} scores {found}, {same}", i + 1))?;
    }
    output.line(&format!("method    {}", card.config.method))?;
    let EncoderConfig { arch, precision, .. } = &card.config.encoder;
    output.line(&format!("encoder   {} in {}", arch.name(), precision.name()))?;
    output.line(&format!("input     {} x {} px", data.height_px, data.width_px))?;
    output.line(&format!("classes   {}", card.classes.join(", ")))?;
    output.line(&format!("weights   {} values", detector.params().n_values()))?;
    output.line(&format!(
        "trained   {} steps on {} pictures, digest {}",
        card.training.n_steps, card.training.n_pictures, card.training.data_sha256
    ))?;
    output.object(&serde_json::json!({
        "ok": true,
        "self_tests": tests
            .iter()
            .map(|test| serde_json::json!({ "expected": test.expected, "found": test.found }))
            .collect::<Vec<_>>(),
        // By way of its text, so that numbers of single precision keep their short form.
        "card": serde_json::from_str::<serde_json::Value>(&serde_json::to_string(card)?)?,
        "parameters": detector.params().n_values(),
    }))?;
    Ok(Status::Ok)
}
