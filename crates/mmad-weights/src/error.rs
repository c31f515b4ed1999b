//! What can go wrong, and what to do about it.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::catalog::KNOWN;
use crate::{Comparison, TorchError};

/// An error of this crate. The text says what and where, [`Error::hint`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {reason}", shown(path))]
    Io {
        /// What was tried: "read", "write" and the like.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        reason: io::Error,
    },
    /// The path is a folder or a device.
    #[error("{} is not a file", shown(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is larger than any weight file this program knows.
    #[error("{} has {n_bytes} bytes, more than the limit of {limit_bytes}", shown(path))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        n_bytes: u64,
        /// The largest size that is read.
        limit_bytes: u64,
    },
    /// The content is neither a safetensors nor a `PyTorch` file.
    #[error("{} is not a weight file: it looks like {looks_like}", shown(path))]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What the first bytes suggest.
        looks_like: &'static str,
    },
    /// The safetensors header and the data disagree.
    #[error("{} is not a valid safetensors file: {reason}", shown(path))]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the name of the tensor where there is one.
        reason: String,
    },
    /// A tensor has elements that cannot become `f32` or `i64`.
    #[error("tensor {} in {} holds {element}", quoted(tensor), shown(path))]
    UnsupportedElement {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// What the elements are.
        element: String,
    },
    /// A `PyTorch` file is refused or damaged.
    #[error("{} {reason}", shown(path))]
    Torch {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: TorchError,
    },
    /// The file is fine and holds no tensor.
    #[error("{} holds no tensor", shown(path))]
    NoTensors {
        /// The file.
        path: PathBuf,
    },
    /// Shape and number of values disagree.
    #[error("a tensor of shape {shape:?} cannot hold {n_values} values")]
    ValueCount {
        /// The shape.
        shape: Vec<usize>,
        /// The number of values.
        n_values: usize,
    },
    /// Renaming, or flattening a nested file, made two equal names.
    #[error("two tensors would be called {}", quoted(name))]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A tensor that is needed is not there.
    #[error("tensor {} is missing", quoted(name))]
    MissingTensor {
        /// The name.
        name: String,
    },
    /// A tensor has another shape than the one needed.
    #[error("tensor {} has shape {found:?}, expected {expected:?}", quoted(name))]
    WrongShape {
        /// The name.
        name: String,
        /// The shape needed.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// Floats were asked of an integer tensor.
    #[error("tensor {} holds integers, expected floats", quoted(name))]
    NotFloat {
        /// The name.
        name: String,
    },
    /// A weight is NaN or infinite.
    #[error(
        "tensor {} in {} has a value that is not finite at position {position}",
        quoted(tensor),
        shown(path)
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Row-major position of the value.
        position: usize,
    },
    /// The tensors do not fit the model.
    #[error("{} does not fit: {comparison}", shown(path))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What is missing or misshapen.
        comparison: Box<Comparison>,
    },
    /// The bytes are not those that the name stands for.
    #[error(
        "{} is not {}: its SHA-256 is {found}, expected one that begins with {expected}",
        shown(path),
        quoted(claim)
    )]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// The id or file name that stands for other bytes.
        claim: String,
        /// First digits of the right digest.
        expected: String,
        /// Digest of the file.
        found: String,
    },
    /// A cached file no longer has the content it was written with.
    #[error(
        "cached file {} has changed: its content digest is {found}, expected {expected}",
        shown(path)
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// Digest noted when it was imported.
        expected: String,
        /// Digest now.
        found: String,
    },
    /// An id with characters that do not belong in a file name.
    #[error("{} cannot be the id of a weight set", quoted(id))]
    BadId {
        /// The id.
        id: String,
    },
    /// The cache holds other weights under this id.
    #[error("the id {} is taken by other weights: {}", quoted(id), shown(path))]
    IdTaken {
        /// The id.
        id: String,
        /// The cached file.
        path: PathBuf,
    },
    /// The cache holds no weights of this id.
    #[error("weights {} are not in the cache {}", quoted(id), shown(root))]
    NotInCache {
        /// The id.
        id: String,
        /// The cache folder.
        root: PathBuf,
    },
    /// The platform names no cache folder.
    #[error("this system has no cache folder for the user")]
    NoCacheFolder,
    /// No published weights are known under this id.
    #[error("no published weights are known as {}", quoted(id))]
    UnknownId {
        /// The id.
        id: String,
    },
    /// A download failed.
    #[cfg(feature = "pull")]
    #[error("cannot download {url}: {reason}")]
    Pull {
        /// Where from.
        url: String,
        /// Why.
        reason: crate::PullError,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { reason, .. } => io_hint(reason).to_owned(),
            Self::NotAFile { .. } => "name a .safetensors, .pth or .pt file".to_owned(),
            Self::TooLarge { .. } => "check that this is the file you meant; a checkpoint with \
                optimiser state shrinks when only its `state_dict` is saved"
                .to_owned(),
            Self::UnknownFormat { looks_like, .. } => unknown_format_hint(looks_like).to_owned(),
            Self::Safetensors { .. } => {
                "the file is damaged or incomplete: copy or download it again".to_owned()
            }
            Self::UnsupportedElement { .. } => {
                "convert the tensor to 32-bit floats or 64-bit integers and save the file again"
                    .to_owned()
            }
            Self::Torch { path, reason } => reason.hint(path),
            Self::NoTensors { .. } => {
                "save the model's `state_dict()`; a file with settings only has no weights"
                    .to_owned()
            }
            Self::ValueCount { .. } => {
                "the product of the shape must equal the number of values".to_owned()
            }
            Self::DuplicateName { .. } => {
                "rename one of them, or save the parts in separate files".to_owned()
            }
            Self::MissingTensor { .. } | Self::WrongShape { .. } | Self::NotFloat { .. } => {
                "the weights belong to another model, or their names carry a prefix: compare them \
                 with what the model expects"
                    .to_owned()
            }
            Self::NotFinite { .. } => "the training that wrote this file diverged, or the file is \
                damaged: take an earlier checkpoint"
                .to_owned(),
            Self::Mismatch { comparison, .. } => comparison
                .hint()
                .unwrap_or_else(|| "check which encoder the run file names".to_owned()),
            Self::WrongDigest { claim, .. } => format!(
                "download {} again; if these are other weights on purpose, rename the file and \
                 import it under an id of its own",
                quoted(claim)
            ),
            Self::Altered { .. } => {
                "delete the cached file and import the original again".to_owned()
            }
            Self::BadId { .. } => {
                "use 1 to 64 letters, digits, `.`, `_` and `-`, with a letter or \
                digit first, as in `resnet34.bt_in1k`"
                    .to_owned()
            }
            Self::IdTaken { .. } => {
                "choose another id, or remove the cached weights first".to_owned()
            }
            Self::NotInCache { id, .. } => not_in_cache_hint(id),
            Self::NoCacheFolder => "set `MMAD_CACHE` to a folder you may write to".to_owned(),
            Self::UnknownId { .. } => {
                let ids: Vec<&str> = KNOWN.iter().map(|known| known.id).collect();
                format!("known ids: {}", ids.join(", "))
            }
            #[cfg(feature = "pull")]
            Self::Pull { url, reason } => reason.hint(url),
        })
    }

    pub(crate) fn io(action: &'static str, path: &Path, reason: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), reason }
    }
}

/// A name from a file, in backticks and safe for a terminal: control characters are escaped and
/// very long names are cut.
pub(crate) fn quoted(name: &str) -> String {
    const N_SHOWN: usize = 120;
    let mut text = String::from("`");
    for character in name.chars().take(N_SHOWN) {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    if name.chars().nth(N_SHOWN).is_some() {
        text.push('…');
    }
    text.push('`');
    text
}

/// Lower-case hex digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}

fn io_hint(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            "check the path; its folder must exist"
        }
        io::ErrorKind::PermissionDenied => "check the permissions of the file and its folder",
        io::ErrorKind::IsADirectory => "name a file, not a folder",
        io::ErrorKind::StorageFull => "free some space on the disk",
        _ => "check the disk and try again",
    }
}

fn unknown_format_hint(looks_like: &str) -> &'static str {
    match looks_like {
        "a web page" => "the download saved a page instead of the file: use the direct link",
        "a Git LFS pointer" => "fetch the file itself: `git lfs pull`",
        "an empty file" => "copy or download it again",
        _ => "bring a .safetensors file, or a .pth or .pt file written by `torch.save`",
    }
}

fn not_in_cache_hint(id: &str) -> String {
    match KNOWN.iter().find(|known| known.id == id) {
        Some(known) => format!(
            "with network: `mmad weights pull {id}`; without: bring {} from another machine and \
             run `mmad weights import FILE`",
            known.file_name
        ),
        None => format!("bring the file and run `mmad weights import FILE --id {id}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_cannot_drive_a_terminal() {
        assert_eq!(quoted("conv1.weight"), "`conv1.weight`");
        assert_eq!(quoted("a\x1b[2Jb\n"), "`a\\u{1b}[2Jb\\n`");
        let long = quoted(&"x".repeat(500));
        assert_eq!(long.chars().count(), 123);
        assert!(long.ends_with("…`"));
    }

    #[test]
    fn every_error_says_what_to_do() {
        let path = PathBuf::from("w.pth");
        let text = String::from("x");
        let errors = [
            Error::io("read", &path, io::Error::from(io::ErrorKind::NotFound)),
            Error::io("read", &path, io::Error::from(io::ErrorKind::PermissionDenied)),
            Error::NotAFile { path: path.clone() },
            Error::TooLarge { path: path.clone(), n_bytes: 2, limit_bytes: 1 },
            Error::UnknownFormat { path: path.clone(), looks_like: "a web page" },
            Error::Safetensors { path: path.clone(), reason: text.clone() },
            Error::UnsupportedElement {
                path: path.clone(),
                tensor: text.clone(),
                element: text.clone(),
            },
            Error::Torch { path: path.clone(), reason: TorchError::TorchScript },
            Error::NoTensors { path: path.clone() },
            Error::ValueCount { shape: vec![2], n_values: 1 },
            Error::DuplicateName { name: text.clone() },
            Error::MissingTensor { name: text.clone() },
            Error::WrongShape { name: text.clone(), expected: vec![1], found: vec![2] },
            Error::NotFloat { name: text.clone() },
            Error::NotFinite { path: path.clone(), tensor: text.clone(), position: 0 },
            Error::Mismatch { path: path.clone(), comparison: Box::default() },
            Error::WrongDigest {
                path: path.clone(),
                claim: text.clone(),
                expected: text.clone(),
                found: text.clone(),
            },
            Error::Altered { path: path.clone(), expected: text.clone(), found: text.clone() },
            Error::BadId { id: text.clone() },
            Error::IdTaken { id: text.clone(), path: path.clone() },
            Error::NotInCache { id: text.clone(), root: path.clone() },
            Error::NotInCache { id: "resnet34.bt_in1k".to_owned(), root: path },
            Error::NoCacheFolder,
            Error::UnknownId { id: text },
        ];
        for error in errors {
            let (message, hint) = (error.to_string(), error.hint().unwrap_or_default());
            assert!(!hint.is_empty() && !hint.ends_with('.'), "{message}: {hint}");
            assert!(!message.ends_with('.'), "{message}");
            assert!(!hint.contains("  ") && !message.contains("  "), "{message}: {hint}");
        }
    }

    #[test]
    fn weights_that_are_not_there_can_be_brought_by_hand() {
        let root = PathBuf::from("cache");
        let known = Error::NotInCache { id: "resnet34.bt_in1k".to_owned(), root: root.clone() };
        let hint = known.hint().unwrap();
        assert!(hint.contains("mmad weights pull resnet34.bt_in1k"), "{hint}");
        assert!(hint.contains("resnet34-43635321.pth"), "{hint}");
        let own = Error::NotInCache { id: "mine".to_owned(), root };
        assert_eq!(
            own.hint().unwrap(),
            "bring the file and run `mmad weights import FILE --id mine`"
        );
    }
}
