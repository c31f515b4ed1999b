//! The metrics of a whole data set: per class, their means, and the mean of the means (mAD).

use serde::{Deserialize, Serialize};

use crate::class_metrics::{ClassMetrics, MetricOptions};
use crate::error::MetricError;
use crate::metric_list::{METRICS, MetricInfo};

/// The metrics of every class of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How they were measured.
    pub options: MetricOptions,
    /// Name and metrics of each class, in the order of the data set.
    pub classes: Vec<(String, ClassMetrics)>,
}

impl Evaluation {
    /// Unweighted mean of a metric over the classes that have a value, in `0.0..=1.0`.
    ///
    /// Classes without a value are left out, never counted as 0; [`covered`](Self::covered) says
    /// how many are in, [`undefined`](Self::undefined) which are out and why. `None` when no class
    /// has a value or `metric` is no id of [`METRICS`].
    pub fn mean(&self, metric: &str) -> Option<f64> {
        let metric = MetricInfo::find(metric)?;
        mean(self.classes.iter().filter_map(|(_, class)| metric.of(class).as_ref().ok().copied()))
    }

    /// Number of classes that [`mean`](Self::mean) of this metric stands on.
    pub fn covered(&self, metric: &str) -> usize {
        MetricInfo::find(metric).map_or(0, |metric| {
            self.classes.iter().filter(|(_, class)| metric.of(class).is_ok()).count()
        })
    }

    /// mAD, the mean of the seven means of [`METRICS`]; `None` when one of them is missing.
    pub fn m_ad(&self) -> Option<f64> {
        let means: Option<Vec<f64>> = METRICS.iter().map(|metric| self.mean(metric.id)).collect();
        mean(means?)
    }

    /// Every missing value: the class, the metric and the reason.
    pub fn undefined(&self) -> Vec<(&str, &'static MetricInfo, &MetricError)> {
        let mut missing = Vec::new();
        for (name, class) in &self.classes {
            for metric in METRICS {
                if let Err(reason) = metric.of(class) {
                    missing.push((name.as_str(), metric, reason));
                }
            }
        }
        missing
    }
}

impl ClassMetrics {
    /// The mean of the seven [`METRICS`] of this class; `None` when one of them is missing.
    pub fn m_ad(&self) -> Option<f64> {
        let values: Option<Vec<f64>> =
            METRICS.iter().map(|metric| metric.of(self).as_ref().ok().copied()).collect();
        mean(values?)
    }
}

fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.into_iter().fold((0.0, 0_u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScoredImage, class_metrics};

    fn evaluation() -> Evaluation {
        let options = MetricOptions::default();
        let good = ScoredImage {
            name: "good",
            width: 2,
            map: &[0.1, 0.3, 0.2, 0.6],
            mask: None,
            score: 0.6,
            is_anomalous: false,
        };
        let defective = ScoredImage {
            name: "defective",
            map: &[0.1, 0.5, 0.2, 0.8],
            mask: Some(&[0, 1, 0, 1]),
            score: 0.8,
            is_anomalous: true,
            ..good
        };
        let measure = |images: &[_]| class_metrics(images, &options).unwrap();
        let classes = vec![
            ("screw".to_owned(), measure(&[good, defective])),
            ("only good".to_owned(), measure(&[good])),
            ("only defective".to_owned(), measure(&[defective])),
        ];
        Evaluation { options, classes }
    }

    #[test]
    fn means_leave_out_what_is_undefined_and_say_so() {
        let evaluation = evaluation();
        let of = |class: usize| evaluation.classes[class].1.pixel_au_roc.clone().unwrap();
        assert_eq!(evaluation.mean("pixel_au_roc"), Some(f64::midpoint(of(0), of(2))));
        assert_eq!(evaluation.covered("pixel_au_roc"), 2);
        assert_eq!(evaluation.covered("image_au_roc"), 1);
        let undefined = evaluation.undefined();
        // All seven without a defect; only the image AU-ROC without a good image.
        assert_eq!(undefined.len(), 7 + 1);
        let (class, metric, reason) = undefined[7];
        assert_eq!((class, metric.heading), ("only defective", "I-AUROC"));
        assert_eq!(reason.to_string(), "no normal image among 1");
        assert_eq!(evaluation.mean("no such metric"), None);
        assert_eq!(evaluation.covered("no such metric"), 0);
    }

    #[test]
    fn m_ad_is_the_mean_of_the_seven_means() {
        let evaluation = evaluation();
        let sum: f64 = METRICS.iter().map(|metric| evaluation.mean(metric.id).unwrap()).sum();
        assert!((evaluation.m_ad().unwrap() - sum / 7.0).abs() < 1e-15);
        assert_eq!(evaluation.classes[1].1.m_ad(), None);
        let nothing = Evaluation { classes: Vec::new(), ..evaluation };
        assert_eq!(nothing.m_ad(), None);
    }

    #[test]
    fn files_keep_every_value_and_every_reason() {
        let evaluation = evaluation();
        let text = serde_json::to_string_pretty(&evaluation).unwrap();
        assert!(text.contains(r#""undefined": "no anomalous image among 1""#), "{text}");
        assert!(text.contains(r#""image_ap": 1.0"#), "{text}");
        assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), evaluation);
    }

    #[test]
    fn ids_and_headings_are_unique() {
        for (i, metric) in METRICS.iter().enumerate() {
            for other in &METRICS[..i] {
                assert_ne!(metric.id, other.id);
                assert_ne!(metric.heading, other.heading);
            }
        }
    }
}
