//! What can go wrong, and what to do about it.

use std::path::PathBuf;

/// Why pictures could not be made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// The picture would be too small to show a product or too large for memory.
    #[error("a picture of {height}x{width} pixels cannot be drawn")]
    SizeOutOfRange {
        /// Rows asked for.
        height: usize,
        /// Columns asked for.
        width: usize,
    },
    /// No product or defect has this name.
    #[error("{what} `{asked}` is unknown")]
    Unknown {
        /// `product` or `defect`.
        what: &'static str,
        /// The name asked for.
        asked: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// A product class was asked for twice.
    #[error("class `{class}` is listed twice")]
    ListedTwice {
        /// The repeated name.
        class: String,
    },
    /// The plan has no training picture.
    #[error("the plan has no good picture to train on")]
    NothingToTrainOn,
    /// The folder of a class is already there; its files would be mixed with ours.
    #[error("`{}` already exists", path.display())]
    ClassExists {
        /// The folder.
        path: PathBuf,
    },
    /// A folder or file could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A picture could not be encoded.
    #[error("cannot encode `{}` as PNG", path.display())]
    Encode {
        /// The file it was meant for.
        path: PathBuf,
        /// What the encoder said.
        source: image::ImageError,
    },
}

impl SyntheticError {
    /// How to put it right, where there is a way.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SizeOutOfRange { .. } => Some("each side may be 64 to 8192 pixels".into()),
            Self::Unknown { what, known, .. } => {
                Some(format!("the {what}s are: {}", known.join(", ")))
            }
            Self::ListedTwice { .. } => Some("list each class once".into()),
            Self::NothingToTrainOn => Some("set `train_good` to 1 or more".into()),
            Self::ClassExists { .. } => Some("choose another folder or remove this one".into()),
            Self::Write { .. } => Some("check that the folder is writable and not full".into()),
            Self::Encode { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_what_and_hints_say_how() {
        let unknown = SyntheticError::Unknown {
            what: "product",
            asked: "gaer".into(),
            known: vec!["cap", "gear"],
        };
        assert_eq!(unknown.to_string(), "product `gaer` is unknown");
        assert_eq!(unknown.hint().unwrap(), "the products are: cap, gear");
        let size = SyntheticError::SizeOutOfRange { height: 10, width: 20 };
        assert_eq!(size.to_string(), "a picture of 10x20 pixels cannot be drawn");
        let exists = SyntheticError::ClassExists { path: "out/gear".into() };
        assert_eq!(exists.to_string(), "`out/gear` already exists");
    }
}
