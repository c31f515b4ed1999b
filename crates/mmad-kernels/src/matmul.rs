//! Products of a tall row-major matrix, one row per pixel, with a weight.

use std::ops::Range;

use crate::outer_tile::{OuterRun, RightPanel, add_outer_products};
use crate::panels::Panels;
use crate::partition::{RowParts, for_each_chunk, sum_parts};
use crate::register_tile::{Element, Epilogue, Run, TapRow, multiply_run};
use crate::simd::{tile_width, vectorized};

/// Most rows per task: enough to use each loaded weight often, few enough to stay in the cache.
const TASK_ROWS: usize = 96;

/// Fewest rows per task, two register tiles.
const MIN_TASK_ROWS: usize = 12;

/// Tasks that a product is cut into at least, where it has the rows.
const MIN_TASKS: usize = 8;

/// Rows of a weight gradient per task, where a task takes all pixels: four register tiles.
const TASK_LEFT_COLUMNS: usize = 24;

/// Fewest rows that are worth a partial sum of their own.
const MIN_PART_ROWS: usize = 256;

/// `out[rows, outputs] = epilogue(x[rows, depth] x weight)`.
pub(crate) fn multiply<T: Element>(
    x: &[T],
    panels: Panels<'_, T>,
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) {
    let (depth, outputs) = (panels.shape.depth, panels.shape.outputs);
    let all_rows = out.len().checked_div(outputs).unwrap_or(0);
    let task_rows = all_rows.div_ceil(MIN_TASKS).clamp(MIN_TASK_ROWS, TASK_ROWS);
    for_each_chunk(out, (task_rows * outputs).max(1), |task, out| {
        let start = task * task_rows;
        let rows = out.len() / outputs;
        let x = &x[start * depth..][..rows * depth];
        let epilogue = Epilogue {
            residual: epilogue.residual.map(|r| &r[start * outputs..][..out.len()]),
            ..*epilogue
        };
        multiply_rows(x, rows, panels, &epilogue, out, outputs);
    });
}

/// [`multiply`] of a few rows on this thread, `out_pitch` values from one row of `out` to the next.
pub(crate) fn multiply_rows<T: Element>(
    x: &[T],
    rows: usize,
    panels: Panels<'_, T>,
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
    out_pitch: usize,
) {
    let depth = panels.shape.depth;
    let run = Run {
        taps: &[TapRow { row: &x[..rows * depth], first: 0, tap: 0 }],
        column_step: 1,
        column_pitch: depth,
        pixels: rows,
        out_pitch,
    };
    for panel in 0..panels.shape.panels() {
        multiply_run(&run, panels, panel, epilogue, out);
    }
}

/// `out[n, k] = sum over rows of left[row, n] * right[row, k]`: the gradient of a weight.
pub(crate) fn multiply_transposed(
    left: &[f32],
    n: usize,
    right: &[f32],
    k: usize,
    rows: usize,
    out: &mut [f32],
) {
    // Adds `rows` of the left columns from `first` on, as many as `sums` has room for.
    let add = |rows: Range<usize>, first: usize, sums: &mut [f32]| {
        let columns = sums.len().checked_div(k).unwrap_or(0);
        for start in rows.clone().step_by(TASK_ROWS) {
            let pixels = TASK_ROWS.min(rows.end - start);
            let left = &left[start * n + first..(start + pixels) * n];
            let right = &right[start * k..][..pixels * k];
            add_rows_transposed(left, n, columns, right, k, pixels, sums);
        }
    };
    let parts = RowParts::new(rows, MIN_PART_ROWS);
    if k > 0 && parts.count() < n / TASK_LEFT_COLUMNS {
        // Few pixels: the columns make more tasks than the rows, and need no partial sums.
        for_each_chunk(out, TASK_LEFT_COLUMNS * k, |task, sums| {
            sums.fill(0.0);
            add(0..rows, task * TASK_LEFT_COLUMNS, sums);
        });
    } else {
        sum_parts(parts, out, |rows, partial| add(rows, 0, partial));
    }
}

/// Adds the products of a few rows to `sums`, `[columns, k]`, on this thread: the first `columns` of
/// `left`, whose rows lie `left_pitch` values apart, with `right`, `[rows, k]`.
pub(crate) fn add_rows_transposed(
    left: &[f32],
    left_pitch: usize,
    columns: usize,
    right: &[f32],
    k: usize,
    rows: usize,
    sums: &mut [f32],
) {
    let runs = [OuterRun { left, left_pitch, first_right: 0, pixels: rows }];
    for panel in 0..k.div_ceil(tile_width()) {
        let right = RightPanel::new(right, k, panel);
        add_outer_products(&runs, columns, &right, panel, k, sums);
    }
}

/// `out[column] = sum over rows of x[row, column]`.
pub(crate) fn sum_rows(x: &[f32], columns: usize, out: &mut [f32]) {
    let rows = x.len().checked_div(columns).unwrap_or(0);
    sum_parts(RowParts::new(rows, MIN_PART_ROWS), out, |rows, partial| {
        let x = &x[rows.start * columns..rows.end * columns];
        add_rows(x, partial);
    });
}

vectorized! {
    /// Adds all rows of `x` to `sums`, one sum per column.
    fn add_rows<'a, S>(_simd, x: &'a [f32], sums: &'a mut [f32]) {
        for row in x.chunks_exact(sums.len().max(1)) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}
