//! The two-dimensional scan from features to features: the projection to step sizes, `B` and `C`
//! is taken for a few steps at a time, next to the scan that uses it, and never written out.
//!
//! A map's projection is larger than all its directions together: 8 directions of 16 states make
//! 256 numbers of 32 features. Written out, it would leave the caches before it is read again. The
//! low-rank steps alone are written out: they are few, and for one direction fill no vector.

use super::directions::{self, Steering};
use super::isa::{Isa, with_lanes};
use super::recurrence::CHUNK;
use super::sequence::{Rows, Sequence};
use super::ss2d::{Ss2dGrads, Ss2dParams, Ss2dShape, check, check_len, ss2d_backward_with};
use crate::linear::{self, LinearGrads, LinearShape};
use crate::panels::{PackedWeight, PanelShape, Panels, Source, pack};
use crate::register_tile::{Epilogue, Run, TapRow, multiply_run};
use crate::scratch::{self, Scratch};

/// The gradients of [`ss2d_features_forward`].
#[derive(Clone, Debug, PartialEq)]
pub struct Ss2dFeatureGrads {
    /// `[B, L, D]`, both through the scan and through the projection
    pub u: Vec<f32>,
    /// `[K, R + 2N, D]`
    pub projection: Vec<f32>,
    /// `[K, D, R]`
    pub dt_weight: Vec<f32>,
    /// `[K, D]`
    pub dt_bias: Vec<f32>,
    /// `[K, D, N]`
    pub a_log: Vec<f32>,
    /// `[K, D]`
    pub d_skip: Vec<f32>,
}

/// [`ss2d_forward`](super::ss2d_forward) of `u` with the rows `projected[p, k] = projection[k]·u[p]`.
///
/// # Shapes
///
/// - `u`: `[B, L, D]`
/// - `projection`: `[K, R + 2N, D]`
/// - `y`: `[B, L, D]`, written
///
/// # Panics
///
/// When a length does not fit the shape, or an order names a pixel outside the map.
pub fn ss2d_features_forward(
    shape: Ss2dShape,
    u: &[f32],
    projection: &[f32],
    params: &Ss2dParams<'_>,
    y: &mut [f32],
) {
    ss2d_features_forward_with(Isa::best(), shape, u, projection, params, y);
}

/// [`ss2d_features_forward`] whose scan runs with chosen instructions.
///
/// # Panics
///
/// As [`ss2d_features_forward`].
pub fn ss2d_features_forward_with(
    isa: Isa,
    shape: Ss2dShape,
    u: &[f32],
    projection: &[f32],
    params: &Ss2dParams<'_>,
    y: &mut [f32],
) {
    check(shape, u.len(), shape.batch * shape.projected_picture(), params);
    check_len("projection", projection.len(), shape.directions * shape.row() * shape.channels);
    check_len("y", y.len(), shape.batch * shape.picture());
    let projections = Projections::new(shape, u, projection);
    let steering = Steering::Projections(&projections);
    with_lanes!(isa, |simd| directions::forward(simd, shape, u, steering, params, y));
}

/// The gradients of [`ss2d_features_forward`] for the gradient `grad_y` (`[B, L, D]`) of its output.
///
/// Computes the projection anew, all of it at once: the forward pass saves nothing.
///
/// # Panics
///
/// As [`ss2d_features_forward`].
pub fn ss2d_features_backward(
    shape: Ss2dShape,
    u: &[f32],
    projection: &[f32],
    params: &Ss2dParams<'_>,
    grad_y: &[f32],
) -> Ss2dFeatureGrads {
    ss2d_features_backward_with(Isa::best(), shape, u, projection, params, grad_y)
}

/// [`ss2d_features_backward`] whose scan runs with chosen instructions.
///
/// # Panics
///
/// As [`ss2d_features_forward`].
pub fn ss2d_features_backward_with(
    isa: Isa,
    shape: Ss2dShape,
    u: &[f32],
    projection: &[f32],
    params: &Ss2dParams<'_>,
    grad_y: &[f32],
) -> Ss2dFeatureGrads {
    let linear = LinearShape {
        rows: shape.batch * shape.pixels,
        inputs: shape.channels,
        outputs: shape.directions * shape.row(),
    };
    let mut projected = scratch::take(linear.rows * linear.outputs);
    linear::forward(linear, u, projection, None, &mut projected);
    let Ss2dGrads { u: mut grad_u, projected: grad_rows, dt_weight, dt_bias, a_log, d_skip } =
        ss2d_backward_with(isa, shape, u, &projected, params, grad_y);
    let mut of_u = scratch::take(u.len());
    let mut of_projection = vec![0.0; projection.len()];
    let grads = LinearGrads { x: Some(&mut of_u), weight: Some(&mut of_projection), bias: None };
    linear::backward(linear, u, projection, &grad_rows, grads);
    for (sum, x) in grad_u.iter_mut().zip(of_u.iter()) {
        *sum += x;
    }
    Ss2dFeatureGrads { u: grad_u, projection: of_projection, dt_weight, dt_bias, a_log, d_skip }
}

/// How `u` is projected, for every direction.
pub(super) struct Projections {
    /// The step before its weight: `[B, L, K, R]`
    dt_r: Scratch,
    /// From features to `B | C`, per direction
    to_states: Vec<PackedWeight<Scratch>>,
}

impl Projections {
    fn new(shape: Ss2dShape, u: &[f32], projection: &[f32]) -> Self {
        let Ss2dShape { batch, pixels, channels, directions, rank, states } = shape;
        let of_direction = |k: usize| {
            let rows = &projection[k * shape.row() * channels..][..shape.row() * channels];
            rows.split_at(rank * channels)
        };
        let linear =
            LinearShape { rows: batch * pixels, inputs: channels, outputs: directions * rank };
        let mut dt_r = scratch::take(linear.rows * linear.outputs);
        let to_steps: Vec<f32> = (0..directions).flat_map(|k| of_direction(k).0).copied().collect();
        linear::forward(linear, u, &to_steps, None, &mut dt_r);
        let panels = PanelShape { taps: 1, depth: channels, outputs: 2 * states };
        let pack_states = |k: usize| {
            let offset = |_: usize, input: usize| input;
            pack(panels, &Source { values: of_direction(k).1, offset, output_stride: channels })
        };
        Self { dt_r, to_states: (0..directions).map(pack_states).collect() }
    }

    /// The projection of one direction of one picture.
    pub(super) fn of(&self, shape: Ss2dShape, picture: usize, direction: usize) -> Projection<'_> {
        let stride = shape.directions * shape.rank;
        Projection {
            dt_r: &self.dt_r[picture * shape.pixels * stride..][..shape.pixels * stride],
            stride,
            offset: direction * shape.rank,
            to_states: self.to_states[direction].panels(),
        }
    }
}

/// The projection of one direction of one picture.
#[derive(Clone, Copy)]
pub(super) struct Projection<'a> {
    /// `rank` numbers of every place, `stride` apart, from `offset` on.
    dt_r: &'a [f32],
    stride: usize,
    offset: usize,
    to_states: Panels<'a>,
}

impl<'a> Projection<'a> {
    /// Memory for the chunks of `sequence`.
    pub(super) fn chunks(self, sequence: &Sequence<'_>) -> ProjectedChunk<'a> {
        let Rows { rank, states, .. } = sequence.rows;
        ProjectedChunk {
            projection: self,
            u: scratch::take(CHUNK * self.to_states.shape.depth),
            rows: scratch::take(CHUNK * (rank + 2 * states)),
        }
    }
}

/// A chunk of a sequence in the order of its steps, with its rows.
pub(super) struct ProjectedChunk<'a> {
    projection: Projection<'a>,
    /// `[steps, channels]`
    u: Scratch,
    /// `[steps, R + 2N]`
    rows: Scratch,
}

/// Places of a chunk that lies in the order of its steps.
const IN_ORDER: [u32; CHUNK] = {
    let mut order = [0; CHUNK];
    let mut t = 0;
    while t < CHUNK {
        order[t] = t as u32;
        t += 1;
    }
    order
};

impl ProjectedChunk<'_> {
    /// Brings together and projects the steps at `places`, at most [`CHUNK`].
    #[inline(always)]
    pub(super) fn project<'b>(&'b mut self, from: &Sequence<'b>, places: &[u32]) -> Sequence<'b> {
        let Projection { dt_r, stride, offset, to_states } = self.projection;
        let (channels, rank) = (to_states.shape.depth, from.rows.rank);
        let row = rank + to_states.shape.outputs;
        for (&place, into) in places.iter().zip(self.u.chunks_exact_mut(channels.max(1))) {
            copy_row(&from.u[place as usize * channels..][..channels], into);
        }
        for (&place, into) in places.iter().zip(self.rows.chunks_exact_mut(row)) {
            let dt_r = &dt_r[place as usize * stride + offset..][..rank];
            for (into, &x) in into.iter_mut().zip(dt_r) {
                *into = x;
            }
        }
        let run = Run {
            taps: &[TapRow { row: &self.u[..places.len() * channels], first: 0, tap: 0 }],
            column_step: 1,
            column_pitch: channels,
            pixels: places.len(),
            out_pitch: row,
        };
        for panel in 0..to_states.shape.panels() {
            let states = &mut self.rows[rank..];
            multiply_run(&run, to_states, panel, &Epilogue::default(), states);
        }
        Sequence {
            order: &IN_ORDER[..places.len()],
            u: &self.u,
            rows: Rows { data: &self.rows, stride: row, offset: 0, ..from.rows },
            step_size: from.step_size,
        }
    }
}

/// Copies a row without a call, which would cost more than the copy.
#[inline(always)]
fn copy_row(from: &[f32], into: &mut [f32]) {
    let (from, from_rest) = from.as_chunks::<16>();
    let (into, into_rest) = into.as_chunks_mut::<16>();
    for (into, from) in into.iter_mut().zip(from) {
        *into = *from;
    }
    for (into, from) in into_rest.iter_mut().zip(from_rest) {
        *into = *from;
    }
}
