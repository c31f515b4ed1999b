//! `mmad methods`: what can be trained.

use burn::tensor::Device;
use clap::Args;
use mmad::method::n_params;
use mmad::methods::METHODS;
use mmad::run_file::{Preset, RunConfig};

use crate::failure::{Failure, Status};
use crate::output::Output;

/// List the methods with their size
#[derive(Debug, Args)]
pub(crate) struct MethodsArgs {}

pub(crate) fn run(_args: &MethodsArgs, output: &mut Output) -> Result<Status, Failure> {
    let mut rows = Vec::new();
    for entry in METHODS {
        let config = RunConfig::of(entry.id, Preset::Paper)?;
        let method = (entry.build)(&config, &Device::flex())
            .map_err(|error| Failure::new(error.to_string(), error.hint()))?;
        let params = n_params(method.as_ref());
        output.line(&format!(
            "{:10} {:>7.2} M parameters  {}",
            entry.id,
            params as f64 / 1e6,
            entry.about
        ))?;
        rows.push(serde_json::json!({
            "id": entry.id,
            "about": entry.about,
            "source": entry.source,
            "params": params,
        }));
    }
    output.object(&rows)?;
    Ok(Status::Ok)
}
