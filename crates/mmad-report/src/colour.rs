//! Anomaly maps as colours, on one absolute scale.
//!
//! The map arrives with `0.5` at the threshold. Nothing is stretched to the range of one picture,
//! so a good part looks calm however little its map varies, and two pictures can be compared.
//! The colour maps of `matplotlib` (inferno, viridis, cividis) grow evenly in lightness and can be told
//! apart with any common colour vision.

use crate::error::ReportError;
use crate::raster::{RgbRaster, ScoreMap};

/// Up to here an overlay shows the bare picture.
const CALM_UP_TO: f32 = 0.4;

/// From here on an overlay has its full opacity; half of it at the threshold between.
const FULL_FROM: f32 = 0.6;

/// Colours for a value in `0.0..=1.0`, dark to bright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colormap {
    /// Black, purple, red, orange, pale yellow.
    #[default]
    Inferno,
    /// Dark blue, green, yellow.
    Viridis,
    /// Dark blue, grey, yellow: the same to eyes that do not tell red from green.
    Cividis,
}

impl Colormap {
    /// Every colour map, the default first.
    pub const ALL: [Self; 3] = [Self::Inferno, Self::Viridis, Self::Cividis];

    /// The name people know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inferno => "inferno",
            Self::Viridis => "viridis",
            Self::Cividis => "cividis",
        }
    }

    /// Red, green and blue for `value`, clipped to `0.0..=1.0`.
    pub fn colour(self, value: f32) -> [u8; 3] {
        self.at_level((255.0 * value.clamp(0.0, 1.0)).round() as u8)
    }

    /// The 256 colours for the levels 0 to 255.
    pub fn table(self) -> Vec<[u8; 3]> {
        (0..=255).map(|level| self.at_level(level)).collect()
    }

    fn at_level(self, level: u8) -> [u8; 3] {
        let gradient = match self {
            Self::Inferno => colorous::INFERNO,
            Self::Viridis => colorous::VIRIDIS,
            Self::Cividis => colorous::CIVIDIS,
        };
        gradient.eval_rational(usize::from(level), 256).as_array()
    }
}

/// How much of the colour an overlay shows for a map value, in `0.0..=1.0`: nothing up to 0.4,
/// half at the threshold 0.5, all from 0.6 on, joined by the smooth step `t^2 (3 - 2t)`.
pub fn heat_alpha(value: f32) -> f32 {
    let t = ((value - CALM_UP_TO) / (FULL_FROM - CALM_UP_TO)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The map alone as a picture of the same size.
pub fn heat_map(map: &ScoreMap, colormap: Colormap) -> RgbRaster {
    let table = colormap.table();
    let levels = map.levels();
    RgbRaster::of_map(map, |i| table[usize::from(levels[i])])
}

/// The picture with the map over it; `opacity` in `0.0..=1.0` scales [`heat_alpha`].
///
/// # Errors
///
/// [`ReportError::SizesDiffer`] when map and picture differ in size.
pub fn overlay(
    picture: &RgbRaster,
    map: &ScoreMap,
    opacity: f32,
    colormap: Colormap,
) -> Result<RgbRaster, ReportError> {
    require_same_size(picture, map)?;
    let opacity = opacity.clamp(0.0, 1.0);
    let table = colormap.table();
    let levels = map.levels();
    Ok(picture.map_pixels(|i, below| {
        let level = levels[i];
        let alpha = opacity * heat_alpha(f32::from(level) / 255.0);
        let above = table[usize::from(level)];
        std::array::from_fn(|c| mix(below[c], above[c], alpha))
    }))
}

/// The picture with a one-pixel line along the inner side of every region at or above `value`.
///
/// A region that leaves the picture stays open there.
///
/// # Errors
///
/// [`ReportError::SizesDiffer`] when map and picture differ in size.
pub fn contour(
    picture: &RgbRaster,
    map: &ScoreMap,
    value: f32,
    colour: [u8; 3],
) -> Result<RgbRaster, ReportError> {
    require_same_size(picture, map)?;
    let (width, height) = (map.size().0 as usize, map.size().1 as usize);
    let inside = |i: usize| map.values()[i] >= value;
    Ok(picture.map_pixels(|i, below| {
        let (row, column) = (i / width, i % width);
        let beside_outside = (column > 0 && !inside(i - 1))
            || (column + 1 < width && !inside(i + 1))
            || (row > 0 && !inside(i - width))
            || (row + 1 < height && !inside(i + width));
        if inside(i) && beside_outside { colour } else { below }
    }))
}

fn mix(below: u8, above: u8, alpha: f32) -> u8 {
    (f32::from(below) * (1.0 - alpha) + f32::from(above) * alpha).round() as u8
}

fn require_same_size(picture: &RgbRaster, map: &ScoreMap) -> Result<(), ReportError> {
    if picture.size() == map.size() {
        return Ok(());
    }
    Err(ReportError::SizesDiffer { map: map.size(), picture: picture.size() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIE lightness L* of an sRGB colour, `0.0..=100.0` (IEC 61966-2-1, CIE 1976).
    fn lightness(rgb: [u8; 3]) -> f64 {
        let linear = rgb.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        let y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        if y > 0.008_856 { 116.0 * y.cbrt() - 16.0 } else { 903.3 * y }
    }

    #[test]
    fn colour_maps_get_lighter_all_the_way() {
        for colormap in Colormap::ALL {
            let table: Vec<f64> = colormap.table().into_iter().map(lightness).collect();
            for (level, pair) in table.windows(2).enumerate() {
                // Rounding to 8 bits may cost a hair; a real dip would be units.
                assert!(pair[1] > pair[0] - 0.1, "{} dips at {level}: {pair:?}", colormap.name());
            }
            assert!(table[255] - table[0] > 70.0);
        }
        assert_eq!(Colormap::Inferno.colour(0.0), [0, 0, 4]);
        assert_eq!(Colormap::Inferno.colour(9.0), [252, 255, 164]);
        assert_eq!(Colormap::Viridis.colour(f32::MIN), [68, 1, 84]);
    }

    #[test]
    fn alpha_is_calm_below_the_threshold_and_full_above() {
        assert_eq!([-1.0, 0.0, 0.4].map(heat_alpha), [0.0; 3]);
        assert!((heat_alpha(0.5) - 0.5).abs() < 1e-6);
        assert_eq!([0.6, 0.7, 40.0].map(heat_alpha), [1.0; 3]);
        let ramp: Vec<f32> = (0..=100).map(|i| heat_alpha(i as f32 / 100.0)).collect();
        assert!(ramp.is_sorted());
    }

    #[test]
    fn overlay_keeps_the_picture_where_the_map_is_calm() {
        let picture = RgbRaster::new(3, 2, [90, 120, 150].repeat(6)).unwrap();
        let map = ScoreMap::new(3, 2, vec![0.0, 0.1, 0.4, 0.7, 1.0, 3.0]).unwrap();
        let half = overlay(&picture, &map, 0.5, Colormap::Inferno).unwrap();
        let (pixels, _) = half.pixels().as_chunks::<3>();
        assert_eq!(pixels[..3], [[90, 120, 150]; 3]);
        assert_eq!(pixels[4], [171, 188, 157], "half way to [252, 255, 164]");
        assert_eq!(pixels[4], pixels[5], "the scale ends at 1");
        assert_eq!(overlay(&picture, &map, 0.0, Colormap::Viridis).unwrap(), picture);
        let full = overlay(&picture, &map, 1.0, Colormap::Viridis).unwrap();
        assert_eq!(full.pixels()[9..12], Colormap::Viridis.colour(0.7));
    }

    #[test]
    fn heat_map_shows_the_table() {
        let map = ScoreMap::new(2, 1, vec![0.0, 1.0]).unwrap();
        assert_eq!(heat_map(&map, Colormap::Inferno).pixels(), [0, 0, 4, 252, 255, 164]);
    }

    #[test]
    fn contour_runs_inside_the_region_only() {
        // Not square on purpose: a swap of row and column fails here.
        let (width, height) = (6, 5);
        let mut values = vec![0.0; 30];
        for row in 1..4 {
            for column in 1..5 {
                values[row * 6 + column] = 0.5;
            }
        }
        let picture = RgbRaster::new(width, height, vec![0; 90]).unwrap();
        let map = ScoreMap::new(width, height, values).unwrap();
        let drawn = contour(&picture, &map, 0.5, [255, 0, 0]).unwrap();
        let rows: Vec<String> = drawn
            .pixels()
            .chunks(18)
            .map(|row| row.chunks(3).map(|p| if p[0] > 0 { '#' } else { '.' }).collect())
            .collect();
        assert_eq!(rows, ["......", ".####.", ".#..#.", ".####.", "......"]);
        assert_eq!(contour(&picture, &map, 0.6, [255; 3]).unwrap(), picture);
    }

    #[test]
    fn sizes_must_agree() {
        let picture = RgbRaster::new(2, 1, vec![0; 6]).unwrap();
        let map = ScoreMap::new(1, 2, vec![0.0; 2]).unwrap();
        assert!(overlay(&picture, &map, 0.5, Colormap::Inferno).is_err());
        assert!(contour(&picture, &map, 0.5, [0; 3]).is_err());
    }
}
