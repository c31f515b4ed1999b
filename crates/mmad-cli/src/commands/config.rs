//! `mmad config`: every value of a run with its default.

use clap::Args;

use super::train::Settings;
use crate::failure::{Failure, Status};
use crate::output::Output;

/// Print the whole configuration as a run file (TOML)
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    settings: Settings,
}

pub(crate) fn run(args: &ConfigArgs, output: &mut Output) -> Result<Status, Failure> {
    let config = args.settings.resolve()?;
    if output.is_json() {
        output.object(&config)?;
    } else {
        output.raw(&config.to_toml()?)?;
    }
    Ok(Status::Ok)
}
