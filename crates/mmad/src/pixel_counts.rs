//! What `results.json` keeps of the maps of a test set: counts of every picture at a few thresholds.
//!
//! They are enough for the pixel metrics of any selection of the pictures, see
//! [`mmad_metrics::PixelGrid`]. Lists of numbers are little-endian, four bytes each, in
//! base64: JSON would be several times as long.

use mmad_metrics::{MetricError, PIXEL_GRID_THRESHOLDS, PictureCounts, PixelGrid, ScoredImage};
use serde::{Deserialize, Serialize};

/// The counts of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassPixelCounts {
    /// Name of the class.
    pub class: String,
    /// False positive rate up to which the evaluation took AU-PRO.
    pub pro_fpr_limit: f64,
    /// `f32`, from the highest down; every pixel of the class reaches the last.
    #[serde(with = "packed")]
    pub thresholds: Vec<f32>,
    /// The pictures whose ground truth is known.
    pub pictures: Vec<NamedCounts>,
}

/// The counts of one picture, per threshold what reaches it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedCounts {
    /// Name of the picture, unique in its class.
    pub name: String,
    /// `u32`: defect-free pixels.
    #[serde(with = "packed")]
    pub good: Vec<u32>,
    /// `u32`: defective pixels; empty when there are none.
    #[serde(with = "packed")]
    pub defective: Vec<u32>,
    /// `f32`: sum over the defect regions of the share of their pixels; empty when there are none.
    #[serde(with = "packed")]
    pub overlap: Vec<f32>,
    /// Defect regions.
    pub n_regions: u32,
}

impl ClassPixelCounts {
    /// Counts in the maps of a class.
    ///
    /// # Errors
    ///
    /// As [`PixelGrid::of`].
    pub fn of(
        class: &str,
        images: &[ScoredImage<'_>],
        pro_fpr_limit: f64,
    ) -> Result<Self, MetricError> {
        let grid = PixelGrid::of(images, PIXEL_GRID_THRESHOLDS)?;
        let named = images.iter().zip(grid.pictures).filter_map(|(image, counts)| {
            let PictureCounts { good, defective, overlap, n_regions } = counts?;
            Some(NamedCounts { name: image.name.to_owned(), good, defective, overlap, n_regions })
        });
        Ok(Self {
            class: class.to_owned(),
            pro_fpr_limit,
            pictures: named.collect(),
            thresholds: grid.thresholds,
        })
    }

    /// The first picture whose lists do not fit the thresholds.
    pub fn misfit(&self) -> Option<&str> {
        let n = self.thresholds.len();
        let fits = |len: usize| len == n || len == 0;
        let is_misfit = |picture: &&NamedCounts| {
            picture.good.len() != n
                || !fits(picture.defective.len())
                || picture.overlap.len() != picture.defective.len()
        };
        self.pictures.iter().find(is_misfit).map(|picture| picture.name.as_str())
    }
}

impl From<&NamedCounts> for PictureCounts {
    fn from(named: &NamedCounts) -> Self {
        Self {
            good: named.good.clone(),
            defective: named.defective.clone(),
            overlap: named.overlap.clone(),
            n_regions: named.n_regions,
        }
    }
}

/// Numbers of four bytes as base64.
mod packed {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) trait Packed: Copy {
        fn pack(self) -> [u8; 4];
        fn unpack(bytes: [u8; 4]) -> Self;
    }

    impl Packed for u32 {
        fn pack(self) -> [u8; 4] {
            self.to_le_bytes()
        }
        fn unpack(bytes: [u8; 4]) -> Self {
            Self::from_le_bytes(bytes)
        }
    }

    impl Packed for f32 {
        fn pack(self) -> [u8; 4] {
            self.to_le_bytes()
        }
        fn unpack(bytes: [u8; 4]) -> Self {
            Self::from_le_bytes(bytes)
        }
    }

    pub(super) fn serialize<T: Packed, S: Serializer>(
        values: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.pack()).collect();
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, T: Packed, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text).map_err(D::Error::custom)?;
        let (values, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            let message = format!("{} bytes are no list of numbers of 4 bytes", bytes.len());
            return Err(D::Error::custom(message));
        }
        Ok(values.iter().map(|&value| T::unpack(value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> ClassPixelCounts {
        let good = ScoredImage {
            name: "0.png",
            width: 2,
            map: &[0.1, 0.3],
            mask: None,
            score: 0.3,
            is_anomalous: false,
        };
        let crack = ScoredImage {
            name: "1.png",
            map: &[0.2, 0.9],
            mask: Some(&[0, 1]),
            is_anomalous: true,
            ..good
        };
        let unknown = ScoredImage { name: "2.png", mask: None, ..crack };
        ClassPixelCounts::of("gear", &[good, unknown, crack], 0.3).unwrap()
    }

    #[test]
    fn counts_survive_json_and_pictures_without_truth_have_none() {
        let counts = counted();
        let names: Vec<&str> =
            counts.pictures.iter().map(|picture| picture.name.as_str()).collect();
        assert_eq!(names, ["0.png", "1.png"]);
        assert_eq!((counts.pictures[0].n_regions, counts.pictures[0].defective.len()), (0, 0));
        assert_eq!(counts.pictures[1].defective.first(), Some(&1));
        let text = serde_json::to_string(&counts).unwrap();
        assert_eq!(serde_json::from_str::<ClassPixelCounts>(&text).unwrap(), counts);
    }

    #[test]
    fn broken_lists_are_found() {
        let mut counts = counted();
        assert_eq!(counts.misfit(), None);
        counts.pictures[1].overlap.pop();
        assert_eq!(counts.misfit(), Some("1.png"));
        counts.pictures[0].good.clear();
        assert_eq!(counts.misfit(), Some("0.png"));
        let mut json = serde_json::to_value(counted()).unwrap();
        for (broken, message) in [("AAAAAAA=", "5 bytes"), ("?", "Invalid")] {
            json["thresholds"] = broken.into();
            let error = serde_json::from_value::<ClassPixelCounts>(json.clone()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
