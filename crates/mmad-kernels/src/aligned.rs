//! Memory that begins with a cache line, so that no vector of it lies across two.

use std::ops::{Deref, DerefMut};

use pulp::bytemuck::Zeroable;

/// Bytes of a cache line, and of the longest vector.
const LINE_BYTES: usize = 64;

/// `len` values behind a few that are not used.
#[derive(Debug)]
pub(crate) struct AlignedVec<T> {
    buffer: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Zeroable + Copy> AlignedVec<T> {
    /// As many zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut aligned = Self { buffer: Vec::new(), start: 0, len: 0 };
        aligned.set_len(len);
        aligned
    }

    /// Makes it `len` values, whatever they hold.
    pub(crate) fn set_len(&mut self, len: usize) {
        let spare = LINE_BYTES / size_of::<T>();
        if self.buffer.len() < len + spare {
            self.buffer = vec![T::zeroed(); len + spare];
            // Where an address cannot be had, any place will do.
            self.start = self.buffer.as_ptr().align_offset(LINE_BYTES).min(spare);
        }
        self.len = len;
    }
}

impl<T> AlignedVec<T> {
    /// Values that it has room for.
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.len().saturating_sub(LINE_BYTES / size_of::<T>())
    }
}

impl<T: Zeroable + Copy> Clone for AlignedVec<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T> Default for AlignedVec<T> {
    fn default() -> Self {
        Self { buffer: Vec::new(), start: 0, len: 0 }
    }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer[self.start..][..self.len]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_cache_line_and_so_does_a_copy() {
        for len in [0, 1, 15, 16, 1000] {
            let mut values = AlignedVec::<f32>::zeros(len);
            assert_eq!(values.len(), len);
            assert!(values.capacity() >= len);
            assert!(values.iter().all(|&value| value == 0.0));
            values.fill(3.0);
            let copy = values.clone();
            assert_eq!(copy[..], values[..]);
            for values in [&values, &copy] {
                assert_eq!(values.as_ptr().addr() % LINE_BYTES, 0);
            }
        }
    }

    #[test]
    fn it_keeps_its_memory_while_that_is_enough() {
        let mut values = AlignedVec::<f32>::zeros(100);
        let address = values.as_ptr();
        values.set_len(40);
        assert_eq!((values.as_ptr(), values.len()), (address, 40));
        values.set_len(1000);
        assert_eq!(values.len(), 1000);
        assert_eq!(values.as_ptr().addr() % LINE_BYTES, 0);
    }
}
