//! Safetensors files: a JSON header and raw little-endian tensors.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use half::f16;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::element::{ByteOrder, ElementType};
use crate::error::quoted;
use crate::whole_file::write_whole;
use crate::{Error, HostTensor, StateDict, Tensors, Values};

/// The header entry that holds texts instead of a tensor.
const METADATA: &str = "__metadata__";

/// Longest header that is read, as in the `safetensors` crate.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// How floats are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Every float as `f32`: nothing is lost.
    #[default]
    Full,
    /// Float tensors with two or more axes as `f16`, the rest as `f32`: about half the size, values
    /// rounded to 11 significant bits. A tensor with a finite value beyond the range of `f16`
    /// (65,504) stays `f32`.
    HalfMatrices,
}

/// Writes tensors and `metadata` to a safetensors file, whole or not at all.
///
/// Equal input gives equal bytes: wide elements come first so that all are aligned, then name order
/// counts, and the header is sorted. (The writer of the `safetensors` crate leaves metadata in hash
/// order.)
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be written, [`Error::DuplicateName`] for a tensor that is
/// called `__metadata__`.
pub fn write_safetensors(
    path: &Path,
    tensors: &StateDict,
    metadata: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<(), Error> {
    if tensors.get(METADATA).is_some() {
        return Err(Error::DuplicateName { name: METADATA.to_owned() });
    }
    let mut stored: Vec<(&str, &HostTensor, Stored)> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor, Stored::of(tensor, precision)))
        .collect();
    stored.sort_by_key(|(_, _, stored)| Reverse(stored.n_bytes()));
    let header = header(&stored, metadata)
        .map_err(|reason| Error::io("write", path, io::Error::from(reason)))?;
    write_whole(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        stored.iter().try_for_each(|(_, tensor, stored)| write_values(out, tensor, *stored))
    })
}

/// The metadata of a safetensors file; the tensors are not read.
///
/// # Errors
///
/// [`Error::Io`], [`Error::NotAFile`], and [`Error::Safetensors`] when the header is not one.
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let io = |reason| Error::io("read", path, reason);
    let invalid =
        |reason: &str| Error::Safetensors { path: path.to_owned(), reason: reason.to_owned() };
    if path.is_dir() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(io)?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| invalid("it has no header"))?;
    let n_bytes = u64::from_le_bytes(length);
    if n_bytes > MAX_HEADER_BYTES {
        return Err(invalid("its header is too long"));
    }
    let mut header = Vec::new();
    file.take(n_bytes).read_to_end(&mut header).map_err(io)?;
    let header: Map<String, Json> =
        serde_json::from_slice(&header).map_err(|reason| invalid(&reason.to_string()))?;
    match header.get(METADATA) {
        None => Ok(BTreeMap::new()),
        Some(metadata) => serde_json::from_value(metadata.clone())
            .map_err(|_| invalid("its metadata is not a table of texts")),
    }
}

pub(crate) fn looks_like_safetensors(bytes: &[u8]) -> bool {
    // A header of 100 MB still has zeros in the upper half of its length.
    matches!(bytes, [_, _, _, _, 0, 0, 0, 0, b'{', ..])
}

pub(crate) fn parse_safetensors(
    bytes: &[u8],
    path: &Path,
    which: Tensors,
) -> Result<StateDict, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| Error::Safetensors {
        path: path.to_owned(),
        reason: explain(&error, bytes),
    })?;
    let mut tensors = StateDict::new();
    for (name, view) in file.iter() {
        let unsupported = |element: String| Error::UnsupportedElement {
            path: path.to_owned(),
            tensor: name.to_owned(),
            element,
        };
        let element = element_of(view.dtype())
            .ok_or_else(|| unsupported(format!("elements of type {:?}", view.dtype())))?;
        let values = element
            .decode(view.data(), ByteOrder::Little)
            .map_err(|value| unsupported(format!("the number {value}, too large for 64 bits")))?;
        tensors.insert(name, HostTensor::new(view.shape().to_vec(), values)?);
    }
    let is_parallel = tensors.names().all(|name| name.starts_with("module."));
    if which == Tensors::Model && is_parallel {
        tensors.strip_prefix("module.")
    } else {
        Ok(tensors)
    }
}

/// How one tensor is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    F16,
    F32,
    I64,
}

impl Stored {
    fn of(tensor: &HostTensor, precision: Precision) -> Self {
        match tensor.values() {
            Values::Int(_) => Self::I64,
            Values::Float(values) => {
                let is_matrix = tensor.shape().len() >= 2;
                let fits_half =
                    || values.iter().all(|&v| !v.is_finite() || f16::from_f32(v).is_finite());
                if precision == Precision::HalfMatrices && is_matrix && fits_half() {
                    Self::F16
                } else {
                    Self::F32
                }
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F16 => "F16",
            Self::F32 => "F32",
            Self::I64 => "I64",
        }
    }

    fn n_bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::I64 => 8,
        }
    }
}

/// One entry of the header.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Metadata(&'a BTreeMap<String, String>),
    Tensor { dtype: &'static str, shape: &'a [usize], data_offsets: [usize; 2] },
}

/// The JSON header, padded with spaces so that the data begins at a multiple of eight.
fn header(
    stored: &[(&str, &HostTensor, Stored)],
    metadata: &BTreeMap<String, String>,
) -> serde_json::Result<Vec<u8>> {
    let mut header = BTreeMap::new();
    if !metadata.is_empty() {
        header.insert(METADATA, Entry::Metadata(metadata));
    }
    let mut start = 0;
    for &(name, tensor, stored) in stored {
        let end = start + tensor.n_elements() * stored.n_bytes();
        let dtype = stored.name();
        let shape = tensor.shape();
        header.insert(name, Entry::Tensor { dtype, shape, data_offsets: [start, end] });
        start = end;
    }
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok(text)
}

fn write_values(out: &mut dyn Write, tensor: &HostTensor, stored: Stored) -> io::Result<()> {
    match tensor.values() {
        Values::Int(values) => write_blocks(out, values, i64::to_le_bytes),
        Values::Float(values) if stored == Stored::F16 => {
            write_blocks(out, values, |value| f16::from_f32(value).to_le_bytes())
        }
        Values::Float(values) => write_blocks(out, values, f32::to_le_bytes),
    }
}

fn write_blocks<T: Copy, const N: usize>(
    out: &mut dyn Write,
    values: &[T],
    to_bytes: fn(T) -> [u8; N],
) -> io::Result<()> {
    let mut block = Vec::with_capacity(4096 * N);
    for chunk in values.chunks(4096) {
        block.clear();
        block.extend(chunk.iter().flat_map(|&value| to_bytes(value)));
        out.write_all(&block)?;
    }
    Ok(())
}

fn element_of(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::F64 => ElementType::F64,
        Dtype::F32 => ElementType::F32,
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::Bf16,
        Dtype::I64 => ElementType::I64,
        Dtype::I32 => ElementType::I32,
        Dtype::I16 => ElementType::I16,
        Dtype::I8 => ElementType::I8,
        Dtype::U64 => ElementType::U64,
        Dtype::U32 => ElementType::U32,
        Dtype::U16 => ElementType::U16,
        Dtype::U8 => ElementType::U8,
        Dtype::BOOL => ElementType::Bool,
        _ => return None,
    })
}

/// The reason in words, with the tensor that the `safetensors` crate does not name.
fn explain(error: &SafeTensorError, bytes: &[u8]) -> String {
    match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            "its tensors do not fill the file: it is cut short, or has something behind them"
                .to_owned()
        }
        SafeTensorError::InvalidHeaderLength => {
            "its header is longer than the file: it is cut short".to_owned()
        }
        SafeTensorError::InvalidOffset(name) => {
            format!("tensor {} does not begin where the one before it ends", quoted(name))
        }
        // The header was valid JSON here, otherwise there is nothing to search.
        _ => match first_misfit(bytes) {
            Some(name) => format!("tensor {} has another size than its shape says", quoted(&name)),
            None => error.to_string(),
        },
    }
}

/// The first tensor whose byte range does not fit its shape and element type.
fn first_misfit(bytes: &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let header: Map<String, Json> = serde_json::from_slice(header).ok()?;
    let fits = |entry: &Json| {
        let dtype: Dtype = serde_json::from_value(entry["dtype"].clone()).ok()?;
        let shape: Vec<usize> = serde_json::from_value(entry["shape"].clone()).ok()?;
        let [start, end]: [usize; 2] =
            serde_json::from_value(entry["data_offsets"].clone()).ok()?;
        let n_bits = shape.iter().try_fold(dtype.bitsize(), |n, &side| n.checked_mul(side));
        Some(n_bits == end.checked_sub(start).and_then(|n_bytes| n_bytes.checked_mul(8)))
    };
    header
        .iter()
        .find(|(name, entry)| *name != METADATA && fits(entry) == Some(false))
        .map(|(name, _)| name.clone())
}

#[cfg(test)]
#[path = "safetensors_file/tests.rs"]
mod tests;
