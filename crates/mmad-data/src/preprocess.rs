//! From a decoded picture to the numbers a model sees.

use serde::{Deserialize, Serialize};

use crate::decode::{Mask, Picture};
use crate::error::DataError;
use crate::resample::resize_u8;

/// Mean of red, green and blue over `ImageNet`, of values in `0..=1`; the custom of its models.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation that goes with [`IMAGENET_MEAN`].
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// No model input is larger; a slip of the pen would take all memory.
const MAX_SIDE_PX: usize = 16_384;

/// Brings every picture to one size and range: resize, divide by 255, subtract the mean, divide
/// by the standard deviation. Belongs to a model and is stored with it.
///
/// The picture is stretched to the size, as the reference implementation does, with Pillow's
/// antialiased bilinear filter, bit for bit. The arithmetic in `f32` is torchvision's `ToTensor`
/// and `Normalize`, in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Preprocess {
    height: usize,
    width: usize,
    mean: [f32; 3],
    std: [f32; 3],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    height: usize,
    width: usize,
    mean: [f32; 3],
    std: [f32; 3],
}

impl Preprocess {
    /// To `height` and `width` pixels, with the mean and deviation of `ImageNet`.
    ///
    /// # Errors
    ///
    /// [`DataError::OutOfRange`] unless both sides are in `1..=16384`.
    pub fn imagenet(height: usize, width: usize) -> Result<Self, DataError> {
        Self::new(height, width, IMAGENET_MEAN, IMAGENET_STD)
    }

    /// To `height` and `width` pixels, with a mean and deviation of values in `0..=1`.
    ///
    /// # Errors
    ///
    /// [`DataError::OutOfRange`] unless both sides are in `1..=16384`, the mean is finite and the
    /// deviation is finite and above zero.
    pub fn new(
        height: usize,
        width: usize,
        mean: [f32; 3],
        std: [f32; 3],
    ) -> Result<Self, DataError> {
        for (name, side_px) in [("height", height), ("width", width)] {
            if !(1..=MAX_SIDE_PX).contains(&side_px) {
                let range = "from 1 to 16384 pixels";
                return Err(DataError::OutOfRange { name, value: side_px.to_string(), range });
            }
        }
        if mean.iter().any(|mean| !mean.is_finite()) {
            let value = format!("{mean:?}");
            return Err(DataError::OutOfRange { name: "mean", value, range: "finite" });
        }
        if std.iter().any(|std| !std.is_finite() || *std <= 0.0) {
            let (value, range) = (format!("{std:?}"), "finite and above zero");
            return Err(DataError::OutOfRange { name: "standard deviation", value, range });
        }
        Ok(Self { height, width, mean, std })
    }

    /// Height of the model's input in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of the model's input in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Mean that is subtracted, of red, green and blue in `0..=1`.
    pub fn mean(&self) -> [f32; 3] {
        self.mean
    }

    /// Standard deviation that is divided by, of red, green and blue in `0..=1`.
    pub fn std(&self) -> [f32; 3] {
        self.std
    }

    /// Resizes a picture.
    ///
    /// # Shapes
    ///
    /// - output: `[height, width, 3]`, `0..=255`
    pub fn resize(&self, picture: &Picture) -> Vec<u8> {
        resize_u8::<3>(&picture.rgb, (picture.height, picture.width), (self.height, self.width))
    }

    /// Brings resized pixels to the range of the model.
    ///
    /// # Shapes
    ///
    /// - `rgb`: `[..., 3]`, `0..=255`
    /// - output: the same, `(value / 255 - mean) / std`
    pub fn normalise(&self, rgb: &[u8]) -> Vec<f32> {
        let table: [[f32; 256]; 3] = std::array::from_fn(|c| {
            std::array::from_fn(|value| (value as f32 / 255.0 - self.mean[c]) / self.std[c])
        });
        rgb.as_chunks::<3>()
            .0
            .iter()
            .flat_map(|pixel| std::array::from_fn::<f32, 3, _>(|c| table[c][usize::from(pixel[c])]))
            .collect()
    }

    /// Brings values that are no whole levels to the range of the model.
    ///
    /// # Shapes
    ///
    /// - `values`: `[..., 3]`, `0..=1`
    /// - output: the same, `(value - mean) / std`
    pub fn normalise_values(&self, values: &[f32]) -> Vec<f32> {
        let pixels = values.as_chunks::<3>().0.iter();
        let normalise = |pixel: &[f32; 3]| {
            std::array::from_fn::<f32, 3, _>(|c| (pixel[c] - self.mean[c]) / self.std[c])
        };
        pixels.flat_map(normalise).collect()
    }

    /// Resizes a picture and brings it to the range of the model.
    ///
    /// # Shapes
    ///
    /// - output: `[height, width, 3]`; see [`channels_first`] for `[3, height, width]`
    pub fn picture(&self, picture: &Picture) -> Vec<f32> {
        self.normalise(&self.resize(picture))
    }

    /// Resizes a mask: marked where the resized mask is above one half.
    ///
    /// # Shapes
    ///
    /// - output: `[height, width]`, 1 where marked, else 0
    pub fn mask(&self, mask: &Mask) -> Vec<u8> {
        let to = (self.height, self.width);
        let resized = resize_u8::<1>(&mask.marked, (mask.height, mask.width), to);
        // value / 255 > 0.5
        resized.into_iter().map(|value| u8::from(value > 127)).collect()
    }
}

impl TryFrom<Unchecked> for Preprocess {
    type Error = DataError;

    fn try_from(raw: Unchecked) -> Result<Self, DataError> {
        Self::new(raw.height, raw.width, raw.mean, raw.std)
    }
}

impl From<Preprocess> for Unchecked {
    fn from(p: Preprocess) -> Self {
        Self { height: p.height, width: p.width, mean: p.mean, std: p.std }
    }
}

/// Brings colours before pixels.
///
/// # Shapes
///
/// - `pixels`: `[height, width, 3]`
/// - output: `[3, height, width]`
pub fn channels_first(pixels: &[f32]) -> Vec<f32> {
    let pixels = pixels.as_chunks::<3>().0;
    (0..3).flat_map(|c| pixels.iter().map(move |pixel| pixel[c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_first_moves_the_last_axis_to_the_front() {
        let pixels = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // [1, 2, 3]
        assert_eq!(channels_first(&pixels), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn a_setting_out_of_range_is_refused_also_from_a_file() {
        let error = Preprocess::imagenet(0, 256).unwrap_err();
        assert_eq!(error.to_string(), "height is 0, but must be from 1 to 16384 pixels");
        assert!(Preprocess::new(8, 8, [0.0; 3], [1.0, 0.0, 1.0]).is_err());
        assert!(Preprocess::new(8, 8, [f32::NAN; 3], [1.0; 3]).is_err());
        let good = serde_json::to_string(&Preprocess::imagenet(256, 320).unwrap()).unwrap();
        let read: Preprocess = serde_json::from_str(&good).unwrap();
        assert_eq!((read.height(), read.width()), (256, 320));
        assert!(serde_json::from_str::<Preprocess>(&good.replace("256", "0")).is_err());
    }

    /// A mark of one pixel in a large picture vanishes; half of the picture stays half.
    #[test]
    fn a_mask_is_cut_at_one_half() {
        let preprocess = Preprocess::imagenet(4, 4).unwrap();
        let mut marked = vec![0; 16 * 16];
        marked[0] = 255;
        let mask = Mask { width: 16, height: 16, marked, n_marked: 1, n_levels: 2 };
        assert!(preprocess.mask(&mask).iter().all(|&mark| mark == 0));
        let marked: Vec<u8> = (0..256).map(|i| if i % 16 < 8 { 255 } else { 0 }).collect();
        let mask = Mask { width: 16, height: 16, marked, n_marked: 128, n_levels: 2 };
        assert_eq!(preprocess.mask(&mask), [1, 1, 0, 0].repeat(4));
    }
}
