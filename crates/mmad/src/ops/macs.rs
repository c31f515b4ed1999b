//! Counts multiply-accumulate operations while something runs.
//!
//! What counts are products with weights (linear layers, convolutions), products of attention, and
//! the recurrences of scans; norms, activations and resizing do not.

use std::cell::Cell;

thread_local! {
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `work` and counts the multiply-accumulate operations that it starts on this thread.
pub fn count_macs<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.replace(Some(0));
    let done = work();
    let counted = COUNT.replace(before).unwrap_or(0);
    (done, counted)
}

/// True while this thread counts; what is counted must then not move to another.
pub(crate) fn is_counting() -> bool {
    COUNT.get().is_some()
}

/// Adds to the count, where one is being taken.
pub(crate) fn add(n: usize) {
    COUNT.with(|count| count.set(count.get().map(|sum| sum + n as u64)));
}
