//! Resizing with a triangle filter that widens when it shrinks ("antialiased bilinear").
//!
//! Source: the method of Pillow's `Image.resize(size, BILINEAR)` (`src/libImaging/Resample.c`): two
//! passes, horizontal then vertical; for 8-bit pictures weights in fixed point with 22 fractional
//! bits and a rounded 8-bit picture between the passes. The 8-bit result is equal to Pillow 12's and
//! earlier, bit for bit; `tests/pillow.rs` holds it to that. Pillow 13 takes the vertical pass
//! first where the height shrinks much more than the width; values then differ by at most 1.

/// Fractional bits of 8-bit weights: 32, less 8 for the value, less 2 for sign and head-room.
const FRACTION_BITS: u32 = 32 - 8 - 2;

/// For each output position, where its inputs start and how much each counts.
struct Taps<T> {
    /// First input position and number of inputs, for each output position.
    spans: Vec<(usize, usize)>,
    /// `stride` weights for each output position; those beyond the span are unused.
    weights: Vec<T>,
    stride: usize,
}

impl<T> Taps<T> {
    /// Start of the inputs of output position `i`, and their weights.
    fn at(&self, i: usize) -> (usize, &[T]) {
        let (start, n) = self.spans[i];
        (start, &self.weights[i * self.stride..i * self.stride + n])
    }
}

/// Weights of the triangle filter from `n_in` to `n_out` positions. Position `i` covers
/// `i..i + 1`, so the ends of both lie on each other.
fn triangle(n_in: usize, n_out: usize) -> Taps<f64> {
    let scale = n_in as f64 / n_out as f64;
    let support = scale.max(1.0);
    let stride = support.ceil() as usize * 2 + 1;
    let mut weights = vec![0.0; n_out * stride];
    let mut spans = Vec::with_capacity(n_out);
    for (i, row) in weights.chunks_exact_mut(stride).enumerate() {
        let centre = (i as f64 + 0.5) * scale;
        let start = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(n_in);
        let row = &mut row[..end - start];
        let mut sum = 0.0;
        for (k, weight) in row.iter_mut().enumerate() {
            let distance = ((k + start) as f64 - centre + 0.5) * (1.0 / support);
            *weight = (1.0 - distance.abs()).max(0.0);
            sum += *weight;
        }
        if sum != 0.0 {
            for weight in row {
                *weight /= sum;
            }
        }
        spans.push((start, end - start));
    }
    Taps { spans, weights, stride }
}

/// Resizes 8-bit pixels of `C` channels.
///
/// # Shapes
///
/// - `pixels`: `[height, width, C]` with `(height, width)` in `from`
/// - output: `[height, width, C]` with `(height, width)` in `to`
pub(crate) fn resize_u8<const C: usize>(
    pixels: &[u8],
    from: (usize, usize),
    to: (usize, usize),
) -> Vec<u8> {
    let ((_, width_in), (_, width_out)) = (from, to);
    let wide = if width_in == width_out {
        pixels.to_vec()
    } else {
        shrink_rows::<C>(pixels, width_in, &fixed_point(&triangle(width_in, width_out)), width_out)
    };
    if from.0 == to.0 { wide } else { shrink_columns(&wide, width_out * C, from.0, to.0) }
}

fn fixed_point(taps: &Taps<f64>) -> Taps<i32> {
    let one = f64::from(1 << FRACTION_BITS);
    let weights = taps.weights.iter().map(|weight| (weight * one + 0.5) as i32).collect();
    Taps { spans: taps.spans.clone(), weights, stride: taps.stride }
}

fn shrink_rows<const C: usize>(
    pixels: &[u8],
    width_in: usize,
    taps: &Taps<i32>,
    width_out: usize,
) -> Vec<u8> {
    let n_rows = pixels.len() / (width_in * C);
    let mut out = vec![0; n_rows * width_out * C];
    for (row, out_row) in pixels.chunks_exact(width_in * C).zip(out.chunks_exact_mut(width_out * C))
    {
        let (row, out_row) = (row.as_chunks::<C>().0, out_row.as_chunks_mut::<C>().0);
        for (i, out_pixel) in out_row.iter_mut().enumerate() {
            let (start, weights) = taps.at(i);
            let mut sums = [1_i32 << (FRACTION_BITS - 1); C];
            for (pixel, weight) in row[start..].iter().zip(weights) {
                for c in 0..C {
                    sums[c] += i32::from(pixel[c]) * weight;
                }
            }
            *out_pixel = sums.map(to_byte);
        }
    }
    out
}

fn shrink_columns(pixels: &[u8], row_len: usize, height_in: usize, height_out: usize) -> Vec<u8> {
    let taps = fixed_point(&triangle(height_in, height_out));
    let mut out = vec![0; height_out * row_len];
    let mut sums = vec![0_i32; row_len];
    for (i, out_row) in out.chunks_exact_mut(row_len).enumerate() {
        let (start, weights) = taps.at(i);
        sums.fill(1 << (FRACTION_BITS - 1));
        for (row, &weight) in pixels[start * row_len..].chunks_exact(row_len).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        for (byte, &sum) in out_row.iter_mut().zip(&sums) {
            *byte = to_byte(sum);
        }
    }
    out
}

fn to_byte(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

/// Resizes one channel of `f32`, with the same weights.
///
/// # Shapes
///
/// - `map`: `[height, width]` with `(height, width)` in `from`
/// - output: `[height, width]` with `(height, width)` in `to`
pub(crate) fn resize_f32(map: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    let ((height_in, width_in), (height_out, width_out)) = (from, to);
    let taps = triangle(width_in, width_out);
    let mut wide = vec![0.0_f32; height_in * width_out];
    for (row, out_row) in map.chunks_exact(width_in).zip(wide.chunks_exact_mut(width_out)) {
        for (i, out) in out_row.iter_mut().enumerate() {
            let (start, weights) = taps.at(i);
            *out = row[start..].iter().zip(weights).map(|(v, w)| v * *w as f32).sum();
        }
    }
    let taps = triangle(height_in, height_out);
    let mut out = vec![0.0_f32; height_out * width_out];
    for (i, out_row) in out.chunks_exact_mut(width_out).enumerate() {
        let (start, weights) = taps.at(i);
        for (row, &weight) in wide[start * width_out..].chunks_exact(width_out).zip(weights) {
            for (out, value) in out_row.iter_mut().zip(row) {
                *out += value * weight as f32;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition in `f64`, one output value at a time, without rounding in between.
    fn by_definition(
        pixels: &[u8],
        from: (usize, usize),
        to: (usize, usize),
        at: (usize, usize),
    ) -> f64 {
        let (rows, columns) = (triangle(from.0, to.0), triangle(from.1, to.1));
        let ((y, row_weights), (x, column_weights)) = (rows.at(at.0), columns.at(at.1));
        let mut sum = 0.0;
        for (i, row_weight) in row_weights.iter().enumerate() {
            for (j, column_weight) in column_weights.iter().enumerate() {
                sum += f64::from(pixels[(y + i) * from.1 + x + j]) * row_weight * column_weight;
            }
        }
        sum
    }

    proptest! {
        #[test]
        fn rounding_twice_is_off_by_at_most_one(
            from in (1_usize..40, 1_usize..40),
            to in (1_usize..40, 1_usize..40),
            seed in any::<u32>(),
        ) {
            let pixels: Vec<u8> = (0..from.0 * from.1)
                .map(|i| (seed.wrapping_mul(2_654_435_761).wrapping_add(i as u32 * 40_503) >> 7) as u8)
                .collect();
            let resized = resize_u8::<1>(&pixels, from, to);
            for (i, &value) in resized.iter().enumerate() {
                let exact = by_definition(&pixels, from, to, (i / to.1, i % to.1));
                prop_assert!((f64::from(value) - exact).abs() < 1.001, "{value} {exact}");
            }
        }

        #[test]
        fn a_constant_stays_what_it_is(
            from in (1_usize..60, 1_usize..60),
            to in (1_usize..60, 1_usize..60),
            value in any::<u8>(),
        ) {
            let pixels = vec![value; from.0 * from.1 * 3];
            prop_assert!(resize_u8::<3>(&pixels, from, to).iter().all(|&v| v == value));
            let map = vec![f32::from(value); from.0 * from.1];
            prop_assert!(resize_f32(&map, from, to).iter().all(|v| (v - f32::from(value)).abs() < 1e-3));
        }

        /// Every input position counts for something, however far the picture shrinks.
        #[test]
        fn no_position_is_skipped(n_in in 1_usize..500, n_out in 1_usize..50) {
            let taps = triangle(n_in, n_out);
            let mut total = vec![0.0; n_in];
            for i in 0..n_out {
                let (start, weights) = taps.at(i);
                for (k, weight) in weights.iter().enumerate() {
                    total[start + k] += weight;
                }
                prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
            if n_in >= n_out {
                prop_assert!(total.iter().all(|&weight| weight > 0.0));
            }
        }
    }

    #[test]
    fn channels_do_not_mix() {
        let (from, to) = ((7, 5), (4, 9));
        let channel = |c: usize| (0..35).map(|i| (i * 37 + c * 91) as u8).collect::<Vec<_>>();
        let channels = [channel(0), channel(1), channel(2)];
        let together: Vec<u8> = (0..35).flat_map(|i| [0, 1, 2].map(|c| channels[c][i])).collect();
        let resized = resize_u8::<3>(&together, from, to);
        for (c, channel) in channels.iter().enumerate() {
            let alone = resize_u8::<1>(channel, from, to);
            assert!(alone.iter().enumerate().all(|(i, value)| resized[i * 3 + c] == *value));
        }
    }
}
