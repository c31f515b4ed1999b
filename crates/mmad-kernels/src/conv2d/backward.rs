//! Gradients of the convolution.

use std::ops::Range;

use super::ConvShape;
use super::forward::rows_per_task;
use super::source_map::SourceMap;
use crate::linear::{self, LinearGrads};
use crate::matmul::sum_rows;
use crate::outer_tile::{OuterRun, RightPanel, add_outer_products};
use crate::panels::{PanelShape, Panels, Source, pack};
use crate::partition::{RowParts, expect_len, for_each_chunk, sum_parts};
use crate::register_tile::{Epilogue, Run, TapRow, multiply_run};
use crate::scratch;
use crate::simd::tile_width;

/// Fewest pixels that are worth a partial weight gradient of their own.
const MIN_PART_PIXELS: usize = 256;

/// Outputs that are brought into PyTorch's order together: one cache line of them.
const TRANSPOSED_OUTPUTS: usize = 16;

/// Where the gradients go; those that are `None` are not computed. All are overwritten.
#[derive(Debug, Default)]
pub struct ConvGrads<'a> {
    /// `[batch, height, width, in_channels]`.
    pub x: Option<&'a mut [f32]>,
    /// `[out_channels, in_channels, kernel, kernel]`.
    pub weight: Option<&'a mut [f32]>,
    /// `[out_channels]`.
    pub bias: Option<&'a mut [f32]>,
}

/// Gradients of [`super::forward`] with a bias and no other epilogue, from `grad_y`,
/// `[batch, out_height, out_width, out_channels]`.
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn backward(shape: ConvShape, x: &[f32], weight: &[f32], grad_y: &[f32], grads: ConvGrads<'_>) {
    expect_len("conv2d backward", "x", x.len(), shape.input_len());
    expect_len("conv2d backward", "weight", weight.len(), shape.weight_len());
    expect_len("conv2d backward", "grad_y", grad_y.len(), shape.output_len());
    if let Some(linear) = shape.as_linear() {
        let grads = LinearGrads { x: grads.x, weight: grads.weight, bias: grads.bias };
        linear::backward(linear, x, weight, grad_y, grads);
        return;
    }
    if let Some(grad_x) = grads.x {
        expect_len("conv2d backward", "grads.x", grad_x.len(), shape.input_len());
        backward_x(shape, weight, grad_y, grad_x);
    }
    if let Some(grad_weight) = grads.weight {
        expect_len("conv2d backward", "grads.weight", grad_weight.len(), shape.weight_len());
        backward_weight(shape, x, grad_y, grad_weight);
    }
    if let Some(grad_bias) = grads.bias {
        expect_len("conv2d backward", "grads.bias", grad_bias.len(), shape.out_channels);
        sum_rows(grad_y, shape.out_channels, grad_bias);
    }
}

/// The gradient of the input is itself a convolution: every input pixel gathers the output pixels
/// that it took part in. With a stride, neighbouring pixels took part under different taps, so
/// pixels are taken `stride` apart.
fn backward_x(shape: ConvShape, weight: &[f32], grad_y: &[f32], grad_x: &mut [f32]) {
    let positions = shape.kernel * shape.kernel;
    let panel_shape =
        PanelShape { taps: positions, depth: shape.out_channels, outputs: shape.in_channels };
    let source = Source {
        values: weight,
        offset: |tap, output| output * shape.in_channels * positions + tap,
        output_stride: positions,
    };
    let packed = pack(panel_shape, &source);
    let rows = rows_per_task(shape.batch * shape.height, shape.width);
    let row_len = shape.width * shape.in_channels;
    for_each_chunk(grad_x, (rows * row_len).max(1), |task, grad_x| {
        let (first, panels) = (task * rows, packed.panels());
        gather_rows(shape, grad_y, panels, first, grad_x);
    });
}

/// Rows `first..` of the input gradient of the whole batch, as many as `grad_x` holds.
fn gather_rows(
    shape: ConvShape,
    grad_y: &[f32],
    panels: Panels<'_>,
    first: usize,
    grad_x: &mut [f32],
) {
    let ConvShape { width, in_channels, stride, .. } = shape;
    let mut taps = Vec::with_capacity(panels.shape.taps);
    for panel in 0..panels.shape.panels() {
        for (i, grad_x) in grad_x.chunks_exact_mut(width * in_channels).enumerate() {
            for phase in 0..stride.min(width) {
                gathered_taps(shape, grad_y, first + i, phase, &mut taps);
                let run = Run {
                    taps: &taps,
                    column_step: 1,
                    column_pitch: shape.out_channels,
                    pixels: (width - phase).div_ceil(stride),
                    out_pitch: stride * in_channels,
                };
                let grad_x = &mut grad_x[phase * in_channels..];
                multiply_run(&run, panels, panel, &Epilogue::default(), grad_x);
            }
        }
    }
}

/// The taps under which the pixels `phase`, `phase + stride`, ... of input row `row` took part,
/// and the output rows that they fed.
fn gathered_taps<'a>(
    shape: ConvShape,
    grad_y: &'a [f32],
    row: usize,
    phase: usize,
    taps: &mut Vec<TapRow<'a>>,
) {
    let ConvShape { kernel, stride, padding, dilation, .. } = shape;
    let (out_height, row_len) = (shape.out_height(), shape.out_width() * shape.out_channels);
    let (picture, row) = (row / shape.height, row % shape.height);
    // input = output * stride + tap * dilation - padding, to be solved for the output
    let output = |input: usize, tap: usize| {
        let scaled = (input + padding) as isize - (tap * dilation) as isize;
        (scaled % stride as isize == 0).then_some(scaled / stride as isize)
    };
    taps.clear();
    for tap_row in 0..kernel {
        let out_row = output(row, tap_row).and_then(|row| usize::try_from(row).ok());
        let Some(out_row) = out_row.filter(|&row| row < out_height) else { continue };
        let start = (picture * out_height + out_row) * row_len;
        taps.extend((0..kernel).filter_map(|tap_column| {
            let first = output(phase, tap_column)?;
            let row = &grad_y[start..start + row_len];
            Some(TapRow { row, first, tap: tap_row * kernel + tap_column })
        }));
    }
}

/// Sums `x` times `grad_y` over all pixels, per tap.
fn backward_weight(shape: ConvShape, x: &[f32], grad_y: &[f32], grad_weight: &mut [f32]) {
    let source = SourceMap::new(shape, x);
    let PanelShape { taps, depth, outputs } = source.taps.panel_shape(shape);
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let rows = shape.batch * out_height;
    let block_rows = rows_per_task(rows, out_width);
    // Summed as [tap][depth][output]: the order of the inner loops.
    let mut by_tap = scratch::take(taps * depth * outputs);
    // Adds `rows` of the taps from `first_tap` on, as many as `sums` has room for.
    let add_rows = |rows: Range<usize>, first_tap: usize, sums: &mut [f32]| {
        let mut runs = Vec::with_capacity(block_rows);
        for first in rows.clone().step_by(block_rows) {
            let block = first..(first + block_rows).min(rows.end);
            let grad_y =
                &grad_y[first * out_width * outputs..][..block.len() * out_width * outputs];
            for panel in 0..outputs.div_ceil(tile_width()) {
                let right = RightPanel::new(grad_y, outputs, panel);
                for (i, sums) in sums.chunks_exact_mut(depth * outputs).enumerate() {
                    runs.clear();
                    runs.extend(block.clone().filter_map(|row| {
                        let (picture, row_in_picture) = (row / out_height, row % out_height);
                        let tap_row = source.tap_row(picture, row_in_picture, first_tap + i)?;
                        outer_run(shape, &tap_row, depth, (row - first) * out_width)
                    }));
                    add_outer_products(&runs, depth, &right, panel, outputs, sums);
                }
            }
        }
    };
    let parts = RowParts::new(rows, MIN_PART_PIXELS.div_ceil(out_width));
    if parts.count() < taps {
        // Few pixels: the taps make more tasks than the rows, and need no partial sums.
        for_each_chunk(&mut by_tap, (depth * outputs).max(1), |tap, sums| {
            sums.fill(0.0);
            add_rows(0..rows, tap, sums);
        });
    } else {
        sum_parts(parts, &mut by_tap, |rows, partial| add_rows(rows, 0, partial));
    }
    let positions = |tap, d| source.taps.weight_offset(shape, tap, d);
    transpose_weight([taps, depth, outputs], &by_tap, positions, grad_weight);
}

/// Turns `[tap][depth][output]` into PyTorch's order, where `position(tap, depth)` tells the place
/// within an output. A few outputs at a time, so that both sides use whole cache lines.
fn transpose_weight(
    [taps, depth, outputs]: [usize; 3],
    by_tap: &[f32],
    position: impl Fn(usize, usize) -> usize + Sync,
    grad_weight: &mut [f32],
) {
    let weights = taps * depth;
    for_each_chunk(grad_weight, (TRANSPOSED_OUTPUTS * weights).max(1), |task, grad_weight| {
        let first = task * TRANSPOSED_OUTPUTS;
        for d in 0..depth {
            for tap in 0..taps {
                let position = position(tap, d);
                let from = &by_tap[(tap * depth + d) * outputs + first..];
                for (to, from) in grad_weight.chunks_exact_mut(weights).zip(from) {
                    to[position] = *from;
                }
            }
        }
    });
}

/// The pixels of an output row whose source under a tap lies inside the map.
fn outer_run<'a>(
    shape: ConvShape,
    tap: &TapRow<'a>,
    depth: usize,
    first_right: usize,
) -> Option<OuterRun<'a>> {
    let pitch = shape.in_channels;
    let skipped = (-tap.first).max(0) as usize;
    let skipped = skipped.div_ceil(shape.stride);
    let column = usize::try_from(tap.first + (skipped * shape.stride) as isize).ok()?;
    let columns = (tap.row.len() + pitch - depth) / pitch;
    let pixels = columns.checked_sub(column)?.div_ceil(shape.stride);
    let pixels = pixels.min(shape.out_width().checked_sub(skipped)?);
    (pixels > 0).then(|| OuterRun {
        left: &tap.row[column * pitch..],
        left_pitch: shape.stride * pitch,
        first_right: first_right + skipped,
        pixels,
    })
}
