//! What a pickle program can build here.
//!
//! Containers live in one [`Heap`] and refer to each other by number. So a value may be shared or
//! contain itself, as Python's may, and dropping the deepest nesting needs no recursion.

use std::rc::Rc;

use super::global::Global;
use crate::element::ElementType;

/// `PyTorch` allows no more axes either.
pub(super) const MAX_AXES: usize = 64;

/// Number of an object on the [`Heap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectId(usize);

/// Something on the stack of the machine.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    None,
    /// A whole number; torch's file magic needs 77 bits.
    Int(i128),
    Text(Rc<str>),
    Global(Global),
    Object(ObjectId),
    /// A float, bytes, a data type: well-formed, and of no use for tensors.
    Opaque,
}

/// A container or a tensor.
#[derive(Debug, Clone)]
pub(crate) enum Object {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    /// In order of insertion; a repeated key replaces the earlier one when it is read.
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(TensorView),
    /// A parameter of the first `PyTorch` releases, with its tensor once that is known.
    Parameter(Option<ObjectId>),
}

/// A run of elements in a block of bytes that is stored elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    /// Name of the block.
    pub(crate) key: Rc<str>,
    pub(crate) element: ElementType,
    /// First element within the block.
    pub(crate) first: usize,
    /// Number of elements.
    pub(crate) n_elements: usize,
}

/// A tensor as a strided view into a storage. Offset and strides count elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorView {
    pub(crate) storage: Storage,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// All objects of one program.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    objects: Vec<Object>,
}

impl Heap {
    pub(crate) fn add(&mut self, object: Object) -> Value {
        self.objects.push(object);
        Value::Object(ObjectId(self.objects.len() - 1))
    }

    pub(crate) fn get(&self, id: ObjectId) -> &Object {
        &self.objects[id.0]
    }

    pub(crate) fn get_mut(&mut self, id: ObjectId) -> &mut Object {
        &mut self.objects[id.0]
    }

    pub(crate) fn object(&self, value: &Value) -> Option<&Object> {
        match value {
            Value::Object(id) => Some(self.get(*id)),
            _ => None,
        }
    }

    /// The items of a tuple.
    pub(crate) fn tuple(&self, value: &Value) -> Option<&[Value]> {
        match self.object(value)? {
            Object::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The items of a tuple or a list.
    pub(crate) fn items(&self, value: &Value) -> Option<&[Value]> {
        match self.object(value)? {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dict.
    pub(crate) fn entries(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match self.object(value)? {
            Object::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// A tuple or list of lengths, one per axis.
    pub(crate) fn lengths(&self, value: &Value) -> Option<Vec<usize>> {
        let items = self.items(value)?;
        (items.len() <= MAX_AXES).then(|| items.iter().map(Value::length).collect())?
    }

    /// The tensor behind a tensor or parameter.
    pub(crate) fn tensor(&self, value: &Value) -> Option<&TensorView> {
        match self.object(value)? {
            Object::Tensor(view) => Some(view),
            Object::Parameter(Some(id)) => match self.get(*id) {
                Object::Tensor(view) => Some(view),
                _ => None,
            },
            _ => None,
        }
    }

    /// Every storage that the program named.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}

impl Value {
    /// A whole number that can be a length or position.
    pub(crate) fn length(&self) -> Option<usize> {
        match self {
            Self::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Text, or a number written out: both name storages and dict entries.
    pub(crate) fn key(&self) -> Option<Rc<str>> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Int(number) => Some(number.to_string().into()),
            _ => None,
        }
    }

    pub(crate) fn is_text(&self, expected: &str) -> bool {
        matches!(self, Self::Text(text) if **text == *expected)
    }
}
