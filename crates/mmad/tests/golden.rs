//! Values, gradients and training steps against golden files of the reference implementation.
//!
//! The files of the encoders are in `fixtures`. The folder of the others comes from `MMAD_GOLDEN`;
//! every file with a test's prefix is checked, and sizes and options are read from the file.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stderr)]
// Names in files run on until one is missing; they are data, not paths or code.
#![allow(clippy::maybe_infinite_iter, clippy::match_same_arms)]
#![allow(clippy::case_sensitive_file_extension_comparisons)]

mod golden {
    mod baselines;
    mod blocks;
    mod destseg;
    mod encoders;
    mod file;
    mod model;
    mod rd4ad;
    mod recipe;
    mod simplenet;
    mod uniad;
}
