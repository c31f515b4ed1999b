//! The metrics of a whole data set: per class, their means, and the mean of the means (mAD).

use std::sync::mpsc;

use serde::{Deserialize, Serialize};

use crate::class_metrics::{ClassMetrics, MetricOptions, class_metrics};
use crate::error::MetricError;
use crate::input::ScoredImage;
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
    /// Measures several classes in parallel, on the threads of rayon. The result is the same for
    /// every number of threads.
    ///
    /// ```
    /// use mmad_metrics::{Evaluation, MetricOptions, ScoredImage};
    /// let good = ScoredImage {
    ///     name: "good/000",
    ///     width: 2,
    ///     map: &[0.1, 0.2],
    ///     mask: None,
    ///     score: 0.2,
    ///     is_anomalous: false,
    /// };
    /// let hole = ScoredImage {
    ///     name: "hole/000",
    ///     map: &[0.1, 0.9],
    ///     mask: Some(&[0, 1]),
    ///     score: 0.9,
    ///     is_anomalous: true,
    ///     ..good
    /// };
    /// let classes = [("screw", &[good, hole][..]), ("nut", &[hole, good][..])];
    /// let evaluation = Evaluation::of(&classes, &MetricOptions::default())?;
    /// assert_eq!(evaluation.mean("pixel_ap"), Some(1.0));
    /// # Ok::<(), mmad_metrics::MetricError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`class_metrics`](crate::class_metrics()), for the first class in the list that has one.
    pub fn of<'a>(
        classes: &[(&'a str, &'a [ScoredImage<'a>])],
        options: &MetricOptions,
    ) -> Result<Self, MetricError> {
        let mut order: Vec<usize> = (0..classes.len()).collect();
        // The largest first, so that no thread begins the longest job last.
        let pixels = |index: &usize| -> usize {
            classes[*index].1.iter().map(|image| image.map.len()).sum()
        };
        order.sort_by_key(|index| std::cmp::Reverse(pixels(index)));
        let (sender, receiver) = mpsc::channel();
        rayon::scope_fifo(|scope| {
            for index in order {
                let sender = sender.clone();
                scope.spawn_fifo(move |_| {
                    // The receiver outlives the scope.
                    let _ = sender.send((index, class_metrics(classes[index].1, options)));
                });
            }
        });
        drop(sender);
        let mut measured: Vec<_> = receiver.into_iter().collect();
        measured.sort_by_key(|(index, _)| *index);
        let named = measured.into_iter().map(|(index, metrics)| {
            let (name, _) = classes[index];
            Ok((name.to_owned(), metrics?))
        });
        Ok(Self { options: *options, classes: named.collect::<Result<_, _>>()? })
    }

    /// Unweighted mean of a metric over the classes that have a value, in `0.0..=1.0`.
    ///
    /// Classes without a value are left out, never counted as 0; [`covered`](Self::covered) says
    /// how many are in, [`undefined`](Self::undefined) which are out and why. `None` when no class
    /// has a value or `metric` is no id of a known metric.
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
    use crate::{ADER_METRICS, EXTRA_METRICS};

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
        let all: Vec<_> = METRICS.iter().chain(EXTRA_METRICS).chain(ADER_METRICS).collect();
        for (i, metric) in all.iter().enumerate() {
            assert_eq!(
                MetricInfo::find(metric.id).map(|found| found.heading),
                Some(metric.heading)
            );
            for other in &all[..i] {
                assert_ne!(metric.id, other.id);
                assert_ne!(metric.heading, other.heading);
            }
        }
    }
}
