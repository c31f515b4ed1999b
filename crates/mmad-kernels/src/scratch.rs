//! Working memory that is kept between calls, so that a layer allocates once and not per picture.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::aligned::AlignedVec;

/// Buffers kept per thread. More are dropped: a thread rarely needs three at once.
const KEPT_BUFFERS: usize = 4;

thread_local! {
    static FREE: RefCell<Vec<AlignedVec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// A borrowed buffer; it goes back to its thread when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(AlignedVec<f32>);

/// Takes a buffer of `len` values. What they hold is left over from earlier use.
pub(crate) fn take(len: usize) -> Scratch {
    let mut buffer = FREE.with_borrow_mut(|free| {
        // The smallest that fits, else the largest, which then grows.
        let fitting = (0..free.len())
            .filter(|&i| free[i].capacity() >= len)
            .min_by_key(|&i| free[i].capacity())
            .or_else(|| (0..free.len()).max_by_key(|&i| free[i].capacity()));
        fitting.map(|i| free.swap_remove(i)).unwrap_or_default()
    });
    buffer.set_len(len);
    Scratch(buffer)
}

/// Takes a buffer of `len` zeros.
pub(crate) fn zeros(len: usize) -> Scratch {
    let mut scratch = take(len);
    scratch.fill(0.0);
    scratch
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // A thread that is ending has no store any more; the buffer is then simply freed.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT_BUFFERS {
                free.push(buffer);
            } else if let Some(smallest) = free.iter_mut().min_by_key(|kept| kept.capacity())
                && smallest.capacity() < buffer.capacity()
            {
                *smallest = buffer;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back() {
        let first = take(1000);
        let address = first.as_ptr();
        drop(first);
        let second = take(900);
        assert_eq!(second.as_ptr(), address);
        assert_eq!(second.len(), 900);
    }

    #[test]
    fn nested_buffers_are_distinct_and_zeros_are_zero() {
        let mut outer = take(64);
        outer.fill(7.0);
        let inner = zeros(64);
        assert!(outer.iter().all(|&value| value == 7.0));
        assert!(inner.iter().all(|&value| value == 0.0));
        drop(outer);
        assert!(zeros(64).iter().all(|&value| value == 0.0));
    }
}
