//! Results on paper: tables, heat maps and one self-contained page.
//!
//! The crate knows nothing of models, data sets or metrics. It takes plain structs:
//!
//! - [`ResultTable`]: the paper's table, as text, Markdown, CSV, LaTeX or JSON;
//! - [`ScoreMap`] and [`RgbRaster`]: one anomaly map over one picture, as overlay, contour or file;
//! - [`Report`]: everything about one evaluation, as one HTML file that works without a network;
//! - [`ComparisonReport`]: the same for two evaluations side by side.
//!
//! ```
//! use mmad_report::{MetricColumn, ResultTable};
//!
//! let table = ResultTable {
//!     metrics: vec![MetricColumn { id: "image_auroc".into(), heading: "I-AUROC".into() }],
//!     rows: vec![("gear".into(), vec![Some(0.991)])],
//!     mean: vec![Some(0.991)],
//!     m_ad: None,
//!     notes: vec![],
//! };
//! assert_eq!(table.to_csv(), "class,I-AUROC\ngear,99.1\nmean,99.1\n");
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bundle;
mod choose;
mod colour;
mod comparison;
mod confusion;
mod encode;
mod error;
mod escape;
mod html;
mod published;
mod raster;
mod report;
mod sections;
mod sheet;
mod side_by_side;
mod tables;

pub use bundle::{MODULES, STYLE};
pub use choose::{PicturesPerClass, choose_pictures};
pub use colour::{Colormap, contour, heat_alpha, heat_map, overlay};
pub use comparison::{
    ChangedPicture, ComparedPicture, ComparedValue, ComparisonReport, render_comparison,
    write_comparison,
};
pub use confusion::Confusion;
pub use encode::{EncodedImage, Pixels, encode_jpeg, encode_png};
pub use error::ReportError;
pub use html::{render, write_page};
pub use published::{
    PUBLISHED_DATA, PUBLISHED_RESULTS, PUBLISHED_SIZES, PublishedResult, PublishedSize,
    published_result, published_size,
};
pub use raster::{RgbRaster, ScoreMap};
pub use report::{
    CalibratedClass, CalibrationCard, Curve, Rate, Report, ReportPicture, ScoreRow, Verdict,
};
pub use sheet::{SheetBuilder, ThumbnailSheet};
pub use side_by_side::{SideBySideTable, Spread};
pub use tables::{MetricColumn, ResultTable};
