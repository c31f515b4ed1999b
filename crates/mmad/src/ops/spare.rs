//! Memory of results that nobody reads any more, for the next results of the same size.
//!
//! A new buffer has to be filled with zeros before a kernel writes over them, by one thread while
//! the others wait. Scoring a picture makes hundreds of maps of a few sizes, each read once or
//! twice, so nearly every one finds the memory of an earlier one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn_flex::FlexTensor;

/// Values kept at most: 16 MiB. Beyond it the oldest buffer is freed.
const KEPT_VALUES: usize = 1 << 22;

static SPARE: Mutex<Spare> = Mutex::new(Spare::new());

/// Buffers, the oldest first.
struct Spare {
    buffers: VecDeque<Vec<f32>>,
    n_values: usize,
    /// Lengths that a result had: no other is kept.
    asked: BTreeSet<usize>,
}

impl Spare {
    const fn new() -> Self {
        Self { buffers: VecDeque::new(), n_values: 0, asked: BTreeSet::new() }
    }

    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        self.asked.insert(len);
        // The newest is the most likely to be in a cache.
        let found = self.buffers.iter().rposition(|buffer| buffer.len() == len)?;
        self.n_values -= len;
        self.buffers.remove(found)
    }

    /// Returns what is not kept any more.
    fn give(&mut self, buffer: Vec<f32>) -> Vec<Vec<f32>> {
        if !self.asked.contains(&buffer.len()) {
            return vec![buffer];
        }
        self.n_values += buffer.len();
        self.buffers.push_back(buffer);
        let mut dropped = Vec::new();
        while self.n_values > KEPT_VALUES
            && let Some(oldest) = self.buffers.pop_front()
        {
            self.n_values -= oldest.len();
            dropped.push(oldest);
        }
        dropped
    }
}

fn spare() -> MutexGuard<'static, Spare> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer of `len` values for a result. What they hold is left over: write every one.
pub(super) fn take(len: usize) -> Vec<f32> {
    let found = spare().take(len);
    let mut buffer = found.unwrap_or_else(|| vec![0.0; len]);
    // So that a test fails where a kernel counts on zeros.
    if cfg!(test) {
        buffer.fill(f32::NAN);
    }
    buffer
}

/// Keeps the memory of a tensor that is dropped, if nobody else has it.
pub(super) fn keep(tensor: FlexTensor) {
    let layout = tensor.layout();
    let n_bytes = layout.num_elements() * size_of::<f32>();
    // All of its memory in order, else it would be copied first.
    let is_whole = layout.start_offset() == 0 && tensor.bytes().len() == n_bytes;
    if !(tensor.is_unique() && tensor.is_contiguous() && is_whole) {
        return;
    }
    if let Ok(buffer) = tensor.into_data().into_bytes().try_into_vec::<f32>() {
        let dropped = spare().give(buffer);
        // Freed while nobody waits for the others.
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_for(lengths: &[usize]) -> Spare {
        Spare { asked: lengths.iter().copied().collect(), ..Spare::new() }
    }

    #[test]
    fn a_buffer_is_taken_by_its_length_once() {
        let mut spare = asked_for(&[3, 4]);
        spare.give(vec![1.0; 3]);
        spare.give(vec![2.0; 4]);
        spare.give(vec![3.0; 3]);
        assert_eq!(spare.take(3), Some(vec![3.0; 3]));
        assert_eq!(spare.take(3), Some(vec![1.0; 3]));
        assert_eq!(spare.take(3), None);
        assert_eq!(spare.n_values, 4);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut spare = asked_for(&[8, KEPT_VALUES - 1, KEPT_VALUES + 1]);
        spare.give(vec![0.0; 8]);
        spare.give(vec![0.0; KEPT_VALUES - 1]);
        assert_eq!((spare.buffers.len(), spare.n_values), (1, KEPT_VALUES - 1));
        assert_eq!(spare.give(vec![0.0; 9]), [[0.0; 9]]);
        assert_eq!(spare.give(vec![0.0; KEPT_VALUES + 1]).len(), 2);
        assert_eq!((spare.buffers.len(), spare.n_values), (0, 0));
    }

    #[test]
    fn only_tensors_that_nobody_has_are_kept() {
        use burn::tensor::TensorData;

        let len = 12_345;
        let tensor = || FlexTensor::from_data(TensorData::new(vec![1.0_f32; len], [len]));
        let address = |tensor: &FlexTensor| tensor.bytes().as_ptr();
        let shared = tensor();
        keep(shared.clone());
        let other = take(len);
        assert_ne!(other.as_ptr().cast::<u8>(), address(&shared));
        let address = address(&shared);
        keep(shared);
        let same = take(len);
        assert_eq!(same.as_ptr().cast::<u8>(), address);
    }
}
