//! All metrics of one class of pictures.

use serde::{Deserialize, Serialize};

use crate::ader::{self, AderMetrics, Histogram};
use crate::error::{MetricError, MetricValue, Unit, value_format};
use crate::extra::ExtraMetrics;
use crate::input::{CheckedClass, ScoredImage};
use crate::mvtec::au_roc_by_order;
use crate::pixels::PixelTruth;
use crate::precision_recall::{F1Max, average_precision_of, f1_max_of};
use crate::ranking::Ranking;
use crate::region_overlap::{FprPrecision, au_pro};
use crate::roc::au_roc_of;

/// Which definition of the pixel metrics is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Every threshold counts; the values of scikit-learn and of the evaluation that comes with
    /// `MVTec` AD.
    #[default]
    Exact,
    /// Image AU-ROC and AU-PRO with the rounding and the ties of the evaluation that comes with
    /// MVTec AD, labels from the masks, all else exact; see the notes in `mvtec.rs`.
    Mvtec,
    /// Pixel metrics from 50 bins and 21 thresholds, labels from the masks; see the notes in
    /// `ader.rs`. For tables that are to be compared with published ones.
    Ader,
    /// The same, with the largest score counted twice, as the GPU version of that tool does.
    AderCuda,
    /// The same as `Ader`, with the edges of the bins in single precision, as adeval has them where
    /// it gets such maps.
    Adeval,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Exact, Self::Mvtec, Self::Ader, Self::AderCuda, Self::Adeval];

    /// The name on the command line.
    ///
    /// ```
    /// use mmad_metrics::Protocol;
    /// assert_eq!(Protocol::AderCuda.name(), "ader-cuda");
    /// assert_eq!(Protocol::find("mvtec"), Some(Protocol::Mvtec));
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Mvtec => "mvtec",
            Self::Ader => "ader",
            Self::AderCuda => "ader-cuda",
            Self::Adeval => "adeval",
        }
    }

    /// The protocol with this [`name`](Self::name).
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// How to measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricOptions {
    /// AU-PRO is taken up to this false positive rate, more than 0 and at most 1.
    pub pro_fpr_limit: f64,
    /// Definition of the pixel metrics.
    pub protocol: Protocol,
}

impl Default for MetricOptions {
    /// The exact metrics, AU-PRO up to a false positive rate of 0.3.
    fn default() -> Self {
        Self { pro_fpr_limit: 0.3, protocol: Protocol::Exact }
    }
}

impl MetricOptions {
    /// Refuses a limit outside its range.
    pub(crate) fn check(&self) -> Result<(), MetricError> {
        let limit = self.pro_fpr_limit;
        if limit > 0.0 && limit <= 1.0 {
            return Ok(());
        }
        Err(MetricError::ProLimit { limit: limit.to_string() })
    }
}

/// The metrics of one class, each a number in `0.0..=1.0` or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Area under the ROC curve over pictures.
    #[serde(with = "value_format")]
    pub image_au_roc: MetricValue,
    /// Average precision over pictures.
    #[serde(with = "value_format")]
    pub image_ap: MetricValue,
    /// Best F1 over all thresholds on the image score.
    #[serde(with = "value_format")]
    pub image_f1_max: MetricValue,
    /// The highest image score threshold that reaches it (`score >= threshold` is anomalous).
    pub image_f1_threshold: Option<f32>,
    /// Area under the ROC curve over pixels.
    #[serde(with = "value_format")]
    pub pixel_au_roc: MetricValue,
    /// Average precision over pixels.
    #[serde(with = "value_format")]
    pub pixel_ap: MetricValue,
    /// Best F1 over all thresholds on the maps.
    #[serde(with = "value_format")]
    pub pixel_f1_max: MetricValue,
    /// The highest map threshold that reaches it (`score >= threshold` is anomalous; `>` with the
    /// binned protocols).
    pub pixel_f1_threshold: Option<f32>,
    /// Area under the per-region overlap curve up to the limit of the options.
    #[serde(with = "value_format")]
    pub au_pro: MetricValue,
    /// Best intersection over union of found and true pixels over all thresholds.
    #[serde(with = "value_format")]
    pub iou_max: MetricValue,
    /// Exact metrics beside the seven; the binned protocols have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<ExtraMetrics>,
    /// What the tool of the binned protocols reports besides; the other protocols have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ader: Option<AderMetrics>,
    /// What the numbers stand on.
    pub counts: ClassCounts,
}

/// What the numbers of a class stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassCounts {
    /// Pictures.
    pub images: u64,
    /// Pictures labelled anomalous in the data set.
    pub anomalous_images: u64,
    /// Anomalous pictures without a mask, which the pixel metrics leave out.
    pub images_without_truth: u64,
    /// Pictures whose label and mask disagree: anomalous with an empty mask (a small defect can
    /// vanish when its mask is resized), or good with a defect in the mask.
    pub label_mask_disagreements: u64,
    /// Pixels in the pixel metrics.
    pub pixels: u64,
    /// Defective pixels among them.
    pub anomalous_pixels: u64,
    /// Defect regions (8-connected components of the masks).
    pub regions: u64,
}

/// The pixel part of [`ClassMetrics`].
pub(crate) struct PixelMetrics {
    pub(crate) au_roc: MetricValue,
    pub(crate) ap: MetricValue,
    pub(crate) f1_max: Result<F1Max, MetricError>,
    pub(crate) iou_max: MetricValue,
    pub(crate) au_pro: MetricValue,
    pub(crate) anomalous_pixels: u64,
    pub(crate) regions: u64,
}

/// Measures one class: all its test pictures, good and defective.
///
/// Pictures may differ in size. The result is the same to the bit for every order of the pictures
/// (but see [`Protocol::Mvtec`]), and the exact metrics are the same for every strictly increasing
/// change of the scores (thresholds excepted). One thread does the work;
/// [`Evaluation::of`](crate::Evaluation::of) measures several classes in parallel.
///
/// ```
/// use mmad_metrics::{MetricOptions, ScoredImage, class_metrics};
/// let good = ScoredImage {
///     name: "good/000",
///     width: 2,
///     map: &[0.1, 0.2, 0.1, 0.3],
///     mask: None,
///     score: 0.3,
///     is_anomalous: false,
/// };
/// let defective = ScoredImage {
///     name: "scratch/000",
///     map: &[0.1, 0.9, 0.2, 0.8],
///     mask: Some(&[0, 1, 0, 1]),
///     score: 0.9,
///     is_anomalous: true,
///     ..good
/// };
/// let metrics = class_metrics(&[good, defective], &MetricOptions::default())?;
/// assert_eq!(metrics.pixel_au_roc, Ok(1.0));
/// assert_eq!(metrics.pixel_f1_threshold, Some(0.8));
/// assert_eq!(metrics.counts.regions, 1);
/// # Ok::<(), mmad_metrics::MetricError>(())
/// ```
///
/// # Errors
///
/// Refuses broken input: no pictures, scores that are not finite, sizes that do not fit, masks
/// with other values than 0 and 1, a limit outside `(0, 1]`. A metric that the data do not define
/// is no error of the whole, but the `Err` of its own field.
pub fn class_metrics(
    images: &[ScoredImage<'_>],
    options: &MetricOptions,
) -> Result<ClassMetrics, MetricError> {
    options.check()?;
    let class = CheckedClass::of(images)?;
    let limit = options.pro_fpr_limit;
    let labels: Vec<bool> = match options.protocol {
        Protocol::Exact => images.iter().map(|image| image.is_anomalous).collect(),
        Protocol::Mvtec | Protocol::Ader | Protocol::AderCuda | Protocol::Adeval => {
            class.labels_of_masks()
        }
    };
    let scores: Vec<f32> = images.iter().map(|image| image.score).collect();
    let image_ranking = Ranking::of_unit(&scores, &labels, Unit::Image)?;
    let image_f1 = f1_max_of(&image_ranking);
    let image_au_roc = match options.protocol {
        Protocol::Mvtec => au_roc_by_order(&scores, &labels),
        _ => au_roc_of(&image_ranking),
    };

    let binned = match options.protocol {
        Protocol::Exact | Protocol::Mvtec => None,
        Protocol::Ader => Some(Histogram::Double),
        Protocol::Adeval => Some(Histogram::Single),
        Protocol::AderCuda => Some(Histogram::Gpu),
    };
    let precision = match options.protocol {
        Protocol::Mvtec => FprPrecision::Single,
        _ => FprPrecision::Double,
    };
    let (pixels, extra, ader) = match binned {
        _ if class.annotated.is_empty() => {
            let reason = MetricError::NoGroundTruth { images: images.len() as u64 };
            let extra = ExtraMetrics::of(&image_ranking, Err(&reason), precision);
            (PixelMetrics::undefined(&reason), binned.is_none().then_some(extra), None)
        }
        Some(histogram) => {
            let (pixels, ader) = ader::pixel_metrics(&class.annotated, limit, histogram);
            (pixels, None, Some(ader))
        }
        None => {
            let mut truth = PixelTruth::gather(&class.annotated);
            let (pixels, extra) = exact_pixels(&mut truth, &image_ranking, limit, precision);
            (pixels, Some(extra), None)
        }
    };

    let disagrees = |(image, shown): &(&ScoredImage<'_>, &Option<bool>)| {
        shown.is_some_and(|shown| shown != image.is_anomalous)
    };
    let shown = || images.iter().zip(&class.shows_defect);
    let counts = ClassCounts {
        images: images.len() as u64,
        anomalous_images: images.iter().filter(|image| image.is_anomalous).count() as u64,
        images_without_truth: (images.len() - class.annotated.len()) as u64,
        label_mask_disagreements: shown().filter(disagrees).count() as u64,
        pixels: class.annotated.iter().map(|image| image.map.len() as u64).sum(),
        anomalous_pixels: pixels.anomalous_pixels,
        regions: pixels.regions,
    };
    Ok(ClassMetrics {
        image_au_roc,
        image_ap: average_precision_of(&image_ranking),
        image_f1_threshold: threshold(&image_f1),
        image_f1_max: image_f1.map(|best| best.f1),
        pixel_au_roc: pixels.au_roc,
        pixel_ap: pixels.ap,
        pixel_f1_threshold: threshold(&pixels.f1_max),
        iou_max: pixels.iou_max,
        pixel_f1_max: pixels.f1_max.map(|best| best.f1),
        au_pro: pixels.au_pro,
        extra,
        ader,
        counts,
    })
}

/// The pixel metrics over all thresholds.
fn exact_pixels(
    truth: &mut PixelTruth<'_>,
    image_ranking: &Ranking,
    pro_fpr_limit: f64,
    precision: FprPrecision,
) -> (PixelMetrics, ExtraMetrics) {
    let pixels = truth.rank();
    let ranking = &pixels.ranking;
    let f1_max = f1_max_of(ranking);
    let found = &pixels.found_regions;
    let extra = ExtraMetrics::of(image_ranking, Ok((truth, &pixels, &f1_max)), precision);
    let metrics = PixelMetrics {
        au_roc: au_roc_of(ranking),
        ap: average_precision_of(ranking),
        iou_max: f1_max.clone().map(|best| best.iou),
        f1_max,
        au_pro: au_pro(ranking, found, truth.n_regions, pro_fpr_limit, precision),
        anomalous_pixels: ranking.positives(),
        regions: truth.n_regions,
    };
    (metrics, extra)
}

impl PixelMetrics {
    fn undefined(reason: &MetricError) -> Self {
        Self {
            au_roc: Err(reason.clone()),
            ap: Err(reason.clone()),
            f1_max: Err(reason.clone()),
            iou_max: Err(reason.clone()),
            au_pro: Err(reason.clone()),
            anomalous_pixels: 0,
            regions: 0,
        }
    }
}

fn threshold(best: &Result<F1Max, MetricError>) -> Option<f32> {
    best.as_ref().ok().map(|best| best.threshold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_samples::{DEFECTIVE, GOOD};

    fn measure(images: &[ScoredImage<'_>]) -> ClassMetrics {
        class_metrics(images, &MetricOptions::default()).unwrap()
    }

    #[test]
    fn a_limit_outside_its_range_is_refused() {
        for pro_fpr_limit in [0.0, -0.1, 1.01, f64::NAN] {
            let options = MetricOptions { pro_fpr_limit, ..MetricOptions::default() };
            let error = class_metrics(&[GOOD], &options).unwrap_err();
            assert!(matches!(error, MetricError::ProLimit { .. }));
        }
    }

    #[test]
    fn an_unannotated_defect_counts_for_the_image_metrics_only() {
        let unannotated = ScoredImage { mask: None, ..DEFECTIVE };
        let metrics = measure(&[GOOD, DEFECTIVE, unannotated]);
        assert_eq!(metrics.counts.images_without_truth, 1);
        assert_eq!((metrics.counts.images, metrics.counts.pixels), (3, 4));
        assert_eq!(metrics.image_ap, Ok(1.0));
        assert_eq!(metrics.pixel_ap, Ok(1.0));

        let metrics = measure(&[unannotated]);
        assert_eq!(metrics.pixel_ap, Err(MetricError::NoGroundTruth { images: 1 }));
        let metrics = measure(&[unannotated, GOOD]);
        let error = MetricError::NoPositives { unit: Unit::Pixel, negatives: 2 };
        assert_eq!(metrics.au_pro, Err(error));
    }

    #[test]
    fn labels_come_from_the_data_set_and_disagreements_are_counted() {
        let vanished = ScoredImage { mask: Some(&[0, 0]), score: 0.1, ..DEFECTIVE };
        let mislabelled = ScoredImage { is_anomalous: false, ..DEFECTIVE };
        let metrics = measure(&[GOOD, DEFECTIVE, vanished, mislabelled]);
        assert_eq!(metrics.counts.label_mask_disagreements, 2);
        assert_eq!(metrics.counts.anomalous_images, 2);
        assert_eq!(metrics.image_au_roc, Ok((1.0 + 0.5) / 4.0));
    }

    #[test]
    fn the_binned_protocols_take_labels_from_masks() {
        let vanished = ScoredImage { mask: Some(&[0, 0]), score: 0.1, ..DEFECTIVE };
        let unannotated = ScoredImage { mask: None, score: 0.8, ..DEFECTIVE };
        let options = MetricOptions { protocol: Protocol::Ader, ..MetricOptions::default() };
        let metrics = class_metrics(&[DEFECTIVE, vanished, unannotated], &options).unwrap();
        assert_eq!(metrics.image_au_roc, Ok(1.0));
        assert_eq!(metrics.counts.anomalous_images, 3);
    }

    #[test]
    fn an_undefined_metric_says_why() {
        let metrics = measure(&[GOOD, GOOD]);
        let error = metrics.image_au_roc.unwrap_err();
        assert_eq!(error.to_string(), "no anomalous image among 2");
        assert_eq!(metrics.pixel_f1_threshold, None);
    }
}
