//! Today's format: a zip archive with `NAME/data.pkl` and one record `NAME/data/KEY` per storage.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::view::{Blocks, assemble};
use super::{TorchError, storage_of_id, tree};
use crate::element::ByteOrder;
use crate::{StateDict, Tensors, pickle};

/// A deflated record may be this much larger than the whole file. Weights hardly compress at all.
const MAX_EXPANSION: u64 = 100;

pub(crate) fn looks_like_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Reads the tensors of a zip file.
pub(crate) fn read_zip(bytes: &[u8], which: Tensors) -> Result<StateDict, TorchError> {
    let mut archive = Archive::open(bytes)?;
    let program = archive.record("data.pkl")?;
    let order = match archive.optional_record("byteorder")?.as_deref() {
        None | Some(b"little") => ByteOrder::Little,
        Some(b"big") => ByteOrder::Big,
        Some(_) => return Err(TorchError::BadHeader { field: "byte order" }),
    };
    let loaded = pickle::load(&program, &storage_of_id)?;
    let views = tree::named_tensors(&loaded.heap, &loaded.root, which)?;

    let mut blocks = Blocks::new();
    for view in views.values() {
        let key = &view.storage.key;
        if !blocks.contains_key(key) {
            let block = archive.record(&format!("data/{key}"))?;
            blocks.insert(key.clone(), Cow::Owned(block));
        }
    }
    assemble(views, &blocks, order, bytes.len())
}

/// The records of a zip archive, without the folder that they all lie in.
struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    /// Bytes that may still be unpacked.
    n_bytes_left: u64,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, TorchError> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(container)?;
        if zip.has_duplicate_names() {
            return Err(TorchError::Container { reason: "two records have one name".to_owned() });
        }
        let mut folder = None;
        for name in zip.file_names() {
            let name = name.map_err(container)?;
            if let Some(prefix) = name.strip_suffix("constants.pkl")
                && is_top_folder(prefix)
            {
                return Err(TorchError::TorchScript);
            }
            if let Some(prefix) = name.strip_suffix("data.pkl")
                && is_top_folder(prefix)
            {
                folder = Some(prefix.to_owned());
            }
        }
        let folder =
            folder.ok_or_else(|| TorchError::MissingPart { name: "data.pkl".to_owned() })?;
        let n_bytes_left = (bytes.len() as u64).saturating_mul(MAX_EXPANSION);
        Ok(Self { zip, folder, n_bytes_left })
    }

    fn record(&mut self, name: &str) -> Result<Vec<u8>, TorchError> {
        self.optional_record(name)?.ok_or_else(|| TorchError::MissingPart { name: name.to_owned() })
    }

    fn optional_record(&mut self, name: &str) -> Result<Option<Vec<u8>>, TorchError> {
        let record = match self.zip.by_name(&format!("{}{name}", self.folder)) {
            Ok(record) => record,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(reason) => return Err(container(reason)),
        };
        let n_bytes = record.size();
        if n_bytes > self.n_bytes_left {
            return Err(TorchError::Oversized {
                name: name.to_owned(),
                n_bytes,
                limit_bytes: self.n_bytes_left,
            });
        }
        self.n_bytes_left -= n_bytes;
        // The size comes from the directory. What the record unpacks to may be longer.
        let mut content = Vec::new();
        record.take(n_bytes + 1).read_to_end(&mut content).map_err(|reason| {
            TorchError::Container { reason: format!("record `{name}`: {reason}") }
        })?;
        if content.len() as u64 != n_bytes {
            return Err(TorchError::Container {
                reason: format!("record `{name}` does not have the size it claims"),
            });
        }
        Ok(Some(content))
    }
}

/// `archive/`, or nothing: `torch.save` uses one folder, other writers none.
fn is_top_folder(prefix: &str) -> bool {
    prefix.is_empty() || prefix.find('/') == Some(prefix.len() - 1)
}

#[expect(clippy::needless_pass_by_value, reason = "this is the form `map_err` takes")]
fn container(reason: ZipError) -> TorchError {
    TorchError::Container { reason: reason.to_string() }
}
