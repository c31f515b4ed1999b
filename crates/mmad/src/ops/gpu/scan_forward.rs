//! The two-dimensional selective scan, forward: `y` from the states that enter the chunks.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{Inputs, Plan};
use super::carry::{carry_over, chunk_ends};
use super::math::{Sizes, own, own_part, pixel, place, rates, raw_step, registers, row, softplus};

/// Steps of a chunk: enough chunks to fill a GPU, few enough that what crosses their borders is
/// little against the maps themselves.
const CHUNK: usize = 64;

/// `y`, `[b, pixels, channels]`; see [`crate::ops::ss2d`].
///
/// Every direction writes its own map, already in the order of the pixels, and the maps are added
/// in the order `0..K`: one launch fills a GPU, and no sum depends on who comes first.
pub(super) fn forward(inputs: &Inputs) -> CubeTensor {
    let plan = inputs.plan(CHUNK);
    let (starts, _) = chunk_starts(inputs, &plan);
    let shape = inputs.shape;
    let parts = inputs.empty([plan.sequences(), shape.pixels, shape.channels]);
    scan_chunks::launch(
        inputs.client(),
        plan.cubes(),
        plan.units(),
        inputs.u(),
        inputs.projected(),
        inputs.orders(),
        inputs.dt_weight(),
        inputs.dt_bias(),
        inputs.a_log(),
        inputs.d_skip(),
        starts.into_buffer_arg(),
        parts.clone().into_buffer_arg(),
        plan.sizes(),
        shape.rank,
        shape.states,
    );
    inputs.sum(parts, shape.directions, [shape.batch, shape.pixels, shape.channels])
}

/// The state that enters every chunk, `[b, directions, chunks, states, channels]`, and the sum of
/// the steps of every chunk, `[b, directions, chunks, channels]`.
pub(super) fn chunk_starts(inputs: &Inputs, plan: &Plan) -> (CubeTensor, CubeTensor) {
    let shape = inputs.shape;
    let borders = plan.sequences() * plan.chunks();
    let starts = inputs.empty([borders, shape.states, shape.channels]);
    let step_sums = inputs.empty([borders, 1, shape.channels]);
    chunk_ends::launch(
        inputs.client(),
        plan.cubes(),
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
        plan.carry_cubes(),
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

/// The result of every direction of every picture.
///
/// # Shapes
///
/// - `starts`: `[b, directions, chunks, states, channels]`
/// - `parts`: `[b, directions, pixels, channels]`, written
#[cube(launch)]
fn scan_chunks(
    u: &[f32],
    projected: &[f32],
    orders: &[u32],
    dt_weight: &[f32],
    dt_bias: &[f32],
    a_log: &[f32],
    d_skip: &[f32],
    starts: &[f32],
    parts: &mut [f32],
    sizes: &Sizes,
    #[comptime] rank: usize,
    #[comptime] states: usize,
) {
    if ABSOLUTE_POS_X as usize >= sizes.channels {
        terminate!();
    }
    let place = place(sizes);
    let row_len = comptime!(rank + 2 * states);
    let weight = registers(dt_weight, place.weight * rank, rank);
    let bias = dt_bias[place.weight];
    let rates = rates(a_log, &place, states);
    let skip = d_skip[place.weight];
    let mut state = Array::<f32>::new(states);
    #[unroll]
    for n in 0..states {
        state[n] = starts[(place.border * states + n) * sizes.channels + place.channel];
    }
    for step in 0..place.steps {
        let at = pixel(orders, sizes, &place, step);
        let row = row(sizes, &place, at, row_len);
        let dt = softplus(raw_step(projected, row, &weight, bias, rank));
        let x = u[own(sizes, &place, at)];
        let input = dt * x;
        let mut sum = skip * x;
        #[unroll]
        for n in 0..states {
            state[n] = (dt * rates[n]).exp() * state[n] + input * projected[row + rank + n];
            sum += state[n] * projected[row + rank + states + n];
        }
        parts[own_part(sizes, &place, at)] = sum;
    }
}
