//! The lists of the metrics: the seven that a table of results has, and all others.

use crate::class_metrics::ClassMetrics;
use crate::error::{MetricError, MetricValue};

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
    /// The metric with this [`id`](Self::id), one of the seven or another.
    pub fn find(id: &str) -> Option<&'static Self> {
        METRICS.iter().chain(EXTRA_METRICS).chain(ADER_METRICS).find(|metric| metric.id == id)
    }

    /// Its value in the metrics of a class; [`MetricError::NotInProtocol`] where the protocol does
    /// not have it.
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

/// The metrics of pixels and images that are not among the seven. The binned protocols have none of
/// them but [`ClassMetrics::iou_max`].
pub static EXTRA_METRICS: &[MetricInfo] = &[
    MetricInfo {
        id: "iou_max",
        heading: "IoU-max",
        about: "best intersection over union of pixels over all thresholds",
        higher_is_better: true,
        value: |class| &class.iou_max,
    },
    MetricInfo {
        id: "image_fpr_at_tpr95",
        heading: "I-FPR95",
        about: "good images rejected where 95 % of the defective ones are found",
        higher_is_better: false,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.image_fpr_at_tpr95)
        },
    },
    MetricInfo {
        id: "image_tpr_at_fpr05",
        heading: "I-TPR@5",
        about: "defective images found where at most 5 % of the good ones are rejected",
        higher_is_better: true,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.image_tpr_at_fpr05)
        },
    },
    MetricInfo {
        id: "image_tpr_at_fpr01",
        heading: "I-TPR@1",
        about: "defective images found where at most 1 % of the good ones are rejected",
        higher_is_better: true,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.image_tpr_at_fpr01)
        },
    },
    MetricInfo {
        id: "escape_at_overkill01",
        heading: "escape@1",
        about: "defective images that pass where at most 1 % of the good ones are rejected",
        higher_is_better: false,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.escape_at_overkill01)
        },
    },
    MetricInfo {
        id: "overkill_at_escape01",
        heading: "overkill@1",
        about: "good images rejected where at most 1 % of the defective ones pass",
        higher_is_better: false,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.overkill_at_escape01)
        },
    },
    MetricInfo {
        id: "zero_escape_overkill",
        heading: "overkill@0",
        about: "good images rejected where no defective one passes",
        higher_is_better: false,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.zero_escape_overkill)
        },
    },
    MetricInfo {
        id: "pixel_fpr_at_tpr95",
        heading: "P-FPR95",
        about: "good pixels rejected where 95 % of the defective ones are found",
        higher_is_better: false,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.pixel_fpr_at_tpr95)
        },
    },
    MetricInfo {
        id: "pixel_tpr_at_fpr05",
        heading: "P-TPR@5",
        about: "defective pixels found where at most 5 % of the good ones are rejected",
        higher_is_better: true,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.pixel_tpr_at_fpr05)
        },
    },
    MetricInfo {
        id: "pixel_tpr_at_fpr01",
        heading: "P-TPR@1",
        about: "defective pixels found where at most 1 % of the good ones are rejected",
        higher_is_better: true,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.pixel_tpr_at_fpr01)
        },
    },
    MetricInfo {
        id: "au_pro_001",
        heading: "AU-PRO.01",
        about: "AU-PRO up to a false positive rate of 0.01",
        higher_is_better: true,
        value: |class| class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.au_pro_001),
    },
    MetricInfo {
        id: "au_pro_005",
        heading: "AU-PRO.05",
        about: "AU-PRO up to a false positive rate of 0.05",
        higher_is_better: true,
        value: |class| class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.au_pro_005),
    },
    MetricInfo {
        id: "au_pro_010",
        heading: "AU-PRO.1",
        about: "AU-PRO up to a false positive rate of 0.1",
        higher_is_better: true,
        value: |class| class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.au_pro_010),
    },
    MetricInfo {
        id: "au_pro_100",
        heading: "AU-PRO1",
        about: "AU-PRO up to a false positive rate of 1",
        higher_is_better: true,
        value: |class| class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.au_pro_100),
    },
    MetricInfo {
        id: "aupimo",
        heading: "AUPIMO",
        about: "recall inside each defective image, averaged over very low false positive rates",
        higher_is_better: true,
        value: |class| class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.aupimo),
    },
    MetricInfo {
        id: "region_recall",
        heading: "R>0",
        about: "defect regions of which the threshold of P-F1max finds something",
        higher_is_better: true,
        value: |class| class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.region_recall),
    },
    MetricInfo {
        id: "region_recall_10",
        heading: "R>=.1",
        about: "defect regions of which the threshold of P-F1max finds a tenth",
        higher_is_better: true,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.region_recall_10)
        },
    },
    MetricInfo {
        id: "region_recall_50",
        heading: "R>=.5",
        about: "defect regions of which the threshold of P-F1max finds a half",
        higher_is_better: true,
        value: |class| {
            class.extra.as_ref().map_or(&NOT_IN_PROTOCOL, |extra| &extra.region_recall_50)
        },
    },
];

/// What ADer reports besides; the binned protocols alone have them.
pub static ADER_METRICS: &[MetricInfo] = &[
    MetricInfo {
        id: "ader_dice_max",
        heading: "Dice-max",
        about: "best Dice coefficient of pixels over 21 thresholds",
        higher_is_better: true,
        value: |class| class.ader.as_ref().map_or(&NOT_IN_PROTOCOL, |ader| &ader.dice_max),
    },
    MetricInfo {
        id: "ader_acc_max",
        heading: "Acc-max",
        about: "best recall of pixels over 21 thresholds",
        higher_is_better: true,
        value: |class| class.ader.as_ref().map_or(&NOT_IN_PROTOCOL, |ader| &ader.acc_max),
    },
    MetricInfo {
        id: "ader_f1_mean",
        heading: "F1 .2-.8",
        about: "mean F1 of pixels over 7 thresholds",
        higher_is_better: true,
        value: |class| class.ader.as_ref().map_or(&NOT_IN_PROTOCOL, |ader| &ader.f1_mean),
    },
    MetricInfo {
        id: "ader_acc_mean",
        heading: "Acc .2-.8",
        about: "mean recall of pixels over 7 thresholds",
        higher_is_better: true,
        value: |class| class.ader.as_ref().map_or(&NOT_IN_PROTOCOL, |ader| &ader.acc_mean),
    },
    MetricInfo {
        id: "ader_iou_mean",
        heading: "IoU .2-.8",
        about: "mean intersection over union of pixels over 7 thresholds",
        higher_is_better: true,
        value: |class| class.ader.as_ref().map_or(&NOT_IN_PROTOCOL, |ader| &ader.iou_mean),
    },
    MetricInfo {
        id: "ader_au_pro_100",
        heading: "PRO-100",
        about: "AU-PRO from 100 steps, its false positive rates stretched",
        higher_is_better: true,
        value: |class| class.ader.as_ref().map_or(&NOT_IN_PROTOCOL, |ader| &ader.au_pro_100),
    },
    MetricInfo {
        id: "ader_au_pro_200",
        heading: "PRO-200",
        about: "AU-PRO from 200 steps, its false positive rates stretched",
        higher_is_better: true,
        value: |class| class.ader.as_ref().map_or(&NOT_IN_PROTOCOL, |ader| &ader.au_pro_200),
    },
    MetricInfo {
        id: "ader_au_pro_300",
        heading: "PRO-300",
        about: "AU-PRO from 300 steps, its false positive rates stretched",
        higher_is_better: true,
        value: |class| class.ader.as_ref().map_or(&NOT_IN_PROTOCOL, |ader| &ader.au_pro_300),
    },
];

static NOT_IN_PROTOCOL: MetricValue = Err(MetricError::NotInProtocol);
