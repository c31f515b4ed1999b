//! A mask file becomes marked and unmarked pixels.

use std::path::Path;

use image::DynamicImage;

use super::{DecodeError, DecodeOptions, decode_image, read_whole};

/// A ground truth mask at its full size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Width in pixels, after turning.
    pub width: usize,
    /// Height in pixels, after turning.
    pub height: usize,
    /// `[height, width]`: 255 where a defect is marked, else 0.
    pub marked: Vec<u8>,
    /// How many pixels are marked.
    pub n_marked: usize,
    /// How many different grey levels the file has; a clean mask has at most two.
    pub n_levels: usize,
}

/// Decodes a mask file: a pixel is marked where its grey level is above zero.
///
/// The grey level is Pillow's `convert("L")`: `(19595 R + 38470 G + 7471 B + 32768) >> 16`, without
/// alpha. With 16 bits, or in floating point, every value above zero marks.
///
/// # Errors
///
/// As [`decode_file`](super::decode_file).
pub fn decode_mask_file(path: &Path, options: &DecodeOptions) -> Result<Mask, DecodeError> {
    decode_mask_bytes(path, &read_whole(path)?, options)
}

/// Decodes the content of a mask file; `path` only names it in errors.
///
/// # Errors
///
/// As [`decode_file`](super::decode_file).
pub fn decode_mask_bytes(
    path: &Path,
    bytes: &[u8],
    options: &DecodeOptions,
) -> Result<Mask, DecodeError> {
    let (image, _) = decode_image(path, bytes, options.max_pixels)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let grey = grey_levels(image);
    let mut seen = [false; 256];
    for &level in &grey {
        seen[usize::from(level)] = true;
    }
    let n_levels = seen.iter().filter(|&&seen| seen).count();
    let marked: Vec<u8> = grey.into_iter().map(|level| if level > 0 { 255 } else { 0 }).collect();
    let n_marked = marked.iter().filter(|&&mark| mark > 0).count();
    Ok(Mask { width, height, marked, n_marked, n_levels })
}

/// Grey level of every pixel, `0..=255`; deep values are brought to 8 bits rounding up, so that
/// no mark is lost.
fn grey_levels(image: DynamicImage) -> Vec<u8> {
    let luma = |rgb: [u8; 3]| {
        let [r, g, b] = rgb.map(u32::from);
        ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16) as u8
    };
    match image {
        DynamicImage::ImageLuma8(grey) => grey.into_raw(),
        DynamicImage::ImageLumaA8(grey) => grey.pixels().map(|pixel| pixel.0[0]).collect(),
        DynamicImage::ImageRgb8(rgb) => rgb.pixels().map(|pixel| luma(pixel.0)).collect(),
        DynamicImage::ImageRgba8(rgba) => {
            rgba.pixels().map(|pixel| luma([pixel.0[0], pixel.0[1], pixel.0[2]])).collect()
        }
        deep => deep
            .into_rgb16()
            .pixels()
            .map(|pixel| pixel.0.into_iter().max().unwrap_or(0).div_ceil(257) as u8)
            .collect(),
    }
}
