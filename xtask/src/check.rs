//! The checks that cargo and its tools make, cheapest first.
//!
//! All of them use the release profile, so that they share what they build.

use std::path::Path;
use std::process::Command;

use crate::tidy;

/// How the tests are run, here, in the README and in `.ci/run`.
pub(crate) const TEST_COMMAND: &str = "cargo test --release --workspace";

const FORMAT: &str = "cargo fmt --all --check";
const CLIPPY: &str = "cargo clippy --release --workspace --all-targets -- -D warnings";
/// Libraries alone: the program has the name of one of them, and its page would replace that one's.
const DOC: &str = "cargo doc --release --workspace --no-deps --lib";

/// Everything.
///
/// # Errors
///
/// The first check that failed.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    lint(root)?;
    run(root, TEST_COMMAND, "read the first failure above")?;
    run(root, DOC, "mend the links and code blocks named above")
}

/// Format, tidy and clippy.
///
/// # Errors
///
/// The first check that failed.
pub(crate) fn lint(root: &Path) -> Result<(), String> {
    run(root, FORMAT, "run `cargo fmt --all`")?;
    tidy::tidy(root)?;
    run(root, CLIPPY, "mend what clippy names above")
}

/// Runs a command line whose first word is `cargo`; `hint` says how to mend a failure.
fn run(root: &Path, command: &str, hint: &str) -> Result<(), String> {
    cargo(root, command.split_whitespace().skip(1), hint)
}

/// Runs cargo with `arguments`; `hint` says how to mend a failure.
pub(crate) fn cargo<'a>(
    root: &Path,
    arguments: impl Iterator<Item = &'a str>,
    hint: &str,
) -> Result<(), String> {
    let arguments: Vec<&str> = arguments.collect();
    let command = format!("cargo {}", arguments.join(" "));
    eprintln!("==> {command}");
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .env("RUSTDOCFLAGS", "-D warnings")
        .status()
        .map_err(|error| format!("cannot run `{command}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{command}` failed: {hint}")) }
}
