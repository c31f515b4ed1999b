//! `mmad verify`: does a model file still say what it said when it was written?

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use mmad::detector::Detector;

use crate::failure::{Failure, Status};
use crate::output::Output;

/// Re-score the picture inside a model file and show the model's card
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Model file
    #[arg(value_name = "MODEL")]
    model: PathBuf,
}

pub(crate) fn run(args: &VerifyArgs, output: &mut Output) -> Result<Status, Failure> {
    // Loading is what verifies.
    let detector = Detector::load(&args.model, &Device::flex())?;
    let card = detector.card();
    let data = &card.config.data;
    output.line(&format!("ok: the self-test picture scores {}", card.self_test_score))?;
    output.line(&format!("method    {}", card.config.method))?;
    output.line(&format!("encoder   {}", card.config.encoder.arch.name()))?;
    output.line(&format!("input     {} x {} px", data.height_px, data.width_px))?;
    output.line(&format!("classes   {}", card.classes.join(", ")))?;
    output.line(&format!("weights   {} values", detector.params().n_values()))?;
    output.line(&format!(
        "trained   {} steps on {} pictures, digest {}",
        card.training.n_steps, card.training.n_pictures, card.training.data_sha256
    ))?;
    output.object(&serde_json::json!({
        "ok": true,
        "self_test_score": card.self_test_score,
        "card": card,
        "parameters": detector.params().n_values(),
    }))?;
    Ok(Status::Ok)
}
