//! A picture file becomes 8-bit RGB, or an error that names the file: never a panic, and never
//! a picture that was damaged or clipped without a word.
//!
//! What happens to a file:
//!
//! * The format is told by the content, not by the name: PNG, JPEG, BMP, TIFF or WebP.
//! * The size is read from the header and refused above [`DecodeOptions::max_pixels`] before any
//!   memory is taken for it.
//! * Grey becomes three equal channels, palettes are looked up, CMYK is converted, transparency
//!   is dropped without painting anything underneath (all as Pillow's `convert("RGB")` does).
//! * More than 8 bits per channel are brought to 8 by a [`BitRange`]; Pillow clips them instead.
//! * The EXIF orientation is applied, as Pillow's `ImageOps.exif_transpose` does.
//! * Colour profiles and gamma entries are ignored, as Pillow does. Of an animation or a file of
//!   many pages, the first picture is read.
//!
//! # Agreement with Pillow
//!
//! Difference of a channel of a pixel, in levels of `0..=255`, against Pillow 12.3.0 with its
//! libjpeg-turbo. JPEG leaves the rounding of the inverse transform and the interpolation of
//! colours stored at half resolution to the decoder. Measured on 2,454 photographs (grey and
//! 4:4:4, quality 95), on a photograph of 1000x1000 pixels (quality 90) and on the pictures made
//! by `tests/fixtures/make.py`:
//!
//! | file | largest | mean | largest after resizing to 256x256 |
//! | --- | --- | --- | --- |
//! | PNG, BMP, TIFF, WebP (lossless and lossy) | 0 | 0 | 0 |
//! | JPEG, grey or colours 4:4:4 | 3 | 0.02 | 2 |
//! | JPEG, colours 4:2:2 or 4:2:0 | 6 | 0.5 | 2 |
//! | JPEG, CMYK | 1 | 0.02 | 1 |

mod bit_range;
mod deep;
mod error;
mod jpeg;
mod map;
mod mask;
mod read;

use std::path::Path;

use image::DynamicImage;
use image::metadata::Orientation;
use serde::Serialize;

pub use bit_range::{BitRange, BitRangeError, Window};
pub use deep::WindowUse;
pub use error::DecodeError;
pub use map::{MapValues, decode_map_bytes};
pub use mask::{Mask, decode_mask_bytes, decode_mask_file};
pub(crate) use read::read_whole;

/// How pictures are decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeOptions {
    /// How more than 8 bits per channel are brought to 8.
    pub bit_range: BitRange,
    /// Largest number of pixels a picture may have.
    pub max_pixels: u64,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { bit_range: BitRange::Auto, max_pixels: 100_000_000 }
    }
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Width in pixels, after turning.
    pub width: usize,
    /// Height in pixels, after turning.
    pub height: usize,
    /// `[height, width, 3]`: red, green and blue, `0..=255`.
    pub rgb: Vec<u8>,
    /// What was done to get there.
    pub notes: Notes,
}

/// What a file held and what was done to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notes {
    /// Format by content: `png`, `jpeg`, `bmp`, `tiff` or `webp`.
    pub format: &'static str,
    /// Colours and bits per channel as decoded, such as `grey8`, `rgb16` or `rgba8`.
    pub mode: &'static str,
    /// Whether transparency was dropped.
    pub alpha_dropped: bool,
    /// The EXIF orientation that was applied, `2..=8`; nothing when the picture was upright.
    pub turned: Option<u8>,
    /// The window that brought the picture to 8 bits; nothing when it had 8 bits.
    pub window: Option<WindowUse>,
}

/// What the header of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Format by content: `png`, `jpeg`, `bmp`, `tiff` or `webp`.
    pub format: &'static str,
    /// Width in pixels as stored, before turning.
    pub width: u32,
    /// Height in pixels as stored, before turning.
    pub height: u32,
}

/// Decodes a file.
///
/// # Errors
///
/// [`DecodeError`] naming the file: it cannot be read, is no picture, is damaged or too large.
pub fn decode_file(path: &Path, options: &DecodeOptions) -> Result<Picture, DecodeError> {
    decode_bytes(path, &read_whole(path)?, options)
}

/// Decodes the content of a file; `path` only names it in errors.
///
/// # Errors
///
/// As [`decode_file`].
pub fn decode_bytes(
    path: &Path,
    bytes: &[u8],
    options: &DecodeOptions,
) -> Result<Picture, DecodeError> {
    let (image, mut notes) = decode_image(path, bytes, options.max_pixels)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (rgb, window) = deep::into_rgb8(image, options.bit_range);
    notes.window = window;
    Ok(Picture { width, height, rgb, notes })
}

/// Reads the header of a picture file's content; `path` only names it in errors.
///
/// # Errors
///
/// As [`decode_file`], without what lies behind the header.
pub fn read_header(path: &Path, bytes: &[u8]) -> Result<Header, DecodeError> {
    guarded(path, || Ok(read::open(path, bytes, u64::MAX)?.header))
}

/// Decodes to whatever the file holds, upright. The notes lack the window.
fn decode_image(
    path: &Path,
    bytes: &[u8],
    max_pixels: u64,
) -> Result<(DynamicImage, Notes), DecodeError> {
    let (mut image, format, orientation) = guarded(path, || {
        let opened = read::open(path, bytes, max_pixels)?;
        let format = opened.header.format;
        let (image, orientation) = opened.decode(path)?;
        Ok((image, format, orientation))
    })?;
    image.apply_orientation(orientation);
    let turned = (orientation != Orientation::NoTransforms).then(|| orientation.to_exif());
    let mode = mode_name(&image);
    let alpha_dropped = image.color().has_alpha();
    Ok((image, Notes { format, mode, alpha_dropped, turned, window: None }))
}

fn mode_name(image: &DynamicImage) -> &'static str {
    match image {
        DynamicImage::ImageLuma8(_) => "grey8",
        DynamicImage::ImageLumaA8(_) => "grey-alpha8",
        DynamicImage::ImageRgb8(_) => "rgb8",
        DynamicImage::ImageRgba8(_) => "rgba8",
        DynamicImage::ImageLuma16(_) => "grey16",
        DynamicImage::ImageLumaA16(_) => "grey-alpha16",
        DynamicImage::ImageRgb16(_) => "rgb16",
        DynamicImage::ImageRgba16(_) => "rgba16",
        DynamicImage::ImageRgb32F(_) => "rgb32f",
        DynamicImage::ImageRgba32F(_) => "rgba32f",
        _ => "other",
    }
}

/// Runs a decoder that is not ours and turns its panics into errors.
fn guarded<T>(
    path: &Path,
    decode: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    // A decoder that panicked is dropped with all it held, so nothing half-changed is seen. The
    // panic message still goes to stderr: the hook that prints it belongs to the program.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(DecodeError::DecoderFailed { path: path.to_path_buf(), said })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_decoder_is_an_error() {
        let error = guarded::<()>(Path::new("x.png"), || panic!("index {} out of range", 7));
        assert_eq!(
            error.unwrap_err().to_string(),
            "`x.png` made the decoder fail: index 7 out of range"
        );
    }
}
