//! The option `--device`, the same for every command that computes.

use burn::tensor::Device;
use clap::Args;
use mmad::device::DeviceChoice;

use crate::failure::Failure;
use crate::output::Output;

/// Where a command computes.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DeviceArg {
    /// Where to compute: `cpu`, `vulkan` or `vulkan:1` (a GPU; needs a build with the feature
    /// `wgpu`), `cuda` (untested), or `auto`: a GPU where there is one
    #[arg(long, env = "MMAD_DEVICE", value_name = "NAME", default_value = "cpu", value_parser = choice)]
    device: DeviceChoice,
}

fn choice(name: &str) -> Result<DeviceChoice, String> {
    name.parse::<DeviceChoice>().map_err(|error| match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })
}

impl DeviceArg {
    /// Opens the device, and says which one it is where it is not the processor.
    pub(crate) fn open(self, output: &mut Output) -> Result<Device, Failure> {
        let open = self.device.open()?;
        if open.device != Device::flex() {
            output.note(&format!("note: computing on {}", open.name));
            if open.is_software {
                output.note("note: this is a software driver, slower than `--device cpu`");
            }
        }
        Ok(open.device)
    }
}
