//! Convolution forward, for training and, with weights packed once, for inference.

use super::ConvShape;
use super::source_map::{SourceMap, Taps};
use crate::matmul::multiply;
use crate::panels::{Panels, Source, pack};
use crate::partition::{expect_len, for_each_chunk};
use crate::register_tile::{Element, Epilogue, Run, multiply_run};

/// Output pixels per task: enough to use each loaded weight often.
const TASK_PIXELS: usize = 128;

/// Tasks that a map is cut into at least, where it has the rows.
const MIN_TASKS: usize = 8;

/// What follows the sums of a convolution in the same pass over memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConvEpilogue<'a> {
    /// Added per channel, `[out_channels]`.
    pub bias: Option<&'a [f32]>,
    /// Added per value, shaped like the output.
    pub residual: Option<&'a [f32]>,
    /// Negative results become zero, last.
    pub relu: bool,
}

/// `y = relu(x * weight + bias + residual)`, each of the last three where asked for.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, in_channels]`
/// - `weight`: `[out_channels, in_channels, kernel, kernel]`
/// - `y`: `[batch, out_height, out_width, out_channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn forward(
    shape: ConvShape,
    x: &[f32],
    weight: &[f32],
    epilogue: &ConvEpilogue<'_>,
    y: &mut [f32],
) {
    expect_len("conv2d", "weight", weight.len(), shape.weight_len());
    let taps = Taps::of(shape);
    let source = weight_source(shape, taps, weight);
    let packed = pack(taps.panel_shape(shape), &source);
    convolve(shape, x, packed.panels(), epilogue, y);
}

/// Where the elements of a weight lie, `[out_channels, in_channels, kernel, kernel]`.
pub(super) fn weight_source<T>(
    shape: ConvShape,
    taps: Taps,
    weight: &[T],
) -> Source<'_, impl Fn(usize, usize) -> usize + Sync + use<T>, T> {
    Source {
        values: weight,
        offset: move |tap, depth| taps.weight_offset(shape, tap, depth),
        output_stride: shape.in_channels * shape.kernel * shape.kernel,
    }
}

/// [`forward`] with a packed weight, whatever an element of input and weight holds.
pub(super) fn convolve<T: Element>(
    shape: ConvShape,
    x: &[T],
    panels: Panels<'_, T>,
    epilogue: &ConvEpilogue<'_>,
    y: &mut [f32],
) {
    expect_len("conv2d", "x", x.len(), shape.input_len());
    expect_output(shape, epilogue, y);
    let ConvEpilogue { bias, residual, relu } = *epilogue;
    if shape.as_linear().is_some() {
        multiply(x, panels, &Epilogue { bias, residual, relu }, y);
        return;
    }
    let source = SourceMap::new(shape, x);
    let row_len = shape.out_width() * shape.out_channels;
    let rows = rows_per_task(shape.batch * shape.out_height(), shape.out_width());
    for_each_chunk(y, (rows * row_len).max(1), |task, y| {
        let residual = residual.map(|r| &r[task * rows * row_len..][..y.len()]);
        convolve_rows(shape, &source, panels, task * rows, Epilogue { bias, residual, relu }, y);
    });
}

/// Fails unless `y`, and what is added to it, have the lengths of their shapes.
#[track_caller]
pub(super) fn expect_output(shape: ConvShape, epilogue: &ConvEpilogue<'_>, y: &[f32]) {
    expect_len("conv2d", "y", y.len(), shape.output_len());
    if let Some(bias) = epilogue.bias {
        expect_len("conv2d", "bias", bias.len(), shape.out_channels);
    }
    if let Some(residual) = epilogue.residual {
        expect_len("conv2d", "residual", residual.len(), y.len());
    }
}

/// Output rows `first..` of the whole batch, as many as `y` holds.
fn convolve_rows<T: Element>(
    shape: ConvShape,
    source: &SourceMap<'_, T>,
    panels: Panels<'_, T>,
    first: usize,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let row_len = out_width * shape.out_channels;
    let mut taps = Vec::with_capacity(panels.shape.taps);
    for panel in 0..panels.shape.panels() {
        for (i, y) in y.chunks_exact_mut(row_len).enumerate() {
            let row = first + i;
            source.tap_rows(row / out_height, row % out_height, &mut taps);
            let run = Run {
                taps: &taps,
                column_step: shape.stride,
                column_pitch: shape.in_channels,
                pixels: out_width,
                out_pitch: shape.out_channels,
            };
            let residual = epilogue.residual.map(|r| &r[i * row_len..][..row_len]);
            multiply_run(&run, panels, panel, &Epilogue { residual, ..epilogue }, y);
        }
    }
}

/// Map rows per task.
pub(super) fn rows_per_task(rows: usize, width: usize) -> usize {
    (TASK_PIXELS / width).min(rows.div_ceil(MIN_TASKS)).max(1)
}
