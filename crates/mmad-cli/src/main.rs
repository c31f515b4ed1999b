//! The command line of `mmad`: parse, run, say what went wrong, exit.

mod commands;
mod failure;
mod machine;
mod output;
mod report_page;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::Output;

/// Finds defects in pictures of products: one model for many product classes
#[derive(Debug, Parser)]
#[command(name = "mmad", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    /// Print one JSON object on standard output instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Print no progress
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Threads to compute with [default: all cores]
    #[arg(long, global = true, env = "MMAD_THREADS", value_name = "N")]
    threads: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(commands::demo::DemoArgs),
    Train(commands::train::TrainArgs),
    Calibrate(commands::calibrate::CalibrateArgs),
    Eval(commands::eval::EvalArgs),
    Compare(commands::compare::CompareArgs),
    Predict(commands::predict::PredictArgs),
    Verify(commands::verify::VerifyArgs),
    Import(commands::import::ImportArgs),
    Data(commands::data::DataArgs),
    Weights(commands::weights::WeightsArgs),
    Config(commands::config::ConfigArgs),
    Methods(commands::methods::MethodsArgs),
    Encoder(commands::encoder::EncoderArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::new(cli.json, cli.quiet);
    if let Some(threads) = cli.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
        if let Err(error) = pool.build_global() {
            output.note(&format!("warning: cannot set the number of threads: {error}"));
        }
    }
    let result = match cli.command {
        Command::Demo(args) => commands::demo::run(&args, &mut output),
        Command::Train(args) => commands::train::run(&args, &mut output),
        Command::Calibrate(args) => commands::calibrate::run(&args, &mut output),
        Command::Eval(args) => commands::eval::run(&args, &mut output),
        Command::Compare(args) => commands::compare::run(&args, &mut output),
        Command::Predict(args) => commands::predict::run(&args, &mut output),
        Command::Verify(args) => commands::verify::run(&args, &mut output),
        Command::Import(args) => commands::import::run(&args, &mut output),
        Command::Data(args) => commands::data::run(&args, &mut output),
        Command::Weights(args) => commands::weights::run(&args, &mut output),
        Command::Config(args) => commands::config::run(&args, &mut output),
        Command::Methods(args) => commands::methods::run(&args, &mut output),
        Command::Encoder(args) => commands::encoder::run(&args, &mut output),
    };
    match result {
        Ok(status) => status.into(),
        // A reader that went away, as in `mmad … | head`, is not a failure of ours.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.status().into()
        }
    }
}
