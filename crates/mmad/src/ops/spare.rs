//! Memory of results that nobody reads any more, for the next results of the same size.
//!
//! A new buffer has to be filled with zeros before a kernel writes over them, by one thread while
//! the others wait. Scoring a picture makes hundreds of maps of a few sizes, each read once or
//! twice, so nearly every one finds the memory of an earlier one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use burn_flex::FlexTensor;

/// Values kept at most: 16 MiB. Beyond it the oldest buffer is freed.
const KEPT_VALUES: usize = 1 << 22;

static SPARE: Mutex<Spare> = Mutex::new(Spare { buffers: VecDeque::new(), n_values: 0 });

/// Buffers, the oldest first.
struct Spare {
    buffers: VecDeque<Vec<f32>>,
    n_values: usize,
}

impl Spare {
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        // The newest is the most likely to be in a cache.
        let found = self.buffers.iter().rposition(|buffer| buffer.len() == len)?;
        self.n_values -= len;
        self.buffers.remove(found)
    }

    fn give(&mut self, buffer: Vec<f32>) {
        self.n_values += buffer.len();
        self.buffers.push_back(buffer);
        while self.n_values > KEPT_VALUES {
            let oldest = self.buffers.pop_front().map_or(0, |oldest| oldest.len());
            self.n_values -= oldest;
        }
    }
}

/// A buffer of `len` values for a result. What they hold is left over: write every one.
pub(super) fn take(len: usize) -> Vec<f32> {
    let found = SPARE.lock().unwrap_or_else(PoisonError::into_inner).take(len);
    let mut buffer = found.unwrap_or_else(|| vec![0.0; len]);
    // So that a test fails where a kernel counts on zeros.
    if cfg!(test) {
        buffer.fill(f32::NAN);
    }
    buffer
}

/// Keeps the memory of a tensor that is dropped, if nobody else has it.
pub(super) fn keep(tensor: FlexTensor) {
    if !tensor.is_unique() || !tensor.is_contiguous() {
        return;
    }
    if let Ok(buffer) = tensor.into_data().into_bytes().try_into_vec::<f32>() {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).give(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare() -> Spare {
        Spare { buffers: VecDeque::new(), n_values: 0 }
    }

    #[test]
    fn a_buffer_is_taken_by_its_length_once() {
        let mut spare = spare();
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
        let mut spare = spare();
        spare.give(vec![0.0; 8]);
        spare.give(vec![0.0; KEPT_VALUES - 1]);
        assert_eq!((spare.buffers.len(), spare.n_values), (1, KEPT_VALUES - 1));
        spare.give(vec![0.0; KEPT_VALUES + 1]);
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
