//! Slices in, numbers out: the metrics of anomaly detection, exactly.
#![doc = include_str!("../README.md")]
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
mod pixel_grid;
mod pixels;
mod placement;
mod precision_recall;
mod ranking;
mod region_overlap;
mod region_recall;
mod roc;
mod streamed_defects;
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
pub use pixel_grid::{GridMetrics, GridSums, PIXEL_GRID_THRESHOLDS, PictureCounts, PixelGrid};
pub use precision_recall::{F1Max, average_precision, average_precision_of, f1_max, f1_max_of};
pub use ranking::{Ranking, Step};
pub use region_recall::RegionOverlaps;
pub use roc::{au_roc, au_roc_of};
pub use streaming::{BoundedValue, Bounds, STREAMING_BITS, StreamedMetrics, StreamingClass};
