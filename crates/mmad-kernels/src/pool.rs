//! Pooling of channels-last maps.

use crate::partition::{expect_len, for_each_chunk};
use crate::simd::vectorized;

/// Sizes of a max pooling with 3x3 windows, stride 2 and a border of 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPoolShape {
    /// Pictures.
    pub batch: usize,
    /// Rows of the input map, at least 1.
    pub height: usize,
    /// Columns of the input map, at least 1.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl MaxPoolShape {
    /// Rows of the output map.
    pub fn out_height(self) -> usize {
        self.height.div_ceil(2)
    }

    /// Columns of the output map.
    pub fn out_width(self) -> usize {
        self.width.div_ceil(2)
    }

    /// Values of the input map.
    pub fn input_len(self) -> usize {
        self.batch * self.height * self.width * self.channels
    }

    /// Values of the output map.
    pub fn output_len(self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.channels
    }

    /// The input pixels, counted through the picture, in the window of an output pixel.
    #[inline(always)]
    fn window(self, row: usize, column: usize) -> impl Iterator<Item = usize> {
        let around = |i: usize, side: usize| (2 * i).saturating_sub(1)..(2 * i + 2).min(side);
        around(row, self.height)
            .flat_map(move |r| around(column, self.width).map(move |c| r * self.width + c))
    }
}

/// `y` = the largest value of each window.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, channels]`
/// - `y`: `[batch, out_height, out_width, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn max_pool(shape: MaxPoolShape, x: &[f32], y: &mut [f32]) {
    expect_len("max pool", "x", x.len(), shape.input_len());
    expect_len("max pool", "y", y.len(), shape.output_len());
    let (channels, picture_len) = (shape.channels, shape.height * shape.width * shape.channels);
    for_each_chunk(y, (shape.out_width() * channels).max(1), |out_row, y| {
        let (picture, row) = (out_row / shape.out_height(), out_row % shape.out_height());
        let x = &x[picture * picture_len..][..picture_len];
        max_pool_row(shape, row, x, y);
    });
}

vectorized! {
    fn max_pool_row<'a, S>(_simd, shape: MaxPoolShape, row: usize, x: &'a [f32], y: &'a mut [f32]) {
        for (column, y) in y.chunks_exact_mut(shape.channels).enumerate() {
            y.fill(f32::NEG_INFINITY);
            for pixel in shape.window(row, column) {
                for (y, &x) in y.iter_mut().zip(&x[pixel * shape.channels..]) {
                    *y = larger(*y, x);
                }
            }
        }
    }
}

/// The gradient of [`max_pool`]: each output's gradient goes to the first largest value of its
/// window, which is found again in `x`.
///
/// # Shapes
///
/// - `x`, `grad_x`: `[batch, height, width, channels]`
/// - `grad_y`: `[batch, out_height, out_width, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn max_pool_backward(shape: MaxPoolShape, x: &[f32], grad_y: &[f32], grad_x: &mut [f32]) {
    expect_len("max pool backward", "x", x.len(), shape.input_len());
    expect_len("max pool backward", "grad_y", grad_y.len(), shape.output_len());
    expect_len("max pool backward", "grad_x", grad_x.len(), shape.input_len());
    let (channels, picture_len) = (shape.channels, shape.height * shape.width * shape.channels);
    let out_pixels = shape.out_height() * shape.out_width();
    // Windows overlap, so a picture is one task.
    for_each_chunk(grad_x, picture_len.max(1), |picture, grad_x| {
        let x = &x[picture * picture_len..][..picture_len];
        let grad_y = &grad_y[picture * out_pixels * channels..];
        grad_x.fill(0.0);
        for (out_pixel, grad_y) in grad_y.chunks_exact(channels).take(out_pixels).enumerate() {
            let (row, column) = (out_pixel / shape.out_width(), out_pixel % shape.out_width());
            for (channel, &grad) in grad_y.iter().enumerate() {
                let value = |pixel: usize| x[pixel * channels + channel];
                let largest = shape.window(row, column).reduce(|a, b| {
                    // Not-a-number counts as largest, as it does in the forward pass.
                    if value(a).is_nan() || value(a) >= value(b) { a } else { b }
                });
                if let Some(pixel) = largest {
                    grad_x[pixel * channels + channel] += grad;
                }
            }
        }
    });
}

/// The larger value; not-a-number if either is.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// Sizes of a pooling over all pixels of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalPoolShape {
    /// Pictures.
    pub batch: usize,
    /// Pixels per picture, at least 1.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
}

impl GlobalPoolShape {
    #[track_caller]
    fn check(self, op: &str, x: &[f32], pooled: &[f32]) {
        assert!(self.pixels > 0, "{op}: pictures of 0 pixels have no value to pool");
        expect_len(op, "x", x.len(), self.batch * self.pixels * self.channels);
        expect_len(op, "y", pooled.len(), self.batch * self.channels);
    }
}

/// `y` = the mean over the pixels, summed in `f64`.
///
/// # Shapes
///
/// - `x`: `[batch, pixels, channels]`
/// - `y`: `[batch, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or pictures have no pixels.
pub fn global_mean(shape: GlobalPoolShape, x: &[f32], y: &mut [f32]) {
    shape.check("global mean", x, y);
    let GlobalPoolShape { pixels, channels, .. } = shape;
    for_each_chunk(y, channels.max(1), |picture, y| {
        let mut sums = vec![0.0_f64; channels];
        add_rows(&x[picture * pixels * channels..][..pixels * channels], &mut sums);
        for (y, sum) in y.iter_mut().zip(&sums) {
            *y = (sum / pixels as f64) as f32;
        }
    });
}

vectorized! {
    /// Adds all rows of `x` to `sums`, one sum per column.
    fn add_rows<'a, S>(_simd, x: &'a [f32], sums: &'a mut [f64]) {
        for row in x.chunks_exact(sums.len()) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += f64::from(value);
            }
        }
    }
}

/// The gradient of [`global_mean`].
///
/// # Shapes
///
/// - `grad_y`: `[batch, channels]`
/// - `grad_x`: `[batch, pixels, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or pictures have no pixels.
pub fn global_mean_backward(shape: GlobalPoolShape, grad_y: &[f32], grad_x: &mut [f32]) {
    shape.check("global mean backward", grad_x, grad_y);
    let GlobalPoolShape { pixels, channels, .. } = shape;
    let share = 1.0 / pixels as f32;
    for_each_chunk(grad_x, (pixels * channels).max(1), |picture, grad_x| {
        let grad_y = &grad_y[picture * channels..][..channels];
        for grad_x in grad_x.chunks_exact_mut(channels) {
            for (grad_x, grad_y) in grad_x.iter_mut().zip(grad_y) {
                *grad_x = share * grad_y;
            }
        }
    });
}

/// `y` = the largest value over the pixels.
///
/// # Shapes
///
/// - `x`: `[batch, pixels, channels]`
/// - `y`: `[batch, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or pictures have no pixels.
pub fn global_max(shape: GlobalPoolShape, x: &[f32], y: &mut [f32]) {
    shape.check("global max", x, y);
    let GlobalPoolShape { pixels, channels, .. } = shape;
    for_each_chunk(y, channels.max(1), |picture, y| {
        y.fill(f32::NEG_INFINITY);
        keep_largest(&x[picture * pixels * channels..][..pixels * channels], y);
    });
}

vectorized! {
    /// Brings every `y` up to the largest value of its column.
    fn keep_largest<'a, S>(_simd, x: &'a [f32], y: &'a mut [f32]) {
        for row in x.chunks_exact(y.len()) {
            for (y, &value) in y.iter_mut().zip(row) {
                *y = larger(*y, value);
            }
        }
    }
}

/// The gradient of [`global_max`]: it goes to the first pixel that holds the largest value.
///
/// # Shapes
///
/// - `x`, `grad_x`: `[batch, pixels, channels]`
/// - `grad_y`: `[batch, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or pictures have no pixels.
pub fn global_max_backward(shape: GlobalPoolShape, x: &[f32], grad_y: &[f32], grad_x: &mut [f32]) {
    shape.check("global max backward", x, grad_y);
    expect_len("global max backward", "grad_x", grad_x.len(), x.len());
    let GlobalPoolShape { pixels, channels, .. } = shape;
    for_each_chunk(grad_x, (pixels * channels).max(1), |picture, grad_x| {
        let x = &x[picture * pixels * channels..][..pixels * channels];
        grad_x.fill(0.0);
        for channel in 0..channels {
            let value = |pixel: usize| x[pixel * channels + channel];
            let largest = (1..pixels).fold(0, |best, pixel| {
                if value(best).is_nan() || value(best) >= value(pixel) { best } else { pixel }
            });
            grad_x[largest * channels + channel] = grad_y[picture * channels + channel];
        }
    });
}

/// The definitions in plain loops and `f64`. Kept simple: they are what the fast pools are tested
/// against.
pub mod reference {
    use super::MaxPoolShape;

    /// The largest value of each window, and where it lies in `x`.
    pub fn max_pool(shape: MaxPoolShape, x: &[f64]) -> Vec<(f64, usize)> {
        let MaxPoolShape { height, width, channels, .. } = shape;
        let mut y = Vec::with_capacity(shape.output_len());
        for i in 0..shape.output_len() {
            let (pixel, channel) = (i / channels, i % channels);
            let (line, column) = (pixel / shape.out_width(), pixel % shape.out_width());
            let (picture, row) = (line / shape.out_height(), line % shape.out_height());
            let mut best: Option<(f64, usize)> = None;
            for tap in 0..9 {
                let r = (2 * row + tap / 3).checked_sub(1).filter(|&r| r < height);
                let c = (2 * column + tap % 3).checked_sub(1).filter(|&c| c < width);
                let (Some(r), Some(c)) = (r, c) else { continue };
                let at = ((picture * height + r) * width + c) * channels + channel;
                if best.is_none_or(|(value, _)| x[at] > value) {
                    best = Some((x[at], at));
                }
            }
            y.extend(best);
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, assert_same_bits_on_any_threads, values, widen};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn max_pool_equals_the_reference(
            batch in 1_usize..4, height in 1_usize..12, width in 1_usize..12, channels in 1_usize..40,
        ) {
            let shape = MaxPoolShape { batch, height, width, channels };
            // Few distinct values, so that windows hold ties.
            let x: Vec<f32> =
                values(1, shape.input_len()).iter().map(|x| (4.0 * x).round()).collect();
            let grad_y = values(2, shape.output_len());
            let (mut y, mut grad_x) = (vec![f32::NAN; grad_y.len()], vec![f32::NAN; x.len()]);
            max_pool(shape, &x, &mut y);
            max_pool_backward(shape, &x, &grad_y, &mut grad_x);
            let slow = reference::max_pool(shape, &widen(&x));
            let mut slow_grad = vec![0.0; x.len()];
            for (&(_, at), grad) in slow.iter().zip(widen(&grad_y)) {
                slow_grad[at] += grad;
            }
            let slow_y: Vec<f64> = slow.into_iter().map(|(value, _)| value).collect();
            assert_close("y", &y, &slow_y, 1, 0.0);
            assert_close("grad x", &grad_x, &slow_grad, 1, 1e-6);
        }

        #[test]
        fn global_pools_equal_their_definitions(
            batch in 1_usize..4, pixels in 1_usize..300, channels in 1_usize..40,
        ) {
            let shape = GlobalPoolShape { batch, pixels, channels };
            let x = values(1, batch * pixels * channels);
            let grad_y = values(2, batch * channels);
            let (mut mean, mut max) = (vec![f32::NAN; grad_y.len()], vec![f32::NAN; grad_y.len()]);
            global_mean(shape, &x, &mut mean);
            global_max(shape, &x, &mut max);
            let (mut by_mean, mut by_max) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
            global_mean_backward(shape, &grad_y, &mut by_mean);
            global_max_backward(shape, &x, &grad_y, &mut by_max);
            for (i, &grad) in grad_y.iter().enumerate() {
                let (picture, channel) = (i / channels, i % channels);
                let at = |pixel: usize| (picture * pixels + pixel) * channels + channel;
                let column: Vec<f32> = (0..pixels).map(|pixel| x[at(pixel)]).collect();
                let sum: f64 = widen(&column).iter().sum();
                assert_close("mean", &[mean[i]], &[sum / pixels as f64], 1, 1e-7);
                let largest = (0..pixels).rev().max_by(|&a, &b| column[a].total_cmp(&column[b]));
                let largest = largest.unwrap();
                prop_assert_eq!(max[i], column[largest]);
                for pixel in 0..pixels {
                    let share = f64::from(grad) / pixels as f64;
                    assert_close("mean slope", &[by_mean[at(pixel)]], &[share], 1, 1e-7);
                    let expected = if pixel == largest { grad } else { 0.0 };
                    prop_assert_eq!(by_max[at(pixel)], expected);
                }
            }
        }
    }

    #[test]
    fn not_a_number_is_the_largest() {
        let shape = MaxPoolShape { batch: 1, height: 1, width: 3, channels: 1 };
        let mut y = [0.0; 2];
        max_pool(shape, &[f32::NAN, 1.0, 2.0], &mut y);
        assert!(y[0].is_nan());
        assert_eq!(y[1], 2.0);
        let pixels = GlobalPoolShape { batch: 1, pixels: 3, channels: 1 };
        global_max(pixels, &[1.0, f32::NAN, 2.0], &mut y[..1]);
        assert!(y[0].is_nan());
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let shape = MaxPoolShape { batch: 3, height: 41, width: 30, channels: 17 };
        let x = values(1, shape.input_len());
        assert_same_bits_on_any_threads(|| {
            let mut y = vec![0.0; shape.output_len()];
            max_pool(shape, &x, &mut y);
            let mut grad_x = vec![0.0; x.len()];
            max_pool_backward(shape, &x, &y, &mut grad_x);
            [y, grad_x].concat()
        });
    }
}
