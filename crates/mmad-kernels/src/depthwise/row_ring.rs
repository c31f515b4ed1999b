//! The last few map rows of one vector of channels, with zeros around them.
//!
//! A channels-last map holds the lanes of one vector far apart. Copied side by side they are read
//! `kernel²` times from the nearest cache, and no inner loop has to ask where the map ends.

use pulp::Simd;

use super::DepthwiseShape;
use crate::simd::load;

/// `kernel` rows of `width + kernel - 1` vectors, in a buffer that lives outside.
pub(super) struct RowRing<'a, S: Simd> {
    simd: S,
    shape: DepthwiseShape,
    /// The picture, and its channels; those behind the ones of `shape` are not read.
    x: (&'a [f32], usize),
    /// First channel of the vector, and the one behind the last.
    channels: (usize, usize),
    rows: &'a mut [S::f32s],
}

/// Values that the buffer of a [`RowRing`] needs.
pub(super) fn ring_len<S: Simd>(shape: DepthwiseShape) -> usize {
    shape.kernel * (shape.width + shape.kernel - 1) * S::F32_LANES
}

impl<'a, S: Simd> RowRing<'a, S> {
    /// A ring over the picture `x` that is ready for output row `first_row`, except for the lowest
    /// row that this reads: [`Self::advance`] brings it.
    #[inline(always)]
    pub(super) fn new(
        simd: S,
        shape: DepthwiseShape,
        x: (&'a [f32], usize),
        channels: (usize, usize),
        first_row: usize,
        buffer: &'a mut [f32],
    ) -> Self {
        let rows = S::as_mut_simd_f32s(buffer).0;
        let mut ring = Self { simd, shape, x, channels, rows };
        for ahead in 0..shape.kernel - 1 {
            ring.copy_row(first_row + ahead);
        }
        ring
    }

    /// Makes all rows available that output row `row` reads.
    #[inline(always)]
    pub(super) fn advance(&mut self, row: usize) {
        self.copy_row(row + self.shape.kernel - 1);
    }

    /// What kernel row `tap_row` reads for output row `row`: column `i` of the result lies under
    /// the first kernel column for output column `i`.
    #[inline(always)]
    pub(super) fn row(&self, row: usize, tap_row: usize) -> &[S::f32s] {
        let len = self.shape.width + self.shape.kernel - 1;
        &self.rows[(row + tap_row) % self.shape.kernel * len..][..len]
    }

    /// Copies row `padded_row` of the map with `kernel / 2` rows of zeros above it.
    #[inline(always)]
    fn copy_row(&mut self, padded_row: usize) {
        let DepthwiseShape { height, width, kernel, .. } = self.shape;
        let (x, channels) = self.x;
        let (simd, border, len) = (self.simd, kernel / 2, width + kernel - 1);
        let to = &mut self.rows[padded_row % kernel * len..][..len];
        let Some(row) = padded_row.checked_sub(border).filter(|&row| row < height) else {
            to.fill(simd.splat_f32s(0.0));
            return;
        };
        to[..border].fill(simd.splat_f32s(0.0));
        to[border + width..].fill(simd.splat_f32s(0.0));
        let from = &x[row * width * channels..][..width * channels];
        let (first, last) = self.channels;
        for (to, from) in to[border..border + width].iter_mut().zip(from.chunks_exact(channels)) {
            *to = load(simd, &from[first..last]);
        }
    }
}
