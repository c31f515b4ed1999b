//! The format of 2017 to 2020: pickle programs and raw storages one after the other.
//!
//! Programs: magic number, protocol, facts about the writer's system, the tensors, the keys of the
//! storages. Then per key, in that order, the number of elements (64 bits) and the elements, always
//! little-endian.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::view::{Blocks, assemble};
use super::{TorchError, storage_of_id, tree};
use crate::element::{ByteOrder, ElementType};
use crate::pickle::{self, Loaded, Resolve, Value};
use crate::{StateDict, Tensors};

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i128 = 1001;

pub(crate) fn looks_like_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

/// Reads the tensors of a stream file.
pub(crate) fn read_stream(bytes: &[u8], which: Tensors) -> Result<StateDict, TorchError> {
    let mut parts = Parts { bytes, at: 0 };
    for (expected, field) in [(MAGIC, "magic number"), (PROTOCOL, "protocol number")] {
        match parts.program(&pickle::no_outside_data)?.root {
            Value::Int(number) if number == expected => {}
            _ => return Err(TorchError::BadHeader { field }),
        }
    }
    parts.program(&pickle::no_outside_data)?; // facts about the writer's system
    let loaded = parts.program(&storage_of_id)?;
    let keys = parts.program(&pickle::no_outside_data)?;
    let keys = keys.heap.items(&keys.root).ok_or(TorchError::BadHeader { field: "key list" })?;

    let elements: BTreeMap<Rc<str>, ElementType> =
        loaded.heap.storages().map(|storage| (storage.key.clone(), storage.element)).collect();
    let mut blocks = Blocks::new();
    for key in keys {
        let key = key.key().ok_or(TorchError::BadHeader { field: "key list" })?;
        let element = *elements.get(&key).ok_or(TorchError::BadHeader { field: "key list" })?;
        let block = parts.storage(element)?;
        blocks.insert(key, Cow::Borrowed(block));
    }
    let views = tree::named_tensors(&loaded.heap, &loaded.root, which)?;
    assemble(views, &blocks, ByteOrder::Little, bytes.len())
}

/// Programs, numbers and storages in a row.
pub(super) struct Parts<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Parts<'a> {
    /// Runs the next program.
    pub(super) fn program(&mut self, resolve: Resolve<'_>) -> Result<Loaded, TorchError> {
        let loaded = pickle::load(&self.bytes[self.at..], resolve)?;
        self.at += loaded.n_bytes;
        Ok(loaded)
    }

    /// The next number: 64 bits, little-endian, not negative.
    pub(super) fn length(&mut self, field: &'static str) -> Result<usize, TorchError> {
        let bytes = self.take(8, field)?;
        let mut number = [0; 8];
        number.copy_from_slice(bytes);
        usize::try_from(i64::from_le_bytes(number)).map_err(|_| TorchError::BadHeader { field })
    }

    /// The elements of the next storage.
    pub(super) fn storage(&mut self, element: ElementType) -> Result<&'a [u8], TorchError> {
        let n_elements = self.length("storage size")?;
        let n_bytes = n_elements
            .checked_mul(element.n_bytes())
            .ok_or(TorchError::BadHeader { field: "storage size" })?;
        self.take(n_bytes, "storage size")
    }

    /// The next bytes.
    pub(super) fn take(
        &mut self,
        n_bytes: usize,
        field: &'static str,
    ) -> Result<&'a [u8], TorchError> {
        let taken = self.bytes[self.at..].get(..n_bytes).ok_or(TorchError::BadHeader { field })?;
        self.at += n_bytes;
        Ok(taken)
    }
}
