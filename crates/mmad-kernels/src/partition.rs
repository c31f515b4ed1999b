//! How work is cut for the threads. Cuts depend on shapes alone and partial sums are added in the
//! order of their parts, so results have the same bits for every number of threads.

use rayon::prelude::*;

use crate::scratch;

/// Values per task of an elementwise pass: 64 KiB, a share of the second-level cache.
pub(crate) const ELEMENTWISE: usize = 16 * 1024;

/// Partial sums per reduction. More parts allow more threads and cost more memory.
const MAX_PARTS: usize = 16;

/// Fails with both numbers when a slice has the wrong length.
#[track_caller]
pub(crate) fn expect_len(op: &str, name: &str, len: usize, expected: usize) {
    assert!(len == expected, "{op}: `{name}` holds {len} values, its shape asks for {expected}");
}

/// Calls `task(index, chunk)` for consecutive chunks of `out`, on all threads. One chunk alone
/// runs on the calling thread, which saves the hand-over.
pub(crate) fn for_each_chunk<T: Send>(
    out: &mut [T],
    chunk: usize,
    task: impl Fn(usize, &mut [T]) + Sync,
) {
    if out.len() <= chunk {
        if !out.is_empty() {
            task(0, out);
        }
    } else {
        out.par_chunks_mut(chunk).enumerate().for_each(|(i, chunk)| task(i, chunk));
    }
}

/// How `rows` rows are cut into parts for a sum over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowParts {
    /// All rows.
    pub(crate) rows: usize,
    /// Rows of every part but the last.
    pub(crate) rows_per_part: usize,
}

impl RowParts {
    /// At most [`MAX_PARTS`] parts of at least `min_rows` rows.
    pub(crate) fn new(rows: usize, min_rows: usize) -> Self {
        Self { rows, rows_per_part: rows.div_ceil(MAX_PARTS).max(min_rows).max(1) }
    }

    /// The number of parts, at least one.
    pub(crate) fn count(self) -> usize {
        self.rows.div_ceil(self.rows_per_part).max(1)
    }

    /// The rows of part `part`.
    pub(crate) fn range(self, part: usize) -> std::ops::Range<usize> {
        let start = (part * self.rows_per_part).min(self.rows);
        start..(start + self.rows_per_part).min(self.rows)
    }
}

/// Sums over rows: `sum_rows(rows, partial)` adds its rows into `partial`, which starts at zero,
/// and `total` receives the partials added in order.
pub(crate) fn sum_parts(
    parts: RowParts,
    total: &mut [f32],
    sum_rows: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync,
) {
    let count = parts.count();
    total.fill(0.0);
    if count == 1 || total.is_empty() {
        sum_rows(parts.range(0), total);
        return;
    }
    let width = total.len();
    let mut partials = scratch::take(count * width);
    for_each_chunk(&mut partials, width.max(1), |part, partial| {
        partial.fill(0.0);
        sum_rows(parts.range(part), partial);
    });
    add_parts(&partials, total);
}

/// Like [`sum_parts`] for a pass that also writes rows of `width` values: `sum_rows` receives the
/// rows of `out` that belong to its part.
pub(crate) fn sum_parts_beside(
    parts: RowParts,
    (out, width): (&mut [f32], usize),
    total: &mut [f32],
    sum_rows: impl Fn(std::ops::Range<usize>, &mut [f32], &mut [f32]) + Sync,
) {
    total.fill(0.0);
    if parts.count() == 1 || total.is_empty() {
        sum_rows(0..parts.rows, out, total);
        return;
    }
    let mut partials = scratch::zeros(parts.count() * total.len());
    out.par_chunks_mut(parts.rows_per_part * width)
        .zip(partials.par_chunks_exact_mut(total.len()))
        .enumerate()
        .for_each(|(part, (out, partial))| sum_rows(parts.range(part), out, partial));
    add_parts(&partials, total);
}

/// Adds partial sums, one after the other, to `total`.
pub(crate) fn add_parts(partials: &[f32], total: &mut [f32]) {
    let width = total.len();
    for_each_chunk(total, ELEMENTWISE, |i, total| {
        for partial in partials.chunks_exact(width) {
            for (sum, value) in total.iter_mut().zip(&partial[i * ELEMENTWISE..]) {
                *sum += value;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_row_once() {
        for rows in [0, 1, 7, 64, 1000, 4097] {
            let parts = RowParts::new(rows, 8);
            let mut next = 0;
            for part in 0..parts.count() {
                let range = parts.range(part);
                assert_eq!(range.start, next);
                next = range.end;
            }
            assert_eq!(next, rows);
            assert!(parts.count() <= MAX_PARTS);
        }
    }

    #[test]
    fn partial_sums_add_up() {
        let mut total = vec![1.0; 3];
        sum_parts(RowParts::new(1000, 1), &mut total, |rows, partial| {
            for row in rows {
                partial[0] += 1.0;
                partial[1] += row as f32;
            }
        });
        assert_eq!(total, [1000.0, 499_500.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "linear: `x` holds 3 values, its shape asks for 4")]
    fn a_wrong_length_says_both_numbers() {
        expect_len("linear", "x", 3, 4);
    }
}
