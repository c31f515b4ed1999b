//! Metrics of a class whose maps are never in memory at once, as bounds that hold.
//!
//! An accumulator keeps the defective pixels (few, 4 bytes each) as they are, and of all others
//! only how many lie in each bin of a fine histogram ([`key_histogram`](crate::key_histogram)).
//! What is not known is the order inside a bin that has both. Every pixel metric gets better when
//! a defect-free pixel scores lower, so it lies between two that can be computed:
//!
//! - low: all defect-free pixels of a bin score above all defective ones in it;
//! - high: all of them score below.
//!
//! No term of a metric can grow in one of these steps, not even in its last bit, so the value that
//! [`class_metrics()`](crate::class_metrics()) computes lies inside to the bit. Image metrics are
//! exact. AUPIMO is a sum over pixels whose bounds are 1e-9 wider than that, for rounding; see
//! `streamed_defects.rs`. Accumulators of parts of a class merge into that of the whole, in any order.

use serde::{Deserialize, Serialize};

use crate::aupimo::AUPIMO_BOUNDS;
use crate::class_metrics::{ClassCounts, MetricOptions, Protocol};
use crate::components::Components;
use crate::error::{MetricError, MetricValue, Unit};
use crate::input::ScoredImage;
use crate::key_histogram::KeyHistogram;
use crate::operating_points::{
    escape_at_overkill, fpr_at_recall, overkill_at_escape, recall_at_fpr,
};
use crate::order::order_key;
use crate::pixels::distinct_scores;
use crate::placement::{DistinctScores, Placed};
use crate::precision_recall::{average_precision_of, f1_max_of};
use crate::ranking::Ranking;
use crate::region_overlap::{FprPrecision, au_pro};
use crate::roc::au_roc_of;
use crate::streamed_defects::{DefectKeys, GoodPixels};

/// Bits of the histogram unless said otherwise: a million bins, of which a model touches some
/// thousands.
pub const STREAMING_BITS: u32 = 20;

/// A value that is known to lie between two others, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Bounds {
    /// The middle.
    pub fn value(&self) -> f64 {
        f64::midpoint(self.low, self.high)
    }

    /// How far the true value is from the middle at most.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Whether a value lies inside.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Bounds of a metric, or the reason why it is undefined.
pub type BoundedValue = Result<Bounds, MetricError>;

/// What a streaming accumulator knows of one class.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamedMetrics {
    /// Every metric with its id, the seven of [`METRICS`](crate::METRICS) first and in their order.
    pub values: Vec<(&'static str, BoundedValue)>,
    /// What the numbers stand on.
    pub counts: ClassCounts,
}

impl StreamedMetrics {
    /// The metric with this id of [`METRICS`](crate::METRICS) or
    /// [`EXTRA_METRICS`](crate::EXTRA_METRICS); `None` when streaming does not have it.
    pub fn get(&self, id: &str) -> Option<&BoundedValue> {
        self.values.iter().find(|(own, _)| *own == id).map(|(_, value)| value)
    }
}

/// Takes the pictures of a class one by one, and forgets their maps.
///
/// ```
/// use mmad_metrics::{ScoredImage, StreamingClass, STREAMING_BITS};
/// let good = ScoredImage {
///     name: "good/000",
///     width: 2,
///     map: &[0.1, 0.25],
///     mask: None,
///     score: 0.25,
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
/// let mut here = StreamingClass::new(STREAMING_BITS)?;
/// here.add(&good)?;
/// let mut elsewhere = StreamingClass::new(STREAMING_BITS)?;
/// elsewhere.add(&hole)?;
/// here.merge(elsewhere)?;
/// let metrics = here.metrics(&Default::default())?;
/// let area = metrics.get("pixel_au_roc").unwrap().clone()?;
/// assert_eq!((area.value(), area.half_width()), (1.0, 0.0));
/// # Ok::<(), mmad_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone)]
pub struct StreamingClass {
    bits: u32,
    defects: DefectKeys,
    good: GoodPixels,
    /// The defect-free pixels of all other pictures.
    others: KeyHistogram,
    /// Score and label of every picture.
    images: Vec<(f32, bool)>,
    images_without_truth: u64,
    label_mask_disagreements: u64,
}

impl StreamingClass {
    /// Starts without pictures. The histogram has 2 to the power of `bits` bins; each bit more
    /// halves the width of the bounds.
    ///
    /// # Errors
    ///
    /// [`MetricError::StreamingBits`] unless `bits` is in `1..=32`.
    pub fn new(bits: u32) -> Result<Self, MetricError> {
        if !(1..=32).contains(&bits) {
            return Err(MetricError::StreamingBits { bits });
        }
        Ok(Self {
            bits,
            defects: DefectKeys::default(),
            good: GoodPixels::new(bits),
            others: KeyHistogram::new(bits),
            images: Vec::new(),
            images_without_truth: 0,
            label_mask_disagreements: 0,
        })
    }

    /// Takes a picture.
    ///
    /// # Errors
    ///
    /// As [`class_metrics`](crate::class_metrics()) for broken input; the accumulator is then as
    /// it was before.
    pub fn add(&mut self, image: &ScoredImage<'_>) -> Result<(), MetricError> {
        let shown = image.check()?;
        self.images.push((image.score, image.is_anomalous));
        match shown {
            None => {
                self.images_without_truth += 1;
                return Ok(());
            }
            Some(shown) if shown != image.is_anomalous => self.label_mask_disagreements += 1,
            Some(_) => {}
        }
        let Some(mask) = image.mask.filter(|_| shown == Some(true)) else {
            if image.is_anomalous {
                image.map.iter().for_each(|&score| self.others.add(order_key(score)));
            } else {
                self.good.add(image.map);
            }
            return Ok(());
        };
        self.defects.add(image.map, &Components::of(mask, image.width));
        let background = image.map.iter().zip(mask).filter(|(_, pixel)| **pixel == 0);
        background.for_each(|(&score, _)| self.others.add(order_key(score)));
        Ok(())
    }

    /// Takes all pictures of another accumulator of the same class.
    ///
    /// # Errors
    ///
    /// [`MetricError::StreamingMerge`] when the histograms differ in their bits.
    pub fn merge(&mut self, other: Self) -> Result<(), MetricError> {
        if self.bits != other.bits {
            return Err(MetricError::StreamingMerge { own: self.bits, other: other.bits });
        }
        self.defects.merge(other.defects);
        self.good.merge(&other.good);
        self.others.merge(&other.others);
        self.images.extend(other.images);
        self.images_without_truth += other.images_without_truth;
        self.label_mask_disagreements += other.label_mask_disagreements;
        Ok(())
    }

    /// The metrics of all pictures so far. More can be added after it.
    ///
    /// # Errors
    ///
    /// No pictures, a limit outside `(0, 1]`, [`MetricError::StreamingProtocol`] for another
    /// protocol than the exact one. A metric that the data do not define is the `Err` of its own
    /// entry.
    pub fn metrics(&self, options: &MetricOptions) -> Result<StreamedMetrics, MetricError> {
        options.check()?;
        if options.protocol != Protocol::Exact {
            let protocol = options.protocol.name().to_owned();
            return Err(MetricError::StreamingProtocol { protocol });
        }
        if self.images.is_empty() {
            return Err(MetricError::NoImages);
        }
        let (scores, labels): (Vec<f32>, Vec<bool>) = self.images.iter().copied().unzip();
        let images = Ranking::of_unit(&scores, &labels, Unit::Image)?;
        let mut negatives = self.others.clone();
        self.good.add_to(&mut negatives);
        let n_negatives = negatives.total();
        let counts = ClassCounts {
            images: self.images.len() as u64,
            anomalous_images: labels.iter().filter(|&&label| label).count() as u64,
            images_without_truth: self.images_without_truth,
            label_mask_disagreements: self.label_mask_disagreements,
            pixels: n_negatives + self.defects.n_pixels(),
            anomalous_pixels: self.defects.n_pixels(),
            regions: self.defects.n_regions(),
        };

        let (scores, found_regions) = distinct_scores(&self.defects.sorted());
        let extremes = extremes(&negatives, scores);
        let need_truth = || match counts.pixels {
            0 => Err(MetricError::NoGroundTruth { images: counts.images }),
            _ => Ok(()),
        };
        let bounds = |metric: &dyn Fn(&Ranking) -> MetricValue| {
            need_truth()?;
            let (one, other) = (metric(&extremes[0])?, metric(&extremes[1])?);
            Ok(Bounds { low: one.min(other), high: one.max(other) })
        };
        let exact = |value: MetricValue| value.map(|value| Bounds { low: value, high: value });
        let au_pro_to = |limit: f64| {
            bounds(&|pixels| {
                au_pro(pixels, &found_regions, counts.regions, limit, FprPrecision::Double)
            })
        };
        let region_recall = |overlap: f64| {
            need_truth()?;
            self.defects.recall(&extremes, overlap)
        };
        let values = vec![
            ("image_au_roc", exact(au_roc_of(&images))),
            ("image_ap", exact(average_precision_of(&images))),
            ("image_f1_max", exact(f1_max_of(&images).map(|best| best.f1))),
            ("pixel_au_roc", bounds(&au_roc_of)),
            ("pixel_ap", bounds(&average_precision_of)),
            ("pixel_f1_max", bounds(&|pixels| f1_max_of(pixels).map(|best| best.f1))),
            ("au_pro", au_pro_to(options.pro_fpr_limit)),
            ("iou_max", bounds(&|pixels| f1_max_of(pixels).map(|best| best.iou))),
            ("image_fpr_at_tpr95", exact(fpr_at_recall(&images, 0.95))),
            ("image_tpr_at_fpr05", exact(recall_at_fpr(&images, 0.05))),
            ("image_tpr_at_fpr01", exact(recall_at_fpr(&images, 0.01))),
            ("escape_at_overkill01", exact(escape_at_overkill(&images, 0.01))),
            ("overkill_at_escape01", exact(overkill_at_escape(&images, 0.01))),
            ("zero_escape_overkill", exact(overkill_at_escape(&images, 0.0))),
            ("pixel_fpr_at_tpr95", bounds(&|pixels| fpr_at_recall(pixels, 0.95))),
            ("pixel_tpr_at_fpr05", bounds(&|pixels| recall_at_fpr(pixels, 0.05))),
            ("pixel_tpr_at_fpr01", bounds(&|pixels| recall_at_fpr(pixels, 0.01))),
            ("au_pro_001", au_pro_to(0.01)),
            ("au_pro_005", au_pro_to(0.05)),
            ("au_pro_010", au_pro_to(0.1)),
            ("au_pro_100", au_pro_to(1.0)),
            ("aupimo", need_truth().and_then(|()| self.aupimo(AUPIMO_BOUNDS))),
            ("region_recall", region_recall(0.0)),
            ("region_recall_10", region_recall(0.1)),
            ("region_recall_50", region_recall(0.5)),
        ];
        Ok(StreamedMetrics { values, counts })
    }

    /// Bounds of the mean [`aupimo()`](crate::aupimo()) of the defective pictures so far, between two
    /// false positive rates.
    ///
    /// # Errors
    ///
    /// As [`aupimo()`](crate::aupimo()), but for broken input.
    pub fn aupimo(&self, bounds: (f64, f64)) -> BoundedValue {
        let mut negatives = self.others.clone();
        self.good.add_to(&mut negatives);
        self.defects.aupimo(&self.good, negatives.total(), bounds)
    }
}

/// The rankings with all negatives of a bin above, and with all below the positives in it.
fn extremes(negatives: &KeyHistogram, scores: DistinctScores) -> [Ranking; 2] {
    let total = negatives.total();
    // Per score, from the highest down, the negatives above it and not above the next higher.
    let (mut worst, mut best) = (Vec::new(), Vec::new());
    let mut bins = negatives.iter_from_highest().peekable();
    // Negatives in bins above that of the score, and those in its own bin.
    let (mut above, mut inside, mut inside_bin) = (0_u64, 0_u64, u32::MAX);
    let (mut above_worst, mut above_best) = (0_u64, 0_u64);
    for &key in scores.keys().iter().rev() {
        let bin = negatives.bin(key);
        if bin != inside_bin {
            above += inside;
            (inside, inside_bin) = (0, bin);
        }
        while let Some((_, count)) = bins.next_if(|(other, _)| *other > bin) {
            above += count;
        }
        if let Some((_, count)) = bins.next_if(|(other, _)| *other == bin) {
            inside = count;
        }
        worst.push(above + inside - above_worst);
        best.push(above - above_best);
        (above_worst, above_best) = (above + inside, above);
    }
    [(worst, above_worst), (best, above_best)].map(|(mut counts, above)| {
        counts.push(total - above);
        counts.reverse();
        Ranking::from_placed(Placed::without_ties(scores.clone(), &counts), Unit::Pixel)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_samples::GOOD;

    #[test]
    fn what_cannot_be_streamed_is_refused() {
        assert!(matches!(StreamingClass::new(0), Err(MetricError::StreamingBits { bits: 0 })));
        assert!(matches!(StreamingClass::new(33), Err(MetricError::StreamingBits { .. })));
        let mut class = StreamingClass::new(8).unwrap();
        assert_eq!(class.metrics(&MetricOptions::default()), Err(MetricError::NoImages));
        let broken = ScoredImage { map: &[f32::NAN, 0.0], ..GOOD };
        assert!(matches!(class.add(&broken), Err(MetricError::MapNotFinite { .. })));
        assert!(class.images.is_empty());
        let other = StreamingClass::new(9).unwrap();
        assert!(matches!(class.merge(other), Err(MetricError::StreamingMerge { .. })));
        class.add(&GOOD).unwrap();
        for protocol in Protocol::ALL.into_iter().filter(|&p| p != Protocol::Exact) {
            let options = MetricOptions { protocol, ..MetricOptions::default() };
            let error = class.metrics(&options).unwrap_err();
            assert!(matches!(error, MetricError::StreamingProtocol { .. }), "{error}");
        }
        let options = MetricOptions { pro_fpr_limit: 2.0, ..MetricOptions::default() };
        assert!(matches!(class.metrics(&options), Err(MetricError::ProLimit { .. })));
    }

    #[test]
    fn what_is_undefined_says_why() {
        let mut class = StreamingClass::new(8).unwrap();
        class.add(&ScoredImage { is_anomalous: true, ..GOOD }).unwrap();
        let metrics = class.metrics(&MetricOptions::default()).unwrap();
        let error = MetricError::NoGroundTruth { images: 1 };
        assert_eq!(metrics.get("au_pro"), Some(&Err(error)));
        assert_eq!(metrics.get("no such metric"), None);
        class.add(&GOOD).unwrap();
        let metrics = class.metrics(&MetricOptions::default()).unwrap();
        assert!(matches!(metrics.get("au_pro"), Some(Err(MetricError::NoPositives { .. }))));
        assert_eq!(metrics.counts.images_without_truth, 1);
    }
}
