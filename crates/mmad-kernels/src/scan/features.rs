//! The two-dimensional scan from features to features: the projection to step sizes, `B` and `C`
//! is taken for a few steps at a time, next to the scan that uses it, and never written out.
//!
//! A map's projection is larger than all its directions together: 8 directions of 16 states make
//! 256 numbers of 32 features. Written out, it would leave the caches before it is read again. The
//! low-rank steps alone are written out: they are few, and for one direction fill no vector.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use super::directions::{self, BackwardGrads, Steering};
use super::isa::{Isa, with_lanes};
use super::lanes::Lanes;
use super::recurrence::CHUNK;
use super::sequence::{Gathered, Sequence, Weights, padded_states};
use super::ss2d::{Ss2dGrads, Ss2dParams, Ss2dShape, check_len, check_map, check_weights};
use crate::aligned::AlignedVec;
use crate::linear::{self, LinearGrads, LinearShape};
use crate::matmul::{add_rows_transposed, multiply, multiply_rows};
use crate::panels::{PackedWeight, PanelMemory, PanelShape, Panels, Source, pack, pack_in};
use crate::register_tile::Epilogue;
use crate::scratch::{self, Scratch};

/// The gradients of [`ss2d_features_forward`].
#[derive(Clone, Debug, PartialEq)]
pub struct Ss2dFeatureGrads<T = f32> {
    /// `[B, L, D]`, both through the scan and through the projection
    pub u: Vec<T>,
    /// `[K, R + 2N, D]`
    pub projection: Vec<T>,
    /// `[K, D, R]`
    pub dt_weight: Vec<T>,
    /// `[K, D]`
    pub dt_bias: Vec<T>,
    /// `[K, D, N]`
    pub a_log: Vec<T>,
    /// `[K, D]`
    pub d_skip: Vec<T>,
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
    forward(isa, shape, u, projection, params, false, y);
}

/// States that a forward pass came by, for the backward pass to start from.
///
/// One of 32 steps is kept: for 16 states half as many numbers as `u` has, per direction.
pub struct NotedStates {
    isa: Isa,
    /// For every sequence, `[B, K]`.
    sequences: Vec<Vec<f32>>,
}

impl fmt::Debug for NotedStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotedStates").field("isa", &self.isa).finish_non_exhaustive()
    }
}

/// [`ss2d_features_forward_with`] that notes states on its way. With them,
/// [`ss2d_features_backward`] need not walk forward first.
///
/// # Panics
///
/// As [`ss2d_features_forward`].
pub fn ss2d_features_forward_noting_with(
    isa: Isa,
    shape: Ss2dShape,
    u: &[f32],
    projection: &[f32],
    params: &Ss2dParams<'_>,
    y: &mut [f32],
) -> NotedStates {
    NotedStates { isa, sequences: forward(isa, shape, u, projection, params, true, y) }
}

fn forward(
    isa: Isa,
    shape: Ss2dShape,
    u: &[f32],
    projection: &[f32],
    params: &Ss2dParams<'_>,
    notes: bool,
    y: &mut [f32],
) -> Vec<Vec<f32>> {
    check_features(shape, u, projection, params);
    check_len("y", y.len(), shape.batch * shape.picture());
    let packed = PackedProjection::<Scratch>::new(shape, projection);
    let projections = Projections::new(shape, u, &packed);
    let steering = Steering::Projections(&projections);
    with_lanes!(isa, |simd| {
        let weights = directions::pack_weights(simd, shape, params);
        directions::forward(simd, shape, u, steering, params.orders, &weights, notes, y)
    })
}

/// A scan whose weights were brought into the kernel's order once, for many calls.
///
/// On small maps that takes as long as the scan.
pub struct PackedSs2d {
    isa: Isa,
    layer: Ss2dShape,
    projection: PackedProjection<AlignedVec<f32>>,
    /// `Vec<Weights<S>>` for the instruction set of `isa`.
    weights: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for PackedSs2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackedSs2d").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl PackedSs2d {
    /// Packs `projection`, `[K, R + 2N, D]`, and the weights of `params`. The orders do not matter
    /// here, nor do batch and pixels of `shape`.
    ///
    /// # Panics
    ///
    /// When a length does not fit the shape.
    pub fn new(shape: Ss2dShape, projection: &[f32], params: &Ss2dParams<'_>) -> Self {
        check_projection(shape, projection);
        check_weights(shape, params);
        let isa = Isa::best();
        let projection = PackedProjection::new(shape, projection);
        let weights: Box<dyn Any + Send + Sync> =
            with_lanes!(isa, |simd| Box::new(directions::pack_weights(simd, shape, params)));
        Self { isa, layer: shape, projection, weights }
    }

    /// The sizes of a scan of maps of `pixels` pixels.
    pub fn shape(&self, batch: usize, pixels: usize) -> Ss2dShape {
        Ss2dShape { batch, pixels, ..self.layer }
    }

    /// [`ss2d_features_forward`] of `batch` maps of `pixels` pixels.
    ///
    /// # Shapes
    ///
    /// - `u`: `[B, L, D]`; `orders`: `[K, L]`; `y`: `[B, L, D]`, written
    ///
    /// # Panics
    ///
    /// As [`ss2d_features_forward`].
    pub fn forward(&self, [batch, pixels]: [usize; 2], u: &[f32], orders: &[u32], y: &mut [f32]) {
        let shape = self.shape(batch, pixels);
        check_map(shape, u.len(), orders);
        check_len("y", y.len(), shape.batch * shape.picture());
        let projections = Projections::new(shape, u, &self.projection);
        let steering = Steering::Projections(&projections);
        with_lanes!(self.isa, |simd| {
            directions::forward(simd, shape, u, steering, orders, self.weights(simd), false, y);
        });
    }

    fn weights<S: Lanes>(&self, _: S) -> &[Weights<S>] {
        let weights: Option<&Vec<Weights<S>>> = self.weights.downcast_ref();
        weights.expect("they were packed for the same instructions")
    }
}

/// The gradients of [`ss2d_features_forward`] for the gradient `grad_y` (`[B, L, D]`) of its output.
///
/// `noted` is what [`ss2d_features_forward_noting_with`] found for the same inputs; without it the states
/// are found again, and the gradients have the same bits. Neither the projection nor its gradient is
/// written out, but for the low-rank steps.
///
/// # Panics
///
/// As [`ss2d_features_forward`], and when `noted` belongs to another shape.
pub fn ss2d_features_backward(
    shape: Ss2dShape,
    u: &[f32],
    projection: &[f32],
    params: &Ss2dParams<'_>,
    noted: Option<&NotedStates>,
    grad_y: &[f32],
) -> Ss2dFeatureGrads {
    let isa = noted.map_or_else(Isa::best, |noted| noted.isa);
    let noted = noted.map_or(&[][..], |noted| &noted.sequences);
    backward(isa, shape, u, projection, params, noted, grad_y)
}

/// [`ss2d_features_backward`] without noted states, whose scan runs with chosen instructions.
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
    backward(isa, shape, u, projection, params, &[], grad_y)
}

fn backward(
    isa: Isa,
    shape: Ss2dShape,
    u: &[f32],
    projection: &[f32],
    params: &Ss2dParams<'_>,
    noted: &[Vec<f32>],
    grad_y: &[f32],
) -> Ss2dFeatureGrads {
    check_features(shape, u, projection, params);
    check_len("grad_y", grad_y.len(), shape.batch * shape.picture());
    let packed = PackedProjection::<Scratch>::new(shape, projection);
    let projections = Projections::new(shape, u, &packed).with_transposed(shape, projection);
    let steering = Steering::Projections(&projections);
    let BackwardGrads { of_inputs, to_states } = with_lanes!(isa, |simd| {
        directions::backward(simd, shape, u, steering, params, noted, grad_y)
    });
    let Ss2dGrads { u: mut grad_u, projected: of_dt_r, dt_weight, dt_bias, a_log, d_skip } =
        of_inputs;
    let steps = steps_shape(shape);
    let mut of_u = scratch::take(u.len());
    let mut to_steps = vec![0.0; steps.outputs * steps.inputs];
    let grads = LinearGrads { x: Some(&mut of_u), weight: Some(&mut to_steps), bias: None };
    linear::backward(steps, u, &weight_of_steps(shape, projection), &of_dt_r, grads);
    for (sum, x) in grad_u.iter_mut().zip(of_u.iter()) {
        *sum += x;
    }
    let of_steps = to_steps.chunks((shape.rank * shape.channels).max(1));
    let of_states = to_states.chunks((2 * shape.states * shape.channels).max(1));
    let projection = of_steps.zip(of_states).flat_map(|(a, b)| [a, b]).flatten().copied().collect();
    Ss2dFeatureGrads { u: grad_u, projection, dt_weight, dt_bias, a_log, d_skip }
}

fn check_features(shape: Ss2dShape, u: &[f32], projection: &[f32], params: &Ss2dParams<'_>) {
    check_map(shape, u.len(), params.orders);
    check_projection(shape, projection);
    check_weights(shape, params);
}

fn check_projection(shape: Ss2dShape, projection: &[f32]) {
    assert!(shape.rank > 0, "a projected scan needs a rank of at least 1");
    check_len("projection", projection.len(), shape.directions * shape.row() * shape.channels);
}

/// From features to the low-rank steps of all directions.
fn steps_shape(shape: Ss2dShape) -> LinearShape {
    LinearShape {
        rows: shape.batch * shape.pixels,
        inputs: shape.channels,
        outputs: shape.directions * shape.rank,
    }
}

/// The rows of `projection` that make the low-rank steps of a direction, and those that make
/// `B | C`.
fn of_direction(shape: Ss2dShape, projection: &[f32], direction: usize) -> (&[f32], &[f32]) {
    let len = shape.row() * shape.channels;
    projection[direction * len..][..len].split_at(shape.rank * shape.channels)
}

/// The rows of `projection` that make `B | C` of a direction, either filled up to whole groups of
/// states, as the scan reads them: `[2 · padded_states, D]`.
fn weight_of_states(shape: Ss2dShape, projection: &[f32], direction: usize) -> Cow<'_, [f32]> {
    let (_, rows) = of_direction(shape, projection, direction);
    let (states, padded) = (shape.states, padded_states(shape.states));
    if states == padded {
        return Cow::Borrowed(rows);
    }
    let mut filled = vec![0.0; 2 * padded * shape.channels];
    let (b, c) = rows.split_at(states * shape.channels);
    filled[..b.len()].copy_from_slice(b);
    filled[padded * shape.channels..][..c.len()].copy_from_slice(c);
    Cow::Owned(filled)
}

/// From features to the low-rank steps: `[K · R, D]`.
fn weight_of_steps(shape: Ss2dShape, projection: &[f32]) -> Vec<f32> {
    let of_steps = (0..shape.directions).map(|k| of_direction(shape, projection, k).0);
    of_steps.flatten().copied().collect()
}

/// The projection in the order of the kernels.
struct PackedProjection<M> {
    /// From features to the low-rank steps of all directions
    to_steps: PackedWeight<M>,
    /// From features to `B | C`, per direction
    to_states: Vec<PackedWeight<M>>,
}

impl<M: PanelMemory<f32>> PackedProjection<M> {
    fn new(shape: Ss2dShape, projection: &[f32]) -> Self {
        let depth = shape.channels;
        let pack = |outputs: usize, values: &[f32]| {
            let offset = |_: usize, input: usize| input;
            let source = Source { values, offset, output_stride: depth };
            pack_in(PanelShape { taps: 1, depth, outputs }, &source)
        };
        let directions = 0..shape.directions;
        let n_states = 2 * padded_states(shape.states);
        let of_states = |k: usize| pack(n_states, &weight_of_states(shape, projection, k));
        Self {
            to_steps: pack(steps_shape(shape).outputs, &weight_of_steps(shape, projection)),
            to_states: directions.map(of_states).collect(),
        }
    }
}

/// How `u` is projected, for every direction.
pub(super) struct Projections<'a> {
    /// The step before its weight: `[B, L, K, R]`
    dt_r: Scratch,
    /// From features to `B | C`, per direction
    to_states: Vec<Panels<'a>>,
    /// From the gradient of `B | C` to that of features, per direction; where gradients are wanted
    from_states: Vec<PackedWeight<Scratch>>,
}

impl<'a> Projections<'a> {
    fn new<M: PanelMemory<f32>>(
        shape: Ss2dShape,
        u: &[f32],
        packed: &'a PackedProjection<M>,
    ) -> Self {
        let steps = steps_shape(shape);
        let mut dt_r = scratch::take(steps.rows * steps.outputs);
        multiply(u, packed.to_steps.panels(), &Epilogue::default(), &mut dt_r);
        let to_states = packed.to_states.iter().map(PackedWeight::panels).collect();
        Self { dt_r, to_states, from_states: Vec::new() }
    }

    /// With what the backward pass needs.
    fn with_transposed(self, shape: Ss2dShape, projection: &[f32]) -> Self {
        let (depth, outputs) = (2 * padded_states(shape.states), shape.channels);
        let pack_back = |k: usize| {
            let values = &weight_of_states(shape, projection, k)[..];
            let offset = |_: usize, state: usize| state * outputs;
            pack(
                PanelShape { taps: 1, depth, outputs },
                &Source { values, offset, output_stride: 1 },
            )
        };
        Self { from_states: (0..shape.directions).map(pack_back).collect(), ..self }
    }

    /// The projection of one direction of one picture.
    pub(super) fn of(&self, shape: Ss2dShape, picture: usize, direction: usize) -> Projection<'_> {
        let stride = shape.directions * shape.rank;
        Projection {
            dt_r: &self.dt_r[picture * shape.pixels * stride..][..shape.pixels * stride],
            stride,
            offset: direction * shape.rank,
            to_states: self.to_states[direction],
        }
    }

    /// The same with the way back.
    pub(super) fn back(
        &self,
        shape: Ss2dShape,
        picture: usize,
        direction: usize,
    ) -> ProjectionBack<'_> {
        let forward = self.of(shape, picture, direction);
        ProjectionBack { forward, from_states: self.from_states[direction].panels() }
    }
}

/// The projection of one direction of one picture, and the way back.
#[derive(Clone, Copy)]
pub(super) struct ProjectionBack<'a> {
    pub(super) forward: Projection<'a>,
    from_states: Panels<'a>,
}

impl<'a> ProjectionBack<'a> {
    /// Memory for the chunks of a sequence.
    pub(super) fn chunks(self) -> BackChunk<'a> {
        let PanelShape { depth: states, outputs: channels, .. } = self.from_states.shape;
        BackChunk {
            from_states: self.from_states,
            u: scratch::take(CHUNK * channels),
            u_and_states: scratch::take(CHUNK * channels),
            of_weight: vec![0.0; states * channels],
        }
    }
}

/// Gradients of a chunk of a sequence in the order of its steps.
pub(super) struct BackChunk<'a> {
    from_states: Panels<'a>,
    /// Of the input through the scan alone, `[steps, channels]`
    pub(super) u: Scratch,
    /// Of the input, `[steps, channels]`, but for its way through the low-rank steps
    pub(super) u_and_states: Scratch,
    /// Of the weight from features to `B | C`, `[2 · padded_states, channels]`; added to
    of_weight: Vec<f32>,
}

impl BackChunk<'_> {
    /// From the gradient of `B | C`, `[steps, 2 · padded_states]`, to those of the input and the
    /// weight; `u` is the chunk's input.
    pub(super) fn project(&mut self, of_states: &[f32], u: &[f32], steps: usize) {
        let PanelShape { depth: states, outputs: channels, .. } = self.from_states.shape;
        let of_states = &of_states[..steps * states];
        let epilogue = Epilogue { residual: Some(&self.u), ..Epilogue::default() };
        let of_u = &mut self.u_and_states;
        multiply_rows(of_states, steps, self.from_states, &epilogue, of_u, channels);
        let (u, of_weight) = (&u[..steps * channels], &mut self.of_weight);
        add_rows_transposed(of_states, states, states, u, channels, steps, of_weight);
    }

    /// The gradient of the weight from features to `B | C`, `[2 · states, channels]`.
    pub(super) fn into_of_weight(self, states: usize) -> Vec<f32> {
        let PanelShape { depth, outputs: channels, .. } = self.from_states.shape;
        if depth == 2 * states {
            return self.of_weight;
        }
        let halves = self.of_weight.chunks((depth / 2 * channels).max(1));
        halves.flat_map(|half| &half[..states * channels]).copied().collect()
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
    /// Memory for the chunks of a sequence.
    pub(super) fn chunks(self) -> ProjectedChunk<'a> {
        let u = scratch::take(CHUNK * self.to_states.shape.depth);
        ProjectedChunk { projection: self, u }
    }
}

/// The input of a chunk of a sequence in the order of its steps.
pub(super) struct ProjectedChunk<'a> {
    projection: Projection<'a>,
    /// `[steps, channels]`
    u: Scratch,
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
    pub(super) fn project<'b, S: Lanes>(
        &'b mut self,
        from: &Sequence<'b>,
        places: &[u32],
        into: &mut Gathered<S>,
    ) -> Sequence<'b> {
        let Projection { dt_r, stride, offset, to_states } = self.projection;
        let PanelShape { depth: channels, outputs: states, .. } = to_states.shape;
        for (&place, into) in places.iter().zip(self.u.chunks_exact_mut(channels.max(1))) {
            copy_row(&from.u[place as usize * channels..][..channels], into);
        }
        for (t, &place) in places.iter().enumerate() {
            into.set_dt_r(t, &dt_r[place as usize * stride + offset..][..from.rows.rank]);
        }
        let epilogue = Epilogue::default();
        multiply_rows(&self.u, places.len(), to_states, &epilogue, &mut into.states, states);
        Sequence { order: &IN_ORDER[..places.len()], u: &self.u, ..*from }
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
