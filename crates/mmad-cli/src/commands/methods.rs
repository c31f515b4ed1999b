//! `mmad methods`: what can be trained.

use burn::tensor::Device;
use clap::Args;
use mmad::methods::METHODS;
use mmad::params::Param;
use mmad::run_file::{Preset, RunConfig};

use crate::failure::{Failure, Status};
use crate::output::Output;

/// List the methods with their size
#[derive(Debug, Args)]
pub(crate) struct MethodsArgs {}

pub(crate) fn run(_args: &MethodsArgs, output: &mut Output) -> Result<Status, Failure> {
    let mut rows = Vec::new();
    for entry in METHODS {
        let config = RunConfig { method: entry.id.to_owned(), ..RunConfig::preset(Preset::Paper) };
        let method = (entry.build)(&config, &Device::flex())
            .map_err(|error| Failure::new(error.to_string(), error.hint()))?;
        // Running statistics are buffers, which nobody counts as parameters.
        let params = method.params().iter().filter(|param| !param.name().contains(".running_"));
        let params = params.map(Param::len).sum::<usize>() + method.n_table_values();
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
