//! From nested dicts and lists to named tensors.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::TorchError;
use crate::Tensors;
use crate::pickle::{Heap, Object, TensorView, Value};

/// Where checkpoints keep the model beside optimiser state and settings, in order of preference.
const MODEL_KEYS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

/// What `DataParallel` puts before every name.
const DATA_PARALLEL: &str = "module.";

/// Real checkpoints stay far below these; programs that refer to one container many times do not.
const MAX_DEPTH: usize = 32;
const MAX_ITEMS: usize = 1_000_000;
const MAX_TENSORS: usize = 50_000;
const MAX_NAME_BYTES: usize = 1024;

/// The tensors below `root` under names joined by dots, list items by their number.
///
/// Anything that is not a tensor is passed over, and so are entries whose key is neither text nor a
/// number. [`Tensors::Model`] first descends into the model of a checkpoint (see [`MODEL_KEYS`])
/// and removes `module.` if every name begins with it.
pub(super) fn named_tensors(
    heap: &Heap,
    root: &Value,
    which: Tensors,
) -> Result<BTreeMap<String, TensorView>, TorchError> {
    let root = match which {
        Tensors::Model => model_part(heap, root),
        Tensors::All => root,
    };
    let mut walk = Walk { heap, n_items: 0, found: BTreeMap::new() };
    walk.visit(root, "", 0)?;
    let found = walk.found;
    let is_parallel = found.keys().all(|name| name.starts_with(DATA_PARALLEL));
    Ok(if which == Tensors::Model && is_parallel {
        found
            .into_iter()
            .map(|(name, view)| (name[DATA_PARALLEL.len()..].to_owned(), view))
            .collect()
    } else {
        found
    })
}

fn model_part<'a>(heap: &'a Heap, root: &'a Value) -> &'a Value {
    let mut part = root;
    for _ in 0..MAX_DEPTH {
        let Some(entries) = heap.entries(part) else { return part };
        let holds_tensors = entries.iter().any(|(_, value)| heap.tensor(value).is_some());
        let is_filled_dict =
            |value: &Value| heap.entries(value).is_some_and(|entries| !entries.is_empty());
        let inner = MODEL_KEYS.iter().find_map(|key| {
            let (_, value) = entries.iter().rev().find(|(name, _)| name.is_text(key))?;
            is_filled_dict(value).then_some(value)
        });
        match inner {
            Some(inner) if !holds_tensors => part = inner,
            _ => return part,
        }
    }
    part
}

struct Walk<'a> {
    heap: &'a Heap,
    /// Items of all containers looked at so far.
    n_items: usize,
    found: BTreeMap<String, TensorView>,
}

impl Walk<'_> {
    fn visit(&mut self, value: &Value, name: &str, depth: usize) -> Result<(), TorchError> {
        let Some(object) = self.heap.object(value) else { return Ok(()) };
        self.n_items += match object {
            Object::Dict(entries) => entries.len(),
            Object::List(items) | Object::Tuple(items) => items.len(),
            Object::Storage(_) | Object::Tensor(_) | Object::Parameter(_) => 0,
        };
        if self.n_items > MAX_ITEMS
            || self.found.len() > MAX_TENSORS
            || depth > MAX_DEPTH
            || name.len() > MAX_NAME_BYTES
        {
            return Err(TorchError::TooNested);
        }
        if let Some(view) = self.heap.tensor(value) {
            let name = if name.is_empty() { "tensor" } else { name };
            return match self.found.insert(name.to_owned(), view.clone()) {
                None => Ok(()),
                Some(_) => Err(TorchError::DuplicateName { name: name.to_owned() }),
            };
        }
        match object {
            Object::Dict(entries) => {
                // As in Python, the last of several equal keys counts.
                let entries: BTreeMap<Rc<str>, &Value> =
                    entries.iter().filter_map(|(key, value)| Some((key.key()?, value))).collect();
                for (key, value) in entries {
                    self.visit_item(value, name, &key, depth)?;
                }
            }
            Object::List(items) | Object::Tuple(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.visit_item(value, name, &index.to_string(), depth)?;
                }
            }
            Object::Storage(_) | Object::Tensor(_) | Object::Parameter(_) => {}
        }
        Ok(())
    }

    fn visit_item(
        &mut self,
        value: &Value,
        name: &str,
        key: &str,
        depth: usize,
    ) -> Result<(), TorchError> {
        if name.is_empty() {
            self.visit(value, key, depth + 1)
        } else {
            self.visit(value, &format!("{name}.{key}"), depth + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pickle;

    fn flatten(program: &[u8], which: Tensors) -> Result<Vec<String>, TorchError> {
        let loaded = pickle::load(program, &super::super::storage_of_id)?;
        Ok(named_tensors(&loaded.heap, &loaded.root, which)?.into_keys().collect())
    }

    /// A program that puts a tensor into memo slot 9 and then runs `rest`.
    fn with_tensor(rest: &[u8]) -> Vec<u8> {
        let tensor = b"ctorch._utils\n_rebuild_tensor\n((\x8c\x07storagectorch\nFloatStorage\n\
            \x8c\x010\x8c\x03cpuK\x01tQK\x00))tRq\x090";
        [&tensor[..], rest].concat()
    }

    #[test]
    fn nested_names_are_joined_by_dots() {
        let program = with_tensor(b"}\x8c\x01a}\x8c\x01bh\x09sK\x07](h\x09K\x01h\x09ess.");
        assert_eq!(flatten(&program, Tensors::All).unwrap(), ["a.7.0", "a.7.2", "a.b"]);
        assert_eq!(flatten(&with_tensor(b"h\x09."), Tensors::All).unwrap(), ["tensor"]);
        assert_eq!(flatten(b"}.", Tensors::All).unwrap(), [""; 0]);
    }

    #[test]
    fn the_model_of_a_checkpoint_is_found() {
        // {"model": {"w": t}, "optimizer": {"m": t}}
        let program =
            with_tensor(b"}\x8c\x05model}\x8c\x01wh\x09ss\x8c\x09optimizer}\x8c\x01mh\x09ss.");
        assert_eq!(flatten(&program, Tensors::Model).unwrap(), ["w"]);
        assert_eq!(flatten(&program, Tensors::All).unwrap(), ["model.w", "optimizer.m"]);
        // {"net": {}, "w": t}: an empty dict is no model.
        let program = with_tensor(b"}\x8c\x03net}s\x8c\x01wh\x09s.");
        assert_eq!(flatten(&program, Tensors::Model).unwrap(), ["w"]);
        // {"net": {"a": t}, "w": t}: a dict of tensors is the model itself.
        let program = with_tensor(b"}\x8c\x03net}\x8c\x01ah\x09ss\x8c\x01wh\x09s.");
        assert_eq!(flatten(&program, Tensors::Model).unwrap(), ["net.a", "w"]);
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_equal_paths_are_an_error() {
        let program = with_tensor(b"}\x8c\x01ah\x09s\x8c\x01aK\x01s.");
        assert_eq!(flatten(&program, Tensors::All).unwrap(), [""; 0]);
        let program = with_tensor(b"}\x8c\x03a.bh\x09s\x8c\x01a}\x8c\x01bh\x09ss.");
        let error = flatten(&program, Tensors::All).unwrap_err();
        assert_eq!(error.to_string(), "holds two tensors called `a.b`");
    }

    #[test]
    fn loops_depth_and_long_names_are_refused() {
        let is_refused =
            |program: &[u8]| matches!(flatten(program, Tensors::All), Err(TorchError::TooNested));
        assert!(is_refused(b"]q\x00h\x00a."), "a list that holds itself");
        assert!(is_refused(b"}q\x00\x8c\x03neth\x00s."), "a dict that holds itself");
        let _ = flatten(b"}q\x00\x8c\x03neth\x00s.", Tensors::Model);
        let deep = [b"]".to_vec(), b"\x85".repeat(100), b".".to_vec()].concat();
        assert!(is_refused(&deep));
        let key = [b"}X\xff\xff\x00\x00".to_vec(), vec![b'k'; 0xffff], b"]s.".to_vec()].concat();
        assert!(is_refused(&key));
        // Ten lists that each hold the one before ten times: ten billion paths.
        let mut laughs = b"]q\x00".to_vec();
        for level in 1..=10 {
            laughs.extend(b"0](");
            laughs.extend([b'h', level - 1].repeat(10));
            laughs.extend([b'e', b'q', level]);
        }
        laughs.push(b'.');
        assert!(is_refused(&laughs));
    }
}
