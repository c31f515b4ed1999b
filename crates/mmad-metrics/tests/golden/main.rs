//! Compares with reference values: 40 small classes with every trap of the definitions, and
//! three classes measured with the tools of published tables.
//!
//! The folder comes from `MMAD_GOLDEN`; without it the tests say so and pass.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod exact;
mod protocols;
mod reference;
