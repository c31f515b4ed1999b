//! Procedural pictures: products to inspect, and an endless stream to train an encoder on.
//!
//! Two things, kept apart on purpose:
//!
//! - [`PRODUCTS`] and [`DEFECTS`]: a data set of product photographs with exact defect masks, for
//!   demonstrations and end-to-end tests where no real pictures may be shipped.
//!   [`good`] and [`defective`] draw one picture, [`write_dataset`] a folder in the layout of
//!   `MVTec` AD.
//! - [`pretraining_sample`]: labelled pictures of textures and shapes ([`HEADS`]) from which a small
//!   general-purpose encoder learns. It shares the drawing tools (outlines, noise, camera) with the
//!   products, but none of the products' and none of their defects' code: an encoder trained on it
//!   has never seen what it is later shown.
//!
//! A seed decides everything. The random stream is integer arithmetic, so it is the same on every
//! machine; pixels may differ by one level between processors, never between runs or thread counts.
//!
//! ```
//! use mmad_synthetic::{Size, defect, defective, product};
//!
//! let size = Size::new(64, 96)?;
//! let render = defective(product("gear")?, defect("stain")?, 7, 0, size);
//! assert_eq!(render.rgb.len(), 64 * 96 * 3);
//! assert!(render.mask.contains(&255));
//! # Ok::<(), mmad_synthetic::SyntheticError>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod dataset;
mod defects;
mod drawing;
mod error;
mod pretraining;
mod products;
mod random;
mod render;

pub use dataset::{ClassSummary, DatasetPlan, Summary, write_dataset};
pub use defects::{DEFECTS, Defect, defect};
pub use error::SyntheticError;
pub use pretraining::{
    HEADS, Head, N_HEADS, PretrainingSample, disturbance_names, pretraining_sample, shape_names,
    texture_names,
};
pub use products::{PRODUCTS, Product, product};
pub use render::{AREA_SHARE, NOTICEABLE, Render, Size, defective, good};
