//! Sums along short rows, in 16 interleaved chains: the same order on every processor, and vector
//! code where there is some.

/// Chains of a sum.
const CHAINS: usize = 16;

/// `sum of term(i)` for `i` in `0..len`.
#[inline(always)]
pub(crate) fn sum(len: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut chains = [0.0_f32; CHAINS];
    let whole = len - len % CHAINS;
    for start in (0..whole).step_by(CHAINS) {
        for (i, chain) in chains.iter_mut().enumerate() {
            *chain += term(start + i);
        }
    }
    for i in whole..len {
        chains[i - whole] += term(i);
    }
    // Folding halves keeps the additions independent.
    let mut half = CHAINS / 2;
    while half > 0 {
        for i in 0..half {
            chains[i] += chains[i + half];
        }
        half /= 2;
    }
    chains[0]
}

/// Mean and `1 / sqrt(variance + eps)` of a row, with biased variance.
#[inline(always)]
pub(crate) fn mean_and_inverse_deviation(row: &[f32], eps: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum(row.len(), |i| row[i]) / count;
    let variance = sum(row.len(), |i| (row[i] - mean) * (row[i] - mean)) / count;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_counts_once() {
        for len in 0..70 {
            let expected: f32 = (0..len).map(|i| (i + 1) as f32).sum();
            assert_eq!(sum(len, |i| (i + 1) as f32), expected, "{len} terms");
        }
    }

    #[test]
    fn a_large_mean_does_not_spoil_the_deviation() {
        let row: Vec<f32> = (0..64).map(|i| 4096.0 + (i % 2) as f32).collect();
        let (mean, inverse) = mean_and_inverse_deviation(&row, 0.0);
        assert_eq!(mean, 4096.5);
        assert_eq!(inverse, 2.0);
    }
}
