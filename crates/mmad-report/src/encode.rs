//! Pictures as PNG or JPEG bytes, and as `data:` URLs inside a page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use image::ExtendedColorType;
use image::ImageEncoder as _;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use serde::{Deserialize, Serialize};

use crate::error::ReportError;
use crate::raster::{RgbRaster, ScoreMap, check_size};

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG_SIGNATURE: &[u8] = b"\xff\xd8\xff";
const PNG_URL: &str = "data:image/png;base64,";
const JPEG_URL: &str = "data:image/jpeg;base64,";

/// The pixels [`encode_png`] can write, row by row.
#[derive(Debug, Clone, Copy)]
pub enum Pixels<'a> {
    /// Red, green and blue, `3 * width * height` values.
    Rgb8(&'a [u8]),
    /// Grey, `width * height` values.
    Grey8(&'a [u8]),
    /// Grey at 16 bits, `width * height` values.
    Grey16(&'a [u16]),
}

/// A PNG or JPEG file in memory. In JSON it is a `data:` URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EncodedImage {
    is_png: bool,
    bytes: Vec<u8>,
}

impl EncodedImage {
    /// Takes the bytes of a PNG or JPEG file as they are, told apart by their signature.
    ///
    /// # Errors
    ///
    /// [`ReportError::UnknownImage`] for anything else.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ReportError> {
        let is_png = bytes.starts_with(PNG_SIGNATURE);
        if !is_png && !bytes.starts_with(JPEG_SIGNATURE) {
            let what = format!("an image of {} bytes", bytes.len());
            return Err(ReportError::UnknownImage { what });
        }
        Ok(Self { is_png, bytes })
    }

    /// A photograph as JPEG, quality `1..=100`; 85 is a good choice for pictures to look at.
    ///
    /// # Errors
    ///
    /// [`ReportError::Encode`] when the encoder refuses.
    pub fn jpeg(picture: &RgbRaster, quality: u8) -> Result<Self, ReportError> {
        Ok(Self { is_png: false, bytes: encode_jpeg(picture, quality)? })
    }

    /// A picture without loss, as PNG.
    ///
    /// # Errors
    ///
    /// [`ReportError::Encode`] when the encoder refuses.
    pub fn png(picture: &RgbRaster) -> Result<Self, ReportError> {
        let (width, height) = picture.size();
        let bytes = encode_png(width, height, Pixels::Rgb8(picture.pixels()))?;
        Ok(Self { is_png: true, bytes })
    }

    /// An anomaly map as the 8-bit grey levels of [`ScoreMap::levels`], as PNG.
    ///
    /// # Errors
    ///
    /// [`ReportError::Encode`] when the encoder refuses.
    pub fn map(map: &ScoreMap) -> Result<Self, ReportError> {
        let (width, height) = map.size();
        let bytes = encode_png(width, height, Pixels::Grey8(&map.levels()))?;
        Ok(Self { is_png: true, bytes })
    }

    /// A mask of `width * height` pixels, white where defective, as PNG.
    ///
    /// # Errors
    ///
    /// [`ReportError::RasterSize`] when the length does not fit, [`ReportError::Encode`] when the
    /// encoder refuses.
    pub fn mask(width: u32, height: u32, is_defect: &[bool]) -> Result<Self, ReportError> {
        let grey: Vec<u8> = is_defect.iter().map(|&defect| if defect { 255 } else { 0 }).collect();
        Ok(Self { is_png: true, bytes: encode_png(width, height, Pixels::Grey8(&grey))? })
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file as a `data:` URL.
    pub fn to_data_url(&self) -> String {
        let prefix = if self.is_png { PNG_URL } else { JPEG_URL };
        format!("{prefix}{}", BASE64.encode(&self.bytes))
    }
}

impl From<EncodedImage> for String {
    fn from(image: EncodedImage) -> Self {
        image.to_data_url()
    }
}

impl TryFrom<String> for EncodedImage {
    type Error = ReportError;

    fn try_from(url: String) -> Result<Self, ReportError> {
        let unknown = || ReportError::UnknownImage { what: "a `data:` URL".into() };
        let text = url.strip_prefix(PNG_URL).or_else(|| url.strip_prefix(JPEG_URL));
        let bytes = BASE64.decode(text.ok_or_else(unknown)?).map_err(|_| unknown())?;
        Self::from_bytes(bytes)
    }
}

/// A PNG file of the given pixels.
///
/// # Errors
///
/// [`ReportError::RasterSize`] when the length does not fit the sides, [`ReportError::Encode`]
/// when the encoder refuses.
pub fn encode_png(width: u32, height: u32, pixels: Pixels<'_>) -> Result<Vec<u8>, ReportError> {
    let wide: Vec<u8>;
    let (bytes, channels, n_values, colour) = match pixels {
        Pixels::Rgb8(values) => (values, 3, values.len(), ExtendedColorType::Rgb8),
        Pixels::Grey8(values) => (values, 1, values.len(), ExtendedColorType::L8),
        Pixels::Grey16(values) => {
            // The encoder takes the machine's byte order and writes the file's.
            wide = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
            (wide.as_slice(), 1, values.len(), ExtendedColorType::L16)
        }
    };
    check_size("a PNG file", width, height, channels, n_values)?;
    let mut file = Vec::new();
    PngEncoder::new_with_quality(&mut file, CompressionType::Best, FilterType::Adaptive)
        .write_image(bytes, width, height, colour)?;
    Ok(file)
}

/// A JPEG file, quality `1..=100`, clipped to that range.
///
/// # Errors
///
/// [`ReportError::Encode`] when a side is longer than the format allows (65,535 pixels).
pub fn encode_jpeg(picture: &RgbRaster, quality: u8) -> Result<Vec<u8>, ReportError> {
    let (width, height) = picture.size();
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality.clamp(1, 100)).write_image(
        picture.pixels(),
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> RgbRaster {
        let pixels = (0..7 * 5 * 3).map(|i| (i * 37 % 256) as u8).collect();
        RgbRaster::new(7, 5, pixels).unwrap()
    }

    #[test]
    fn png_returns_every_pixel() {
        let rgb = picture();
        let png = encode_png(7, 5, Pixels::Rgb8(rgb.pixels())).unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap().into_rgb8().as_raw(), rgb.pixels());

        let grey: Vec<u8> = (0..35).map(|i| (i * 7) as u8).collect();
        let png = encode_png(7, 5, Pixels::Grey8(&grey)).unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap().into_luma8().as_raw(), &grey);

        let deep: Vec<u16> = (0..35).map(|i| i * 1871).collect();
        let png = encode_png(5, 7, Pixels::Grey16(&deep)).unwrap();
        let decoded = image::load_from_memory(&png).unwrap().into_luma16();
        assert_eq!((decoded.width(), decoded.height()), (5, 7));
        assert_eq!(decoded.as_raw(), &deep);
    }

    #[test]
    fn jpeg_stays_close() {
        let flat = RgbRaster::new(16, 8, [200, 100, 50].repeat(16 * 8)).unwrap();
        let jpeg = encode_jpeg(&flat, 90).unwrap();
        let decoded = image::load_from_memory(&jpeg).unwrap().into_rgb8();
        let worst = decoded.as_raw().iter().zip(flat.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst.unwrap() <= 3, "worst difference {worst:?}");
    }

    #[test]
    fn a_wrong_length_is_refused() {
        let error = encode_png(7, 5, Pixels::Grey8(&[0; 34])).unwrap_err();
        assert_eq!(error.to_string(), "a PNG file of 7 x 5 pixels cannot have 34 values");
        assert!(encode_png(0, 0, Pixels::Rgb8(&[])).is_err());
    }

    #[test]
    fn json_holds_a_data_url_and_comes_back() {
        for image in [EncodedImage::png(&picture()), EncodedImage::jpeg(&picture(), 85)] {
            let image = image.unwrap();
            let json = serde_json::to_string(&image).unwrap();
            assert!(json.starts_with("\"data:image/"));
            assert_eq!(serde_json::from_str::<EncodedImage>(&json).unwrap(), image);
        }
        for wrong in ["\"data:text/html,x\"", "\"data:image/png;base64,AAAA\"", "\"\""] {
            assert!(serde_json::from_str::<EncodedImage>(wrong).is_err(), "{wrong}");
        }
        assert!(EncodedImage::from_bytes(b"GIF89a".to_vec()).is_err());
    }
}
