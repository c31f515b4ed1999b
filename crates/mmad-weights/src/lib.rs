//! Named weight tensors: read, check, cache, write.
//!
//! ```text
//! .safetensors ─┐                       ┌─ compare: names and shapes against a model
//! .pth, .pt ────┼─ read ─► StateDict ───┼─ WeightCache: converted once, found by id
//! pull ─────────┘                       └─ write_safetensors: whole or not at all
//! ```
//!
//! - [`read`] decides by the content of a file, never by its extension, and never runs code: a
//!   `PyTorch` file is a pickle program, of which only the few instructions that describe tensors
//!   are interpreted. Everything else is an error that names the offender.
//! - [`StateDict`] holds the tensors in name order, floats as `f32`, integers as `i64`.
//! - [`compare`] reports missing, extra and wrongly shaped tensors in a readable way.
//! - [`WeightCache`] keeps converted files under an id, with the digest of the original.
//! - [`KNOWN`] lists published encoder weights, so that a weight set has one unmistakable name.
//! - `pull` (feature `pull`) downloads one of them. It is the only code here that can reach the
//!   network.
//!
//! ```
//! use std::collections::BTreeMap;
//! use mmad_weights::{HostTensor, Precision, StateDict, compare, read, write_safetensors};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("tiny.safetensors");
//! let mut weights = StateDict::new();
//! weights.insert("fc.weight", HostTensor::from_f32(vec![1, 2], vec![0.5, -0.5])?);
//! write_safetensors(&path, &weights, &BTreeMap::new(), Precision::Full)?;
//!
//! let weights = read(&path)?;
//! assert!(compare(&[("fc.weight", [1, 2])], &weights).fits());
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cache;
mod catalog;
mod compare;
mod element;
mod error;
mod pickle;
#[cfg(feature = "pull")]
mod pull;
mod read;
mod safetensors_file;
mod state_dict;
mod tensor;
mod torch;
mod whole_file;

pub use cache::{CacheEntry, Imported, WeightCache, metadata_key};
pub use catalog::{KNOWN, KnownWeights};
pub use compare::{Comparison, WrongShape, compare};
pub use error::Error;
pub use pickle::PickleError;
#[cfg(feature = "pull")]
pub use pull::{Progress, PullError, PullOptions, pull};
pub use read::{Tensors, parse, read, read_all};
pub use safetensors_file::{Precision, read_metadata, write_safetensors};
pub use state_dict::StateDict;
pub use tensor::{HostTensor, Values};
pub use torch::TorchError;
pub use whole_file::{check_writable, remove_incomplete, write_whole};
