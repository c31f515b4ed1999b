//! Sums along short rows, in 16 interleaved chains: the same order on every processor, and vector
//! code where there is some.

/// Chains of a sum.
const CHAINS: usize = 16;

/// The sum of `terms`.
#[inline(always)]
fn sum(terms: &[f32]) -> f32 {
    let (whole, rest) = terms.as_chunks::<CHAINS>();
    let mut chains = [0.0; CHAINS];
    for terms in whole {
        for (chain, term) in chains.iter_mut().zip(terms) {
            *chain += term;
        }
    }
    for (chain, term) in chains.iter_mut().zip(rest) {
        *chain += term;
    }
    fold(chains)
}

/// The sum of `(x - mean)²`.
#[inline(always)]
fn sum_of_squares(x: &[f32], mean: f32) -> f32 {
    let (whole, rest) = x.as_chunks::<CHAINS>();
    let mut chains = [0.0_f32; CHAINS];
    for x in whole {
        for (chain, x) in chains.iter_mut().zip(x) {
            *chain = (x - mean).mul_add(x - mean, *chain);
        }
    }
    for (chain, x) in chains.iter_mut().zip(rest) {
        *chain = (x - mean).mul_add(x - mean, *chain);
    }
    fold(chains)
}

/// The sum of `a * b`. The slices are equally long.
#[inline(always)]
pub(crate) fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<CHAINS>(), b.as_chunks::<CHAINS>());
    let mut chains = [0.0_f32; CHAINS];
    for (a, b) in a.iter().zip(b) {
        for i in 0..CHAINS {
            chains[i] = a[i].mul_add(b[i], chains[i]);
        }
    }
    for (chain, (a, b)) in chains.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *chain = a.mul_add(*b, *chain);
    }
    fold(chains)
}

/// The sum of `(x - mean) * a * b`. The slices are equally long.
#[inline(always)]
pub(crate) fn sum_of_centred_products(x: &[f32], mean: f32, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<CHAINS>(), b.as_chunks::<CHAINS>());
    let (x, x_rest) = x.as_chunks::<CHAINS>();
    let mut chains = [0.0_f32; CHAINS];
    for ((x, a), b) in x.iter().zip(a).zip(b) {
        for i in 0..CHAINS {
            chains[i] = (x[i] - mean).mul_add(a[i] * b[i], chains[i]);
        }
    }
    for (chain, ((x, a), b)) in chains.iter_mut().zip(x_rest.iter().zip(a_rest).zip(b_rest)) {
        *chain = (x - mean).mul_add(a * b, *chain);
    }
    fold(chains)
}

/// Adds the chains up in halves, which keeps the additions independent.
#[inline(always)]
fn fold(mut chains: [f32; CHAINS]) -> f32 {
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
    let share = 1.0 / row.len() as f32;
    let mean = share * sum(row);
    let variance = share * sum_of_squares(row, mean);
    (mean, 1.0 / (variance + eps).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_counts_once() {
        for len in 0..70_u16 {
            let terms: Vec<f32> = (1..=len).map(f32::from).collect();
            let ones = vec![1.0; terms.len()];
            let expected: f32 = terms.iter().sum();
            let squares: f32 = terms.iter().map(|x| (x - 3.0) * (x - 3.0)).sum();
            assert_eq!(sum(&terms), expected, "{len} terms");
            assert_eq!(sum_of_products(&terms, &ones), expected, "{len} terms");
            assert_eq!(sum_of_squares(&terms, 3.0), squares, "{len} terms");
            let centred = sum_of_centred_products(&terms, 3.0, &ones, &terms);
            assert_eq!(centred, squares + 3.0 * (expected - 3.0 * f32::from(len)), "{len} terms");
        }
    }

    #[test]
    fn a_large_mean_does_not_spoil_the_deviation() {
        let row: Vec<f32> = (0..64).map(|i| 4096.0 + (i % 2) as f32).collect();
        assert_eq!(mean_and_inverse_deviation(&row, 0.0), (4096.5, 2.0));
    }
}
