//! `mmad data`: what is in a folder, and procedural pictures to try things with.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mmad_data::{CheckOptions, Severity, check};
use mmad_synthetic::{DatasetPlan, write_dataset};

use crate::failure::{Failure, Status};
use crate::output::Output;

/// Look at a folder of pictures, or make one
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Say what was understood, what is broken or suspicious, and how to mend it
    Check {
        /// Folder of pictures
        #[arg(value_name = "DATA")]
        data: PathBuf,
    },
    /// Make a procedural data set in MVTec-AD's layout
    Synthesise {
        /// Folder to make; must be empty or not there
        #[arg(value_name = "DIR")]
        out: PathBuf,
        /// Height and width of the pictures, in pixels
        #[arg(long, default_value_t = 256, value_name = "PX")]
        size: usize,
        /// Good training pictures per class
        #[arg(long, default_value_t = 60, value_name = "N")]
        train: usize,
        /// Good test pictures per class
        #[arg(long, default_value_t = 20, value_name = "N")]
        test: usize,
        /// Test pictures per class and kind of defect
        #[arg(long, default_value_t = 6, value_name = "N")]
        defective: usize,
        /// Seed of everything in the pictures
        #[arg(long, default_value_t = 0, value_name = "N")]
        seed: u64,
    },
}

pub(crate) fn run(args: &DataArgs, output: &mut Output) -> Result<Status, Failure> {
    match &args.command {
        DataCommand::Check { data } => {
            let report = check(data, &CheckOptions::default())?;
            output.line(&report.describe())?;
            output.object(&report)?;
            let has_errors = report.count(Severity::Error) > 0;
            Ok(if has_errors { Status::DataProblems } else { Status::Ok })
        }
        &DataCommand::Synthesise { ref out, size, train, test, defective, seed } => {
            if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
                let message = format!("`{}` is not empty", out.display());
                return Err(Failure::new(message, "choose another folder"));
            }
            let plan = DatasetPlan {
                side_px: size,
                train_good: train,
                test_good: test,
                test_per_defect: defective,
                seed,
                ..DatasetPlan::default()
            };
            let summary = write_dataset(out, &plan)?;
            output.line(&format!(
                "made {} classes in {}; next: mmad train {}",
                summary.classes.len(),
                out.display(),
                out.display()
            ))?;
            output.object(&serde_json::json!({
                "folder": out,
                "classes": summary.classes.iter().map(|class| class.id).collect::<Vec<_>>(),
            }))?;
            Ok(Status::Ok)
        }
    }
}
