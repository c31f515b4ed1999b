//! What is measured: pictures with their maps and ground truth, checked.

use crate::error::MetricError;

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
    /// annotated: it is left out of the pixel metrics, see
    /// [`ClassCounts::images_without_truth`](crate::ClassCounts::images_without_truth).
    pub mask: Option<&'a [u8]>,
    /// Score of the whole picture; higher is more anomalous. [`ImageScore`](crate::ImageScore)
    /// takes one from the map.
    pub score: f32,
    /// Label in the data set.
    pub is_anomalous: bool,
}

impl ScoredImage<'_> {
    /// Refuses a picture that cannot be measured. Says whether its ground truth shows a defect, or
    /// `None` when there is no ground truth.
    pub(crate) fn check(&self) -> Result<Option<bool>, MetricError> {
        let &Self { name, width, map, mask, score, is_anomalous } = self;
        let name = || name.to_owned();
        if width == 0
            || map.is_empty()
            || !map.len().is_multiple_of(width)
            || u32::try_from(map.len()).is_err()
        {
            return Err(MetricError::MapSize { image: name(), pixels: map.len(), width });
        }
        if !score.is_finite() {
            return Err(MetricError::ImageScoreNotFinite {
                image: name(),
                value: score.to_string(),
            });
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
}

/// A checked picture whose pixels are all known to be defective or not.
#[derive(Clone, Copy)]
pub(crate) struct AnnotatedMap<'a> {
    pub(crate) width: usize,
    pub(crate) map: &'a [f32],
    /// `None` when nothing is defective.
    pub(crate) mask: Option<&'a [u8]>,
    /// Neither label nor mask says that something is wrong with the picture.
    pub(crate) is_good: bool,
}

/// The checked pictures of a class.
pub(crate) struct CheckedClass<'a> {
    pub(crate) images: &'a [ScoredImage<'a>],
    /// Per picture, whether its ground truth shows a defect; `None` when it has none.
    pub(crate) shows_defect: Vec<Option<bool>>,
    /// The pictures with ground truth.
    pub(crate) annotated: Vec<AnnotatedMap<'a>>,
}

impl<'a> CheckedClass<'a> {
    pub(crate) fn of(images: &'a [ScoredImage<'a>]) -> Result<Self, MetricError> {
        if images.is_empty() {
            return Err(MetricError::NoImages);
        }
        let shows_defect: Vec<Option<bool>> =
            images.iter().map(ScoredImage::check).collect::<Result<_, _>>()?;
        let annotate = |(image, shown): (&ScoredImage<'a>, &Option<bool>)| {
            shown.map(|shown| AnnotatedMap {
                width: image.width,
                map: image.map,
                mask: if shown { image.mask } else { None },
                is_good: !shown && !image.is_anomalous,
            })
        };
        let annotated = images.iter().zip(&shows_defect).filter_map(annotate).collect();
        Ok(Self { images, shows_defect, annotated })
    }

    /// Labels from the masks, as evaluations without labels take them; those of the data set where
    /// there is no mask.
    pub(crate) fn labels_of_masks(&self) -> Vec<bool> {
        let label =
            |(image, shown): (&ScoredImage<'_>, &Option<bool>)| shown.unwrap_or(image.is_anomalous);
        self.images.iter().zip(&self.shows_defect).map(label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_samples::GOOD;

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
            let images = [GOOD, image];
            let Err(error) = CheckedClass::of(&images) else { panic!("no error with `{text}`") };
            assert!(error.to_string().contains(text), "`{error}` has no `{text}`");
            assert!(error.to_string().contains("`good/000`"), "`{error}` does not name the image");
        }
        assert!(matches!(CheckedClass::of(&[]), Err(MetricError::NoImages)));
    }

    #[test]
    fn a_picture_is_good_when_neither_label_nor_mask_objects() {
        let images = [
            GOOD,
            ScoredImage { mask: Some(&[0, 1]), ..GOOD },
            ScoredImage { mask: Some(&[0, 0]), is_anomalous: true, ..GOOD },
            ScoredImage { is_anomalous: true, ..GOOD },
        ];
        let class = CheckedClass::of(&images).unwrap();
        let good: Vec<bool> = class.annotated.iter().map(|image| image.is_good).collect();
        assert_eq!(good, [true, false, false]);
        assert_eq!(class.labels_of_masks(), [false, true, false, true]);
    }
}
