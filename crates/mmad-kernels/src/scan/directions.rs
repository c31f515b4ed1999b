//! The directions of a two-dimensional scan: shared out to threads, put together in a fixed order.

use rayon::prelude::*;

use super::backward::{Backward, RowsMut, WeightGrads};
use super::forward::Forward;
use super::lanes::Lanes;
use super::sequence::{Decay, PackWeights, Rows, Sequence, StepSize, Weights};
use super::ss2d::{Ss2dGrads, Ss2dParams, Ss2dShape};

/// What [`ss2d_forward`](super::ss2d_forward) says, for checked arguments.
pub(super) fn forward<S: Lanes>(
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

/// What [`ss2d_backward`](super::ss2d_backward) says, for checked arguments.
pub(super) fn backward<S: Lanes>(
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
