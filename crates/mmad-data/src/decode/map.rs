//! A picture file becomes an anomaly map: one number per pixel, as the file holds it.

use std::io::Cursor;
use std::path::Path;

use image::DynamicImage;
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::{DecodeError, decode_image, guarded};

/// The numbers of a map, not scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct MapValues {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[height, width]`.
    pub values: Vec<f32>,
}

/// Decodes the content of a grey PNG (8 or 16 bits) or TIFF (also floating point); `path` only names
/// it in errors.
///
/// # Errors
///
/// As [`decode_file`](super::decode_file), and [`DecodeError::NotGrey`].
pub fn decode_map_bytes(
    path: &Path,
    bytes: &[u8],
    max_pixels: u64,
) -> Result<MapValues, DecodeError> {
    if image::guess_format(bytes).is_ok_and(|format| format == image::ImageFormat::Tiff) {
        return guarded(path, || decode_tiff(path, bytes, max_pixels));
    }
    let (image, notes) = decode_image(path, bytes, max_pixels)?;
    if notes.format == "jpeg" {
        let format = "JPEG".to_owned();
        return Err(DecodeError::OtherFormat { path: path.to_path_buf(), format });
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let values = match image {
        DynamicImage::ImageLuma8(grey) => grey.as_raw().iter().map(|&v| f32::from(v)).collect(),
        DynamicImage::ImageLuma16(grey) => grey.as_raw().iter().map(|&v| f32::from(v)).collect(),
        _ => return Err(not_grey(path, notes.mode)),
    };
    Ok(MapValues { width, height, values })
}

fn decode_tiff(path: &Path, bytes: &[u8], max_pixels: u64) -> Result<MapValues, DecodeError> {
    let damaged = |error: tiff::TiffError| DecodeError::Damaged {
        path: path.to_path_buf(),
        format: "tiff",
        reason: error.to_string(),
    };
    let mut limits = Limits::default();
    limits.decoding_buffer_size =
        usize::try_from(max_pixels.saturating_mul(8)).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    let n_pixels = u64::from(width) * u64::from(height);
    if n_pixels == 0 || n_pixels > max_pixels {
        let path = path.to_path_buf();
        return Err(DecodeError::PixelCount { path, width, height, limit: max_pixels });
    }
    if !matches!(decoder.colortype().map_err(damaged)?, tiff::ColorType::Gray(_)) {
        return Err(not_grey(path, "colour"));
    }
    let values: Vec<f32> = match decoder.read_image().map_err(damaged)? {
        DecodingResult::U8(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::U16(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::U32(values) => values.into_iter().map(|v| v as f32).collect(),
        DecodingResult::U64(values) => values.into_iter().map(|v| v as f32).collect(),
        DecodingResult::I8(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::I16(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::I32(values) => values.into_iter().map(|v| v as f32).collect(),
        DecodingResult::I64(values) => values.into_iter().map(|v| v as f32).collect(),
        DecodingResult::F16(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::F32(values) => values,
        DecodingResult::F64(values) => values.into_iter().map(|v| v as f32).collect(),
    };
    if values.len() as u64 != n_pixels {
        // Less than 8 bits per pixel, packed.
        return Err(DecodeError::Unsupported {
            path: path.to_path_buf(),
            format: "tiff",
            reason: "fewer than 8 bits per pixel".to_owned(),
        });
    }
    Ok(MapValues { width: width as usize, height: height as usize, values })
}

fn not_grey(path: &Path, mode: &'static str) -> DecodeError {
    DecodeError::NotGrey { path: path.to_path_buf(), mode }
}

#[cfg(test)]
mod tests {
    use tiff::encoder::{TiffEncoder, colortype};

    use super::*;

    fn decode(bytes: &[u8]) -> Result<MapValues, DecodeError> {
        decode_map_bytes(Path::new("x"), bytes, 1000)
    }

    fn png(image: &DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn grey_levels_stay_what_they_are() {
        let deep = image::ImageBuffer::from_raw(3, 1, vec![0_u16, 300, 65_535]).unwrap();
        let map = decode(&png(&DynamicImage::ImageLuma16(deep))).unwrap();
        assert_eq!((map.width, map.height), (3, 1));
        assert_eq!(map.values, [0.0, 300.0, 65_535.0]);
        let flat = image::ImageBuffer::from_raw(1, 2, vec![7_u8, 255]).unwrap();
        let map = decode(&png(&DynamicImage::ImageLuma8(flat))).unwrap();
        assert_eq!((map.height, map.values), (2, vec![7.0, 255.0]));
    }

    #[test]
    fn tiff_keeps_its_floating_point() {
        let values = [0.1_f32, -3.5, 1e-30, f32::NAN, 2.0, 3.0];
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        encoder.write_image::<colortype::Gray32Float>(2, 3, &values).unwrap();
        let bytes = bytes.into_inner();
        let map = decode(&bytes).unwrap();
        assert_eq!((map.width, map.height), (2, 3));
        assert_eq!(map.values[..3], values[..3]);
        assert!(map.values[3].is_nan());
        assert!(matches!(
            decode_map_bytes(Path::new("x"), &bytes, 5),
            Err(DecodeError::PixelCount { .. })
        ));
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "{end} bytes");
        }
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        encoder.write_image::<colortype::Gray16>(1, 2, &[9_u16, 40_000]).unwrap();
        assert_eq!(decode(&bytes.into_inner()).unwrap().values, [9.0, 40_000.0]);
    }

    #[test]
    fn a_colourful_heat_map_is_no_map() {
        let rgb =
            DynamicImage::ImageRgb8(image::ImageBuffer::from_raw(1, 1, vec![1, 2, 3]).unwrap());
        let error = decode(&png(&rgb)).unwrap_err();
        assert!(matches!(error, DecodeError::NotGrey { mode: "rgb8", .. }), "{error}");
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        encoder.write_image::<colortype::RGB8>(1, 1, &[1, 2, 3]).unwrap();
        let error = decode(&bytes.into_inner()).unwrap_err();
        assert!(matches!(error, DecodeError::NotGrey { .. }), "{error}");
    }
}
