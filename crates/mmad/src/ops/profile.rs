//! Where the time goes: seconds per fused operation, off unless asked for.
//!
//! Switched on for the whole process, so only one measurement at a time makes sense. While it is
//! off an operation pays for one relaxed load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Time of one kind of operation in one pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpTime {
    /// Name of the operation.
    pub name: &'static str,
    /// True for gradients.
    pub is_backward: bool,
    /// How often it ran.
    pub n_calls: u64,
    /// Seconds of the clock, all calls together.
    pub seconds: f64,
}

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Calls and seconds by name and pass.
type Times = BTreeMap<(&'static str, bool), (u64, f64)>;
static TIMES: Mutex<Times> = Mutex::new(BTreeMap::new());

/// Forgets what was measured and starts to measure.
pub fn start() {
    TIMES.lock().unwrap_or_else(PoisonError::into_inner).clear();
    IS_ON.store(true, Ordering::Relaxed);
}

/// Stops and returns what was measured, the longest first.
pub fn stop() -> Vec<OpTime> {
    IS_ON.store(false, Ordering::Relaxed);
    let times = std::mem::take(&mut *TIMES.lock().unwrap_or_else(PoisonError::into_inner));
    let mut times: Vec<OpTime> = times
        .into_iter()
        .map(|((name, is_backward), (n_calls, seconds))| OpTime {
            name,
            is_backward,
            n_calls,
            seconds,
        })
        .collect();
    times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    times
}

/// Runs `work`, and notes its time under `name` where measuring is on.
pub(super) fn timed<R>(name: &'static str, is_backward: bool, work: impl FnOnce() -> R) -> R {
    if !IS_ON.load(Ordering::Relaxed) {
        return work();
    }
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    let mut times = TIMES.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = times.entry((name, is_backward)).or_default();
    *entry = (entry.0 + 1, entry.1 + seconds);
    result
}
