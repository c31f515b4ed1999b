//! What the passes of a scan share: the states at the borders of the chunks, and sums in a fixed
//! order.
//!
//! A recurrence `h ← decay · h + input` over a chunk is `h_end = D · h_start + e`: `D` is the product
//! of the decays, `e` is the end state from `h_start = 0`. Every chunk finds its own `e` and, as
//! `D = exp(A · Σ dt)`, its own sum of steps; [`carry_over`] then goes once over the chunks. That
//! is the parallel scan of Blelloch 1990, "Prefix sums and their applications", with one level.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

use super::math::{Sizes, own, pixel, place, rates, raw_step, registers, row, softplus, zeros};

/// The end state of every chunk from a start state of zero, and the sum of its steps.
///
/// # Shapes
///
/// - `ends`: `[b, directions, chunks, states, channels]`, written
/// - `step_sums`: `[b, directions, chunks, channels]`, written
#[cube(launch)]
pub(super) fn chunk_ends(
    u: &[f32],
    projected: &[f32],
    orders: &[u32],
    dt_weight: &[f32],
    dt_bias: &[f32],
    a_log: &[f32],
    ends: &mut [f32],
    step_sums: &mut [f32],
    sizes: &Sizes,
    #[comptime] rank: usize,
    #[comptime] states: usize,
) {
    let place = place(sizes);
    let row_len = comptime!(rank + 2 * states);
    let weight = registers(dt_weight, place.weight * rank, rank);
    let bias = dt_bias[place.weight];
    let rates = rates(a_log, &place, states);
    let mut state = zeros(states);
    let mut step_sum = 0.0f32;
    for step in 0..place.steps {
        let at = pixel(orders, sizes, &place, step);
        let row = row(sizes, &place, at, row_len);
        let dt = softplus(raw_step(projected, row, &weight, bias, rank));
        let input = dt * u[own(sizes, &place, at)];
        #[unroll]
        for n in 0..states {
            state[n] = (dt * rates[n]).exp() * state[n] + input * projected[row + rank + n];
        }
        step_sum += dt;
    }
    if (ABSOLUTE_POS_X as usize) < sizes.channels {
        step_sums[place.border * sizes.channels + place.channel] = step_sum;
        #[unroll]
        for n in 0..states {
            ends[(place.border * states + n) * sizes.channels + place.channel] = state[n];
        }
    }
}

/// Puts the value that enters every chunk in the place of the one that it adds, from the first
/// chunk to the last, or (`backwards`) from the last to the first.
///
/// # Shapes
///
/// - `ends`: `[b, directions, chunks, states, channels]`, changed
/// - `step_sums`: `[b, directions, chunks, channels]`
#[cube(launch)]
pub(super) fn carry_over(
    ends: &mut [f32],
    step_sums: &[f32],
    a_log: &[f32],
    sizes: &Sizes,
    #[comptime] states: usize,
    #[comptime] backwards: bool,
) {
    let width = sizes.channels * states;
    let index = ABSOLUTE_POS_X as usize;
    if index >= width {
        terminate!();
    }
    let sequence = CUBE_POS_Z as usize;
    let (n, channel) = (index / sizes.channels, index % sizes.channels);
    let weight = sequence % sizes.directions * sizes.channels + channel;
    let rate = 0.0 - a_log[weight * states + n].exp();
    let mut entering = 0.0f32;
    for visited in 0..sizes.chunks {
        let chunk = if backwards { sizes.chunks - 1 - visited } else { visited };
        let at = sequence * sizes.chunks + chunk;
        let decay = (rate * step_sums[at * sizes.channels + channel]).exp();
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
