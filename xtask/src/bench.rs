//! The benchmarks of the kernels.

use std::path::Path;

use crate::check::cargo;

/// Times the kernels whose names contain one of `arguments`, or all of them.
///
/// # Errors
///
/// When a benchmark cannot be built or fails.
pub(crate) fn bench(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let filters: Vec<&str> = arguments.iter().copied().filter(|a| *a != "--divan").collect();
    let bench = if filters.len() < arguments.len() { "kernels" } else { "roofline" };
    let fixed = ["bench", "-p", "mmad-kernels", "--bench", bench, "--"];
    cargo(root, fixed.iter().chain(&filters).copied(), "read the error above")
}
