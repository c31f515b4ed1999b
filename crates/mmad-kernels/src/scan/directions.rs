//! The directions of a two-dimensional scan: shared out to threads, put together in a fixed order.

use rayon::prelude::*;

use super::backward::{Backward, RowsMut, WeightGrads};
use super::features::Projections;
use super::forward::Forward;
use super::lanes::Lanes;
use super::sequence::{Decay, PackWeights, Rows, Sequence, StepSize, Weights, noted_len};
use super::ss2d::{Ss2dGrads, Ss2dParams, Ss2dShape, check_len};
use crate::scratch;

/// Where the numbers come from that steer the scan: step sizes, `B` and `C`.
#[derive(Clone, Copy)]
pub(super) enum Steering<'a> {
    /// `[B, L, K, R + 2N]`
    Projected(&'a [f32]),
    /// What projects the input.
    Projections(&'a Projections<'a>),
}

/// What [`ss2d_forward`](super::ss2d_forward) says, for checked arguments.
///
/// The directions are added in two halves, each in its order. With `notes`, the result holds the
/// states before every chunk, sequence by sequence, `[B, K]`.
pub(super) fn forward<S: Lanes>(
    simd: S,
    shape: Ss2dShape,
    u: &[f32],
    steering: Steering<'_>,
    orders: &[u32],
    weights: &[Weights<S>],
    notes: bool,
    y: &mut [f32],
) -> Vec<Vec<f32>> {
    if y.is_empty() || shape.directions == 0 {
        y.fill(0.0);
        return Vec::new();
    }
    let scan = |item: usize, is_added: bool, noted: &mut Vec<f32>, y: &mut [f32]| {
        let (picture, direction) = (item / shape.directions, item % shape.directions);
        let (projected, projection) = match steering {
            Steering::Projected(projected) => (projected, None),
            Steering::Projections(all) => (&[][..], Some(all.of(shape, picture, direction))),
        };
        let sequence = sequence(shape, u, projected, orders, picture, direction);
        let weights = &weights[direction];
        let noted = notes.then_some(noted);
        simd.vectorize(Forward { simd, sequence, projection, weights, is_added, noted, y });
    };
    let mut noted = vec![Vec::new(); shape.batch * shape.directions];
    let middle = shape.directions.div_ceil(2);
    match Cut::of(2 * shape.batch) {
        Cut::Pictures => {
            let pictures = y.par_chunks_mut(shape.picture());
            let noted = noted.par_chunks_mut(shape.directions);
            pictures.zip(noted).enumerate().for_each(|(picture, (y, noted))| {
                let scan_half = |first: usize, noted: &mut [Vec<f32>], y: &mut [f32]| {
                    for (i, noted) in noted.iter_mut().enumerate() {
                        scan(picture * shape.directions + first + i, i > 0, noted, y);
                    }
                };
                let (first, second) = noted.split_at_mut(middle);
                let is_split = !second.is_empty();
                let mut apart = scratch::take(y.len());
                rayon::join(|| scan_half(0, first, y), || scan_half(middle, second, &mut apart));
                if is_split {
                    add(y, &apart);
                }
            });
        }
        Cut::Directions => {
            let scan_apart = |(item, noted): (usize, &mut Vec<f32>)| {
                let mut part = vec![0.0; shape.picture()];
                scan(item, false, noted, &mut part);
                part
            };
            let parts: Vec<_> = noted.par_iter_mut().enumerate().map(scan_apart).collect();
            for (picture, y) in y.chunks_mut(shape.picture()).enumerate() {
                let parts = &parts[picture * shape.directions..][..shape.directions];
                let mut apart = scratch::take(y.len());
                let (first, second) = parts.split_at(middle);
                sum_directions(first, y);
                sum_directions(second, &mut apart);
                add(y, &apart);
            }
        }
    }
    noted
}

/// Adds `part` to `sums`.
fn add(sums: &mut [f32], part: &[f32]) {
    for (sum, x) in sums.iter_mut().zip(part) {
        *sum += x;
    }
}

/// What [`ss2d_backward`](super::ss2d_backward) says, for checked arguments. `noted` is what
/// [`forward`] noted, or empty.
pub(super) fn backward<S: Lanes>(
    simd: S,
    shape: Ss2dShape,
    u: &[f32],
    steering: Steering<'_>,
    params: &Ss2dParams<'_>,
    noted: &[Vec<f32>],
    grad_y: &[f32],
) -> BackwardGrads {
    // What is written of the gradient of a row.
    let row = match steering {
        Steering::Projected(_) => shape.row(),
        Steering::Projections(_) => shape.rank,
    };
    let rows_of_picture = shape.pixels * shape.directions * row;
    let mut grads = Ss2dGrads {
        u: vec![0.0; u.len()],
        projected: vec![0.0; shape.batch * rows_of_picture],
        dt_weight: vec![0.0; params.dt_weight.len()],
        dt_bias: vec![0.0; params.dt_bias.len()],
        a_log: vec![0.0; params.a_log.len()],
        d_skip: vec![0.0; params.d_skip.len()],
    };
    let to_states = match steering {
        Steering::Projected(_) => 0,
        Steering::Projections(_) => shape.directions * 2 * shape.states * shape.channels,
    };
    let mut to_states = vec![0.0; to_states];
    if u.is_empty() || grads.projected.is_empty() {
        return BackwardGrads { of_inputs: grads, to_states };
    }
    let weights = pack_weights(simd, shape, params);
    if !noted.is_empty() {
        check_len("noted", noted.len(), shape.batch * shape.directions);
    }
    for (noted, weights) in noted.iter().zip(weights.iter().cycle()) {
        check_len("noted", noted.len(), noted_len(simd, shape.pixels, weights));
    }
    let scan = |picture: usize, direction: usize, grad_u: &mut [f32], grad_rows: RowsMut<'_>| {
        let (projected, projection) = match steering {
            Steering::Projected(projected) => (projected, None),
            Steering::Projections(all) => (&[][..], Some(all.back(shape, picture, direction))),
        };
        simd.vectorize(Backward {
            simd,
            sequence: sequence(shape, u, projected, params.orders, picture, direction),
            projection,
            weights: &weights[direction],
            noted: noted.get(picture * shape.directions + direction).map_or(&[], |noted| noted),
            grad_y: &grad_y[picture * shape.picture()..][..shape.picture()],
            grad_u,
            grad_delta: None,
            grad_rows,
        })
    };
    let of_weights: Vec<WeightGrads> = match Cut::of(shape.batch) {
        Cut::Pictures => {
            let pictures = grads.u.par_chunks_mut(shape.picture());
            let rows = grads.projected.par_chunks_mut(rows_of_picture);
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
            for (picture, grad_u) in grads.u.chunks_mut(shape.picture()).enumerate() {
                sum_directions(&of_u[picture * shape.directions..][..shape.directions], grad_u);
            }
            interleave_rows(shape, row, &of_rows, &mut grads.projected);
            of_weights
        }
    };
    sum_weights(shape, &of_weights, &mut grads, &mut to_states);
    for (grad, a_log) in grads.a_log.iter_mut().zip(params.a_log) {
        *grad *= -a_log.exp();
    }
    BackwardGrads { of_inputs: grads, to_states }
}

/// What [`backward`] finds.
pub(super) struct BackwardGrads {
    /// With projections, `projected` is the gradient of `dt_r` alone, `[B, L, K, R]`.
    pub of_inputs: Ss2dGrads,
    /// With projections, the gradient of what projects to `B | C`: `[K, 2N, D]`.
    pub to_states: Vec<f32>,
}

/// How the work is cut. Both ways give the same bits, because either adds the whole outputs of
/// the directions in their order.
enum Cut {
    /// A thread takes a picture, or half of its directions, and adds in place: little memory.
    Pictures,
    /// A thread takes one direction of one picture and writes apart: more pieces to share.
    Directions,
}

impl Cut {
    fn of(tasks: usize) -> Self {
        let threads = rayon::current_num_threads();
        let even = tasks.is_multiple_of(threads);
        if even || tasks >= 4 * threads { Self::Pictures } else { Self::Directions }
    }
}

/// The weights of every direction in vector form.
pub(super) fn pack_weights<S: Lanes>(
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

/// The rows of one picture, if they are there.
fn projected_of(shape: Ss2dShape, projected: &[f32], picture: usize) -> &[f32] {
    let len = shape.projected_picture();
    if projected.is_empty() { projected } else { &projected[picture * len..][..len] }
}

/// One direction of one picture; without rows where `projected` is empty.
fn sequence<'a>(
    shape: Ss2dShape,
    u: &'a [f32],
    projected: &'a [f32],
    orders: &'a [u32],
    picture: usize,
    direction: usize,
) -> Sequence<'a> {
    Sequence {
        order: &orders[direction * shape.pixels..][..shape.pixels],
        u: &u[picture * shape.picture()..][..shape.picture()],
        rows: Rows {
            data: projected_of(shape, projected, picture),
            stride: shape.directions * shape.row(),
            offset: direction * shape.row(),
            rank: shape.rank,
            states: shape.states,
        },
        step_size: StepSize::LowRank,
    }
}

/// `parts` has one map for every direction; `sums` gets their sum.
fn sum_directions(parts: &[Vec<f32>], sums: &mut [f32]) {
    const PIECE: usize = 1 << 14;
    sums.par_chunks_mut(PIECE).enumerate().for_each(|(piece, sums)| {
        sums.fill(0.0);
        for part in parts {
            add(sums, &part[piece * PIECE..]);
        }
    });
}

/// `parts` has `[L, row]` for every picture and direction; `rows` becomes `[B, L, K, row]`.
fn interleave_rows(shape: Ss2dShape, row: usize, parts: &[Vec<f32>], rows: &mut [f32]) {
    let directions = shape.directions;
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
fn sum_weights(
    shape: Ss2dShape,
    parts: &[WeightGrads],
    grads: &mut Ss2dGrads,
    to_states: &mut [f32],
) {
    let Ss2dShape { channels, directions, rank, states, .. } = shape;
    for (item, part) in parts.iter().enumerate() {
        let k = item % directions;
        add(&mut grads.a_log[k * channels * states..], &part.a);
        add(&mut grads.d_skip[k * channels..], &part.skip);
        add(&mut grads.dt_bias[k * channels..], &part.bias);
        add(&mut grads.dt_weight[k * channels * rank..], &part.dt_weight);
        if !part.to_states.is_empty() {
            add(&mut to_states[k * part.to_states.len()..], &part.to_states);
        }
    }
}
