//! The two-dimensional selective scan, forward: `y` from the states that enter the chunks.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{Inputs, Plan};
use super::carry::{carry_over, chunk_ends};
use super::math::{Sizes, pixel, place, rates, raw_step, registers, softplus};

/// Steps of a chunk: enough chunks to fill a GPU, few enough that what crosses their borders is
/// little against the maps themselves.
const CHUNK: usize = 64;

/// `y`, `[b, pixels, channels]`; see [`crate::ops::ss2d`].
///
/// The directions are added one launch after the other, in the order `0..K`. So no unit waits for
/// another and no sum depends on who comes first.
pub(super) fn forward(inputs: &Inputs) -> CubeTensor {
    let plan = inputs.plan(CHUNK);
    let (starts, _) = chunk_starts(inputs, &plan);
    let shape = inputs.shape;
    let y = inputs.empty([shape.batch, shape.pixels, shape.channels]);
    for direction in 0..shape.directions {
        scan_direction::launch(
            inputs.client(),
            plan.cubes(shape.batch),
            plan.units(),
            inputs.u(),
            inputs.projected(),
            inputs.orders(),
            inputs.dt_weight(),
            inputs.dt_bias(),
            inputs.a_log(),
            inputs.d_skip(),
            starts.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            plan.sizes(),
            direction,
            shape.rank,
            shape.states,
            direction > 0,
        );
    }
    y
}

/// The state that enters every chunk, `[b, directions, chunks, states, channels]`, and the sum of
/// the steps of every chunk, `[b, directions, chunks, channels]`.
pub(super) fn chunk_starts(inputs: &Inputs, plan: &Plan) -> (CubeTensor, CubeTensor) {
    let shape = inputs.shape;
    let sequences = shape.batch * shape.directions;
    let starts = inputs.empty([sequences * plan.chunks(), shape.states, shape.channels]);
    let step_sums = inputs.empty([sequences * plan.chunks(), 1, shape.channels]);
    chunk_ends::launch(
        inputs.client(),
        plan.cubes(sequences),
        plan.units(),
        inputs.u(),
        inputs.projected(),
        inputs.orders(),
        inputs.dt_weight(),
        inputs.dt_bias(),
        inputs.a_log(),
        starts.clone().into_buffer_arg(),
        step_sums.clone().into_buffer_arg(),
        plan.sizes(),
        shape.rank,
        shape.states,
    );
    carry_over::launch(
        inputs.client(),
        plan.carry_cubes(sequences),
        plan.units(),
        starts.clone().into_buffer_arg(),
        step_sums.clone().into_buffer_arg(),
        inputs.a_log(),
        plan.sizes(),
        shape.states,
        false,
    );
    (starts, step_sums)
}

/// One direction of every picture, written to `y` or added to it.
#[cube(launch)]
fn scan_direction(
    u: &[f32],
    projected: &[f32],
    orders: &[u32],
    dt_weight: &[f32],
    dt_bias: &[f32],
    a_log: &[f32],
    d_skip: &[f32],
    starts: &[f32],
    y: &mut [f32],
    sizes: &Sizes,
    direction: usize,
    #[comptime] rank: usize,
    #[comptime] states: usize,
    #[comptime] adds: bool,
) {
    if ABSOLUTE_POS_X as usize >= sizes.channels {
        terminate!();
    }
    let place = place(sizes, CUBE_POS_Z as usize, direction);
    let row_len = comptime!(rank + 2 * states);
    let weight = registers(dt_weight, place.weight * rank, rank);
    let bias = dt_bias[place.weight];
    let rates = rates(a_log, &place, states);
    let skip = d_skip[place.weight];

    let sequence = place.picture * sizes.directions + direction;
    let entering = (sequence * sizes.chunks + place.chunk) * states;
    let mut state = Array::<f32>::new(states);
    #[unroll]
    for n in 0..states {
        state[n] = starts[(entering + n) * sizes.channels + place.channel];
    }

    for step in 0..place.steps {
        let at = pixel(orders, sizes, &place, step);
        let row = (at * sizes.directions + direction) * row_len;
        let dt = softplus(raw_step(projected, row, &weight, bias, rank));
        let own = at * sizes.channels + place.channel;
        let x = u[own];
        let input = dt * x;
        let mut sum = skip * x;
        #[unroll]
        for n in 0..states {
            state[n] = (dt * rates[n]).exp() * state[n] + input * projected[row + rank + n];
            sum += state[n] * projected[row + rank + states + n];
        }
        if adds {
            y[own] += sum;
        } else {
            y[own] = sum;
        }
    }
}
