//! Convolution forward, for training and, with weights packed once, for inference.

use super::ConvShape;
use super::source_map::{SourceMap, Taps};
use crate::matmul::multiply;
use crate::panels::{PackedWeight, Panels, Source, pack, pack_for_keeps};
use crate::partition::{expect_len, for_each_chunk};
use crate::register_tile::{Epilogue, Run, multiply_run};

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

/// Weights in the order of the kernel, for layers that are used many times.
#[derive(Clone, Debug)]
pub struct PackedConv {
    packed: PackedWeight<Vec<f32>>,
    bias: Option<Vec<f32>>,
    layer: ConvShape,
}

impl PackedConv {
    /// Packs `weight`, `[out_channels, in_channels, kernel, kernel]`, and keeps `bias`,
    /// `[out_channels]`. Batch, height and width of `shape` do not matter here.
    ///
    /// # Panics
    ///
    /// When a slice does not have the length of its shape.
    pub fn new(shape: ConvShape, weight: &[f32], bias: Option<&[f32]>) -> Self {
        expect_len("conv2d", "weight", weight.len(), shape.weight_len());
        if let Some(bias) = bias {
            expect_len("conv2d", "bias", bias.len(), shape.out_channels);
        }
        let taps = Taps::of(shape);
        let source = weight_source(shape, taps, weight);
        let packed = pack_for_keeps(taps.panel_shape(shape), &source);
        Self { packed, bias: bias.map(<[f32]>::to_vec), layer: shape }
    }

    /// The sizes of this layer on a map of `height` x `width` pixels.
    pub fn shape(&self, batch: usize, height: usize, width: usize) -> ConvShape {
        ConvShape { batch, height, width, ..self.layer }
    }

    /// `y = relu(x * weight + bias + residual)` on a map of `height` x `width` pixels.
    ///
    /// # Panics
    ///
    /// When a slice does not have the length of its shape.
    pub fn forward(
        &self,
        [batch, height, width]: [usize; 3],
        x: &[f32],
        residual: Option<&[f32]>,
        relu: bool,
        y: &mut [f32],
    ) {
        let epilogue = ConvEpilogue { bias: self.bias.as_deref(), residual, relu };
        convolve(self.shape(batch, height, width), x, self.packed.panels(), &epilogue, y);
    }
}

fn weight_source(
    shape: ConvShape,
    taps: Taps,
    weight: &[f32],
) -> Source<'_, impl Fn(usize, usize) -> usize + Sync> {
    Source {
        values: weight,
        offset: move |tap, depth| taps.weight_offset(shape, tap, depth),
        output_stride: shape.in_channels * shape.kernel * shape.kernel,
    }
}

fn convolve(
    shape: ConvShape,
    x: &[f32],
    panels: Panels<'_>,
    epilogue: &ConvEpilogue<'_>,
    y: &mut [f32],
) {
    expect_len("conv2d", "x", x.len(), shape.input_len());
    expect_len("conv2d", "y", y.len(), shape.output_len());
    if let Some(bias) = epilogue.bias {
        expect_len("conv2d", "bias", bias.len(), shape.out_channels);
    }
    if let Some(residual) = epilogue.residual {
        expect_len("conv2d", "residual", residual.len(), y.len());
    }
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

/// Output rows `first..` of the whole batch, as many as `y` holds.
fn convolve_rows(
    shape: ConvShape,
    source: &SourceMap<'_>,
    panels: Panels<'_>,
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
