//! The inner loop of weight gradients: sums of outer products over pixels.
//!
//! `out[i, c] += sum over pixels of left[pixel, i] * right[pixel, c]`. Vector lanes are the
//! columns `c`; up to 6 rows `i` x 4 vectors of sums stay in registers while the pixels pass by.

use pulp::{Simd, WithSimd};

use crate::panels::panel_width;
use crate::register_tile::next_tile;
use crate::scratch::{self, Scratch};
use crate::simd::{dispatch, load, store, tile_width};

/// Pixels whose two sides are paired one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OuterRun<'a> {
    /// The left side, from the first pixel on.
    pub(crate) left: &'a [f32],
    /// Values from one left pixel to the next.
    pub(crate) left_pitch: usize,
    /// The row of the right side that belongs to the first pixel.
    pub(crate) first_right: usize,
    /// Pixels, on both sides.
    pub(crate) pixels: usize,
}

/// As many neighbouring columns of a matrix as a tile is wide, side by side and filled up with zeros
/// to whole vectors.
pub(crate) enum RightPanel<'a> {
    /// The matrix is its own panel.
    Whole(&'a [f32], usize),
    /// A copy.
    Copied(Scratch, usize),
}

impl<'a> RightPanel<'a> {
    /// Panel `panel` of the matrix `right`, `[rows, columns]`.
    pub(crate) fn new(right: &'a [f32], columns: usize, panel: usize) -> Self {
        let width = panel_width(columns, panel);
        if columns == width {
            return Self::Whole(right, width);
        }
        let first = panel * tile_width();
        let filled = width.min(columns - first);
        let mut copy = scratch::take(right.len() / columns * width);
        for (to, from) in copy.chunks_exact_mut(width).zip(right.chunks_exact(columns)) {
            let (to, padding) = to.split_at_mut(filled);
            to.copy_from_slice(&from[first..first + filled]);
            padding.fill(0.0);
        }
        Self::Copied(copy, width)
    }

    fn rows(&self) -> (&[f32], usize) {
        match self {
            Self::Whole(right, width) => (right, *width),
            Self::Copied(copy, width) => (copy, *width),
        }
    }
}

/// Adds the outer products of `runs` to `out`, a matrix `[left_columns, columns]`, in the columns
/// of panel `panel`.
pub(crate) fn add_outer_products(
    runs: &[OuterRun<'_>],
    left_columns: usize,
    right: &RightPanel<'_>,
    panel: usize,
    columns: usize,
    out: &mut [f32],
) {
    let (right, width) = right.rows();
    dispatch(AddOuterProducts { runs, left_columns, right, width, panel, columns, out });
}

struct AddOuterProducts<'a> {
    runs: &'a [OuterRun<'a>],
    left_columns: usize,
    right: &'a [f32],
    width: usize,
    panel: usize,
    columns: usize,
    out: &'a mut [f32],
}

impl WithSimd for AddOuterProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match self.width / S::F32_LANES {
            1 => self.all_rows::<S, 1>(simd),
            2 => self.all_rows::<S, 2>(simd),
            3 => self.all_rows::<S, 3>(simd),
            _ => self.all_rows::<S, 4>(simd),
        }
    }
}

impl AddOuterProducts<'_> {
    #[inline(always)]
    fn all_rows<S: Simd, const VECTORS: usize>(&mut self, simd: S) {
        let mut row = 0;
        while row < self.left_columns {
            let n = next_tile(self.left_columns - row);
            match n {
                6 => self.tile::<S, VECTORS, 6>(simd, row),
                4 => self.tile::<S, VECTORS, 4>(simd, row),
                2 => self.tile::<S, VECTORS, 2>(simd, row),
                _ => self.tile::<S, VECTORS, 1>(simd, row),
            }
            row += n;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const VECTORS: usize, const ROWS: usize>(&mut self, simd: S, row: usize) {
        let right = S::as_simd_f32s(self.right).0.as_chunks::<VECTORS>().0;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for run in self.runs {
            let mut start = row;
            for right in &right[run.first_right..][..run.pixels] {
                // A way out of the loop, rather than a panic, keeps the sums in registers.
                let left = run.left.get(start..).and_then(<[_]>::first_chunk::<ROWS>);
                let Some(left) = left else { break };
                start += run.left_pitch;
                for r in 0..ROWS {
                    let left = simd.splat_f32s(left[r]);
                    for v in 0..VECTORS {
                        sums[r][v] = simd.mul_add_f32s(left, right[v], sums[r][v]);
                    }
                }
            }
        }
        // Indices, because an iterator would take the address of the sums and keep them in memory.
        #[allow(clippy::needless_range_loop)]
        for r in 0..ROWS {
            let out = &mut self.out[(row + r) * self.columns..][..self.columns];
            for v in 0..VECTORS {
                let first = self.panel * tile_width() + v * S::F32_LANES;
                let last = self.columns.min(first + S::F32_LANES);
                let out = &mut out[first..last];
                store(simd, out, simd.add_f32s(load(simd, out), sums[r][v]));
            }
        }
    }
}
