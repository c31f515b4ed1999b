//! The scores of an evaluation, picture by picture, as `results.json` keeps them.
//!
//! They are enough to calibrate again and to compare two runs, without model and pictures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calibrate::{ClassScores, Verdict};

/// The score of one test picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PictureScore {
    /// Class of the picture.
    pub class: String,
    /// Name of the picture, unique in its class.
    pub name: String,
    /// The truth.
    pub is_anomalous: bool,
    /// Name of the defect, `None` for a good picture.
    #[serde(default)]
    pub defect: Option<String>,
    /// The raw score.
    pub score: f32,
    /// The score on the scale on which the threshold is 0.5.
    pub score01: f64,
    /// What [`Scored::pixel_score`](crate::detector::Scored::pixel_score) says.
    #[serde(default)]
    pub pixel_score: Option<f32>,
    /// What the model's thresholds said; `None` for a class without any.
    #[serde(default)]
    pub verdict: Option<Verdict>,
}

/// The scores by class, for a calibration; pixel scores only where every good picture has one.
pub fn by_class(scores: &[PictureScore]) -> Vec<ClassScores> {
    let mut classes: BTreeMap<&str, ClassScores> = BTreeMap::new();
    for row in scores {
        let entry = classes.entry(&row.class).or_default();
        if row.is_anomalous {
            entry.defective.push(row.score);
        } else {
            entry.good.push(row.score);
            entry.good_pixels.extend(row.pixel_score);
        }
    }
    let complete = |(class, mut scores): (&str, ClassScores)| {
        class.clone_into(&mut scores.class);
        if scores.good_pixels.len() < scores.good.len() {
            scores.good_pixels.clear();
        }
        scores
    };
    classes.into_iter().map(complete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_defective_are_kept_apart() {
        let row = |class: &str, is_anomalous, score, pixel_score| PictureScore {
            class: class.into(),
            name: "0.png".into(),
            is_anomalous,
            defect: None,
            score,
            score01: 0.5,
            pixel_score,
            verdict: Some(Verdict::Review),
        };
        let rows = [
            row("b", false, 1.0, Some(0.5)),
            row("b", true, 2.0, Some(1.5)),
            row("a", false, 3.0, None),
            row("b", false, 0.5, Some(0.1)),
        ];
        let classes = by_class(&rows);
        assert_eq!((classes[0].class.as_str(), &classes[0].good_pixels), ("a", &vec![]));
        assert_eq!((&classes[1].good, &classes[1].defective), (&vec![1.0, 0.5], &vec![2.0]));
        assert_eq!(classes[1].good_pixels, [0.5, 0.1]);
        let text = serde_json::to_string(&rows).unwrap();
        assert_eq!(serde_json::from_str::<Vec<PictureScore>>(&text).unwrap(), rows);
        let old = r#"{"class":"a","name":"x","is_anomalous":true,"score01":0.7,"score":0.3}"#;
        let old: PictureScore = serde_json::from_str(old).unwrap();
        assert_eq!((old.score, old.verdict, old.pixel_score), (0.3, None, None));
    }
}
