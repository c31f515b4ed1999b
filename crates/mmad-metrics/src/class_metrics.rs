//! All metrics of one class of pictures.

use serde::{Deserialize, Serialize};

use crate::ader;
use crate::error::{MetricError, MetricValue, Unit, value_format};
use crate::pixels::rank_pixels;
use crate::precision_recall::{F1Max, average_precision_of, f1_max_of};
use crate::ranking::Ranking;
use crate::region_overlap::au_pro;
use crate::roc::au_roc_of;

/// One test picture: its map, its ground truth, its image score and label.
#[derive(Debug, Clone, Copy)]
pub struct ScoredImage<'a> {
    /// Name of the picture, for messages.
    pub name: &'a str,
    /// Width of the map in pixels.
    pub width: usize,
    /// Anomaly map, row-major `[height * width]`; higher is more anomalous, any scale.
    pub map: &'a [f32],
    /// Ground truth of the same size, 1 on a defect and 0 elsewhere.
    ///
    /// Without a mask, a good picture counts as free of defects, and a defective one as not
    /// annotated: it is left out of the pixel metrics, see [`ClassCounts::images_without_truth`].
    pub mask: Option<&'a [u8]>,
    /// Score of the whole picture; higher is more anomalous.
    pub score: f32,
    /// Label in the data set.
    pub is_anomalous: bool,
}

/// Which definition of the pixel metrics is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Every threshold counts; the values of scikit-learn and of the evaluation that comes with
    /// `MVTec` AD.
    #[default]
    Exact,
    /// Pixel metrics from 50 bins and 21 thresholds, see the notes in `ader.rs`. For tables that are to be
    /// compared with published ones.
    Ader,
    /// The same, with the largest score counted twice, as the GPU version of that tool does.
    AderCuda,
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

/// A checked picture whose pixels are all known to be defective or not.
#[derive(Clone, Copy)]
pub(crate) struct AnnotatedMap<'a> {
    pub(crate) width: usize,
    pub(crate) map: &'a [f32],
    /// `None` when nothing is defective.
    pub(crate) mask: Option<&'a [u8]>,
}

impl<'a> AnnotatedMap<'a> {
    /// The map of an image of which is known whether its ground truth shows a defect.
    fn of((image, shows_defect): (&ScoredImage<'a>, &Option<bool>)) -> Option<Self> {
        let mask = if (*shows_defect)? { image.mask } else { None };
        Some(Self { width: image.width, map: image.map, mask })
    }
}

/// The pixel part of [`ClassMetrics`].
pub(crate) struct PixelMetrics {
    pub(crate) au_roc: MetricValue,
    pub(crate) ap: MetricValue,
    pub(crate) f1_max: Result<F1Max, MetricError>,
    pub(crate) au_pro: MetricValue,
    pub(crate) anomalous_pixels: u64,
    pub(crate) regions: u64,
}

/// Measures one class: all its test pictures, good and defective.
///
/// Pictures may differ in size. The result is the same to the bit for every order of the pictures
/// and for every strictly increasing change of the scores (thresholds excepted). One thread does
/// the work; measure several classes in parallel.
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
    let limit = options.pro_fpr_limit;
    if !(limit > 0.0 && limit <= 1.0) {
        return Err(MetricError::ProLimit { limit: limit.to_string() });
    }
    if images.is_empty() {
        return Err(MetricError::NoImages);
    }
    let shows_defect: Vec<Option<bool>> =
        images.iter().map(check_image).collect::<Result<_, _>>()?;
    let annotated: Vec<AnnotatedMap<'_>> =
        images.iter().zip(&shows_defect).filter_map(AnnotatedMap::of).collect();

    let label = |(image, shown): (&ScoredImage<'_>, &Option<bool>)| match options.protocol {
        Protocol::Exact => image.is_anomalous,
        Protocol::Ader | Protocol::AderCuda => shown.unwrap_or(image.is_anomalous),
    };
    let labels: Vec<bool> = images.iter().zip(&shows_defect).map(label).collect();
    let scores: Vec<f32> = images.iter().map(|image| image.score).collect();
    let image_ranking = Ranking::of_unit(&scores, &labels, Unit::Image)?;
    let image_f1 = f1_max_of(&image_ranking);

    let pixels = if annotated.is_empty() {
        PixelMetrics::undefined(&MetricError::NoGroundTruth { images: images.len() as u64 })
    } else {
        match options.protocol {
            Protocol::Exact => PixelMetrics::exact(&annotated, limit),
            Protocol::Ader => ader::pixel_metrics(&annotated, limit, ader::TopScore::Once),
            Protocol::AderCuda => ader::pixel_metrics(&annotated, limit, ader::TopScore::Twice),
        }
    };

    let disagrees = |(image, shown): &(&ScoredImage<'_>, &Option<bool>)| {
        shown.is_some_and(|shown| shown != image.is_anomalous)
    };
    let counts = ClassCounts {
        images: images.len() as u64,
        anomalous_images: images.iter().filter(|image| image.is_anomalous).count() as u64,
        images_without_truth: (images.len() - annotated.len()) as u64,
        label_mask_disagreements: images.iter().zip(&shows_defect).filter(disagrees).count() as u64,
        pixels: annotated.iter().map(|image| image.map.len() as u64).sum(),
        anomalous_pixels: pixels.anomalous_pixels,
        regions: pixels.regions,
    };
    Ok(ClassMetrics {
        image_au_roc: au_roc_of(&image_ranking),
        image_ap: average_precision_of(&image_ranking),
        image_f1_threshold: threshold(&image_f1),
        image_f1_max: image_f1.map(|best| best.f1),
        pixel_au_roc: pixels.au_roc,
        pixel_ap: pixels.ap,
        pixel_f1_threshold: threshold(&pixels.f1_max),
        iou_max: pixels.f1_max.clone().map(|best| best.iou),
        pixel_f1_max: pixels.f1_max.map(|best| best.f1),
        au_pro: pixels.au_pro,
        counts,
    })
}

impl PixelMetrics {
    fn exact(images: &[AnnotatedMap<'_>], pro_fpr_limit: f64) -> Self {
        let pixels = rank_pixels(images);
        let ranking = &pixels.ranking;
        Self {
            au_roc: au_roc_of(ranking),
            ap: average_precision_of(ranking),
            f1_max: f1_max_of(ranking),
            au_pro: au_pro(ranking, &pixels.found_regions, pixels.n_regions, pro_fpr_limit),
            anomalous_pixels: ranking.positives(),
            regions: pixels.n_regions,
        }
    }

    fn undefined(reason: &MetricError) -> Self {
        Self {
            au_roc: Err(reason.clone()),
            ap: Err(reason.clone()),
            f1_max: Err(reason.clone()),
            au_pro: Err(reason.clone()),
            anomalous_pixels: 0,
            regions: 0,
        }
    }
}

fn threshold(best: &Result<F1Max, MetricError>) -> Option<f32> {
    best.as_ref().ok().map(|best| best.threshold)
}

/// Refuses a picture that cannot be measured. Says whether its ground truth shows a defect, or
/// `None` when there is no ground truth.
fn check_image(image: &ScoredImage<'_>) -> Result<Option<bool>, MetricError> {
    let &ScoredImage { name, width, map, mask, score, is_anomalous } = image;
    let name = || name.to_owned();
    if width == 0
        || map.is_empty()
        || !map.len().is_multiple_of(width)
        || u32::try_from(map.len()).is_err()
    {
        return Err(MetricError::MapSize { image: name(), pixels: map.len(), width });
    }
    if !score.is_finite() {
        return Err(MetricError::ImageScoreNotFinite { image: name(), value: score.to_string() });
    }
    // Without an early exit, the test runs many pixels at a time.
    if !map.iter().fold(true, |finite, score| finite & score.is_finite()) {
        let index = map.iter().position(|score| !score.is_finite()).unwrap_or(0);
        return Err(MetricError::MapNotFinite {
            image: name(),
            row: index / width,
            column: index % width,
            value: map[index].to_string(),
        });
    }
    let Some(mask) = mask else {
        return Ok(if is_anomalous { None } else { Some(false) });
    };
    if mask.len() != map.len() {
        return Err(MetricError::MaskSize { image: name(), map: map.len(), mask: mask.len() });
    }
    match mask.iter().fold(0, |largest, &pixel| pixel.max(largest)) {
        0 => Ok(Some(false)),
        1 => Ok(Some(true)),
        value => Err(MetricError::MaskValue { image: name(), value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: ScoredImage<'static> = ScoredImage {
        name: "good/000",
        width: 2,
        map: &[0.1, 0.2],
        mask: None,
        score: 0.2,
        is_anomalous: false,
    };
    const DEFECTIVE: ScoredImage<'static> = ScoredImage {
        name: "hole/000",
        map: &[0.1, 0.9],
        mask: Some(&[0, 1]),
        score: 0.9,
        is_anomalous: true,
        ..GOOD
    };

    fn measure(images: &[ScoredImage<'_>]) -> ClassMetrics {
        class_metrics(images, &MetricOptions::default()).unwrap()
    }

    #[test]
    fn broken_input_is_refused_by_name() {
        let cases = [
            (ScoredImage { map: &[], ..GOOD }, "has 0 pixels"),
            (
                ScoredImage { map: &[0.1; 3], ..GOOD },
                "has 3 pixels, which is no picture of width 2",
            ),
            (ScoredImage { width: 0, ..GOOD }, "of width 0"),
            (ScoredImage { score: f32::INFINITY, ..GOOD }, "score of image `good/000` is `inf`"),
            (ScoredImage { map: &[0.1, f32::NAN], ..GOOD }, "holds `NaN` at row 0, column 1"),
            (ScoredImage { map: &[f32::NEG_INFINITY, 0.0], ..GOOD }, "holds `-inf` at row 0"),
            (ScoredImage { mask: Some(&[0]), ..GOOD }, "has 2 pixels but its mask has 1"),
            (ScoredImage { mask: Some(&[0, 255]), ..GOOD }, "holds the value 255"),
        ];
        for (image, text) in cases {
            let error = class_metrics(&[DEFECTIVE, image], &MetricOptions::default()).unwrap_err();
            assert!(error.to_string().contains(text), "`{error}` has no `{text}`");
            assert!(error.to_string().contains("`good/000`"), "`{error}` does not name the image");
        }
        assert_eq!(class_metrics(&[], &MetricOptions::default()), Err(MetricError::NoImages));
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
