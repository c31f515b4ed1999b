//! Finds defects in pictures of products: one model for many product classes.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod anomaly_map;
mod bootstrap;
pub mod calibrate;
pub mod compare;
pub mod decisions;
pub mod detector;
pub mod device;
pub mod encoder;
pub mod evaluate;
pub mod fit;
pub mod import;
pub mod latency;
pub mod method;
pub mod methods;
pub mod mode;
pub mod model_file;
pub mod nn;
pub mod ops;
pub mod params;
pub mod pixel_counts;
pub mod pixel_curves;
pub mod pretrain;
pub mod projection;
pub mod random;
pub mod recipe;
pub mod run_file;
pub mod score_list;
pub mod train;
pub mod unfit;
pub mod weights;
