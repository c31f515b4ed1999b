//! All tensors of a model by name.

use std::collections::BTreeMap;
use std::collections::btree_map;

use sha2::{Digest, Sha256};

use crate::error::hex;
use crate::{Error, HostTensor, Values};

/// Named tensors in name order: what `PyTorch` calls a state dict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateDict {
    tensors: BTreeMap<String, HostTensor>,
}

impl StateDict {
    /// No tensors yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor; returns the one that had this name before, if any.
    pub fn insert(&mut self, name: impl Into<String>, tensor: HostTensor) -> Option<HostTensor> {
        self.tensors.insert(name.into(), tensor)
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&HostTensor> {
        self.tensors.get(name)
    }

    /// Removes and returns the tensor called `name`.
    pub fn take(&mut self, name: &str) -> Option<HostTensor> {
        self.tensors.remove(name)
    }

    /// Removes and returns the floats of the tensor called `name`, which must have this shape.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`], [`Error::WrongShape`], or [`Error::NotFloat`] for integers.
    pub fn take_f32(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(Error::MissingTensor { name: name.to_owned() });
        };
        if tensor.shape() != shape {
            return Err(Error::WrongShape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: tensor.shape().to_vec(),
            });
        }
        self.take(name)
            .and_then(HostTensor::into_f32)
            .ok_or_else(|| Error::NotFloat { name: name.to_owned() })
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// True when there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Number of elements of all tensors together.
    pub fn n_elements(&self) -> usize {
        self.tensors.values().map(HostTensor::n_elements).sum()
    }

    /// Names and tensors in name order.
    pub fn iter(&self) -> btree_map::Iter<'_, String, HostTensor> {
        self.tensors.iter()
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Keeps the tensors for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &HostTensor) -> bool) {
        self.tensors.retain(|name, tensor| keep(name, tensor));
    }

    /// The tensors whose name begins with `prefix`, under the rest of their name.
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        self.tensors
            .into_iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor)))
            .collect()
    }

    /// Puts `prefix` before every name.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> Self {
        self.tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
    }

    /// Removes `prefix` from the names that begin with it and leaves the others alone.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateName`] when two tensors would get the same name.
    pub fn strip_prefix(self, prefix: &str) -> Result<Self, Error> {
        self.rename(|name| name.strip_prefix(prefix).unwrap_or(name).to_owned())
    }

    /// Gives every tensor the name that `new_name` makes of its old one.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateName`] when two tensors would get the same name.
    pub fn rename(self, mut new_name: impl FnMut(&str) -> String) -> Result<Self, Error> {
        let mut renamed = Self::new();
        for (old, tensor) in self.tensors {
            let name = new_name(&old);
            if renamed.tensors.contains_key(&name) {
                return Err(Error::DuplicateName { name });
            }
            renamed.tensors.insert(name, tensor);
        }
        Ok(renamed)
    }

    /// The first value that is NaN or infinite, as tensor name and row-major position.
    pub fn first_non_finite(&self) -> Option<(&str, usize)> {
        self.tensors.iter().find_map(|(name, tensor)| {
            let position = tensor.as_f32()?.iter().position(|value| !value.is_finite())?;
            Some((name.as_str(), position))
        })
    }

    /// SHA-256 of the content as 64 lower-case hex digits: equal for equal names, shapes and bits,
    /// whatever file they came from.
    ///
    /// Digested per tensor in name order: length of the name, the name, number of axes, their
    /// lengths, `f` or `i`, the values. Counts are 64-bit; all numbers little-endian.
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, tensor) in &self.tensors {
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
            hasher.update((tensor.shape().len() as u64).to_le_bytes());
            for &side in tensor.shape() {
                hasher.update((side as u64).to_le_bytes());
            }
            match tensor.values() {
                Values::Float(values) => {
                    hasher.update(b"f");
                    digest_blocks(&mut hasher, values, f32::to_le_bytes);
                }
                Values::Int(values) => {
                    hasher.update(b"i");
                    digest_blocks(&mut hasher, values, i64::to_le_bytes);
                }
            }
        }
        hex(&hasher.finalize())
    }
}

impl FromIterator<(String, HostTensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, HostTensor)>>(tensors: I) -> Self {
        Self { tensors: tensors.into_iter().collect() }
    }
}

impl IntoIterator for StateDict {
    type Item = (String, HostTensor);
    type IntoIter = btree_map::IntoIter<String, HostTensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.into_iter()
    }
}

impl<'a> IntoIterator for &'a StateDict {
    type Item = (&'a String, &'a HostTensor);
    type IntoIter = btree_map::Iter<'a, String, HostTensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Feeds values in blocks: one call per value would be many times slower.
fn digest_blocks<T: Copy, const N: usize>(
    hasher: &mut Sha256,
    values: &[T],
    to_bytes: fn(T) -> [u8; N],
) {
    let mut block = Vec::with_capacity(4096 * N);
    for chunk in values.chunks(4096) {
        block.clear();
        block.extend(chunk.iter().flat_map(|&value| to_bytes(value)));
        hasher.update(&block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(value: f32) -> HostTensor {
        HostTensor::from_f32(vec![], vec![value]).unwrap()
    }

    fn dict(names: &[&str]) -> StateDict {
        names.iter().map(|&name| (name.to_owned(), scalar(name.len() as f32))).collect()
    }

    fn names(dict: &StateDict) -> Vec<&str> {
        dict.names().collect()
    }

    #[test]
    fn prefixes_come_and_go() {
        let all = dict(&["net_s.a", "net_t.b", "net_t.c"]);
        assert_eq!(names(&all.clone().under("net_t.")), ["b", "c"]);
        assert_eq!(names(&dict(&["a", "b"]).with_prefix("x.")), ["x.a", "x.b"]);
        let stripped = all.strip_prefix("net_t.").unwrap();
        assert_eq!(names(&stripped), ["b", "c", "net_s.a"]);
    }

    #[test]
    fn a_rename_onto_a_taken_name_is_an_error() {
        let error = dict(&["a", "m.a"]).strip_prefix("m.").unwrap_err();
        assert_eq!(error.to_string(), "two tensors would be called `a`");
        let renamed = dict(&["a", "b"]).rename(|name| format!("{name}{name}")).unwrap();
        assert_eq!(names(&renamed), ["aa", "bb"]);
    }

    #[test]
    fn take_f32_checks_name_shape_and_kind() {
        let mut dict = dict(&["a"]);
        dict.insert("i", HostTensor::from_i64(vec![], vec![3]).unwrap());
        assert!(matches!(dict.take_f32("b", &[]), Err(Error::MissingTensor { .. })));
        assert!(matches!(dict.take_f32("a", &[1]), Err(Error::WrongShape { .. })));
        assert!(matches!(dict.take_f32("i", &[]), Err(Error::NotFloat { .. })));
        assert_eq!(dict.take_f32("a", &[]).unwrap(), [1.0]);
        assert_eq!(dict.get("a"), None, "taken is gone");
    }

    /// The digest written out by hand for one tensor, so that the format cannot drift.
    #[test]
    fn the_digest_is_the_documented_one() {
        let mut dict = StateDict::new();
        dict.insert("ab", HostTensor::from_f32(vec![1, 2], vec![1.0, -2.0]).unwrap());
        let mut bytes = Vec::new();
        bytes.extend(2_u64.to_le_bytes());
        bytes.extend(b"ab");
        bytes.extend(2_u64.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(2_u64.to_le_bytes());
        bytes.extend(b"f");
        bytes.extend(1.0_f32.to_le_bytes());
        bytes.extend((-2.0_f32).to_le_bytes());
        assert_eq!(dict.sha256(), hex(&Sha256::digest(&bytes)));
    }

    #[test]
    fn the_digest_sees_names_shapes_kinds_and_bits() {
        let base = dict(&["a"]);
        let mut shape = StateDict::new();
        shape.insert("a", HostTensor::from_f32(vec![1], vec![1.0]).unwrap());
        let mut zero = StateDict::new();
        zero.insert("a", scalar(0.0));
        let mut minus_zero = StateDict::new();
        minus_zero.insert("a", scalar(-0.0));
        let digests = [&base, &dict(&["b"]), &shape, &zero, &minus_zero].map(StateDict::sha256);
        for (i, digest) in digests.iter().enumerate() {
            assert_eq!(digest.len(), 64);
            assert!(!digests[..i].contains(digest), "digest {i} repeats");
        }
    }

    #[test]
    fn the_first_bad_value_is_found() {
        let mut dict = dict(&["a"]);
        assert_eq!(dict.first_non_finite(), None);
        dict.insert("b", HostTensor::from_f32(vec![3], vec![0.0, f32::NAN, 1.0]).unwrap());
        assert_eq!(dict.first_non_finite(), Some(("b", 1)));
    }
}
