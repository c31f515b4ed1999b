//! What a report page is made of.

use serde::{Deserialize, Serialize};

use crate::encode::EncodedImage;
use crate::error::ReportError;
use crate::sheet::ThumbnailSheet;
use crate::tables::ResultTable;

/// Everything about one evaluation. Texts are shown as they are; markup in them is not followed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The page's heading.
    pub title: String,
    /// One line below it: data set, model, date.
    pub subtitle: String,
    /// How the numbers came about, as name and value: data hash, seed, code version, ...
    pub run_card: Vec<(String, String)>,
    /// The whole configuration as text, shown on request; empty where there is none.
    pub configuration: String,
    /// The metrics per class.
    pub table: ResultTable,
    /// The pictures to show, at most a few hundred; see [`crate::choose_pictures`].
    pub pictures: Vec<ReportPicture>,
    /// The scores of all test pictures, shown or not.
    pub scores: Vec<ScoreRow>,
    /// Small copies of all scored pictures, at most one sheet per class.
    pub sheets: Vec<ThumbnailSheet>,
    /// Curves besides the image-level ROC and precision-recall curves, which the page computes
    /// from the scores.
    pub curves: Vec<Curve>,
    /// The shipped thresholds and what they rest on.
    pub calibration: Option<CalibrationCard>,
    /// Sentences the reader must see first, e.g. what the check of the data found.
    pub findings: Vec<String>,
    /// Time and memory, as name and value with unit.
    pub timings: Vec<(String, String)>,
}

/// The score of one test picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// The product class.
    pub class: String,
    /// The picture's name, unique in its class.
    pub name: String,
    /// The truth.
    pub is_anomalous: bool,
    /// The score on the absolute scale of its class: 0.5 is the shipped threshold, and a picture
    /// is rejected from its threshold on.
    pub score01: f64,
    /// The score as the model gave it; grows with `score01` within a class.
    pub score: f64,
}

/// One picture with its map.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportPicture {
    /// The picture's name; with the class it finds the [`ScoreRow`].
    pub name: String,
    /// The product class.
    pub class: String,
    /// The truth: the name of the defect, `None` for a good part.
    pub defect: Option<String>,
    /// What the model said with the shipped threshold.
    pub verdict: Verdict,
    /// The raw score.
    pub score: f64,
    /// The score on the absolute scale, as in [`ScoreRow`].
    pub score01: f64,
    /// The shipped threshold on the scale of `score`.
    pub threshold: f64,
    /// What the camera saw.
    pub picture: EncodedImage,
    /// The anomaly map as 8-bit grey, see [`EncodedImage::map`]; it is stretched to the picture.
    pub map: EncodedImage,
    /// The true defect, see [`EncodedImage::mask`]; it is stretched to the picture.
    pub mask: Option<EncodedImage>,
}

/// What the model says about a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Good.
    Ok,
    /// To be looked at by a person.
    Review,
    /// Defective.
    Defect,
}

/// A curve of one class, drawn through its points in the order given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The product class.
    pub class: String,
    /// Its heading, e.g. `Pixel ROC`.
    pub title: String,
    /// What the horizontal axis means, from 0 to 1.
    pub x_label: String,
    /// What the vertical axis means, from 0 to 1.
    pub y_label: String,
    /// A line below the heading, e.g. its area; may be empty.
    pub note: String,
    /// Points `[x, y]`.
    pub points: Vec<[f64; 2]>,
    /// The threshold of each point on the scale of [`ScoreRow::score01`]; empty where unknown.
    pub thresholds: Vec<f64>,
    /// The part of the horizontal axis that counts, e.g. 0.3 for AU-PRO.
    pub shaded_up_to: Option<f64>,
}

/// The shipped thresholds of every class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CalibrationCard {
    /// How the thresholds were chosen, as sentences.
    pub notes: Vec<String>,
    /// Share of good pictures that may be rejected, where that is how they were chosen.
    pub max_false_reject_rate: Option<f64>,
    /// One entry per class, in the order shown.
    pub classes: Vec<CalibratedClass>,
}

/// The shipped thresholds of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibratedClass {
    /// The product class.
    pub class: String,
    /// What the threshold rests on, in a few words.
    pub basis: String,
    /// From this raw score on, a picture is rejected.
    pub threshold: f64,
    /// From this raw score on, a person looks at the picture.
    pub review: Option<f64>,
    /// The same on the scale of [`ScoreRow::score01`].
    pub review01: Option<f64>,
    /// From this raw value on, a pixel counts as defective.
    pub pixel_threshold: Option<f64>,
    /// Good pictures that it rests on.
    pub n_good: usize,
    /// Defective pictures that it rests on.
    pub n_defective: usize,
    /// Share of good pictures expected to be rejected, with its 95 % interval.
    pub expected: Option<Rate>,
    /// Share of good test pictures that was rejected, with its 95 % interval.
    pub tested: Option<Rate>,
}

/// A share with the interval it lies in, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The share itself.
    pub share: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Report {
    /// Checks that the table is rectangular and every number a number.
    ///
    /// # Errors
    ///
    /// [`ReportError::RowLength`] and [`ReportError::NotFinite`] name the first offender.
    pub fn check(&self) -> Result<(), ReportError> {
        self.table.check()?;
        for row in &self.scores {
            let what = || format!("the score of `{}` of class `{}`", row.name, row.class);
            require_finite(&[row.score, row.score01], what)?;
        }
        for picture in &self.pictures {
            let what =
                || format!("a score of picture `{}` of class `{}`", picture.name, picture.class);
            require_finite(&[picture.score, picture.score01, picture.threshold], what)?;
        }
        for curve in &self.curves {
            let what = || format!("a point of curve `{}` of class `{}`", curve.title, curve.class);
            require_finite(curve.points.as_flattened(), what)?;
            require_finite(&curve.thresholds, what)?;
        }
        for class in self.calibration.iter().flat_map(|card| &card.classes) {
            let what = || format!("a threshold of class `{}`", class.class);
            let optional = [class.review, class.review01, class.pixel_threshold];
            require_finite(&[class.threshold], what)?;
            require_finite(&optional.map(Option::unwrap_or_default), what)?;
        }
        Ok(())
    }
}

pub(crate) fn require_finite(values: &[f64], what: impl Fn() -> String) -> Result<(), ReportError> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(&value) => Err(ReportError::NotFinite { what: what(), value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_are_named() {
        let row = ScoreRow {
            class: "gear".into(),
            name: "7.png".into(),
            is_anomalous: true,
            score01: f64::NAN,
            score: 1.0,
        };
        let report = Report { scores: vec![row], ..Report::default() };
        assert_eq!(
            report.check().unwrap_err().to_string(),
            "the score of `7.png` of class `gear` is `NaN`, not a finite number"
        );
        let curve = Curve {
            class: "gear".into(),
            title: "PRO".into(),
            x_label: String::new(),
            y_label: String::new(),
            note: String::new(),
            points: vec![[0.0, 0.0], [0.1, f64::INFINITY]],
            thresholds: vec![],
            shaded_up_to: None,
        };
        let report = Report { curves: vec![curve], ..Report::default() };
        assert!(report.check().unwrap_err().to_string().contains("curve `PRO` of class `gear`"));
        assert!(Report::default().check().is_ok());
    }
}
