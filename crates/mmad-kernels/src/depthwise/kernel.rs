//! The inner loops: vector lanes are channels, and a tile of output pixels stays in registers.

use pulp::{Simd, WithSimd};

use super::DepthwiseShape;
use super::row_ring::{RowRing, ring_len};
use crate::scratch;
use crate::simd::{load, store};

/// Output rows `first_row..` of one picture, `[rows, width, channels]`.
pub(super) struct Correlate<'a> {
    pub(super) shape: DepthwiseShape,
    /// The whole picture, and its channels; those behind the ones of `shape` are not read.
    pub(super) x: (&'a [f32], usize),
    /// `[kernel * kernel, channels]`.
    pub(super) taps: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) first_row: usize,
    pub(super) y: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let DepthwiseShape { width, channels, kernel, .. } = self.shape;
        let mut ring_buffer = scratch::take(ring_len::<S>(self.shape));
        let mut tap_buffer = scratch::take(kernel * kernel * S::F32_LANES);
        for first in (0..channels).step_by(S::F32_LANES) {
            let lanes = (first, channels.min(first + S::F32_LANES));
            let taps = S::as_mut_simd_f32s(&mut tap_buffer).0;
            for (tap, values) in taps.iter_mut().zip(self.taps.chunks_exact(channels)) {
                *tap = load(simd, &values[lanes.0..lanes.1]);
            }
            let bias = self.bias.map_or(simd.splat_f32s(0.0), |b| load(simd, &b[lanes.0..lanes.1]));
            let mut ring =
                RowRing::new(simd, self.shape, self.x, lanes, self.first_row, &mut ring_buffer);
            for (i, y) in self.y.chunks_exact_mut(width * channels).enumerate() {
                let row = self.first_row + i;
                ring.advance(row);
                let row = OutputRow { ring: &ring, row, taps, kernel, bias, channels, lanes };
                let mut column = 0;
                while column < width {
                    column += match width - column {
                        16.. => row.tile::<16>(simd, column, y),
                        8.. => row.tile::<8>(simd, column, y),
                        4.. => row.tile::<4>(simd, column, y),
                        _ => row.tile::<1>(simd, column, y),
                    };
                }
            }
        }
    }
}

/// One output row of one vector of channels.
struct OutputRow<'a, 'b, S: Simd> {
    ring: &'b RowRing<'a, S>,
    row: usize,
    taps: &'b [S::f32s],
    kernel: usize,
    bias: S::f32s,
    channels: usize,
    lanes: (usize, usize),
}

impl<S: Simd> OutputRow<'_, '_, S> {
    /// Computes `PIXELS` output pixels from `column` on, and returns how many.
    #[inline(always)]
    fn tile<const PIXELS: usize>(&self, simd: S, column: usize, y: &mut [f32]) -> usize {
        let mut sums = [self.bias; PIXELS];
        for (tap_row, taps) in self.taps.chunks_exact(self.kernel).enumerate() {
            let x = &self.ring.row(self.row, tap_row)[column..];
            for (&tap, x) in taps.iter().zip(x.windows(PIXELS)) {
                for p in 0..PIXELS {
                    sums[p] = simd.mul_add_f32s(x[p], tap, sums[p]);
                }
            }
        }
        let pixels = y[column * self.channels..].chunks_exact_mut(self.channels);
        for (y, sum) in pixels.zip(sums) {
            store(simd, &mut y[self.lanes.0..self.lanes.1], sum);
        }
        PIXELS
    }
}

/// Adds `x` times `grad_y` under every tap to `sums`, `[kernel * kernel, channels]`.
pub(super) struct SumProducts<'a> {
    pub(super) shape: DepthwiseShape,
    /// The whole picture.
    pub(super) x: &'a [f32],
    /// Rows `first_row..` of the same picture.
    pub(super) grad_y: &'a [f32],
    pub(super) first_row: usize,
    pub(super) sums: &'a mut [f32],
}

impl WithSimd for SumProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let DepthwiseShape { width, channels, kernel, .. } = self.shape;
        let mut ring_buffer = scratch::take(ring_len::<S>(self.shape));
        let mut sum_buffer = scratch::take(kernel * kernel * S::F32_LANES);
        let mut grad_buffer = scratch::take(width * S::F32_LANES);
        for first in (0..channels).step_by(S::F32_LANES) {
            let lanes = (first, channels.min(first + S::F32_LANES));
            let sums = S::as_mut_simd_f32s(&mut sum_buffer).0;
            let grads = S::as_mut_simd_f32s(&mut grad_buffer).0;
            sums.fill(simd.splat_f32s(0.0));
            let x = (self.x, channels);
            let mut ring =
                RowRing::new(simd, self.shape, x, lanes, self.first_row, &mut ring_buffer);
            for (i, grad_y) in self.grad_y.chunks_exact(width * channels).enumerate() {
                let row = self.first_row + i;
                ring.advance(row);
                for (grad, values) in grads.iter_mut().zip(grad_y.chunks_exact(channels)) {
                    *grad = load(simd, &values[lanes.0..lanes.1]);
                }
                for (tap_row, sums) in sums.chunks_exact_mut(kernel).enumerate() {
                    add_row(simd, ring.row(row, tap_row), grads, sums);
                }
            }
            for (to, &sum) in self.sums.chunks_exact_mut(channels).zip(sums.iter()) {
                let to = &mut to[lanes.0..lanes.1];
                store(simd, to, simd.add_f32s(load(simd, to), sum));
            }
        }
    }
}

/// `sums[tap] += sum over columns of x[column + tap] * grads[column]`.
#[inline(always)]
fn add_row<S: Simd>(simd: S, x: &[S::f32s], grads: &[S::f32s], sums: &mut [S::f32s]) {
    let mut column = 0;
    while column < grads.len() {
        column += match grads.len() - column {
            8.. => add_tile::<S, 8>(simd, &x[column..], &grads[column..], sums),
            4.. => add_tile::<S, 4>(simd, &x[column..], &grads[column..], sums),
            _ => add_tile::<S, 1>(simd, &x[column..], &grads[column..], sums),
        };
    }
}

#[inline(always)]
fn add_tile<S: Simd, const PIXELS: usize>(
    simd: S,
    x: &[S::f32s],
    grads: &[S::f32s],
    sums: &mut [S::f32s],
) -> usize {
    let grads = &grads[..PIXELS];
    for (sum, x) in sums.iter_mut().zip(x.windows(PIXELS)) {
        // Two chains of sums: one would wait for itself.
        let (mut even, mut odd) = (*sum, simd.splat_f32s(0.0));
        for p in 0..PIXELS {
            if p % 2 == 0 {
                even = simd.mul_add_f32s(x[p], grads[p], even);
            } else {
                odd = simd.mul_add_f32s(x[p], grads[p], odd);
            }
        }
        *sum = simd.add_f32s(even, odd);
    }
    PIXELS
}
