//! Exact metrics beside the seven: operating points, AU-PRO at other limits, AUPIMO, and the
//! recall of regions.

use serde::{Deserialize, Serialize};

use crate::aupimo::{AUPIMO_BOUNDS, aupimo_of};
use crate::error::{MetricError, MetricValue, Unit, value_format};
use crate::operating_points::{
    escape_at_overkill, fpr_at_recall, overkill_at_escape, recall_at_fpr,
};
use crate::pixels::{PixelTruth, RankedPixels};
use crate::precision_recall::F1Max;
use crate::ranking::Ranking;
use crate::region_overlap::{FprPrecision, au_pros};

/// Exact metrics of a class that do not belong to the seven.
///
/// Rates are in `0.0..=1.0`. For false positive, escape and overkill rates lower is better, else
/// higher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtraMetrics {
    /// False positive rate over pictures at a recall of 95 %.
    #[serde(with = "value_format")]
    pub image_fpr_at_tpr95: MetricValue,
    /// Recall over pictures at a false positive rate of 5 %.
    #[serde(with = "value_format")]
    pub image_tpr_at_fpr05: MetricValue,
    /// Recall over pictures at a false positive rate of 1 %.
    #[serde(with = "value_format")]
    pub image_tpr_at_fpr01: MetricValue,
    /// Share of defective pictures that pass where at most 1 % of the good ones are rejected.
    #[serde(with = "value_format")]
    pub escape_at_overkill01: MetricValue,
    /// Share of good pictures that are rejected where at most 1 % of the defective ones pass.
    #[serde(with = "value_format")]
    pub overkill_at_escape01: MetricValue,
    /// Share of good pictures that are rejected where no defective one passes.
    #[serde(with = "value_format")]
    pub zero_escape_overkill: MetricValue,
    /// False positive rate over pixels at a recall of 95 %.
    #[serde(with = "value_format")]
    pub pixel_fpr_at_tpr95: MetricValue,
    /// Recall over pixels at a false positive rate of 5 %.
    #[serde(with = "value_format")]
    pub pixel_tpr_at_fpr05: MetricValue,
    /// Recall over pixels at a false positive rate of 1 %.
    #[serde(with = "value_format")]
    pub pixel_tpr_at_fpr01: MetricValue,
    /// AU-PRO up to a false positive rate of 0.01.
    #[serde(with = "value_format")]
    pub au_pro_001: MetricValue,
    /// AU-PRO up to a false positive rate of 0.05.
    #[serde(with = "value_format")]
    pub au_pro_005: MetricValue,
    /// AU-PRO up to a false positive rate of 0.1.
    #[serde(with = "value_format")]
    pub au_pro_010: MetricValue,
    /// AU-PRO up to a false positive rate of 1.
    #[serde(with = "value_format")]
    pub au_pro_100: MetricValue,
    /// Mean AUPIMO of the defective pictures, between the false positive rates 1e-5 and 1e-4.
    #[serde(with = "value_format")]
    pub aupimo: MetricValue,
    /// Share of defect regions of which the threshold of F1-max finds at least one pixel.
    #[serde(with = "value_format")]
    pub region_recall: MetricValue,
    /// Share of defect regions of which the threshold of F1-max finds at least a tenth.
    #[serde(with = "value_format")]
    pub region_recall_10: MetricValue,
    /// Share of defect regions of which the threshold of F1-max finds at least a half.
    #[serde(with = "value_format")]
    pub region_recall_50: MetricValue,
}

impl ExtraMetrics {
    pub(crate) fn of(
        images: &Ranking,
        pixels: Result<(&PixelTruth<'_>, &RankedPixels, &Result<F1Max, MetricError>), &MetricError>,
        precision: FprPrecision,
    ) -> Self {
        let of_pixels = |metric: &dyn Fn(&Ranking) -> MetricValue| match pixels {
            Ok((_, ranked, _)) => metric(&ranked.ranking),
            Err(reason) => Err(reason.clone()),
        };
        let areas = pixels.map_err(Clone::clone).and_then(|(truth, ranked, _)| {
            let limits = [0.01, 0.05, 0.1, 1.0];
            au_pros(&ranked.ranking, &ranked.found_regions, truth.n_regions, limits, precision)
        });
        let [au_pro_001, au_pro_005, au_pro_010, au_pro_100] = match areas {
            Ok(areas) => areas.map(Ok),
            Err(reason) => std::array::from_fn(|_| Err(reason.clone())),
        };
        let overlaps = pixels.map_err(Clone::clone).and_then(|(truth, _, best)| {
            let threshold = best.as_ref().map_err(Clone::clone)?.threshold;
            Ok(truth.overlaps(threshold))
        });
        let region_recall = |overlap: f64| {
            overlaps.as_ref().map_err(Clone::clone).and_then(|overlaps| overlaps.recall(overlap))
        };
        let mean_aupimo = || {
            let (truth, ..) = pixels.map_err(Clone::clone)?;
            mean_of(aupimo_of(truth, AUPIMO_BOUNDS)?)
        };
        Self {
            image_fpr_at_tpr95: fpr_at_recall(images, 0.95),
            image_tpr_at_fpr05: recall_at_fpr(images, 0.05),
            image_tpr_at_fpr01: recall_at_fpr(images, 0.01),
            escape_at_overkill01: escape_at_overkill(images, 0.01),
            overkill_at_escape01: overkill_at_escape(images, 0.01),
            zero_escape_overkill: overkill_at_escape(images, 0.0),
            pixel_fpr_at_tpr95: of_pixels(&|pixels| fpr_at_recall(pixels, 0.95)),
            pixel_tpr_at_fpr05: of_pixels(&|pixels| recall_at_fpr(pixels, 0.05)),
            pixel_tpr_at_fpr01: of_pixels(&|pixels| recall_at_fpr(pixels, 0.01)),
            au_pro_001,
            au_pro_005,
            au_pro_010,
            au_pro_100,
            aupimo: mean_aupimo(),
            region_recall: region_recall(0.0),
            region_recall_10: region_recall(0.1),
            region_recall_50: region_recall(0.5),
        }
    }
}

/// The mean, the same whatever the order of the pictures.
fn mean_of(areas: Vec<(usize, f64)>) -> MetricValue {
    let mut areas: Vec<f64> = areas.into_iter().map(|(_, area)| area).collect();
    if areas.is_empty() {
        return Err(MetricError::NoPositives { unit: Unit::Pixel, negatives: 0 });
    }
    areas.sort_unstable_by(f64::total_cmp);
    Ok(areas.iter().sum::<f64>() / areas.len() as f64)
}
