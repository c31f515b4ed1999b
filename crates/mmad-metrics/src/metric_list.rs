//! The list of the metrics that a table of results has.

use crate::class_metrics::ClassMetrics;
use crate::error::MetricValue;

/// What is known about one metric besides its value.
#[derive(Debug, Clone, Copy)]
pub struct MetricInfo {
    /// Name in files and on the command line.
    pub id: &'static str,
    /// Head of its table column.
    pub heading: &'static str,
    /// What it says, in one line.
    pub about: &'static str,
    /// Whether larger values are better.
    pub higher_is_better: bool,
    value: fn(&ClassMetrics) -> &MetricValue,
}

impl MetricInfo {
    /// The metric with this [`id`](Self::id).
    pub fn find(id: &str) -> Option<&'static Self> {
        METRICS.iter().find(|metric| metric.id == id)
    }

    /// Its value in the metrics of a class.
    pub fn of<'a>(&self, class: &'a ClassMetrics) -> &'a MetricValue {
        (self.value)(class)
    }
}

/// The seven metrics whose mean is mAD, in the order of the paper's tables.
pub static METRICS: &[MetricInfo] = &[
    MetricInfo {
        id: "image_au_roc",
        heading: "I-AUROC",
        about: "chance that a defective image scores above a good one",
        higher_is_better: true,
        value: |class| &class.image_au_roc,
    },
    MetricInfo {
        id: "image_ap",
        heading: "I-AP",
        about: "precision of image decisions, averaged over recall",
        higher_is_better: true,
        value: |class| &class.image_ap,
    },
    MetricInfo {
        id: "image_f1_max",
        heading: "I-F1max",
        about: "best F1 of image decisions over all thresholds",
        higher_is_better: true,
        value: |class| &class.image_f1_max,
    },
    MetricInfo {
        id: "pixel_au_roc",
        heading: "P-AUROC",
        about: "chance that a defective pixel scores above a good one",
        higher_is_better: true,
        value: |class| &class.pixel_au_roc,
    },
    MetricInfo {
        id: "pixel_ap",
        heading: "P-AP",
        about: "precision of pixel decisions, averaged over recall",
        higher_is_better: true,
        value: |class| &class.pixel_ap,
    },
    MetricInfo {
        id: "pixel_f1_max",
        heading: "P-F1max",
        about: "best F1 of pixel decisions over all thresholds",
        higher_is_better: true,
        value: |class| &class.pixel_f1_max,
    },
    MetricInfo {
        id: "au_pro",
        heading: "AU-PRO",
        about: "share found of each defect region, averaged over low false positive rates",
        higher_is_better: true,
        value: |class| &class.au_pro,
    },
];
