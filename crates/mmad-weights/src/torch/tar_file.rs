//! The format of 2016 and early 2017: a tar archive of `storages`, `tensors` and `pickle`.
//!
//! `storages`: how many; per storage a program `(key, device, type)`, the number of elements (64
//! bits) and the elements; then a list of storages that are parts of others. `tensors`: how many;
//! per tensor a program `(key, storage key, type)`, the number of axes, their lengths, their
//! strides, the offset (64 bits each). `pickle`: the program whose persistent ids are tensor keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::rc::Rc;

use super::stream::Parts;
use super::view::{Blocks, assemble};
use super::{TorchError, tree};
use crate::element::{ByteOrder, ElementType};
use crate::pickle::{self, Global, Heap, Object, Storage, TensorView, Value};
use crate::{StateDict, Tensors};

pub(crate) fn looks_like_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// Reads the tensors of a tar file.
pub(crate) fn read_tar(bytes: &[u8], which: Tensors) -> Result<StateDict, TorchError> {
    let members = members(bytes)?;
    let member = |name: &str| {
        let bytes = members.get(name).copied();
        bytes.ok_or_else(|| TorchError::MissingPart { name: name.to_owned() })
    };
    let (blocks, storages) = read_storages(member("storages")?)?;
    let tensors = read_tensors(member("tensors")?, &storages)?;
    let tensor_of_id = |_: &Heap, id: &Value| tensors.get(&id.key()?).cloned().map(Object::Tensor);
    let loaded = pickle::load(member("pickle")?, &tensor_of_id)?;
    let views = tree::named_tensors(&loaded.heap, &loaded.root, which)?;
    assemble(views, &blocks, ByteOrder::Little, bytes.len())
}

fn members(bytes: &[u8]) -> Result<BTreeMap<String, &[u8]>, TorchError> {
    let container = |reason: std::io::Error| TorchError::Container { reason: reason.to_string() };
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut members = BTreeMap::new();
    for entry in archive.entries().map_err(container)? {
        let entry = entry.map_err(container)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let content = usize::try_from(entry.raw_file_position())
            .ok()
            .zip(usize::try_from(entry.size()).ok())
            .and_then(|(start, n_bytes)| bytes.get(start..start.checked_add(n_bytes)?))
            .ok_or_else(|| TorchError::MissingPart { name: name.clone() })?;
        members.insert(name, content);
    }
    Ok(members)
}

type Storages = BTreeMap<Rc<str>, Storage>;

fn read_storages(bytes: &[u8]) -> Result<(Blocks<'_>, Storages), TorchError> {
    let bad = || TorchError::BadHeader { field: "storage list" };
    let mut parts = Parts { bytes, at: 0 };
    let n_storages = parts.program(&pickle::no_outside_data)?.root.length().ok_or_else(bad)?;
    let (mut blocks, mut storages) = (Blocks::new(), Storages::new());
    for _ in 0..n_storages {
        let (key, element) =
            storage_header(&parts.program(&pickle::no_outside_data)?).ok_or_else(bad)?;
        let block = parts.storage(element)?;
        let n_elements = block.len() / element.n_bytes();
        blocks.insert(key.clone(), Cow::Borrowed(block));
        storages.insert(key.clone(), Storage { key, element, first: 0, n_elements });
    }
    let views = parts.program(&pickle::no_outside_data)?;
    for view in views.heap.items(&views.root).ok_or_else(bad)? {
        let (key, part) = part_of(&views.heap, view, &storages).ok_or_else(bad)?;
        storages.insert(key, part);
    }
    Ok((blocks, storages))
}

fn storage_header(loaded: &pickle::Loaded) -> Option<(Rc<str>, ElementType)> {
    let [key, _device, Value::Global(Global::StorageOf(element))] =
        loaded.heap.tuple(&loaded.root)?
    else {
        return None;
    };
    Some((key.key()?, *element))
}

/// A storage that is part of another: `(key, key of the other, first element, elements)`.
fn part_of(heap: &Heap, view: &Value, storages: &Storages) -> Option<(Rc<str>, Storage)> {
    let [key, whole, first, n_elements] = heap.tuple(view)? else { return None };
    let whole = storages.get(&whole.key()?)?.clone();
    let (first, n_elements) = (first.length()?, n_elements.length()?);
    let is_inside = first.checked_add(n_elements)? <= whole.n_elements;
    let part = Storage { first: whole.first.checked_add(first)?, n_elements, ..whole };
    is_inside.then_some((key.key()?, part))
}

fn read_tensors(
    bytes: &[u8],
    storages: &Storages,
) -> Result<BTreeMap<Rc<str>, TensorView>, TorchError> {
    const MAX_AXES: u32 = 64;
    let bad = || TorchError::BadHeader { field: "tensor list" };
    let mut parts = Parts { bytes, at: 0 };
    let n_tensors = parts.program(&pickle::no_outside_data)?.root.length().ok_or_else(bad)?;
    let mut tensors = BTreeMap::new();
    for _ in 0..n_tensors {
        let header = parts.program(&pickle::no_outside_data)?;
        let (key, storage) = tensor_header(&header, storages).ok_or_else(bad)?;
        // 64 bits in the first release, 32 bits and four unused bytes in the next ones.
        let &[a, b, c, d, ..] = parts.take(8, "tensor list")? else { return Err(bad()) };
        let n_axes = u32::from_le_bytes([a, b, c, d]);
        if n_axes > MAX_AXES {
            return Err(bad());
        }
        let lengths = |parts: &mut Parts<'_>| {
            (0..n_axes).map(|_| parts.length("tensor list")).collect::<Result<Vec<_>, _>>()
        };
        let (shape, strides) = (lengths(&mut parts)?, lengths(&mut parts)?);
        let offset = parts.length("tensor list")?;
        tensors.insert(key, TensorView { storage, offset, shape, strides });
    }
    Ok(tensors)
}

fn tensor_header(loaded: &pickle::Loaded, storages: &Storages) -> Option<(Rc<str>, Storage)> {
    let [key, storage, Value::Global(Global::TensorClass)] = loaded.heap.tuple(&loaded.root)?
    else {
        return None;
    };
    let storage = match storage {
        // A tensor without elements has no storage.
        Value::None => {
            Storage { key: Rc::from(""), element: ElementType::F32, first: 0, n_elements: 0 }
        }
        storage => storages.get(&storage.key()?)?.clone(),
    };
    Some((key.key()?, storage))
}
