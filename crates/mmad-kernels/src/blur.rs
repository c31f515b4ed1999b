//! Gaussian blur of single maps in `f64`.

use rayon::prelude::*;

use crate::partition::expect_len;
use crate::simd::vectorized;

/// Blurs a map with a Gaussian of standard deviation `sigma` pixels, cut off at `radius` pixels and
/// normalised. Behind the border the map is mirrored, border pixel included (`d c b a | a b c d | d
/// c b a`), like `scipy.ndimage.gaussian_filter` with `mode="reflect"`.
///
/// # Shapes
///
/// - `map`: `[height, width]`
///
/// # Panics
///
/// When the slice does not have the length of its shape, or `sigma` is not above 0.
pub fn gaussian(height: usize, width: usize, sigma: f64, radius: usize, map: &mut [f64]) {
    expect_len("gaussian blur", "map", map.len(), height * width);
    assert!(sigma > 0.0, "gaussian blur: a standard deviation of {sigma} pixels is not above 0");
    if map.is_empty() {
        return;
    }
    let weights = weights(sigma, radius);
    let mut down = vec![0.0; map.len()];
    down.par_chunks_mut(width).enumerate().for_each(|(row, down)| {
        for (tap, &weight) in weights.iter().enumerate() {
            let row = mirrored(row as isize + tap as isize - radius as isize, height);
            add_scaled(weight, &map[row * width..][..width], down);
        }
    });
    map.par_chunks_mut(width).zip(down.par_chunks(width)).for_each_init(
        || vec![0.0; width + 2 * radius],
        |bordered, (map, down)| {
            for (i, value) in bordered.iter_mut().enumerate() {
                *value = down[mirrored(i as isize - radius as isize, width)];
            }
            map.fill(0.0);
            for (tap, &weight) in weights.iter().enumerate() {
                add_scaled(weight, &bordered[tap..], map);
            }
        },
    );
}

vectorized! {
    /// `sum += weight * x`.
    fn add_scaled<'a, S>(_simd, weight: f64, x: &'a [f64], sum: &'a mut [f64]) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum = x.mul_add(weight, *sum);
        }
    }
}

/// The Gaussian at the distances `-radius..=radius`, with sum 1.
fn weights(sigma: f64, radius: usize) -> Vec<f64> {
    let radius = radius as isize;
    let weights: Vec<f64> =
        (-radius..=radius).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The pixel that stands for place `i` on an axis of `side` pixels that is mirrored without end.
fn mirrored(i: isize, side: usize) -> usize {
    let i = i.rem_euclid(2 * side as isize) as usize;
    if i < side { i } else { 2 * side - 1 - i }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{values, widen};

    /// The definition: one two-dimensional sum per pixel.
    fn reference([height, width]: [usize; 2], sigma: f64, radius: isize, x: &[f64]) -> Vec<f64> {
        let mut y = Vec::with_capacity(x.len());
        for i in 0..x.len() {
            let (mut sum, mut norm) = (0.0, 0.0);
            for dr in -radius..=radius {
                for dc in -radius..=radius {
                    let weight = (-0.5 * ((dr * dr + dc * dc) as f64) / (sigma * sigma)).exp();
                    let mirror = |i: isize, side: isize| {
                        let mut i = i;
                        while !(0..side).contains(&i) {
                            i = if i < 0 { -1 - i } else { 2 * side - 1 - i };
                        }
                        i as usize
                    };
                    let row = mirror((i / width) as isize + dr, height as isize);
                    let column = mirror((i % width) as isize + dc, width as isize);
                    sum += weight * x[row * width + column];
                    norm += weight;
                }
            }
            y.push(sum / norm);
        }
        y
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn equals_the_reference(
            shape in [1_usize..12, 1_usize..12], sigma in 0.3_f64..5.0, radius in 0_usize..15,
        ) {
            let x = widen(&values(1, shape[0] * shape[1]));
            let mut y = x.clone();
            gaussian(shape[0], shape[1], sigma, radius, &mut y);
            for (fast, slow) in y.iter().zip(reference(shape, sigma, radius as isize, &x)) {
                prop_assert!((fast - slow).abs() < 1e-13, "{fast} {slow}");
            }
        }
    }

    #[test]
    fn a_constant_map_stays_and_the_sum_is_kept() {
        let mut constant = vec![0.7; 20 * 30];
        gaussian(20, 30, 4.0, 16, &mut constant);
        assert!(constant.iter().all(|value| (value - 0.7).abs() < 1e-14));
        // A mirror loses nothing over the border.
        let mut spot = vec![0.0; 20 * 30];
        spot[0] = 1.0;
        gaussian(20, 30, 4.0, 16, &mut spot);
        assert!((spot.iter().sum::<f64>() - 1.0).abs() < 1e-13);
    }
}
