//! `PyTorch` files: today's zip container, the stream of 2017 to 2020, and the tar of 2016.
//!
//! All three hold a pickle program that describes tensors, and blocks of raw elements. The program
//! goes through [`crate::pickle`]; the blocks are checked against it and converted.
//!
//! Source of the layouts: `torch/serialization.py` (`_save`, `_legacy_save`, `legacy_load`).

mod stream;
mod tar_file;
mod tree;
mod view;
mod zip_file;

use std::path::Path;

pub(crate) use stream::{looks_like_pickle, read_stream};
pub(crate) use tar_file::{looks_like_tar, read_tar};
pub(crate) use zip_file::{looks_like_zip, read_zip};

use crate::error::quoted;
use crate::pickle::{Global, Heap, Object, PickleError, Storage, Value};

/// Why a `PyTorch` file was not read. The text continues the name of the file.
#[derive(Debug, thiserror::Error)]
pub enum TorchError {
    /// It asks for more than tensors need; running that could do anything on this machine.
    #[error("is refused: it {reason}, and tensors need no such thing")]
    Refused {
        /// What it asks for.
        reason: PickleError,
    },
    /// Its description of the tensors is broken.
    #[error("is damaged: its pickle {reason}")]
    Pickle {
        /// What is wrong.
        reason: PickleError,
    },
    /// Its container is broken.
    #[error("is damaged: {reason}")]
    Container {
        /// What the container's reader says.
        reason: String,
    },
    /// A compiled program, not a state dict.
    #[error("is a TorchScript program, not a file of tensors")]
    TorchScript,
    /// A part that every file of this kind has is not there.
    #[error(
        "has no part {}, so it was not written by `torch.save`, or is incomplete",
        quoted(name)
    )]
    MissingPart {
        /// Name of the part.
        name: String,
    },
    /// A part claims to be far larger than the file.
    #[error(
        "is refused: its part {} claims {n_bytes} bytes, the limit is {limit_bytes}",
        quoted(name)
    )]
    Oversized {
        /// Name of the part.
        name: String,
        /// Size it claims.
        n_bytes: u64,
        /// Largest size that is accepted for a file of this size.
        limit_bytes: u64,
    },
    /// A tensor reaches beyond the elements that the file holds.
    #[error(
        "is damaged: tensor {} needs element {needs} of a storage that has {has}",
        quoted(tensor)
    )]
    OutsideStorage {
        /// Name of the tensor.
        tensor: String,
        /// Number of elements that would have to be there.
        needs: usize,
        /// Number of elements that are there.
        has: usize,
    },
    /// Tensors that share elements ask for far more memory than the file holds.
    #[error(
        "is refused: tensor {} with shape {shape:?} asks for more elements than the file can hold",
        quoted(tensor)
    )]
    TooManyElements {
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Two tensors have the same name once nested names are joined by dots.
    #[error("holds two tensors called {}", quoted(name))]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Deeper or longer than any real file.
    #[error("is refused: its tensors are nested too deeply, too many, or have names too long")]
    TooNested,
    /// A header field has an impossible value.
    #[error("is damaged: its {field} is wrong")]
    BadHeader {
        /// The field.
        field: &'static str,
    },
}

impl TorchError {
    /// What to do about it.
    pub(crate) fn hint(&self, path: &Path) -> String {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        match self {
            Self::Refused { .. } => format!(
                "where you trust the file, convert it in Python to safetensors: \
                 `weights = torch.load(\"{name}\", weights_only=False)`, then \
                 `safetensors.torch.save_file(state_dict, \"{}\")`; that `torch.load` runs the \
                 file's code",
                Path::new(&*name).with_extension("safetensors").display()
            ),
            Self::TorchScript => {
                "save `model.state_dict()` instead of the compiled program".to_owned()
            }
            Self::Oversized { .. } | Self::TooManyElements { .. } | Self::TooNested => {
                "if the file is honest, save only its `state_dict`, every tensor contiguous, as \
                 safetensors"
                    .to_owned()
            }
            Self::DuplicateName { .. } => {
                "save the parts of the checkpoint in separate files".to_owned()
            }
            Self::MissingPart { .. } => {
                "bring a file written by `torch.save`, or a .safetensors file; if this is one, it \
                 is incomplete: copy it again"
                    .to_owned()
            }
            Self::Pickle { .. }
            | Self::Container { .. }
            | Self::OutsideStorage { .. }
            | Self::BadHeader { .. } => {
                "the file is damaged or incomplete: copy or download it again".to_owned()
            }
        }
    }
}

impl From<PickleError> for TorchError {
    fn from(reason: PickleError) -> Self {
        if reason.is_refusal() { Self::Refused { reason } } else { Self::Pickle { reason } }
    }
}

/// The storage that a persistent id of the zip and stream formats stands for:
/// `("storage", type, key, device, number of elements)`, and in the stream format a sixth item that
/// may name a part of it as `(key, first element, number of elements)`.
fn storage_of_id(heap: &Heap, id: &Value) -> Option<Object> {
    let [kind, class, key, _device, n_elements, view @ ..] = heap.tuple(id)? else { return None };
    let Value::Global(Global::StorageOf(element)) = class else { return None };
    if !kind.is_text("storage") {
        return None;
    }
    let whole =
        Storage { key: key.key()?, element: *element, first: 0, n_elements: n_elements.length()? };
    match view {
        [] | [Value::None] => Some(Object::Storage(whole)),
        [view] => {
            let [_, first, n_elements] = heap.tuple(view)? else { return None };
            let (first, n_elements) = (first.length()?, n_elements.length()?);
            let is_inside = first.checked_add(n_elements)? <= whole.n_elements;
            is_inside.then_some(Object::Storage(Storage { first, n_elements, ..whole }))
        }
        _ => None,
    }
}
