//! Products of a tall row-major matrix, one row per pixel, with a weight.

use crate::outer_tile::{OuterRun, RightPanel, add_outer_products};
use crate::panels::Panels;
use crate::partition::{RowParts, for_each_chunk, sum_parts};
use crate::register_tile::{Epilogue, Run, TapRow, multiply_run};
use crate::simd::{tile_width, vectorized};

/// Rows per task: enough to use each loaded weight often, few enough to stay in the cache.
const TASK_ROWS: usize = 96;

/// Fewest rows that are worth a partial sum of their own.
const MIN_PART_ROWS: usize = 256;

/// `out[rows, outputs] = epilogue(x[rows, depth] x weight)`.
pub(crate) fn multiply(x: &[f32], panels: Panels<'_>, epilogue: &Epilogue<'_>, out: &mut [f32]) {
    let (depth, outputs) = (panels.shape.depth, panels.shape.outputs);
    for_each_chunk(out, (TASK_ROWS * outputs).max(1), |task, out| {
        let start = task * TASK_ROWS;
        let rows = out.len() / outputs;
        let epilogue = Epilogue {
            residual: epilogue.residual.map(|r| &r[start * outputs..][..out.len()]),
            ..*epilogue
        };
        let run = Run {
            taps: &[TapRow { row: &x[start * depth..][..rows * depth], first: 0, tap: 0 }],
            column_step: 1,
            column_pitch: depth,
            pixels: rows,
            out_pitch: outputs,
        };
        for panel in 0..panels.shape.panels() {
            multiply_run(&run, panels, panel, &epilogue, out);
        }
    });
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
    sum_parts(RowParts::new(rows, MIN_PART_ROWS), out, |rows, partial| {
        for start in rows.clone().step_by(TASK_ROWS) {
            let pixels = TASK_ROWS.min(rows.end - start);
            let left = &left[start * n..][..pixels * n];
            let right = &right[start * k..][..pixels * k];
            let runs = [OuterRun { left, left_pitch: n, first_right: 0, pixels }];
            for panel in 0..k.div_ceil(tile_width()) {
                let right = RightPanel::new(right, k, panel);
                add_outer_products(&runs, n, &right, panel, k, partial);
            }
        }
    });
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
