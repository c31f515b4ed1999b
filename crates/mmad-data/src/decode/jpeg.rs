//! JPEG, decoded so that damage is an error.
//!
//! Decoders usually paint the lost part of a damaged JPEG grey and carry on, which is right for a
//! browser and wrong for an inspection: the grey part would be a defect. So the decoder runs in
//! its strict mode, and the file must have its end marker.
//!
//! Limit: a file that was cut and then given an end marker again is not noticed, because the
//! decoder does not tell how much of the picture it found; nor does libjpeg refuse it.

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// A JPEG with its header read.
pub(super) struct Jpeg<'a> {
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
    bytes: &'a [u8],
    size: (u32, u32),
    is_grey: bool,
}

impl<'a> Jpeg<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let side_px = usize::from(u16::MAX);
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(side_px)
            .set_max_height(side_px);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|error| error.to_string())?;
        let (width, height) = decoder.dimensions().ok_or("the header has no size")?;
        let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
        let colours = if is_grey { ColorSpace::Luma } else { ColorSpace::RGB };
        decoder.set_options(options.jpeg_set_out_colorspace(colours));
        Ok(Self { decoder, bytes, size: (width as u32, height as u32), is_grey })
    }

    pub(super) fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    pub(super) fn decode(mut self) -> Result<(DynamicImage, Orientation), String> {
        if !has_end(self.bytes) {
            return Err("the end is missing".to_owned());
        }
        let pixels = self.decoder.decode().map_err(|error| error.to_string())?;
        let orientation = self
            .decoder
            .exif()
            .and_then(|exif| Orientation::from_exif_chunk(exif))
            .unwrap_or(Orientation::NoTransforms);
        let (width, height) = self.size;
        let image = if self.is_grey {
            GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
        } else {
            RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
        };
        Ok((image.ok_or("fewer pixels than the header says")?, orientation))
    }
}

/// Whether the file reaches its end-of-image marker.
///
/// Walks from segment to segment, because a thumbnail inside a segment has an end marker of its
/// own. Source: ITU-T T.81, B.1.1 (markers) and B.1.1.5 (entropy-coded data).
fn has_end(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    let mut at = 2; // behind the start-of-image marker
    loop {
        // Entropy-coded data and fill bytes are passed over here: in them 0xFF is followed by
        // zero, by a restart marker or by another 0xFF.
        let Some(step) = bytes.get(at..).and_then(|rest| rest.windows(2).position(is_marker))
        else {
            return false;
        };
        at += step + 2;
        if bytes[at - 1] == END {
            return true;
        }
        let Some(&[high, low]) = bytes.get(at..at + 2) else { return false };
        at += usize::from(u16::from_be_bytes([high, low])).max(2);
    }
}

fn is_marker(pair: &[u8]) -> bool {
    pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD7 | 0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end() {
        // Start, a segment of 6 bytes that holds an end marker, scan data with a stuffed zero.
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 1, 1];
        bytes.extend([0xFF, 0xDA, 0, 3, 1, 0x12, 0xFF, 0x00, 0xFF, 0xD3, 0x34]);
        assert!(!has_end(&bytes));
        bytes.extend([0xFF, 0xFF, 0xD9]);
        assert!(has_end(&bytes));
        assert!(!has_end(&bytes[..bytes.len() - 1]));
        assert!(!has_end(&[]));
    }
}
