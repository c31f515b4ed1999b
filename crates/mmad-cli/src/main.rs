//! The command line of `mmad`: parse, run, say what went wrong, exit.

mod allocator;
mod commands;
mod device;
mod failure;
mod machine;
mod output;
mod report_page;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, Status};
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
    /// Threads to compute with, at most 1024 [default, and for 0: all cores]
    #[arg(long, global = true, env = "MMAD_THREADS", value_name = "N", value_parser = threads)]
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
    Metrics(commands::metrics::MetricsArgs),
    Predict(commands::predict::PredictArgs),
    Verify(commands::verify::VerifyArgs),
    Import(commands::import::ImportArgs),
    Data(commands::data::DataArgs),
    Weights(commands::weights::WeightsArgs),
    Config(commands::config::ConfigArgs),
    Methods(commands::methods::MethodsArgs),
    Bench(commands::bench::BenchArgs),
    Encoder(commands::encoder::EncoderArgs),
}

/// More threads than any machine has cores for are a mistake that takes minutes to start.
fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 0..=1024) => Ok(threads),
        _ => Err("give a number from 0 to 1024".to_owned()),
    }
}

fn main() -> ExitCode {
    allocator::keep_memory();
    let cli = Cli::parse();
    let mut output = Output::new(cli.json, cli.quiet);
    let mut pool = rayon::ThreadPoolBuilder::new().stack_size(STACK_BYTES);
    if let Some(threads) = cli.threads {
        pool = pool.num_threads(threads);
    }
    if let Err(error) = pool.build_global() {
        output.note(&format!("warning: cannot set the number of threads: {error}"));
    }
    // On a thread of the pool, because handing every small piece of work over from outside of it
    // costs more than many of the pieces.
    let result = rayon::scope(|_| run(cli.command, &mut output));
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

/// Stack of a thread, as large as the system gives to the first one.
const STACK_BYTES: usize = 8 << 20;

fn run(command: Command, output: &mut Output) -> Result<Status, Failure> {
    match command {
        Command::Demo(args) => commands::demo::run(&args, output),
        Command::Train(args) => commands::train::run(&args, output),
        Command::Calibrate(args) => commands::calibrate::run(&args, output),
        Command::Eval(args) => commands::eval::run(&args, output),
        Command::Compare(args) => commands::compare::run(&args, output),
        Command::Metrics(args) => commands::metrics::run(&args, output),
        Command::Predict(args) => commands::predict::run(&args, output),
        Command::Verify(args) => commands::verify::run(&args, output),
        Command::Import(args) => commands::import::run(&args, output),
        Command::Data(args) => commands::data::run(&args, output),
        Command::Weights(args) => commands::weights::run(&args, output),
        Command::Config(args) => commands::config::run(&args, output),
        Command::Methods(args) => commands::methods::run(&args, output),
        Command::Bench(args) => commands::bench::run(&args, output),
        Command::Encoder(args) => commands::encoder::run(&args, output),
    }
}
