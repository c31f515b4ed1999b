//! Slices in, numbers out: the metrics of anomaly detection, exactly.
//!
//! Three nouns carry the crate. A [`ScoredImage`] is a test picture with what a model said about
//! it. [`class_metrics()`] turns all pictures of a class into [`ClassMetrics`]. An [`Evaluation`]
//! holds all classes of a data set, their means and mAD, the mean of the seven [`METRICS`].
//!
//! ```
//! use mmad_metrics::{Evaluation, MetricOptions, ScoredImage, class_metrics};
//!
//! let good = ScoredImage {
//!     name: "good/000",
//!     width: 3,
//!     map: &[0.1, 0.2, 0.1, 0.1, 0.3, 0.2],
//!     mask: None,
//!     score: 0.3,
//!     is_anomalous: false,
//! };
//! let defective = ScoredImage {
//!     name: "crack/000",
//!     map: &[0.1, 0.2, 0.9, 0.1, 0.2, 0.25],
//!     mask: Some(&[0, 0, 1, 0, 0, 1]),
//!     score: 0.9,
//!     is_anomalous: true,
//!     ..good
//! };
//! let options = MetricOptions::default();
//! let screw = class_metrics(&[good, defective], &options)?;
//! assert_eq!(screw.pixel_au_roc, Ok(0.95));
//!
//! let evaluation = Evaluation { options, classes: vec![("screw".into(), screw)] };
//! assert_eq!(evaluation.mean("image_au_roc"), Some(1.0));
//! # Ok::<(), mmad_metrics::MetricError>(())
//! ```
//!
//! # How it works
//!
//! ```text
//! masks -> components ─┐
//! maps ────────────────┴> pixels: sort the defective pixels, place every other pixel
//!                            │     between two of them (placement), count
//!                            v
//!                         Ranking -> roc, precision_recall, region_overlap -> ClassMetrics
//! ```
//!
//! A ROC, precision-recall or PRO curve changes its height only at the score of a positive.
//! Defective pixels are few, so sorting them alone and counting all others between them gives the
//! exact curves at a small part of the cost of sorting everything, without a copy of the maps.
//!
//! # What is exact
//!
//! Every distinct score is a threshold, equal scores are one step, and -0.0 equals 0.0. Counts are
//! integers, fractions are compared as fractions, and AU-ROC is one division of two integers. A
//! metric that the data do not define is an error that says why, never an invented number.
//! [`Protocol::Ader`] computes the coarse pixel metrics of published tables instead, see
//! `ader.rs`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ader;
mod aupimo;
mod class_metrics;
pub mod components;
mod error;
mod evaluation;
mod extra;
mod image_score;
mod input;
mod key_histogram;
mod metric_list;
mod mvtec;
mod operating_points;
mod order;
mod pixels;
mod placement;
mod precision_recall;
mod ranking;
mod region_overlap;
mod region_recall;
mod roc;
mod streaming;
#[cfg(test)]
mod test_samples;

pub use ader::AderMetrics;
pub use aupimo::{AUPIMO_BOUNDS, aupimo};
pub use class_metrics::{ClassCounts, ClassMetrics, MetricOptions, Protocol, class_metrics};
pub use error::{MetricError, MetricValue, Unit};
pub use evaluation::Evaluation;
pub use extra::ExtraMetrics;
pub use image_score::ImageScore;
pub use input::ScoredImage;
pub use metric_list::{ADER_METRICS, EXTRA_METRICS, METRICS, MetricInfo};
pub use operating_points::{escape_at_overkill, fpr_at_recall, overkill_at_escape, recall_at_fpr};
pub use precision_recall::{F1Max, average_precision, average_precision_of, f1_max, f1_max_of};
pub use ranking::{Ranking, Step};
pub use region_recall::RegionOverlaps;
pub use roc::{au_roc, au_roc_of};
pub use streaming::{BoundedValue, Bounds, STREAMING_BITS, StreamedMetrics, StreamingClass};
