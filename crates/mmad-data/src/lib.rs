//! Files in, samples out: finds out how a data set is laid out, reads its pictures and masks
//! without ever panicking, and brings them to the size and range a model wants.
//!
//! The way of one picture:
//!
//! ```text
//! datasets/<layout>.rs -> dataset.rs -> decode.rs -> preprocess.rs -> loader.rs -> model
//!   folders to samples     Dataset       file to RGB   RGB to numbers   in order, ahead
//! ```
//!
//! [`check`](check::check) walks the same way over a whole data set and says what is wrong
//! with it.
//!
//! ```no_run
//! use mmad_data::{Dataset, Loader, LoaderOptions, Preprocess, Split};
//!
//! let dataset = Dataset::open("parts".as_ref())?;
//! println!("{}", dataset.describe());
//! let train = dataset.of_split(Split::Train);
//! let preprocess = Preprocess::imagenet(256, 256)?;
//! for item in Loader::new(train, preprocess, LoaderOptions::default())? {
//!     match item {
//!         Ok(loaded) => println!("{} {}", loaded.sample.name, loaded.pixels.len()),
//!         Err(error) => eprintln!("{error}"),
//!     }
//! }
//! # Ok::<(), mmad_data::DataError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cache;
pub mod check;
pub mod dataset;
pub mod datasets;
pub mod decode;
mod error;
pub mod finding;
mod listing;
pub mod loader;
pub mod maps;
pub mod paint;
mod pairing;
pub mod preprocess;
mod resample;
mod restore;
pub mod split;

pub use cache::{CacheOptions, PictureCache};
pub use check::{CheckOptions, CheckReport, check, check_dataset};
pub use dataset::{Dataset, OpenOptions, Sample, Split};
pub use datasets::{DATASETS, DatasetLayout};
pub use decode::{BitRange, DecodeError, DecodeOptions, Mask, Picture};
pub use error::DataError;
pub use finding::{Finding, Kind, Severity};
pub use loader::{LoadedSample, Loader, LoaderOptions};
pub use maps::{LoadedMap, MapClass, MapError, MapPair, MapSet};
pub use paint::{PaintConfig, PaintedPicture, Painter};
pub use preprocess::{Preprocess, channels_first};
pub use restore::restore_map;
pub use split::{HoldOut, hold_out};
