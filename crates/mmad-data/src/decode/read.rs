//! From a path to bytes, from bytes to a decoder whose header is known to be harmless.

use std::io::{Cursor, Read};
use std::path::Path;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::jpeg::Jpeg;
use super::{DecodeError, Header};

/// No picture within reach is longer: 100 megapixels of 16-bit RGBA, uncompressed, twice.
const MAX_BYTES: u64 = 1_600_000_000;

/// Reads a file whole. Folders, pipes and devices are refused before they are opened, because
/// opening a pipe waits for ever.
pub(crate) fn read_whole(path: &Path) -> Result<Vec<u8>, DecodeError> {
    let unreadable = |source| DecodeError::Unreadable { path: path.to_path_buf(), source };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(DecodeError::NotAFile { path: path.to_path_buf() });
    }
    let too_many =
        |n_bytes| DecodeError::TooManyBytes { path: path.to_path_buf(), n_bytes, limit: MAX_BYTES };
    if metadata.len() > MAX_BYTES {
        return Err(too_many(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // The file may grow while it is read.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_many(bytes.len() as u64));
    }
    Ok(bytes)
}

/// A decoder with its header read and its size within the limit.
pub(super) struct Opened<'a> {
    pub(super) header: Header,
    decoder: Decoder<'a>,
}

enum Decoder<'a> {
    Jpeg(Box<Jpeg<'a>>),
    Other(Box<dyn ImageDecoder + 'a>),
}

/// Tells the format, reads the header and checks the size.
pub(super) fn open<'a>(
    path: &Path,
    bytes: &'a [u8],
    max_pixels: u64,
) -> Result<Opened<'a>, DecodeError> {
    let format = format_of(path, bytes)?;
    let name = format_name(format);
    let (decoder, (width, height)) = if format == ImageFormat::Jpeg {
        let jpeg = Jpeg::open(bytes).map_err(|reason| damaged(path, name, reason))?;
        let size = jpeg.dimensions();
        (Decoder::Jpeg(Box::new(jpeg)), size)
    } else {
        if format == ImageFormat::WebP && !riff_is_whole(bytes) {
            return Err(damaged(path, name, "the end is missing".to_owned()));
        }
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(max_pixels.saturating_mul(16).saturating_add(1 << 26));
        reader.limits(limits);
        let decoder = reader.into_decoder().map_err(|error| explain(path, name, &error))?;
        let size = decoder.dimensions();
        (Decoder::Other(Box::new(decoder)), size)
    };
    let n_pixels = u64::from(width) * u64::from(height);
    if n_pixels == 0 || n_pixels > max_pixels {
        let path = path.to_path_buf();
        return Err(DecodeError::PixelCount { path, width, height, limit: max_pixels });
    }
    Ok(Opened { header: Header { format: name, width, height }, decoder })
}

impl Opened<'_> {
    /// Decodes the pixels; they are still to be turned by the orientation.
    pub(super) fn decode(self, path: &Path) -> Result<(DynamicImage, Orientation), DecodeError> {
        let name = self.header.format;
        match self.decoder {
            Decoder::Jpeg(jpeg) => jpeg.decode().map_err(|reason| damaged(path, name, reason)),
            Decoder::Other(mut decoder) => {
                // Without a readable entry the picture counts as upright, as everywhere.
                let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
                let image = DynamicImage::from_decoder(decoder)
                    .map_err(|error| explain(path, name, &error))?;
                Ok((image, orientation))
            }
        }
    }
}

fn format_of(path: &Path, bytes: &[u8]) -> Result<ImageFormat, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty { path: path.to_path_buf() });
    }
    let Ok(format) = image::guess_format(bytes) else {
        let starts_with = crate::dataset::hex(&bytes[..bytes.len().min(4)]);
        return Err(DecodeError::NotAPicture { path: path.to_path_buf(), starts_with });
    };
    match format {
        ImageFormat::Png
        | ImageFormat::Jpeg
        | ImageFormat::Bmp
        | ImageFormat::Tiff
        | ImageFormat::WebP => Ok(format),
        other => {
            let format = format!("{other:?}");
            Err(DecodeError::OtherFormat { path: path.to_path_buf(), format })
        }
    }
}

/// Whether a RIFF file, which WebP is, is as long as it says. The decoder takes missing bytes of
/// lossy pictures for zeros.
fn riff_is_whole(bytes: &[u8]) -> bool {
    let length = bytes.get(4..8).and_then(<[u8]>::first_chunk::<4>).copied();
    length.is_some_and(|length| bytes.len() as u64 >= 8 + u64::from(u32::from_le_bytes(length)))
}

fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "png",
        ImageFormat::Jpeg => "jpeg",
        ImageFormat::Bmp => "bmp",
        ImageFormat::Tiff => "tiff",
        _ => "webp",
    }
}

fn explain(path: &Path, format: &'static str, error: &ImageError) -> DecodeError {
    let reason = error.to_string();
    match error {
        ImageError::Unsupported(_) => {
            DecodeError::Unsupported { path: path.to_path_buf(), format, reason }
        }
        _ => damaged(path, format, reason),
    }
}

fn damaged(path: &Path, format: &'static str, reason: String) -> DecodeError {
    DecodeError::Damaged { path: path.to_path_buf(), format, reason }
}
