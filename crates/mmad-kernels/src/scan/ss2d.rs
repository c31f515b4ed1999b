//! The two-dimensional selective scan (SS2D): every direction of a map, summed.
//!
//! Source: Liu et al. 2024, "`VMamba`: visual state space model", and the MMAD reference code.

use rayon::prelude::*;

use super::backward::{Backward, RowsMut, WeightGrads};
use super::forward::Forward;
use super::isa::{Isa, with_lanes};
use super::lanes::Lanes;
use super::sequence::{Decay, PackWeights, Rows, Sequence, StepSize, Weights};

/// Sizes of a two-dimensional scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ss2dShape {
    /// Pictures, `B`
    pub batch: usize,
    /// Pixels of a map, `L`
    pub pixels: usize,
    /// Channels, `D`
    pub channels: usize,
    /// Directions, `K`
    pub directions: usize,
    /// Rank of the step size, `R`
    pub rank: usize,
    /// States of a channel, `N`
    pub states: usize,
}

impl Ss2dShape {
    /// Numbers that a pixel is projected to for one direction: `R + 2N`.
    pub fn row(&self) -> usize {
        self.rank + 2 * self.states
    }

    /// Numbers in one picture's input or output.
    fn picture(&self) -> usize {
        self.pixels * self.channels
    }

    /// Numbers in one picture's projection.
    fn projected_picture(&self) -> usize {
        self.pixels * self.directions * self.row()
    }
}

/// Weights and scan orders of a two-dimensional scan.
#[derive(Clone, Copy, Debug)]
pub struct Ss2dParams<'a, T = f32> {
    /// Pixel at every step, `[K, L]`; each row a permutation of `0..L`
    pub orders: &'a [u32],
    /// `[K, D, R]`
    pub dt_weight: &'a [T],
    /// `[K, D]`
    pub dt_bias: &'a [T],
    /// `[K, D, N]`, where `A = -exp(a_log)`
    pub a_log: &'a [T],
    /// `[K, D]`
    pub d_skip: &'a [T],
}

/// Gradients of a two-dimensional scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Ss2dGrads<T = f32> {
    /// `[B, L, D]`, without the part that goes through the projection
    pub u: Vec<T>,
    /// `[B, L, K, R + 2N]`
    pub projected: Vec<T>,
    /// `[K, D, R]`
    pub dt_weight: Vec<T>,
    /// `[K, D]`
    pub dt_bias: Vec<T>,
    /// `[K, D, N]`
    pub a_log: Vec<T>,
    /// `[K, D]`
    pub d_skip: Vec<T>,
}

/// Scans a map in every direction and sums what comes out.
///
/// For direction `k` and step `t`, at pixel `p = orders[k][t]`, from `h = 0`:
///
/// ```text
/// [dt_r | B | C] = projected[p, k]              dt = softplus(dt_weight[k]·dt_r + dt_bias[k])
/// h = exp(-dt·exp(a_log[k]))·h + dt·u[p]·B      y[p] += <C, h> + d_skip[k]·u[p]
/// ```
///
/// The directions are added in the order `0..K`.
///
/// # Shapes
///
/// - `u`: `[B, L, D]`
/// - `projected`: `[B, L, K, R + 2N]`
/// - `y`: `[B, L, D]`, written
///
/// # Panics
///
/// When a length does not fit the shape, or an order names a pixel outside the map.
pub fn ss2d_forward(
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    y: &mut [f32],
) {
    ss2d_forward_with(Isa::best(), shape, u, projected, params, y);
}

/// [`ss2d_forward`] with chosen instructions.
///
/// # Panics
///
/// As [`ss2d_forward`].
pub fn ss2d_forward_with(
    isa: Isa,
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    y: &mut [f32],
) {
    check(shape, u.len(), projected.len(), params);
    check_len("y", y.len(), shape.batch * shape.picture());
    with_lanes!(isa, |simd| forward(simd, shape, u, projected, params, y));
}

/// The gradients of [`ss2d_forward`] for the gradient `grad_y` (`[B, L, D]`) of its output.
///
/// Needs nothing saved by the forward pass. Memory beyond the gradients: per thread the states of
/// every 32nd step of one direction.
///
/// # Panics
///
/// As [`ss2d_forward`].
pub fn ss2d_backward(
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    grad_y: &[f32],
) -> Ss2dGrads {
    ss2d_backward_with(Isa::best(), shape, u, projected, params, grad_y)
}

/// [`ss2d_backward`] with chosen instructions.
///
/// # Panics
///
/// As [`ss2d_forward`].
pub fn ss2d_backward_with(
    isa: Isa,
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    grad_y: &[f32],
) -> Ss2dGrads {
    check(shape, u.len(), projected.len(), params);
    check_len("grad_y", grad_y.len(), shape.batch * shape.picture());
    with_lanes!(isa, |simd| backward(simd, shape, u, projected, params, grad_y))
}

/// Panics unless the inputs fit the shape.
pub(super) fn check<T>(shape: Ss2dShape, u: usize, projected: usize, params: &Ss2dParams<'_, T>) {
    let Ss2dShape { batch, pixels, channels, directions, rank, states } = shape;
    assert!(states > 0, "a scan needs at least 1 state");
    check_len("u", u, batch * shape.picture());
    check_len("projected", projected, batch * shape.projected_picture());
    check_len("orders", params.orders.len(), directions * pixels);
    check_len("dt_weight", params.dt_weight.len(), directions * channels * rank);
    check_len("dt_bias", params.dt_bias.len(), directions * channels);
    check_len("a_log", params.a_log.len(), directions * channels * states);
    check_len("d_skip", params.d_skip.len(), directions * channels);
    if let Some(at) = params.orders.iter().position(|&pixel| pixel as usize >= pixels) {
        panic!("orders[{at}] is pixel {} of a map of {pixels} pixels", params.orders[at]);
    }
}

/// Panics unless an array has the length that its shape asks for.
#[track_caller]
pub(super) fn check_len(name: &str, len: usize, wanted: usize) {
    assert!(len == wanted, "`{name}` has {len} numbers, its shape needs {wanted}");
}

/// How the work is cut. Both ways give the same bits, because either adds the whole outputs of
/// the directions in their order.
enum Cut {
    /// A thread takes a picture and adds all directions in place: no memory, no extra pass.
    Pictures,
    /// A thread takes one direction of one picture and writes apart: more pieces to share.
    Directions,
}

impl Cut {
    fn of(shape: Ss2dShape) -> Self {
        let threads = rayon::current_num_threads();
        let even = shape.batch.is_multiple_of(threads);
        if even || shape.batch >= 4 * threads { Self::Pictures } else { Self::Directions }
    }
}

fn forward<S: Lanes>(
    simd: S,
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    y: &mut [f32],
) {
    if y.is_empty() {
        return;
    }
    let weights = direction_weights(simd, shape, params);
    let scan = |picture: usize, direction: usize, y: &mut [f32]| {
        let sequence = sequence(shape, u, projected, params, picture, direction);
        simd.vectorize(Forward { simd, sequence, weights: &weights[direction], y });
    };
    match Cut::of(shape) {
        Cut::Pictures => {
            y.par_chunks_mut(shape.picture()).enumerate().for_each(|(picture, y)| {
                y.fill(0.0);
                for direction in 0..shape.directions {
                    scan(picture, direction, y);
                }
            });
        }
        Cut::Directions => {
            let parts: Vec<Vec<f32>> = (0..shape.batch * shape.directions)
                .into_par_iter()
                .map(|item| {
                    let mut part = vec![0.0; shape.picture()];
                    scan(item / shape.directions, item % shape.directions, &mut part);
                    part
                })
                .collect();
            sum_directions(shape, &parts, y);
        }
    }
}

fn backward<S: Lanes>(
    simd: S,
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    grad_y: &[f32],
) -> Ss2dGrads {
    let mut grads = Ss2dGrads {
        u: vec![0.0; u.len()],
        projected: vec![0.0; projected.len()],
        dt_weight: vec![0.0; params.dt_weight.len()],
        dt_bias: vec![0.0; params.dt_bias.len()],
        a_log: vec![0.0; params.a_log.len()],
        d_skip: vec![0.0; params.d_skip.len()],
    };
    if u.is_empty() || projected.is_empty() {
        return grads;
    }
    let weights = direction_weights(simd, shape, params);
    let scan = |picture: usize, direction: usize, grad_u: &mut [f32], grad_rows: RowsMut<'_>| {
        simd.vectorize(Backward {
            simd,
            sequence: sequence(shape, u, projected, params, picture, direction),
            weights: &weights[direction],
            grad_y: &grad_y[picture * shape.picture()..][..shape.picture()],
            grad_u,
            grad_delta: None,
            grad_rows,
        })
    };
    let row = shape.row();
    let of_weights: Vec<WeightGrads> = match Cut::of(shape) {
        Cut::Pictures => {
            let pictures = grads.u.par_chunks_mut(shape.picture());
            let rows = grads.projected.par_chunks_mut(shape.projected_picture());
            let scan_picture = |(picture, (grad_u, data)): (usize, (&mut [f32], &mut [f32]))| {
                (0..shape.directions)
                    .map(|direction| {
                        let stride = shape.directions * row;
                        let rows = RowsMut { data: &mut *data, stride, offset: direction * row };
                        scan(picture, direction, grad_u, rows)
                    })
                    .collect::<Vec<_>>()
            };
            let parts: Vec<_> = pictures.zip(rows).enumerate().map(scan_picture).collect();
            parts.into_iter().flatten().collect()
        }
        Cut::Directions => {
            let scan_direction = |item: usize| {
                let mut grad_u = vec![0.0; shape.picture()];
                let mut data = vec![0.0; shape.pixels * row];
                let rows = RowsMut { data: &mut data, stride: row, offset: 0 };
                let of_weights =
                    scan(item / shape.directions, item % shape.directions, &mut grad_u, rows);
                (grad_u, data, of_weights)
            };
            let items = (0..shape.batch * shape.directions).into_par_iter();
            let parts: Vec<_> = items.map(scan_direction).collect();
            let mut of_u = Vec::with_capacity(parts.len());
            let mut of_rows = Vec::with_capacity(parts.len());
            let mut of_weights = Vec::with_capacity(parts.len());
            for (u, rows, weights) in parts {
                of_u.push(u);
                of_rows.push(rows);
                of_weights.push(weights);
            }
            sum_directions(shape, &of_u, &mut grads.u);
            interleave_rows(shape, &of_rows, &mut grads.projected);
            of_weights
        }
    };
    sum_weights(shape, &of_weights, &mut grads);
    for (grad, a_log) in grads.a_log.iter_mut().zip(params.a_log) {
        *grad *= -a_log.exp();
    }
    grads
}

/// The weights of every direction in vector form.
fn direction_weights<S: Lanes>(
    simd: S,
    shape: Ss2dShape,
    params: &Ss2dParams<'_>,
) -> Vec<Weights<S>> {
    let Ss2dShape { channels, directions, rank, states, .. } = shape;
    let of_direction = |k: usize| {
        let a_log = &params.a_log[k * channels * states..][..channels * states];
        simd.vectorize(PackWeights {
            simd,
            states,
            decay: Decay::NegativeLog(a_log),
            skip: &params.d_skip[k * channels..][..channels],
            bias: &params.dt_bias[k * channels..][..channels],
            dt_weight: &params.dt_weight[k * channels * rank..][..channels * rank],
        })
    };
    (0..directions).into_par_iter().map(of_direction).collect()
}

/// One direction of one picture.
fn sequence<'a>(
    shape: Ss2dShape,
    u: &'a [f32],
    projected: &'a [f32],
    params: &Ss2dParams<'a>,
    picture: usize,
    direction: usize,
) -> Sequence<'a> {
    Sequence {
        order: &params.orders[direction * shape.pixels..][..shape.pixels],
        u: &u[picture * shape.picture()..][..shape.picture()],
        rows: Rows {
            data: &projected[picture * shape.projected_picture()..][..shape.projected_picture()],
            stride: shape.directions * shape.row(),
            offset: direction * shape.row(),
            rank: shape.rank,
            states: shape.states,
        },
        step_size: StepSize::LowRank,
    }
}

/// `parts` has one map for every picture and direction; `sums` gets one for every picture.
fn sum_directions(shape: Ss2dShape, parts: &[Vec<f32>], sums: &mut [f32]) {
    const PIECE: usize = 1 << 14;
    for (picture, sums) in sums.chunks_mut(shape.picture()).enumerate() {
        let parts = &parts[picture * shape.directions..][..shape.directions];
        sums.par_chunks_mut(PIECE).enumerate().for_each(|(piece, sums)| {
            sums.fill(0.0);
            for part in parts {
                for (sum, x) in sums.iter_mut().zip(&part[piece * PIECE..]) {
                    *sum += x;
                }
            }
        });
    }
}

/// `parts` has `[L, row]` for every picture and direction; `rows` becomes `[B, L, K, row]`.
fn interleave_rows(shape: Ss2dShape, parts: &[Vec<f32>], rows: &mut [f32]) {
    let (directions, row) = (shape.directions, shape.row());
    rows.par_chunks_mut(directions * row).enumerate().for_each(|(pixel, rows)| {
        let (picture, pixel) = (pixel / shape.pixels, pixel % shape.pixels);
        for (direction, into) in rows.chunks_mut(row).enumerate() {
            let part = &parts[picture * directions + direction];
            into.copy_from_slice(&part[pixel * row..][..row]);
        }
    });
}

/// Adds the pictures' weight gradients in their order. `parts` has one for every picture and
/// direction.
fn sum_weights(shape: Ss2dShape, parts: &[WeightGrads], grads: &mut Ss2dGrads) {
    let Ss2dShape { channels, directions, rank, states, .. } = shape;
    let add = |sums: &mut [f32], part: &[f32]| {
        for (sum, x) in sums.iter_mut().zip(part) {
            *sum += x;
        }
    };
    for (item, part) in parts.iter().enumerate() {
        let k = item % directions;
        add(&mut grads.a_log[k * channels * states..], &part.a);
        add(&mut grads.d_skip[k * channels..], &part.skip);
        add(&mut grads.dt_bias[k * channels..], &part.bias);
        add(&mut grads.dt_weight[k * channels * rank..], &part.dt_weight);
    }
}
