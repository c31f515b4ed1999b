//! The two-dimensional selective scan, backward.
//!
//! With `h_t = d_t h_{t-1} + dt_t B_t u_t`, `d_t = exp(A dt_t)` and `y_t = <C_t, h_t> + D u_t`, the
//! gradient of the state runs from the last step to the first: `g_t = C_t gy_t + d_{t+1} g_{t+1}`.
//! It is cut into chunks as the states are. A unit scans its chunk forward, keeps the state before
//! every step, and then walks back.
//!
//! Nothing is saved by the forward pass. No sum depends on which unit comes first: what the units of
//! one cube add goes through shared memory in the order of the channels, everything else through
//! partial sums that [`Inputs::sum`] adds in order.

use burn::backend::ops::FloatTensorOps;
use burn::tensor::{Shape, Slice};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, cubecl};
use cubecl::prelude::*;

use super::buffers::Inputs;
use super::carry::{carry, chunk_starts};
use super::lane::{Scan, advance, b, c, decay, lane, load, own, own_part, step, store};
use super::math::{clamp_max, sigmoid, zeros};

/// Steps of a chunk. Shorter than forward, because a unit keeps that many states.
const CHUNK: usize = 32;

/// Gradients of `u`, `projected`, `dt_weight`, `dt_bias`, `a_log` and `d_skip`, for the gradient
/// `grad` of the result (`[b, pixels, channels]`).
pub(super) fn backward(inputs: &Inputs, grad: CubeTensor) -> [CubeTensor; 6] {
    let plan = inputs.plan(CHUNK);
    let shape = inputs.shape;
    let grad = into_contiguous(grad);
    let (starts, step_sums) = chunk_starts(inputs, &plan);

    let adjoints = inputs.of_states(&plan);
    chunk_adjoints::launch(
        inputs.client(),
        plan.cubes(),
        plan.units(),
        inputs.scan(&plan),
        grad.clone().into_buffer_arg(),
        adjoints.clone().into_buffer_arg(),
    );
    carry(inputs, &plan, &adjoints, &step_sums, true);

    let n_params = shape.states + shape.rank + 2;
    let rows = shape.batch * shape.pixels * shape.directions;
    let of_u = inputs.of_directions(&plan);
    let of_rows = inputs.empty([plan.blocks(), rows, shape.row()]);
    let of_params = inputs.of_borders(&plan, n_params);
    unscan_chunks::launch(
        inputs.client(),
        plan.cubes(),
        plan.units(),
        inputs.scan(&plan),
        grad.into_buffer_arg(),
        starts.into_buffer_arg(),
        adjoints.into_buffer_arg(),
        of_u.clone().into_buffer_arg(),
        of_rows.clone().into_buffer_arg(),
        of_params.clone().into_buffer_arg(),
        rows,
        CHUNK,
        plan.block(),
    );

    let grad_u = inputs.sum_of_directions(of_u);
    let grad_projected = inputs.sum(of_rows, plan.blocks(), [1, rows, shape.row()]);
    let by_sequence =
        inputs.sum(of_params, plan.chunks(), [plan.sequences(), n_params, shape.channels]);
    let params =
        inputs.sum(by_sequence, shape.batch, [1, shape.directions * n_params, shape.channels]);
    let params = reshape(params, [shape.directions, n_params, shape.channels]);
    let per_channel = |from: usize, n: usize| {
        let part = [0..shape.directions, from..from + n, 0..shape.channels].map(Slice::from);
        let part = CubeBackend::float_slice(params.clone(), &part);
        CubeBackend::float_swap_dims(part, 1, 2)
    };
    let flat = |tensor| reshape(tensor, [shape.directions, shape.channels]);
    let (states, rank) = (shape.states, shape.rank);
    [
        grad_u,
        reshape(grad_projected, [shape.batch, shape.pixels, shape.directions * shape.row()]),
        per_channel(states, rank),
        flat(per_channel(states + rank, 1)),
        per_channel(0, states),
        flat(per_channel(states + rank + 1, 1)),
    ]
}

fn reshape<const D: usize>(tensor: CubeTensor, shape: [usize; D]) -> CubeTensor {
    CubeBackend::float_reshape(tensor, Shape::from(shape))
}

/// What every chunk hands to the chunk before it when nothing comes from the one behind it.
///
/// # Shapes
///
/// - `adjoints`: `[b, directions, chunks, states, channels]`, written
#[cube(launch)]
fn chunk_adjoints(scan: &Scan, grad: &[f32], adjoints: &mut [f32]) {
    if ABSOLUTE_POS_X as usize >= scan.channels {
        terminate!();
    }
    let lane = lane(scan);
    let states = comptime!(scan.states);
    let mut adjoint = zeros(states);
    for visited in 0..lane.steps {
        let step = step(scan, &lane, lane.steps - 1 - visited);
        let gy = grad[own(scan, &lane, &step)];
        #[unroll]
        for n in 0..states {
            let here = adjoint[n] + c(scan, &step, n) * gy;
            adjoint[n] = decay(&lane, &step, n) * here;
        }
    }
    store(adjoints, scan, &lane, &adjoint);
}

/// The gradients of every direction of every picture, before they are summed.
///
/// # Shapes
///
/// - `starts`, `adjoints`: `[b, directions, chunks, states, channels]`
/// - `of_u`: `[b, directions, pixels, channels]`, written
/// - `of_rows`: `[blocks of channels, b, pixels, directions, rank + 2 · states]`, written
/// - `of_params`: `[b, directions, chunks, states + rank + 2, channels]`, written: gradients of
///   `a_log`, `dt_weight`, `dt_bias` and `d_skip`
#[cube(launch)]
fn unscan_chunks(
    scan: &Scan,
    grad: &[f32],
    starts: &[f32],
    adjoints: &[f32],
    of_u: &mut [f32],
    of_rows: &mut [f32],
    of_params: &mut [f32],
    rows: usize,
    #[comptime] longest: usize,
    #[comptime] block: usize,
) {
    // Units behind the last channel go along, because all units of a cube meet at every step; they
    // repeat the last channel, and nothing of theirs is summed or written.
    let exists = (ABSOLUTE_POS_X as usize) < scan.channels;
    let unit = UNIT_POS_X as usize;
    let lane = lane(scan);
    let rank = comptime!(scan.rank);
    let states = comptime!(scan.states);
    let row_len = comptime!(rank + 2 * states);
    let mut state = load(starts, scan, &lane);
    let mut adjoint = load(adjoints, scan, &lane);

    let mut before = Array::<f32>::new(comptime!(longest * states));
    for index in 0..lane.steps {
        let step = step(scan, &lane, index);
        #[unroll]
        for n in 0..states {
            before[index * states + n] = state[n];
        }
        advance(scan, &lane, &step, scan.u[own(scan, &lane, &step)], &mut state);
    }

    let mut grad_a = zeros(states);
    let mut grad_weight = zeros(rank);
    let mut grad_bias = 0.0f32;
    let mut grad_skip = 0.0f32;
    // Per unit: its part of the gradients of B and C, and the gradient of its raw step. One column
    // more than units, so that the sums below read different memory banks.
    let stride = comptime!(block + 1);
    let mut parts = Shared::<[f32]>::new_slice(comptime!((2 * states + 1) * (block + 1)));
    let first_channel = CUBE_POS_X as usize * block;
    let first_weight = (lane.direction * scan.channels + first_channel) * rank;
    let n_here = clamp_max(block.runtime(), scan.channels - first_channel);
    for visited in 0..lane.steps {
        let index = lane.steps - 1 - visited;
        let step = step(scan, &lane, index);
        let x = scan.u[own(scan, &lane, &step)];
        let gy = grad[own(scan, &lane, &step)];
        let mut grad_x = lane.skip * gy;
        let mut grad_dt = 0.0f32;
        #[unroll]
        for n in 0..states {
            let b = b(scan, &step, n);
            let decay = decay(&lane, &step, n);
            let decayed = decay * before[index * states + n];
            let now = decayed + step.dt * x * b;
            let g = adjoint[n] + c(scan, &step, n) * gy;
            parts[n * stride + unit] = g * step.dt * x;
            parts[(states + n) * stride + unit] = gy * now;
            grad_x += g * step.dt * b;
            grad_dt += g * (decayed * lane.rates[n] + x * b);
            grad_a[n] += g * decayed * step.dt;
            adjoint[n] = decay * g;
        }
        let grad_raw = grad_dt * sigmoid(step.raw);
        parts[2 * states * stride + unit] = grad_raw;
        #[unroll]
        for r in 0..rank {
            grad_weight[r] += grad_raw * scan.projected[step.row + r];
        }
        grad_bias += grad_raw;
        grad_skip += gy * x;
        if exists {
            of_u[own_part(scan, &lane, &step)] = grad_x;
        }
        sync_cube();

        let into = CUBE_POS_X as usize * rows * row_len + step.row;
        let mut entry = unit;
        while entry < row_len {
            let mut sum = 0.0f32;
            if entry < rank {
                for other in 0..n_here {
                    sum += scan.dt_weight[first_weight + other * rank + entry]
                        * parts[2 * states * stride + other];
                }
            } else {
                for other in 0..n_here {
                    sum += parts[(entry - rank) * stride + other];
                }
            }
            of_rows[into + entry] = sum;
            entry += block;
        }
        sync_cube();
    }

    if exists {
        let first = lane.border * comptime!(states + rank + 2);
        #[unroll]
        for n in 0..states {
            // dA / d a_log = A.
            of_params[(first + n) * scan.channels + lane.channel] = grad_a[n] * lane.rates[n];
        }
        #[unroll]
        for r in 0..rank {
            of_params[(first + states + r) * scan.channels + lane.channel] = grad_weight[r];
        }
        of_params[(first + states + rank) * scan.channels + lane.channel] = grad_bias;
        of_params[(first + states + rank + 1) * scan.channels + lane.channel] = grad_skip;
    }
}
