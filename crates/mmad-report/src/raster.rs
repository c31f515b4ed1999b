//! Pictures and anomaly maps as plain buffers whose size is known to be right.

use crate::error::ReportError;

/// A picture of 8-bit red, green and blue, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbRaster {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// An anomaly map on the absolute scale: `0.5` is the threshold, `1.0` and above is the hottest
/// colour, negative values are as calm as zero.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreMap {
    width: u32,
    height: u32,
    values: Vec<f32>,
}

impl RgbRaster {
    /// Takes `3 * width * height` bytes in the order red, green, blue.
    ///
    /// # Errors
    ///
    /// [`ReportError::RasterSize`] when a side is zero or the length does not fit.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self, ReportError> {
        check_size("an RGB picture", width, height, 3, pixels.len())?;
        Ok(Self { width, height, pixels })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The bytes, `3 * width * height` of them.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// A picture as large as `map`.
    pub(crate) fn of_map(map: &ScoreMap, colour: impl FnMut(usize) -> [u8; 3]) -> Self {
        let pixels = (0..map.values.len()).flat_map(colour).collect();
        Self { width: map.width, height: map.height, pixels }
    }

    /// The same size with other colours.
    pub(crate) fn map_pixels(&self, mut colour: impl FnMut(usize, [u8; 3]) -> [u8; 3]) -> Self {
        let (pixels, _) = self.pixels.as_chunks::<3>();
        let pixels = pixels.iter().enumerate().flat_map(|(i, &rgb)| colour(i, rgb)).collect();
        Self { width: self.width, height: self.height, pixels }
    }
}

impl ScoreMap {
    /// Takes `width * height` values, row by row, already divided so that `0.5` is the threshold.
    ///
    /// # Errors
    ///
    /// [`ReportError::RasterSize`] when a side is zero or the length does not fit,
    /// [`ReportError::NotFinite`] when a value is NaN or infinite.
    pub fn new(width: u32, height: u32, values: Vec<f32>) -> Result<Self, ReportError> {
        check_size("a score map", width, height, 1, values.len())?;
        if let Some(i) = values.iter().position(|value| !value.is_finite()) {
            let (row, column) = (i / width as usize, i % width as usize);
            return Err(ReportError::NotFinite {
                what: format!("the map value in row {row}, column {column}"),
                value: f64::from(values[i]),
            });
        }
        Ok(Self { width, height, values })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The values, `width * height` of them.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The map with half as many rows and columns, each value the largest of the four it stands
    /// for, so that no region at or above a threshold is lost. Odd sides leave a thinner last row
    /// or column.
    #[must_use]
    pub fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let at = |x: u32, y: u32| self.values[(y * self.width + x) as usize];
        let largest = |column: u32, row: u32| {
            let (x, y) = (2 * column, 2 * row);
            let (right, below) = ((x + 1).min(self.width - 1), (y + 1).min(self.height - 1));
            at(x, y).max(at(right, y)).max(at(x, below)).max(at(right, below))
        };
        let values = (0..height)
            .flat_map(|row| (0..width).map(move |column| largest(column, row)))
            .collect();
        Self { width, height, values }
    }

    /// The map as 8-bit levels: `255 * value`, rounded, clipped to the scale. A level is at least
    /// 128 exactly where the value is at least 0.5, so no pixel changes side of the threshold.
    pub fn levels(&self) -> Vec<u8> {
        self.values.iter().map(|value| (255.0 * value.clamp(0.0, 1.0)).round() as u8).collect()
    }

    /// The map as 16-bit levels, `65535 * value` under the same rules, for files.
    pub fn levels16(&self) -> Vec<u16> {
        self.values.iter().map(|value| (65535.0 * value.clamp(0.0, 1.0)).round() as u16).collect()
    }
}

/// Checks that a buffer of `got` values is a `width * height` raster of so many channels.
pub(crate) fn check_size(
    what: &'static str,
    width: u32,
    height: u32,
    channels: u64,
    got: usize,
) -> Result<(), ReportError> {
    // 32-bit sides cannot overflow the product in 128 bits, whatever the caller asks.
    let expected = u128::from(width) * u128::from(height) * u128::from(channels);
    if expected == 0 || expected != got as u128 {
        return Err(ReportError::RasterSize { what, width, height, got });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        assert!(RgbRaster::new(3, 2, vec![0; 18]).is_ok());
        let error = RgbRaster::new(3, 2, vec![0; 17]).unwrap_err();
        assert_eq!(error.to_string(), "an RGB picture of 3 x 2 pixels cannot have 17 values");
        assert!(ScoreMap::new(0, 4, vec![]).is_err());
        assert!(RgbRaster::new(u32::MAX, u32::MAX, vec![0; 3]).is_err());
    }

    #[test]
    fn a_map_with_nan_is_refused_with_its_place() {
        let error = ScoreMap::new(3, 2, vec![0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the map value in row 1, column 1 is `NaN`, not a finite number"
        );
    }

    #[test]
    fn half_a_map_keeps_the_largest_values() {
        let map = ScoreMap::new(3, 3, (0..9).map(|i| i as f32).collect()).unwrap().halved();
        assert_eq!((map.size(), map.values()), ((2, 2), &[4.0, 5.0, 7.0, 8.0][..]));
        assert_eq!(map.halved().values(), [8.0]);
    }

    #[test]
    fn levels_clip_and_keep_the_side_of_the_threshold() {
        let below = 0.5_f32.next_down();
        let map = ScoreMap::new(6, 1, vec![-1.0, 0.0, below, 0.5, 1.0, 7.0]).unwrap();
        assert_eq!(map.levels(), [0, 0, 127, 128, 255, 255]);
        assert_eq!(map.levels16(), [0, 0, 32767, 32768, 65535, 65535]);
    }
}
