//! Asking for memory before it is needed.
//!
//! The pixels of a curve lie where no hardware predicts them, and a large map does not fit the
//! near caches: without this a scan of one waits for memory a third of its time.

#![allow(unsafe_code)]

/// Brings `numbers` near the processor; changes nothing else. Does nothing where there is no
/// instruction for it.
#[inline(always)]
pub(super) fn prefetch(numbers: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        /// Numbers in a cache line.
        const LINE: usize = 16;
        // A row that does not begin with a line ends in one more.
        for part in numbers.chunks(LINE).map(|part| &part[0]).chain(numbers.last()) {
            // SAFETY: a prefetch reads and writes nothing that the program can see, for any
            // address; this one belongs to `numbers`.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(part).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}
