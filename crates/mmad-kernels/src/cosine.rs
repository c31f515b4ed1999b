//! Cosine distance between two feature maps, pixel by pixel.

use rayon::prelude::*;

use crate::partition::expect_len;
use crate::simd::vectorized;

/// Norms are taken to be at least this, so that a zero vector has the distance 1 from all others.
pub const MIN_NORM: f64 = 1e-8;

/// Pixels per task.
const TASK_PIXELS: usize = 256;

/// Chains of a sum.
const CHAINS: usize = 8;

/// `distance = 1 - <a, b> / (max(|a|, 1e-8) max(|b|, 1e-8))`, between 0 and 2 but for rounding,
/// summed in `f64`. The same as PyTorch's `1 - CosineSimilarity(dim=1)`.
///
/// # Shapes
///
/// - `a`, `b`: `[pixels, channels]`
/// - `distance`: `[pixels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn cosine_distance(channels: usize, a: &[f32], b: &[f32], distance: &mut [f64]) {
    expect_len("cosine distance", "a", a.len(), distance.len() * channels);
    expect_len("cosine distance", "b", b.len(), distance.len() * channels);
    distance.par_chunks_mut(TASK_PIXELS).enumerate().for_each(|(task, distance)| {
        let start = task * TASK_PIXELS * channels;
        distances(channels, &a[start..], &b[start..], distance);
    });
}

vectorized! {
    fn distances<'a, S>(_simd, channels: usize, a: &'a [f32], b: &'a [f32], distance: &'a mut [f64]) {
        for (pixel, distance) in distance.iter_mut().enumerate() {
            let a = &a[pixel * channels..][..channels];
            let b = &b[pixel * channels..][..channels];
            let norms = product(a, a).sqrt().max(MIN_NORM) * product(b, b).sqrt().max(MIN_NORM);
            *distance = 1.0 - product(a, b) / norms;
        }
    }
}

/// The scalar product of two vectors of one length.
#[inline(always)]
fn product(a: &[f32], b: &[f32]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<CHAINS>(), b.as_chunks::<CHAINS>());
    let mut chains = [0.0; CHAINS];
    for (a, b) in a.iter().zip(b) {
        for i in 0..CHAINS {
            chains[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    for (chain, (&a, &b)) in chains.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *chain += f64::from(a) * f64::from(b);
    }
    chains.iter().sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::values;

    /// The definition in plain loops.
    fn reference(channels: usize, a: &[f32], b: &[f32]) -> Vec<f64> {
        let product = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        a.chunks_exact(channels)
            .zip(b.chunks_exact(channels))
            .map(|(a, b)| {
                let norms = product(a, a).sqrt().max(1e-8) * product(b, b).sqrt().max(1e-8);
                1.0 - product(a, b) / norms
            })
            .collect()
    }

    proptest! {
        #[test]
        fn equals_the_reference(pixels in 1_usize..600, channels in 1_usize..70) {
            let (a, b) = (values(1, pixels * channels), values(2, pixels * channels));
            let mut distance = vec![f64::NAN; pixels];
            cosine_distance(channels, &a, &b, &mut distance);
            for (fast, slow) in distance.iter().zip(reference(channels, &a, &b)) {
                prop_assert!((fast - slow).abs() < 1e-13, "{fast} {slow}");
            }
        }
    }

    #[test]
    fn equal_opposite_and_missing_vectors() {
        let a = [3.0, 4.0, 3.0, 4.0, 0.0, 0.0, 1.0, 0.0, f32::NAN, 0.0];
        let b = [6.0, 8.0, -3.0, -4.0, 1.0, 2.0, 0.0, 5.0, 1.0, 1.0];
        let mut distance = [0.0; 5];
        cosine_distance(2, &a, &b, &mut distance);
        assert!((distance[0]).abs() < 1e-15);
        assert!((distance[1] - 2.0).abs() < 1e-15);
        assert_eq!(distance[2..4], [1.0, 1.0]);
        assert!(distance[4].is_nan());
    }
}
