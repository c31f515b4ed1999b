//! The fast class metrics against the definitions, written down as slowly as they read.

#![allow(clippy::unwrap_used)]

mod by_definition;
mod invariance;
mod pictures;
mod streaming;
