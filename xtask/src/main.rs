//! The workspace's own chores: `cargo xtask check` before every commit.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program for the terminal")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bench;
mod check;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  check  All checks, cheapest first: lint, then tests and documentation
  lint   Format, tidy and clippy
  tidy   The rules of this repository that no other tool knows
  bench  Times the kernels, each beside what the machine can do; a part of a kernel's name may
         follow, or `--divan`, then times are distributions
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let root = root();
    let outcome = match args[..] {
        ["check"] => check::check(&root),
        ["lint"] => check::lint(&root),
        ["tidy"] => tidy::tidy(&root),
        ["bench", ref rest @ ..] => bench::bench(&root, rest),
        ["--help" | "-h" | "help"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace: cargo says where this crate lies, which is one folder below.
fn root() -> PathBuf {
    let this = std::env::var_os("CARGO_MANIFEST_DIR");
    this.map_or_else(|| PathBuf::from("."), |this| PathBuf::from(this).join(".."))
}
