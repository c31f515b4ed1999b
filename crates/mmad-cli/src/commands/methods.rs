//! `mmad methods`: what can be trained, what it needs and what it costs.

use burn::tensor::Device;
use clap::Args;
use mmad::method::{n_macs, n_params};
use mmad::methods::METHODS;
use mmad::run_file::{Preset, RunConfig};

use crate::failure::{Failure, Status};
use crate::output::Output;

/// List the methods: what each is, needs and costs with its published encoder
#[derive(Debug, Args)]
pub(crate) struct MethodsArgs {}

pub(crate) fn run(_args: &MethodsArgs, output: &mut Output) -> Result<Status, Failure> {
    let device = Device::flex();
    let mut rows = Vec::new();
    for entry in METHODS {
        let config = RunConfig::of(entry.id, Preset::Paper)?;
        let method = (entry.build)(&config, &device)
            .map_err(|error| Failure::new(error.to_string(), error.hint()))?;
        let params = n_params(method.as_ref());
        let (height, width) = (config.data.height_px, config.data.width_px);
        let macs = n_macs(method.as_ref(), height, width, &device);
        let presets: Vec<&str> = Preset::ALL
            .iter()
            .filter(|(_, preset)| (entry.recipe)(*preset).is_some())
            .map(|(name, _)| *name)
            .collect();
        output.line(&format!(
            "{:10} {:7.3} M parameters {:6.2} G multiply-adds at {height}x{width}",
            entry.id,
            params as f64 / 1e6,
            macs as f64 / 1e9,
        ))?;
        output.line(&format!("           {}", entry.about))?;
        output.line(&format!("           needs: {}", entry.needs))?;
        output.line(&format!("           presets: {}", presets.join(", ")))?;
        rows.push(serde_json::json!({
            "id": entry.id,
            "about": entry.about,
            "source": entry.source,
            "needs": entry.needs,
            "presets": presets,
            "encoder": config.encoder.arch.name(),
            "params": params,
            "dead_params": method.n_dead_values(),
            "macs": macs,
            "height_px": height,
            "width_px": width,
        }));
    }
    output.object(&rows)?;
    Ok(Status::Ok)
}
