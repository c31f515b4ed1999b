//! Whatever a file held becomes 8-bit RGB; deep values go through a window that is told.

use image::DynamicImage;
use serde::Serialize;

use super::bit_range::BitRange;

/// The window that was used, and what it did to the picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WindowUse {
    /// The value that became black.
    pub lo: f64,
    /// The value that became white.
    pub hi: f64,
    /// Smallest value in the picture.
    pub min: f64,
    /// Largest value in the picture.
    pub max: f64,
    /// Values that were outside and are lost: channels count one by one, and a value that is not
    /// a number counts too.
    pub n_outside: u64,
}

/// Red, green and blue of every pixel, and the window if the picture had more than 8 bits.
pub(super) fn into_rgb8(image: DynamicImage, range: BitRange) -> (Vec<u8>, Option<WindowUse>) {
    match image {
        DynamicImage::ImageLuma8(grey) => (to_rgb::<1, u8>(grey.as_raw()), None),
        DynamicImage::ImageLumaA8(grey) => (to_rgb::<2, u8>(grey.as_raw()), None),
        DynamicImage::ImageRgb8(rgb) => (rgb.into_raw(), None),
        DynamicImage::ImageRgba8(rgba) => (to_rgb::<4, u8>(rgba.as_raw()), None),
        DynamicImage::ImageLuma16(grey) => window16(&to_rgb::<1, u16>(grey.as_raw()), range),
        DynamicImage::ImageLumaA16(grey) => window16(&to_rgb::<2, u16>(grey.as_raw()), range),
        DynamicImage::ImageRgb16(rgb) => window16(rgb.as_raw(), range),
        DynamicImage::ImageRgba16(rgba) => window16(&to_rgb::<4, u16>(rgba.as_raw()), range),
        DynamicImage::ImageRgb32F(rgb) => window_float(rgb.as_raw(), range),
        DynamicImage::ImageRgba32F(rgba) => window_float(&to_rgb::<4, f32>(rgba.as_raw()), range),
        other => (other.into_rgb8().into_raw(), None),
    }
}

/// Repeats grey, drops alpha. `C` is 1 (grey), 2 (grey, alpha), 3 or 4 (colour, alpha).
fn to_rgb<const C: usize, T: Copy>(values: &[T]) -> Vec<T> {
    let colour_of = |pixel: &[T; C]| match C {
        1 | 2 => [pixel[0]; 3],
        _ => [pixel[0], pixel[1], pixel[2]],
    };
    values.as_chunks::<C>().0.iter().flat_map(colour_of).collect()
}

fn window16(values: &[u16], range: BitRange) -> (Vec<u8>, Option<WindowUse>) {
    let min = values.iter().copied().min().unwrap_or(0);
    let max = values.iter().copied().max().unwrap_or(0);
    let (lo, hi) = match range {
        BitRange::Auto => (0, bits_window(max)),
        BitRange::Full => (0, u16::MAX),
        BitRange::Window(window) => (window.lo(), window.hi()),
    };
    let width = u32::from(hi - lo);
    let table: Vec<u8> = (0..=u16::MAX)
        .map(|value| {
            let above = u32::from(value.clamp(lo, hi) - lo);
            ((above * 510 + width) / (2 * width)) as u8
        })
        .collect();
    let n_outside = values.iter().filter(|&&value| value < lo || value > hi).count() as u64;
    let rgb = values.iter().map(|&value| table[usize::from(value)]).collect();
    let (lo, hi, min, max) = (f64::from(lo), f64::from(hi), f64::from(min), f64::from(max));
    (rgb, Some(WindowUse { lo, hi, min, max, n_outside }))
}

/// Largest value of the fewest bits, at least 8, that hold `max`.
fn bits_window(max: u16) -> u16 {
    let bits = (u16::BITS - max.leading_zeros()).max(8);
    u16::MAX >> (u16::BITS - bits)
}

fn window_float(values: &[f32], range: BitRange) -> (Vec<u8>, Option<WindowUse>) {
    let finite = || values.iter().copied().filter(|value| value.is_finite()).map(f64::from);
    let min = finite().fold(f64::INFINITY, f64::min);
    let max = finite().fold(f64::NEG_INFINITY, f64::max);
    let (min, max) = if min <= max { (min, max) } else { (0.0, 0.0) };
    let (lo, hi) = match range {
        BitRange::Window(window) => (f64::from(window.lo()), f64::from(window.hi())),
        BitRange::Auto if (min < 0.0 || max > 1.0) && min < max => (min, max),
        BitRange::Auto | BitRange::Full => (0.0, 1.0),
    };
    let to_byte = |value: f64| ((value - lo) / (hi - lo) * 255.0 + 0.5).clamp(0.0, 255.0) as u8;
    let outside = |value: f64| !(lo..=hi).contains(&value);
    let n_outside = values.iter().filter(|&&value| outside(f64::from(value))).count() as u64;
    let rgb = values.iter().map(|&value| to_byte(f64::from(value))).collect();
    (rgb, Some(WindowUse { lo, hi, min, max, n_outside }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Window;

    #[test]
    fn auto_finds_the_number_of_bits() {
        for (max, hi) in
            [(0, 255), (255, 255), (256, 511), (4095, 4095), (5120, 8191), (40000, 65535)]
        {
            assert_eq!(bits_window(max), hi, "{max}");
        }
    }

    #[test]
    fn full_keeps_sixteen_levels_apart_where_clipping_would_keep_two() {
        let levels: Vec<u16> = (0..16).map(|i| i * 4369).collect();
        let (rgb, window) = window16(&levels, BitRange::Full);
        let expected: Vec<u8> = (0..16).map(|i| i * 17).collect();
        assert_eq!(rgb, expected);
        assert_eq!(window.unwrap().n_outside, 0);
    }

    #[test]
    fn what_lies_outside_is_counted() {
        let window = BitRange::Window(Window::new(100, 300).unwrap());
        let (rgb, window) = window16(&[0, 99, 100, 200, 300, 301], window);
        assert_eq!(rgb, [0, 0, 0, 128, 255, 255]);
        let window = window.unwrap();
        assert_eq!((window.n_outside, window.min, window.max), (3, 0.0, 301.0));
    }

    #[test]
    fn floats_are_windowed_and_nan_is_counted() {
        let (rgb, window) = window_float(&[0.0, 0.5, 1.0], BitRange::Auto);
        assert_eq!(rgb, [0, 128, 255]);
        assert_eq!(window.unwrap().n_outside, 0);
        let (rgb, window) = window_float(&[-1.0, 0.0, 3.0, f32::NAN], BitRange::Auto);
        assert_eq!(rgb, [0, 64, 255, 0]);
        let window = window.unwrap();
        assert_eq!((window.lo, window.hi, window.n_outside), (-1.0, 3.0, 1));
    }

    #[test]
    fn grey_is_repeated_and_alpha_dropped() {
        assert_eq!(to_rgb::<2, u8>(&[7, 0, 9, 255]), [7, 7, 7, 9, 9, 9]);
        assert_eq!(to_rgb::<4, u8>(&[1, 2, 3, 0]), [1, 2, 3]);
    }
}
