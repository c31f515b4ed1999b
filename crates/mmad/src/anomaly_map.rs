//! From two sets of feature maps to an anomaly map and an image score.
//!
//! Source: reference implementation; `spec` of the paper, section 3.4. Per level `1 - cosine` over
//! the channels, upsampled to the picture (bilinear, corners aligned), summed, divided by nine
//! (the reference's factor, harmless to any ranking), blurred with a Gaussian of 4 pixels. The
//! image score is the largest value of the blurred map. Everything in `f64` but the features.

use rayon::prelude::*;

/// Standard deviation of the reference's blur, in pixels of its input of 256x256.
pub const SIGMA_PX: f64 = 4.0;

/// Standard deviation of the blur for an input of another size: the same share of the picture.
pub fn sigma_px(height: usize, width: usize) -> f64 {
    SIGMA_PX * ((height * width) as f64).sqrt() / 256.0
}

/// One level of a picture's features: `[height, width, channels]`, channels last.
#[derive(Debug, Clone, Copy)]
pub struct Level<'a> {
    /// Features of the encoder.
    pub seen: &'a [f32],
    /// Features of the decoder.
    pub rebuilt: &'a [f32],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Anomaly map of one picture, `[height, width]`, before the blur.
pub fn raw_map(levels: &[Level<'_>], height: usize, width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; height * width];
    for level in levels {
        add_upsampled(&cosine_distance(level), [level.height, level.width], &mut sum, width);
    }
    let divisor = (levels.len() * levels.len()) as f64;
    sum.iter_mut().for_each(|value| *value /= divisor);
    sum
}

/// Blurs a map with a Gaussian of `sigma_px`, cut at four deviations, mirrored at the borders
/// (`d c b a | a b c d | d c b a`).
pub fn blur(map: &[f64], width: usize, sigma_px: f64) -> Vec<f64> {
    let height = map.len() / width.max(1);
    let kernel = gaussian(sigma_px);
    let rows = convolve_rows(map, width, &kernel);
    let columns = convolve_rows(&transpose(&rows, width), height, &kernel);
    transpose(&columns, height)
}

/// `1 - cosine` over the channels of every pixel; a zero vector counts as orthogonal.
pub fn cosine_distance(level: &Level<'_>) -> Vec<f64> {
    let n_pixels = level.height * level.width;
    let channels = level.seen.len() / n_pixels.max(1);
    let pixels = level.seen.par_chunks(channels).zip(level.rebuilt.par_chunks(channels));
    pixels
        .map(|(a, b)| {
            let mut sums = [0.0_f64; 3];
            for (&a, &b) in a.iter().zip(b) {
                let (a, b) = (f64::from(a), f64::from(b));
                sums[0] += a * b;
                sums[1] += a * a;
                sums[2] += b * b;
            }
            let norms = sums[1].sqrt().max(1e-8) * sums[2].sqrt().max(1e-8);
            1.0 - sums[0] / norms
        })
        .collect()
}

/// Adds a small map to `sum`, bilinearly enlarged so that the corners of both coincide.
fn add_upsampled(map: &[f64], [rows, columns]: [usize; 2], sum: &mut [f64], width: usize) {
    let height = sum.len() / width;
    let columns_at = taps(columns, width);
    for (&(top, bottom, down), out) in taps(rows, height).iter().zip(sum.chunks_mut(width)) {
        let top = &map[top * columns..][..columns];
        let bottom = &map[bottom * columns..][..columns];
        for (&(left, right, along), out) in columns_at.iter().zip(out) {
            let upper = top[left] + (top[right] - top[left]) * along;
            let lower = bottom[left] + (bottom[right] - bottom[left]) * along;
            *out += upper + (lower - upper) * down;
        }
    }
}

/// For every output position the two inputs around it and the share of the second.
fn taps(n_in: usize, n_out: usize) -> Vec<(usize, usize, f64)> {
    let scale = if n_out > 1 { (n_in - 1) as f64 / (n_out - 1) as f64 } else { 0.0 };
    let tap = |index: usize| {
        let at = index as f64 * scale;
        let low = (at as usize).min(n_in - 1);
        (low, (low + 1).min(n_in - 1), at - low as f64)
    };
    (0..n_out).map(tap).collect()
}

fn gaussian(sigma_px: f64) -> Vec<f64> {
    let radius = (4.0 * sigma_px + 0.5) as i64;
    let weights: Vec<f64> =
        (-radius..=radius).map(|x| (-0.5 * (x as f64 / sigma_px).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

fn convolve_rows(map: &[f64], width: usize, kernel: &[f64]) -> Vec<f64> {
    let radius = kernel.len() / 2;
    let mut out = vec![0.0; map.len()];
    let rows = out.par_chunks_mut(width.max(1)).zip(map.par_chunks(width.max(1)));
    rows.for_each_init(Vec::new, |padded: &mut Vec<f64>, (out, row)| {
        padded.clear();
        let n = row.len() as i64;
        let first = -(radius as i64);
        padded.extend((first..n + radius as i64).map(|index| row[mirror(index, n)]));
        for (tap, &weight) in kernel.iter().enumerate() {
            for (out, value) in out.iter_mut().zip(&padded[tap..]) {
                *out += weight * value;
            }
        }
    });
    out
}

/// Index into a row of `n` values, mirrored at both ends as often as needed.
fn mirror(index: i64, n: i64) -> usize {
    let at = index.rem_euclid(2 * n);
    if at < n { at as usize } else { (2 * n - 1 - at) as usize }
}

fn transpose(map: &[f64], width: usize) -> Vec<f64> {
    let height = map.len() / width.max(1);
    let mut out = vec![0.0; map.len()];
    for (column, out) in out.chunks_mut(height.max(1)).enumerate() {
        for (row, out) in out.iter_mut().enumerate() {
            *out = map[row * width + column];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_the_sum_and_a_constant() {
        let constant = blur(&[2.5; 7 * 40], 40, SIGMA_PX);
        assert!(constant.iter().all(|value| (value - 2.5).abs() < 1e-12));
        let mut spot = vec![0.0; 50 * 60];
        spot[25 * 60 + 30] = 1.0;
        let blurred = blur(&spot, 60, SIGMA_PX);
        assert!((blurred.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let largest = blurred.iter().copied().fold(0.0, f64::max);
        assert_eq!(blurred[25 * 60 + 30], largest);
    }

    #[test]
    fn upsampling_keeps_corners() {
        let mut sum = vec![0.0; 5 * 7];
        add_upsampled(&[1.0, 2.0, 3.0, 4.0], [2, 2], &mut sum, 7);
        assert_eq!([sum[0], sum[6], sum[4 * 7], sum[4 * 7 + 6]], [1.0, 2.0, 3.0, 4.0]);
        assert!((sum[2 * 7 + 3] - 2.5).abs() < 1e-12);
    }

    #[test]
    fn a_zero_vector_is_orthogonal() {
        let (seen, rebuilt) = ([0.0_f32, 0.0, 1.0, 0.0], [1.0_f32, 2.0, 3.0, 0.0]);
        let level = Level { seen: &seen, rebuilt: &rebuilt, height: 1, width: 2 };
        assert_eq!(cosine_distance(&level), [1.0, 0.0]);
    }
}
