//! Sums along rows.

use pulp::Simd;

use crate::vector::Vector;

/// Mean and `1 / sqrt(variance + eps)` of a row, with biased variance.
#[inline(always)]
pub(crate) fn mean_and_inverse_deviation<S: Simd>(simd: S, row: &[f32], eps: f32) -> (f32, f32) {
    let share = 1.0 / row.len() as f32;
    let mut sum = Vector::splat(simd, 0.0);
    for start in (0..row.len()).step_by(S::F32_LANES) {
        sum = sum + Vector::load(simd, row, start);
    }
    let mean = share * sum.sum();
    let mut squares = Vector::splat(simd, 0.0);
    for start in (0..row.len()).step_by(S::F32_LANES) {
        let difference = centred(simd, row, start, mean);
        squares = difference.mul_add(difference, squares);
    }
    (mean, 1.0 / (share * squares.sum() + eps).sqrt())
}

/// The values from `start` on minus `mean`; lanes behind the end of the row are zero.
#[inline(always)]
fn centred<S: Simd>(simd: S, row: &[f32], start: usize, mean: f32) -> Vector<S> {
    if row.len() - start >= S::F32_LANES {
        return Vector::load(simd, row, start) - mean;
    }
    // Loading the mean for the lanes that exist leaves the others alone.
    let means = [mean; 16];
    Vector::load(simd, row, start) - Vector::load(simd, &means[..row.len() - start], 0)
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::simd::dispatch;
    use crate::testing::{values, widen};

    struct Moments<'a>(&'a [f32], f32);

    impl WithSimd for Moments<'_> {
        type Output = (f32, f32);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> (f32, f32) {
            mean_and_inverse_deviation(simd, self.0, self.1)
        }
    }

    #[test]
    fn every_value_of_a_row_counts_once() {
        for len in 2..70 {
            let row = values(len as u64, len);
            let wide = widen(&row);
            let mean = wide.iter().sum::<f64>() / len as f64;
            let variance = wide.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / len as f64;
            let (fast_mean, inverse) = dispatch(Moments(&row, 0.0));
            assert!((f64::from(fast_mean) - mean).abs() < 1e-6, "{len} values");
            assert!((f64::from(inverse) * variance.sqrt() - 1.0).abs() < 1e-6, "{len} values");
        }
    }

    #[test]
    fn a_large_mean_does_not_spoil_the_deviation() {
        let row: Vec<f32> = (0..64).map(|i| 4096.0 + (i % 2) as f32).collect();
        assert_eq!(dispatch(Moments(&row, 0.0)), (4096.5, 2.0));
    }
}
