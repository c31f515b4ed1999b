//! What the tests of all kernels share: reproducible values, comparisons, thread pools.

use rayon::ThreadPoolBuilder;

/// `len` values in `-1.0..1.0`, the same for the same seed.
pub(crate) fn values(seed: u64, len: usize) -> Vec<f32> {
    // SplitMix64: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// The same values in `f64`.
pub(crate) fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Fails unless every value is within `tolerance` of `slow`, relative to the larger of the value
/// and `sqrt(terms)`, the usual size of a sum of so many terms of size 1.
///
/// A running sum rounds once per term, and the errors add up like the square root of their number:
/// beyond 256 terms the tolerance grows with it.
#[track_caller]
pub(crate) fn assert_close(name: &str, fast: &[f32], slow: &[f64], terms: usize, tolerance: f64) {
    assert_eq!(fast.len(), slow.len(), "{name}: lengths");
    let scale = (terms.max(1) as f64).sqrt();
    for (i, (&fast, &slow)) in fast.iter().zip(slow).enumerate() {
        let allowed = tolerance * slow.abs().max(scale) * (scale / 16.0).max(1.0);
        assert!(
            (f64::from(fast) - slow).abs() <= allowed,
            "{name}[{i}]: fast {fast}, reference {slow}, allowed difference {allowed}"
        );
    }
}

/// Fails unless `gradient` is the slope of `loss` at `at`, found by moving one value at a time.
#[track_caller]
pub(crate) fn assert_gradient(
    name: &str,
    at: &[f64],
    gradient: &[f64],
    loss: impl Fn(&[f64]) -> f64,
) {
    assert_eq!(at.len(), gradient.len(), "{name}: lengths");
    let step = 1e-5;
    for i in 0..at.len() {
        let moved = |by: f64| {
            let mut moved = at.to_vec();
            moved[i] += by;
            loss(&moved)
        };
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        assert!(
            (slope - gradient[i]).abs() <= 1e-7 * slope.abs().max(1.0),
            "{name}[{i}]: slope {slope}, gradient {}",
            gradient[i]
        );
    }
}

/// The sum of `weights * values`: a loss whose gradient with respect to `values` is `weights`.
pub(crate) fn weighted_sum(weights: &[f64], values: &[f64]) -> f64 {
    weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
}

/// Fails unless `run` returns the same bits on 1, 2 and 3 threads.
#[track_caller]
pub(crate) fn assert_same_bits_on_any_threads(run: impl Fn() -> Vec<f32> + Sync) {
    let bits = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let values = pool.install(&run);
        values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let one = bits(1);
    assert_eq!(one, bits(2), "2 threads");
    assert_eq!(one, bits(3), "3 threads");
}
