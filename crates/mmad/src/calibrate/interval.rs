//! Rates with 95 % intervals, exact for any number of pictures.

use serde::{Deserialize, Serialize};

/// Probability left out at either end.
const TAIL: f64 = 0.025;

/// A share of pictures and where it lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateInterval {
    /// Share of the pictures at hand.
    pub observed: f64,
    /// What is expected of the next picture.
    pub expected: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The share `k` of `n` with its exact binomial interval (Clopper and Pearson 1934), for a
/// threshold that was not chosen on these pictures; `None` without pictures.
pub fn binomial_interval(k: usize, n: usize) -> Option<RateInterval> {
    let observed = k as f64 / (n > 0).then_some(n)? as f64;
    let at_least = |p: f64| 1.0 - if k == 0 { 0.0 } else { binomial_at_most(k - 1, n, p) };
    let low = if k == 0 { 0.0 } else { bisect(|p| at_least(p) < TAIL) };
    Some(RateInterval { observed, expected: observed, low, high: upper(k, n) })
}

/// The rate of new pictures at or above an order statistic of `n` pictures `k` of which lie above
/// it: a beta distribution with parameters `k + 1` and `n - k` (Wilks 1941), whatever the scores
/// are like. `None` without pictures.
pub(crate) fn order_statistic_interval(k: usize, n: usize) -> Option<RateInterval> {
    let observed = k as f64 / (n > 0).then_some(n)? as f64;
    let low = bisect(|p| 1.0 - binomial_at_most(k, n, p) < TAIL);
    Some(RateInterval {
        observed,
        expected: (k + 1) as f64 / (n + 1) as f64,
        low: if k == n { observed } else { low },
        high: upper(k, n),
    })
}

fn upper(k: usize, n: usize) -> f64 {
    if k == n { 1.0 } else { bisect(|p| binomial_at_most(k, n, p) > TAIL) }
}

/// The point in `0..1` where `is_below` turns from true to false.
fn bisect(is_below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Probability of at most `k` successes in `n` trials.
fn binomial_at_most(k: usize, n: usize, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return if k >= n { 1.0 } else { 0.0 };
    }
    let (log_p, log_q) = (p.ln(), (-p).ln_1p());
    let mut log_choose = 0.0_f64;
    let mut sum = 0.0;
    for i in 0..=k.min(n) {
        if i > 0 {
            log_choose += ((n - i + 1) as f64 / i as f64).ln();
        }
        sum += (log_choose + i as f64 * log_p + (n - i) as f64 * log_q).exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clopper-Pearson limits of 0 of 10 and 1 of 24, as in published tables.
    #[test]
    fn interval_is_the_exact_one() {
        let none = binomial_interval(0, 10).unwrap();
        assert!((none.high - 0.3085).abs() < 1e-4 && none.low == 0.0);
        let one = binomial_interval(1, 24).unwrap();
        assert!((one.low - 0.001_054).abs() < 1e-5 && (one.high - 0.2112).abs() < 1e-4);
        assert_eq!(binomial_interval(0, 0), None);
        assert_eq!(binomial_interval(7, 7).unwrap().high, 1.0);
    }

    /// Quantiles of Beta(1, n) have a closed form.
    #[test]
    fn the_largest_of_n_has_the_interval_of_a_beta() {
        let rate = order_statistic_interval(0, 40).unwrap();
        assert!((rate.low - (1.0 - 0.975_f64.powf(1.0 / 40.0))).abs() < 1e-9);
        assert!((rate.high - (1.0 - 0.025_f64.powf(1.0 / 40.0))).abs() < 1e-9);
        assert_eq!((rate.observed, rate.expected), (0.0, 1.0 / 41.0));
        assert_eq!(order_statistic_interval(0, 0), None);
        assert!(order_statistic_interval(3, 3).unwrap().high == 1.0);
    }
}
