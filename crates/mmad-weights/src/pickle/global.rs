//! The only names a pickle program may mention, and what calling them means.
//!
//! Nothing here runs Python. A call either builds one of our own objects or yields a value that is
//! ignored. Names and argument order are those of `torch/_utils.py` and `torch/serialization.py`.

use super::object::{Heap, MAX_AXES, Object, TensorView, Value};
use crate::element::ElementType;

/// A name on the allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// `torch.nn.parameter.Parameter` and its ancestor `Variable`.
    Parameter,
    /// `torch.FloatStorage` and its sisters.
    StorageOf(ElementType),
    /// `torch.FloatTensor` and its sisters: only a label in the oldest files.
    TensorClass,
    /// `torch.Size`.
    Size,
    /// A constructor whose result is ignored: devices, data types, numpy scalars.
    Ignored,
    /// A constant that is ignored, such as `torch.float32`.
    Constant,
}

/// The allow-list.
pub(crate) fn lookup(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("torch.nn.parameter", "Parameter") | ("torch.autograd.variable", "Variable") => {
            Global::Parameter
        }
        ("torch", "Size") => Global::Size,
        ("torch", "device")
        | ("numpy", "dtype")
        | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
        | ("_codecs", "encode") => Global::Ignored,
        (
            "torch",
            "float64" | "double" | "float32" | "float" | "float16" | "half" | "bfloat16" | "int64"
            | "long" | "int32" | "int" | "int16" | "short" | "int8" | "uint8" | "bool",
        ) => Global::Constant,
        ("torch" | "torch.cuda", class) => {
            if let Some(element) = class.strip_suffix("Storage").and_then(element_of) {
                Global::StorageOf(element)
            } else {
                class.strip_suffix("Tensor").and_then(element_of)?;
                Global::TensorClass
            }
        }
        _ => return None,
    })
}

/// Calls `callee` with `arguments`, as the opcode `REDUCE` asks. `None` when the arguments are not
/// those of a tensor file.
pub(crate) fn call(heap: &mut Heap, callee: Global, arguments: &[Value]) -> Option<Value> {
    match callee {
        Global::OrderedDict => {
            let entries = match arguments {
                [] => Vec::new(),
                [pairs] => pairs_of(heap, pairs)?,
                _ => return None,
            };
            Some(heap.add(Object::Dict(entries)))
        }
        Global::RebuildTensor => {
            let [storage, offset, shape, strides, ..] = arguments else { return None };
            let Object::Storage(storage) = heap.object(storage)? else { return None };
            let view = TensorView {
                storage: storage.clone(),
                offset: offset.length()?,
                shape: heap.lengths(shape)?,
                strides: heap.lengths(strides)?,
            };
            (view.shape.len() == view.strides.len()).then(|| heap.add(Object::Tensor(view)))
        }
        Global::RebuildParameter => {
            let tensor = arguments.first()?;
            heap.tensor(tensor)?;
            Some(tensor.clone())
        }
        Global::Parameter => new_parameter(heap, arguments),
        Global::Size => {
            let [items] = arguments else { return None };
            let items = heap.items(items).filter(|items| items.len() <= MAX_AXES)?.to_vec();
            Some(heap.add(Object::Tuple(items)))
        }
        Global::Ignored => Some(Value::Opaque),
        Global::StorageOf(_) | Global::TensorClass | Global::Constant => None,
    }
}

/// A parameter from its tensor, or an empty one that is filled by [`set_state`].
pub(crate) fn new_parameter(heap: &mut Heap, arguments: &[Value]) -> Option<Value> {
    let tensor = match arguments.first() {
        Some(value) => {
            heap.tensor(value)?;
            let Value::Object(id) = value else { return None };
            Some(*id)
        }
        None => None,
    };
    Some(heap.add(Object::Parameter(tensor)))
}

/// Gives an object its attributes, as the opcode `BUILD` asks. Only a parameter of the first
/// releases keeps anything of value there: its tensor comes first of five items.
pub(crate) fn set_state(heap: &mut Heap, target: &Value, state: &Value) -> Option<()> {
    let Value::Object(id) = target else {
        return matches!(target, Value::Opaque).then_some(());
    };
    match heap.get(*id) {
        Object::Dict(_) | Object::Parameter(Some(_)) => Some(()),
        Object::Parameter(None) => {
            let [tensor, _, _, _, _] = heap.tuple(state)? else { return None };
            heap.tensor(tensor)?;
            let Value::Object(tensor) = *tensor else { return None };
            *heap.get_mut(*id) = Object::Parameter(Some(tensor));
            Some(())
        }
        _ => None,
    }
}

/// Key-value pairs from a list of two-item lists, which is how Python 2 writes an `OrderedDict`.
///
/// The list is used up. A program that named one long list in many calls would otherwise make a
/// copy each time.
fn pairs_of(heap: &mut Heap, pairs: &Value) -> Option<Vec<(Value, Value)>> {
    let Value::Object(id) = *pairs else { return None };
    let Object::List(pairs) = heap.get_mut(id) else { return None };
    std::mem::take(pairs)
        .iter()
        .map(|pair| match heap.items(pair)? {
            [key, value] => Some((key.clone(), value.clone())),
            _ => None,
        })
        .collect()
}

fn element_of(class: &str) -> Option<ElementType> {
    Some(match class {
        "Double" => ElementType::F64,
        "Float" => ElementType::F32,
        "Half" => ElementType::F16,
        "BFloat16" => ElementType::Bf16,
        "Long" => ElementType::I64,
        "Int" => ElementType::I32,
        "Short" => ElementType::I16,
        "Char" => ElementType::I8,
        "Byte" => ElementType::U8,
        "Bool" => ElementType::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_runs_is_on_the_list() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("nt", "system"),
            ("subprocess", "Popen"),
            ("builtins", "eval"),
            ("__builtin__", "exec"),
            ("builtins", "getattr"),
            ("runpy", "_run_code"),
            ("torch", "load"),
            ("torch.hub", "load"),
            ("torch", "Storage"),
            ("torch", "ComplexFloatStorage"),
            ("torch._utils", "_rebuild_qtensor"),
            ("torch.storage", "_load_from_bytes"),
            ("collections.OrderedDict", ""),
        ] {
            assert_eq!(lookup(module, name), None, "{module}.{name}");
        }
    }

    #[test]
    fn storages_know_their_elements() {
        assert_eq!(lookup("torch", "HalfStorage"), Some(Global::StorageOf(ElementType::F16)));
        assert_eq!(lookup("torch", "BoolStorage"), Some(Global::StorageOf(ElementType::Bool)));
        assert_eq!(lookup("torch", "FloatTensor"), Some(Global::TensorClass));
        assert_eq!(lookup("torch.cuda", "FloatTensor"), Some(Global::TensorClass));
        assert_eq!(lookup("torch", "float32"), Some(Global::Constant));
    }

    /// A parameter must not hold itself: looking for its tensor would never end.
    #[test]
    fn a_parameter_holds_a_tensor_and_nothing_else() {
        let mut heap = Heap::default();
        let empty = new_parameter(&mut heap, &[]).unwrap();
        assert!(new_parameter(&mut heap, std::slice::from_ref(&empty)).is_none());
        let mut state = vec![Value::None; 5];
        state[0] = empty.clone();
        let state = heap.add(Object::Tuple(state));
        assert!(set_state(&mut heap, &empty, &state).is_none());
    }
}
