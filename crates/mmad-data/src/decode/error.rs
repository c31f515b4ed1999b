//! Why a file is not a picture we can use.

use std::path::PathBuf;

/// Why a file could not be decoded; every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The file is missing, or may not be read.
    #[error("cannot read `{path}`: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder, a pipe or a device with the name of a picture.
    #[error("`{path}` is not a file")]
    NotAFile {
        /// The thing.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("`{path}` is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is longer than any picture in reach of the pixel limit.
    #[error("`{path}` has {n_bytes} bytes, more than the limit of {limit}")]
    TooManyBytes {
        /// The file.
        path: PathBuf,
        /// Its length.
        n_bytes: u64,
        /// The largest length allowed.
        limit: u64,
    },
    /// The content is of no known picture format.
    #[error("`{path}` is not a picture (it starts with {starts_with})")]
    NotAPicture {
        /// The file.
        path: PathBuf,
        /// Its first bytes as hexadecimal digits.
        starts_with: String,
    },
    /// A picture in a format that is not read.
    #[error("`{path}` is a {format} file, which is not read")]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// The format.
        format: String,
    },
    /// A known format with a content that is not read.
    #[error("`{path}` is a kind of {format} that is not read: {reason}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// A map that is not grey.
    #[error("`{path}` is {mode}, but a map has one number per pixel")]
    NotGrey {
        /// The file.
        path: PathBuf,
        /// Its colours and bits, as in [`Notes::mode`](super::Notes::mode).
        mode: &'static str,
    },
    /// The header names more pixels than allowed, or none.
    #[error("`{path}` has {width}x{height} pixels, outside the limit of 1 to {limit}")]
    PixelCount {
        /// The file.
        path: PathBuf,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Largest number of pixels allowed.
        limit: u64,
    },
    /// The content breaks off or contradicts itself.
    #[error("`{path}` is damaged or cut short ({format}: {reason})")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The decoder has an error of its own.
    #[error("`{path}` made the decoder fail: {said}")]
    DecoderFailed {
        /// The file.
        path: PathBuf,
        /// What it said.
        said: String,
    },
}

impl DecodeError {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreadable { .. } => "check that the file exists and that you may read it",
            Self::NotAFile { .. } => "give it another name, or move it out of the data set",
            Self::Empty { .. } => "copy the picture again, or remove the file",
            Self::TooManyBytes { .. } | Self::PixelCount { .. } => {
                "save the picture smaller, or cut it into tiles"
            }
            Self::NotGrey { .. } => {
                "save the raw values as .npy, or as grey PNG or TIFF, not the coloured picture"
            }
            Self::NotAPicture { .. } | Self::OtherFormat { .. } | Self::Unsupported { .. } => {
                "save it as PNG with 8 or 16 bits per channel, or remove it"
            }
            Self::Damaged { .. } | Self::DecoderFailed { .. } => {
                "copy the picture again, or save it anew with a program that opens it, or remove it"
            }
        };
        Some(hint.to_owned())
    }

    /// The file.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Unreadable { path, .. }
            | Self::NotAFile { path }
            | Self::Empty { path }
            | Self::TooManyBytes { path, .. }
            | Self::NotAPicture { path, .. }
            | Self::OtherFormat { path, .. }
            | Self::Unsupported { path, .. }
            | Self::NotGrey { path, .. }
            | Self::PixelCount { path, .. }
            | Self::Damaged { path, .. }
            | Self::DecoderFailed { path, .. } => path,
        }
    }
}
