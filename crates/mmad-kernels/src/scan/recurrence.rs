//! The recurrence itself, on one block of channels and a few steps at a time.
//!
//! Lanes are channels; the states of a block stand in registers while time runs. Memory holds the
//! states at the first step of every chunk alone: the backward pass starts from there and walks
//! the chunk forward once more before it walks it back.
//!
//! Source: Gu and Dao 2023, "Mamba: linear-time sequence modeling with selective state spaces",
//! equation 2a with the discretisation of their reference code:
//!
//! ```text
//! h[t] = exp(dt[t]·A)·h[t-1] + dt[t]·u[t]·B[t]        y[t] = <C[t], h[t]> + D·u[t]
//! ```

use super::lanes::Lanes;

/// Steps that are handled together.
pub(super) const CHUNK: usize = 32;

/// Steps that are found together, in registers.
pub(super) const STEPS: usize = 8;

const _: () = assert!(CHUNK.is_multiple_of(STEPS), "no step of a chunk is left over");

/// What a chunk of steps brings to one block of channels.
pub(super) struct Chunk<'a, S: Lanes> {
    /// Input, one vector a step.
    pub u: &'a [S::F],
    /// Step size after softplus, one vector a step.
    pub dt: &'a [S::F],
    /// `B` and `C`, `[steps][2][states]`, the same for all channels.
    pub states: &'a [f32],
}

impl<S: Lanes> Chunk<'_, S> {
    /// `B` and `C` of step `t` for group `group` of `G` states.
    #[inline(always)]
    fn states_of<const G: usize>(&self, t: usize, group: usize, groups: usize) -> [&[f32; G]; 2] {
        let (states, _) = self.states.as_chunks::<G>();
        [&states[2 * t * groups + group], &states[(2 * t + 1) * groups + group]]
    }
}

/// Moves `h` over the chunk and adds `<C, h>` to `y`.
///
/// `decay` is `A·log2(e)`. `decay` and `h` have one vector a state, for 4 states or a multiple of 8.
#[inline(always)]
pub(super) fn forward<S: Lanes>(
    simd: S,
    decay: &[S::F],
    chunk: &Chunk<'_, S>,
    h: &mut [S::F],
    y: &mut [S::F],
) {
    if S::GROUP == 8 && decay.len() >= 8 {
        forward_in_groups::<S, 8>(simd, decay, chunk, h, y);
    } else {
        forward_in_groups::<S, 4>(simd, decay, chunk, h, y);
    }
}

/// [`forward`] with `G` states in registers at once.
#[inline(always)]
fn forward_in_groups<S: Lanes, const G: usize>(
    simd: S,
    decay: &[S::F],
    chunk: &Chunk<'_, S>,
    h: &mut [S::F],
    y: &mut [S::F],
) {
    let (decay, _) = decay.as_chunks::<G>();
    let (h, _) = h.as_chunks_mut::<G>();
    let groups = decay.len();
    for (group, (decay, h)) in decay.iter().zip(h).enumerate() {
        let mut state = *h;
        for (t, y) in y.iter_mut().enumerate() {
            let (dt, u) = (chunk.dt[t], chunk.u[t]);
            let [b, c] = chunk.states_of::<G>(t, group, groups);
            step(simd, decay, dt, u, b, &mut state);
            // Two sums, because one would wait for itself.
            let mut sums = [*y, simd.splat(0.0)];
            for n in 0..G {
                sums[n % 2] = simd.mul_add(state[n], simd.splat(c[n]), sums[n % 2]);
            }
            *y = simd.add(sums[0], sums[1]);
        }
        *h = state;
    }
}

/// Moves `h` over the chunk, and nothing else.
#[inline(always)]
pub(super) fn advance<S: Lanes>(simd: S, decay: &[S::F], chunk: &Chunk<'_, S>, h: &mut [S::F]) {
    if S::GROUP == 8 && decay.len() >= 8 {
        advance_in_groups::<S, 8>(simd, decay, chunk, h);
    } else {
        advance_in_groups::<S, 4>(simd, decay, chunk, h);
    }
}

/// [`advance`] with `G` states in registers at once.
#[inline(always)]
fn advance_in_groups<S: Lanes, const G: usize>(
    simd: S,
    decay: &[S::F],
    chunk: &Chunk<'_, S>,
    h: &mut [S::F],
) {
    let (decay, _) = decay.as_chunks::<G>();
    let (h, _) = h.as_chunks_mut::<G>();
    let groups = decay.len();
    for (group, (decay, h)) in decay.iter().zip(h).enumerate() {
        let mut state = *h;
        for (t, (&dt, &u)) in chunk.dt.iter().zip(chunk.u).enumerate() {
            let [b, _] = chunk.states_of::<G>(t, group, groups);
            step(simd, decay, dt, u, b, &mut state);
        }
        *h = state;
    }
}

/// One step of one group of states; returns what the states were multiplied by.
#[inline(always)]
fn step<S: Lanes, const G: usize>(
    simd: S,
    decay: &[S::F; G],
    dt: S::F,
    u: S::F,
    b: &[f32; G],
    state: &mut [S::F; G],
) -> [S::F; G] {
    let input = simd.mul(dt, u);
    let mut kept = *state;
    for n in 0..G {
        kept[n] = simd.exp2(simd.mul(decay[n], dt));
        let added = simd.mul(input, simd.splat(b[n]));
        state[n] = simd.mul_add(kept[n], state[n], added);
    }
    kept
}

/// Gradients of one block over one chunk; all are added to.
pub(super) struct ChunkGrads<'a, S: Lanes> {
    /// Of `A`, one vector a state.
    pub a: &'a mut [S::F],
    /// Of `B` and `C`, `[steps][2][states]`, summed over the channels.
    pub states: &'a mut [f32],
    /// Of `dt·u`, one vector a step.
    pub input: &'a mut [S::F],
    /// Of `dt` through the decay alone, divided by `ln 2`; one vector a step.
    pub dt_decay: &'a mut [S::F],
}

/// Walks the chunk back from `grad_y` and from `grad_h`, the gradient of the states after the
/// chunk, which becomes that of the states before it. `start` holds those states,
/// `[states][lanes]`.
///
/// `history` is scratch memory of [`history_len`] vectors.
#[inline(always)]
pub(super) fn backward<S: Lanes>(
    simd: S,
    decay: &[S::F],
    chunk: &Chunk<'_, S>,
    start: &[f32],
    grad_y: &[S::F],
    grad_h: &mut [S::F],
    grads: &mut ChunkGrads<'_, S>,
    history: &mut [S::F],
) {
    if S::GROUP == 8 && decay.len() >= 8 {
        backward_in_groups::<S, 8>(simd, decay, chunk, start, grad_y, grad_h, grads, history);
    } else {
        backward_in_groups::<S, 4>(simd, decay, chunk, start, grad_y, grad_h, grads, history);
    }
}

/// [`backward`] with `G` states in registers at once.
#[inline(always)]
fn backward_in_groups<S: Lanes, const G: usize>(
    simd: S,
    decay: &[S::F],
    chunk: &Chunk<'_, S>,
    start: &[f32],
    grad_y: &[S::F],
    grad_h: &mut [S::F],
    grads: &mut ChunkGrads<'_, S>,
    history: &mut [S::F],
) {
    let (decay, _) = decay.as_chunks::<G>();
    let (grad_h, _) = grad_h.as_chunks_mut::<G>();
    let (grad_a, _) = grads.a.as_chunks_mut::<G>();
    let (grad_states, _) = grads.states.as_chunks_mut::<G>();
    let (history, _) = history.as_chunks_mut::<G>();
    // The states before every step and after the last, and what each step multiplied them by.
    let (states, kept) = history.split_at_mut(CHUNK + 1);
    let groups = decay.len();
    let steps = chunk.u.len();
    for group in 0..groups {
        let decay = &decay[group];
        let mut state = grad_h[group];
        for (n, state) in state.iter_mut().enumerate() {
            *state = simd.load(&start[(group * G + n) * S::LANES..]);
        }
        states[0] = state;
        for t in 0..steps {
            let (dt, u) = (chunk.dt[t], chunk.u[t]);
            let [b, _] = chunk.states_of::<G>(t, group, groups);
            kept[t] = step(simd, decay, dt, u, b, &mut state);
            states[t + 1] = state;
        }

        let mut carried = grad_h[group];
        let mut of_a = grad_a[group];
        for t in (0..steps).rev() {
            let (g, dt) = (grad_y[t], chunk.dt[t]);
            let input = simd.mul(dt, chunk.u[t]);
            let [b, c] = chunk.states_of::<G>(t, group, groups);
            let (mut of_b, mut of_c) = (carried, carried);
            let mut of_input = grads.input[t];
            let mut of_decay = grads.dt_decay[t];
            for n in 0..G {
                of_c[n] = simd.mul(g, states[t + 1][n]);
                let of_state = simd.mul_add(g, simd.splat(c[n]), carried[n]);
                of_input = simd.mul_add(of_state, simd.splat(b[n]), of_input);
                of_b[n] = simd.mul(of_state, input);
                carried[n] = simd.mul(of_state, kept[t][n]);
                let of_exponent = simd.mul(carried[n], states[t][n]);
                of_a[n] = simd.mul_add(of_exponent, dt, of_a[n]);
                of_decay = simd.mul_add(of_exponent, decay[n], of_decay);
            }
            simd.add_lane_sums(&of_b, &mut grad_states[2 * t * groups + group]);
            simd.add_lane_sums(&of_c, &mut grad_states[(2 * t + 1) * groups + group]);
            grads.input[t] = of_input;
            grads.dt_decay[t] = of_decay;
        }
        grad_h[group] = carried;
        grad_a[group] = of_a;
    }
}

/// Vectors of scratch memory that [`backward`] needs.
pub(super) fn history_len<S: Lanes>() -> usize {
    (2 * CHUNK + 1) * S::GROUP
}
