//! One command, one file.

pub(crate) mod bench;
pub(crate) mod calibrate;
pub(crate) mod compare;
pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod encoder;
pub(crate) mod eval;
pub(crate) mod import;
pub(crate) mod methods;
pub(crate) mod metrics;
pub(crate) mod predict;
pub(crate) mod train;
pub(crate) mod verify;
pub(crate) mod weights;
