//! `mmad weights`: the encoders' pretrained weights.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mmad::encoder::{ARCHS, Arch, Encoder};
use mmad_weights::{
    Comparison, Imported, KNOWN, KnownWeights, PullOptions, StateDict, WeightCache, compare, pull,
};

use crate::failure::{Failure, Status};
use crate::machine::today;
use crate::output::Output;

/// Import, list or download encoder weights
#[derive(Debug, Args)]
pub(crate) struct WeightsArgs {
    #[command(subcommand)]
    command: WeightsCommand,
}

#[derive(Debug, Subcommand)]
enum WeightsCommand {
    /// Check a `.safetensors` or `.pth` file and keep it in the cache; pickle is never executed
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Encoder that it is for [default: known from the file, or the one that fits]
        #[arg(long, value_name = "NAME")]
        encoder: Option<String>,
        /// Name in the cache [default: the published name, or the file's]
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
    /// List what is in the cache and what is published
    List,
    /// Download published weights: the only command that uses the network
    Pull {
        /// Id of `mmad weights list`
        #[arg(value_name = "ID")]
        id: String,
        /// Another server that has the files under their published names
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
}

pub(crate) fn run(args: &WeightsArgs, output: &mut Output) -> Result<Status, Failure> {
    let cache = WeightCache::of_user()?;
    match &args.command {
        WeightsCommand::Import { file, encoder, id } => {
            let encoder = encoder.as_deref().map(parse_arch).transpose()?;
            let expect = |id: &str, tensors: &StateDict| expected(id, encoder, tensors);
            let imported = cache.import(file, id.as_deref(), &today(), expect)?;
            announce(&imported, output)?;
        }
        WeightsCommand::List => list(&cache, output)?,
        WeightsCommand::Pull { id, from } => {
            let options = PullOptions { base_url: from.as_deref(), ..PullOptions::default() };
            let mut bar = output.bar(0, "bytes").label("pull");
            let expect = |id: &str, tensors: &StateDict| expected(id, None, tensors);
            let imported = pull(&cache, id, &options, &today(), expect, |progress| {
                bar.set_length(progress.n_bytes.unwrap_or(progress.n_received));
                bar.advance_to(progress.n_received, String::new());
            });
            bar.finish();
            announce(&imported?, output)?;
        }
    }
    Ok(Status::Ok)
}

fn parse_arch(name: &str) -> Result<Arch, Failure> {
    let found = ARCHS.iter().find(|(known, _)| *known == name).map(|(_, arch)| *arch);
    found.ok_or_else(|| {
        let known: Vec<&str> = ARCHS.iter().map(|(name, _)| *name).collect();
        Failure::new(
            format!("there is no encoder `{name}`"),
            format!("the encoders are: {}", known.join(", ")),
        )
    })
}

/// Compares the tensors with the encoder asked for, the published one, or the one that fits best.
fn expected(id: &str, encoder: Option<Arch>, tensors: &StateDict) -> Comparison {
    let published = KnownWeights::by_id(id).and_then(|known| {
        let name = known.encoder.replace('_', "-");
        ARCHS.iter().find(|(arch, _)| *arch == name).map(|(_, arch)| *arch)
    });
    match encoder.or(published) {
        Some(arch) => compare_with(arch, tensors),
        None => ARCHS
            .iter()
            .map(|(_, arch)| compare_with(*arch, tensors))
            // The largest encoder of which nothing is missing; else the one that misses least.
            .max_by_key(|comparison| {
                let n_bad = comparison.missing.len() + comparison.wrong_shape.len();
                (std::cmp::Reverse(n_bad), std::cmp::Reverse(comparison.extra.len()))
            })
            .unwrap_or_else(|| compare_with(Arch::Resnet34, tensors)),
    }
}

fn compare_with(arch: Arch, tensors: &StateDict) -> Comparison {
    let encoder = Encoder::new(arch, 0, &burn::tensor::Device::flex());
    let expected: Vec<(String, Vec<usize>)> =
        encoder.params().iter().map(|param| (param.name().to_owned(), param.shape())).collect();
    compare(&expected, tensors)
}

fn announce(imported: &Imported, output: &mut Output) -> Result<(), Failure> {
    let known = match imported.known {
        Some(known) => format!("published as `{}`", known.id),
        None => "not a published file that is known here".to_owned(),
    };
    output.line(&format!(
        "{}: {} tensors, {} values, {known}",
        imported.id, imported.n_tensors, imported.n_elements
    ))?;
    output.line(&format!("sha256 {}", imported.origin_sha256))?;
    output.line(&format!("use: --weights {}", imported.id))?;
    output.object(&serde_json::json!({
        "id": imported.id,
        "path": imported.path,
        "sha256": imported.origin_sha256,
        "tensors": imported.n_tensors,
        "values": imported.n_elements,
        "published": imported.known.map(|known| known.id),
    }))?;
    Ok(())
}

fn list(cache: &WeightCache, output: &mut Output) -> Result<(), Failure> {
    let entries = cache.list()?;
    output.line(&format!("cache: {}", cache.root().display()))?;
    for entry in &entries {
        output.line(&format!("  {}", entry.id))?;
    }
    output.line("published:")?;
    for known in KNOWN {
        let here = if entries.iter().any(|entry| entry.id == known.id) { "*" } else { " " };
        output.line(&format!("{here} {:36} {:16} {}", known.id, known.encoder, known.file_name))?;
    }
    output.line("`embedded` needs no file: a small resnet10 trained on procedural pictures")?;
    output.object(&serde_json::json!({
        "cache": cache.root(),
        "imported": entries.iter().map(|entry| &entry.id).collect::<Vec<_>>(),
        "published": KNOWN.iter().map(|known| serde_json::json!({
            "id": known.id,
            "encoder": known.encoder,
            "file": known.file_name,
            "url": known.url,
        })).collect::<Vec<_>>(),
    }))?;
    Ok(())
}
