//! What the passes of a scan share: the states at the borders of the chunks, and sums in a fixed
//! order.
//!
//! A recurrence `h ← decay · h + input` over a chunk is `h_end = D · h_start + e`: `D` is the product
//! of the decays, `e` is the end state from `h_start = 0`. Every chunk finds its own `e` and, as
//! `D = exp(A · Σ dt)`, its own sum of steps; [`carry`] then goes once over the chunks. That is the
//! parallel scan of Blelloch 1990, "Prefix sums and their applications", with one level.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{Inputs, Plan};
use super::lane::{Scan, advance, lane, own, rate, step, store};
use super::math::zeros;

/// The state that enters every chunk, `[b, directions, chunks, states, channels]`, and the sum of
/// the steps of every chunk, `[b, directions, chunks, channels]`.
pub(super) fn chunk_starts(inputs: &Inputs, plan: &Plan) -> (CubeTensor, CubeTensor) {
    let (starts, step_sums) = (inputs.of_states(plan), inputs.of_borders(plan, 1));
    chunk_ends::launch(
        inputs.client(),
        plan.cubes(),
        plan.units(),
        inputs.scan(plan),
        starts.clone().into_buffer_arg(),
        step_sums.clone().into_buffer_arg(),
    );
    carry(inputs, plan, &starts, &step_sums, false);
    (starts, step_sums)
}

/// Puts the value that enters every chunk in the place of the one that it adds, from the first
/// chunk to the last, or (`backwards`) from the last to the first.
pub(super) fn carry(
    inputs: &Inputs,
    plan: &Plan,
    ends: &CubeTensor,
    step_sums: &CubeTensor,
    backwards: bool,
) {
    carry_over::launch(
        inputs.client(),
        plan.carry_cubes(),
        plan.units(),
        inputs.scan(plan),
        ends.clone().into_buffer_arg(),
        step_sums.clone().into_buffer_arg(),
        backwards,
    );
}

/// The end state of every chunk from a start state of zero, and the sum of its steps.
///
/// # Shapes
///
/// - `ends`: `[b, directions, chunks, states, channels]`, written
/// - `step_sums`: `[b, directions, chunks, channels]`, written
#[cube(launch)]
fn chunk_ends(scan: &Scan, ends: &mut [f32], step_sums: &mut [f32]) {
    if ABSOLUTE_POS_X as usize >= scan.channels {
        terminate!();
    }
    let lane = lane(scan);
    let mut state = zeros(comptime!(scan.states));
    let mut step_sum = 0.0f32;
    for index in 0..lane.steps {
        let step = step(scan, &lane, index);
        advance(scan, &lane, &step, scan.u[own(scan, &lane, &step)], &mut state);
        step_sum += step.dt;
    }
    step_sums[lane.border * scan.channels + lane.channel] = step_sum;
    store(ends, scan, &lane, &state);
}

/// See [`carry`].
///
/// # Shapes
///
/// - `ends`: `[b, directions, chunks, states, channels]`, changed
/// - `step_sums`: `[b, directions, chunks, channels]`
#[cube(launch)]
fn carry_over(scan: &Scan, ends: &mut [f32], step_sums: &[f32], #[comptime] backwards: bool) {
    let width = scan.channels * comptime!(scan.states);
    let index = ABSOLUTE_POS_X as usize;
    if index >= width {
        terminate!();
    }
    let sequence = CUBE_POS_Z as usize;
    let (n, channel) = (index / scan.channels, index % scan.channels);
    let rate = rate(scan, sequence % scan.directions * scan.channels + channel, n);
    let mut entering = 0.0f32;
    for visited in 0..scan.chunks {
        let chunk = if backwards { scan.chunks - 1 - visited } else { visited };
        let at = sequence * scan.chunks + chunk;
        let decay = (rate * step_sums[at * scan.channels + channel]).exp();
        let added = ends[at * width + index];
        ends[at * width + index] = entering;
        entering = decay * entering + added;
    }
}

/// Sums over the middle axis, first term first.
///
/// # Shapes
///
/// - `terms`: `[outer, n_terms, inner]`; `sums`: `[outer, inner]`, written
#[cube(launch)]
pub(super) fn sum_terms(terms: &[f32], sums: &mut [f32], n_terms: usize, inner: usize) {
    if ABSOLUTE_POS >= sums.len() {
        terminate!();
    }
    let first = ABSOLUTE_POS / inner * n_terms * inner + ABSOLUTE_POS % inner;
    let mut sum = 0.0f32;
    for term in 0..n_terms {
        sum += terms[first + term * inner];
    }
    sums[ABSOLUTE_POS] = sum;
}
