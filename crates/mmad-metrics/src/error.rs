//! Why a metric has no value, or why an input was refused.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A metric, or the reason why it is undefined for this data.
pub type MetricValue = Result<f64, MetricError>;

/// What is counted: pictures, pixels, or bare scores without further meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Entries of a slice handed to one of the plain functions.
    Score,
    /// Whole pictures.
    Image,
    /// Pixels of all pictures of a class.
    Pixel,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Score => "score",
            Self::Image => "image",
            Self::Pixel => "pixel",
        })
    }
}

/// What went wrong. Text and [`hint`](MetricError::hint) are written for people; the fields are
/// for programs.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MetricError {
    // === Undefined metrics: the data are fine, the number does not exist ===
    /// Nothing is labelled anomalous.
    #[error("no anomalous {unit} among {negatives}")]
    NoPositives {
        /// What was counted.
        unit: Unit,
        /// How many normal ones there are.
        negatives: u64,
    },
    /// Everything is labelled anomalous.
    #[error("no normal {unit} among {positives}")]
    NoNegatives {
        /// What was counted.
        unit: Unit,
        /// How many anomalous ones there are.
        positives: u64,
    },
    /// No picture of the class has a ground truth, so there are no pixels to judge.
    #[error("none of {images} images has a ground truth mask")]
    NoGroundTruth {
        /// Pictures in the class.
        images: u64,
    },
    /// The binned protocol cannot bin maps that hold a single value.
    #[error("every map holds the single value `{value}`, so there is nothing to bin")]
    ConstantMaps {
        /// The value, as text.
        value: String,
    },
    /// The binned curve gives no area: it has no point below the limit, or no overlap there.
    #[error("the binned per-region overlap curve is empty up to the false positive rate {limit}")]
    EmptyBinnedCurve {
        /// The false positive rate up to which the area was wanted.
        limit: f64,
    },

    /// The curve of AUPIMO begins above its lower bound: one false positive is too many already.
    #[error(
        "the lowest false positive rate over good pixels is {first_fpr}, above the bound {lower} \
         of AUPIMO"
    )]
    PimoResolution {
        /// The lowest rate above 0 that a threshold has.
        first_fpr: f64,
        /// The lower bound.
        lower: f64,
    },
    /// The protocol does not have this metric.
    #[error("this protocol does not compute the metric")]
    NotInProtocol,

    // === Refused input ===
    /// There is not a single picture.
    #[error("the class has no images")]
    NoImages,
    /// Scores and labels do not pair up.
    #[error("{scores} scores but {labels} labels")]
    LengthMismatch {
        /// Number of scores.
        scores: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A score is NaN or infinite.
    #[error("score {index} is `{value}`, not a finite number")]
    ScoreNotFinite {
        /// Position in the slice.
        index: usize,
        /// The value, as text.
        value: String,
    },
    /// The image score of a picture is NaN or infinite.
    #[error("the score of image `{image}` is `{value}`, not a finite number")]
    ImageScoreNotFinite {
        /// The picture.
        image: String,
        /// The value, as text.
        value: String,
    },
    /// A pixel of a map is NaN or infinite.
    #[error(
        "the map of image `{image}` holds `{value}` at row {row}, column {column}, \
         not a finite number"
    )]
    MapNotFinite {
        /// The picture.
        image: String,
        /// Row of the first such pixel, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The value, as text.
        value: String,
    },
    /// The map is empty, too large, or its length is no multiple of its width.
    #[error("the map of image `{image}` has {pixels} pixels, which is no picture of width {width}")]
    MapSize {
        /// The picture.
        image: String,
        /// Pixels in the map.
        pixels: usize,
        /// The width that was given.
        width: usize,
    },
    /// Map and mask differ in size.
    #[error("the map of image `{image}` has {map} pixels but its mask has {mask}")]
    MaskSize {
        /// The picture.
        image: String,
        /// Pixels in the map.
        map: usize,
        /// Pixels in the mask.
        mask: usize,
    },
    /// A mask holds something else than 0 and 1.
    #[error("the mask of image `{image}` holds the value {value}, expected 0 or 1")]
    MaskValue {
        /// The picture.
        image: String,
        /// The largest value found.
        value: u8,
    },
    /// The false positive rate limit of AU-PRO is not in `(0, 1]`.
    #[error("the false positive rate limit is `{limit}`, expected more than 0 and at most 1")]
    ProLimit {
        /// The limit, as text.
        limit: String,
    },
    /// The bounds of AUPIMO are no range of false positive rates.
    #[error("the bounds of AUPIMO are `{lower}` and `{upper}`, expected 0 < lower < upper <= 1")]
    PimoBounds {
        /// The lower bound, as text.
        lower: String,
        /// The upper bound, as text.
        upper: String,
    },
    /// A streaming histogram cannot have this many bits.
    #[error("a streaming histogram of {bits} bits, expected 1 to 32")]
    StreamingBits {
        /// The number that was given.
        bits: u32,
    },
    /// Two streaming accumulators differ in the bits of their histograms.
    #[error("cannot merge histograms of {own} and {other} bits")]
    StreamingMerge {
        /// Bits of the one.
        own: u32,
        /// Bits of the other.
        other: u32,
    },
    /// Streaming has the exact protocol only.
    #[error("streaming has no protocol `{protocol}`")]
    StreamingProtocol {
        /// The protocol that was asked for.
        protocol: String,
    },
}

impl MetricError {
    /// How to repair the cause, where there is one known repair.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoPositives { unit: Unit::Pixel, .. } | Self::NoGroundTruth { .. } => {
                "add ground truth masks for the defective images; a mask can also lose its defect \
                 when it is resized"
            }
            Self::NoPositives { .. } => "add defective images to the test set",
            Self::NoNegatives { .. } => "add good images to the test set",
            Self::ConstantMaps { .. } | Self::EmptyBinnedCurve { .. } => {
                "the `exact` protocol has a value here"
            }
            Self::PimoResolution { .. } => {
                "add good test images, or take the exact maps rather than rounded ones"
            }
            Self::NotInProtocol => "the `exact` protocol has it, or the `ader` one",
            Self::NoImages => "leave the class out or give it test images",
            Self::LengthMismatch { .. } => "give one label per score",
            Self::ScoreNotFinite { .. }
            | Self::ImageScoreNotFinite { .. }
            | Self::MapNotFinite { .. } => {
                "a model that returns such a value is broken: check its weights and its input"
            }
            Self::MapSize { .. } => "give row-major maps of height times width pixels",
            Self::MaskSize { .. } => "resize the mask to the size of the map",
            Self::MaskValue { .. } => "turn the mask into 0 and 1 first, for example with `> 0`",
            Self::ProLimit { .. } => "0.3 is the usual limit, 0.05 a strict one",
            Self::PimoBounds { .. } => "the usual bounds are 1e-5 and 1e-4",
            Self::StreamingBits { .. } => "20 bits are a good choice",
            Self::StreamingMerge { .. } => "make all accumulators with the same options",
            Self::StreamingProtocol { .. } => {
                "leave streaming away, or take the `exact` protocol: the others need all maps at once"
            }
        };
        Some(text.to_owned())
    }
}

/// Writes a [`MetricValue`] as a plain number, or as the reason in words with its fields beside
/// it: `{"undefined": "no anomalous image among 4", "cause": {"kind": "no_positives", ..}}`.
pub(crate) mod value_format {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{MetricError, MetricValue};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Value(f64),
        Undefined { undefined: String, cause: MetricError },
    }

    pub(crate) fn serialize<S: Serializer>(
        value: &MetricValue,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Ok(value) => Written::Value(*value),
            Err(cause) => Written::Undefined { undefined: cause.to_string(), cause: cause.clone() },
        }
        .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<MetricValue, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Value(value) => Ok(value),
            Written::Undefined { cause, .. } => Err(cause),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_text_with_its_values_and_a_hint() {
        let image = || "bad/003".to_owned();
        let value = || "NaN".to_owned();
        let texts = [
            (
                MetricError::NoPositives { unit: Unit::Pixel, negatives: 12 },
                "no anomalous pixel among 12",
            ),
            (
                MetricError::NoNegatives { unit: Unit::Image, positives: 3 },
                "no normal image among 3",
            ),
            (MetricError::NoGroundTruth { images: 7 }, "none of 7 images has a ground truth mask"),
            (
                MetricError::ConstantMaps { value: "0.5".into() },
                "every map holds the single value `0.5`, so there is nothing to bin",
            ),
            (
                MetricError::EmptyBinnedCurve { limit: 0.3 },
                "the binned per-region overlap curve is empty up to the false positive rate 0.3",
            ),
            (
                MetricError::PimoResolution { first_fpr: 0.001, lower: 1e-5 },
                "the lowest false positive rate over good pixels is 0.001, above the bound \
                 0.00001 of AUPIMO",
            ),
            (MetricError::NotInProtocol, "this protocol does not compute the metric"),
            (
                MetricError::PimoBounds { lower: "0".into(), upper: "1".into() },
                "the bounds of AUPIMO are `0` and `1`, expected 0 < lower < upper <= 1",
            ),
            (
                MetricError::StreamingBits { bits: 40 },
                "a streaming histogram of 40 bits, expected 1 to 32",
            ),
            (
                MetricError::StreamingMerge { own: 16, other: 20 },
                "cannot merge histograms of 16 and 20 bits",
            ),
            (
                MetricError::StreamingProtocol { protocol: "ader".into() },
                "streaming has no protocol `ader`",
            ),
            (MetricError::NoImages, "the class has no images"),
            (MetricError::LengthMismatch { scores: 3, labels: 2 }, "3 scores but 2 labels"),
            (
                MetricError::ScoreNotFinite { index: 4, value: value() },
                "score 4 is `NaN`, not a finite number",
            ),
            (
                MetricError::ImageScoreNotFinite { image: image(), value: value() },
                "the score of image `bad/003` is `NaN`, not a finite number",
            ),
            (
                MetricError::MapNotFinite { image: image(), row: 2, column: 7, value: value() },
                "the map of image `bad/003` holds `NaN` at row 2, column 7, not a finite number",
            ),
            (
                MetricError::MapSize { image: image(), pixels: 5, width: 2 },
                "the map of image `bad/003` has 5 pixels, which is no picture of width 2",
            ),
            (
                MetricError::MaskSize { image: image(), map: 4, mask: 6 },
                "the map of image `bad/003` has 4 pixels but its mask has 6",
            ),
            (
                MetricError::MaskValue { image: image(), value: 255 },
                "the mask of image `bad/003` holds the value 255, expected 0 or 1",
            ),
            (
                MetricError::ProLimit { limit: "1.5".into() },
                "the false positive rate limit is `1.5`, expected more than 0 and at most 1",
            ),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "`{error}` has no hint");
        }
    }
}
