//! What can go wrong between a folder and a sample.

use std::path::{Path, PathBuf};

use crate::decode::DecodeError;

/// Why a data set, or one of its samples, could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    // === Finding the data set ===
    /// The root is missing, or is not a folder.
    #[error("`{path}` is not a folder")]
    NotAFolder {
        /// What was given.
        path: PathBuf,
    },
    /// A file or folder could not be read or written.
    #[error("cannot read or write `{path}`: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No layout fits the folder.
    #[error("the layout of `{root}` is not one of: {}", .known.join(", "))]
    UnknownLayout {
        /// The folder.
        root: PathBuf,
        /// The layouts that were tried.
        known: Vec<String>,
    },
    /// A layout was asked for by a name that does not exist.
    #[error("there is no layout `{asked}`")]
    NoSuchLayout {
        /// The name asked for.
        asked: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The layout fits, but there is no picture in it.
    #[error("there is no picture in `{root}` (read as layout `{layout}`)")]
    NoPictures {
        /// The folder.
        root: PathBuf,
        /// The layout it was read as.
        layout: String,
    },
    /// An index file (`1cls.csv`, `meta.json`) cannot be understood.
    #[error("`{file}`: {what}")]
    Index {
        /// The index file.
        file: PathBuf,
        /// What is wrong, and in which line or record.
        what: String,
    },
    /// A class was asked for that the data set does not have.
    #[error("class `{asked}` is not in the data set")]
    UnknownClass {
        /// The name asked for.
        asked: String,
        /// The names the data set has.
        known: Vec<String>,
    },

    // === Settings ===
    /// A number is outside its range.
    #[error("{name} is {value}, but must be {range}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        range: &'static str,
    },

    // === One sample ===
    /// The picture or the mask could not be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The mask has another size than its picture.
    #[error(
        "mask `{mask}` is {mask_width}x{mask_height}, but its picture `{picture}` is {width}x{height}"
    )]
    MaskSize {
        /// The mask.
        mask: PathBuf,
        /// Its width in pixels.
        mask_width: usize,
        /// Its height in pixels.
        mask_height: usize,
        /// The picture.
        picture: PathBuf,
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
    },
    /// A defective picture has no mask, where masks were required.
    #[error("picture `{picture}` shows a defect but has no mask")]
    MaskMissing {
        /// The picture, relative to the root.
        picture: String,
    },

    // === Cache ===
    /// The decoded pictures do not fit into the space allowed for the cache.
    #[error("the picture cache needs {needed} bytes, but may use {limit}")]
    CacheTooLarge {
        /// Bytes the cache would take.
        needed: u64,
        /// Bytes it may take.
        limit: u64,
    },
}

impl DataError {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAFolder { .. } => {
                Some("give the folder that holds the classes, or the folder of one class".into())
            }
            Self::Io { .. } | Self::Index { .. } | Self::OutOfRange { .. } => None,
            Self::UnknownLayout { .. } => Some(
                "put good pictures into `<class>/good` and defective ones into `<class>/<defect>`; \
                 a folder with nothing but good pictures also works"
                    .into(),
            ),
            Self::NoSuchLayout { known, .. } => Some(format!("the layouts are: {}", known.join(", "))),
            Self::NoPictures { .. } => {
                Some(format!("pictures are files ending in {}", crate::listing::EXTENSIONS.join(", ")))
            }
            Self::UnknownClass { known, .. } => {
                Some(format!("the data set has: {}", known.join(", ")))
            }
            Self::Decode(error) => error.hint(),
            Self::MaskSize { .. } => {
                Some("save the mask again at the size of its picture, without rotating it".into())
            }
            Self::MaskMissing { .. } => Some(
                "draw the mask, or leave out all masks of the class to use picture labels only".into(),
            ),
            Self::CacheTooLarge { .. } => {
                Some("allow the cache more space, or train without a cache".into())
            }
        }
    }

    /// Wraps what the system said about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }
}
