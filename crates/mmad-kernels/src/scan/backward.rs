//! The backward pass over one sequence: once forward to note the states at the start of every
//! chunk, then chunk by chunk from the last to the first.

use pulp::NullaryFnOnce;
use std::f32::consts::LN_2;

use super::lanes::{Lanes, MAX_LANES};
use super::recurrence::{self, CHUNK, ChunkGrads};
use super::sequence::{Gathered, Rows, Sequence, Weights, copy_states};

/// Adds the gradients of one sequence to `grad_u` and `grad_delta`, writes those of its rows, and
/// returns those of the weights.
pub(super) struct Backward<'a, S: Lanes> {
    pub simd: S,
    pub sequence: Sequence<'a>,
    pub weights: &'a Weights<S>,
    /// `[places, channels]`
    pub grad_y: &'a [f32],
    /// `[places, channels]`
    pub grad_u: &'a mut [f32],
    /// `[places, channels]`, when the step sizes are given.
    pub grad_delta: Option<&'a mut [f32]>,
    /// The gradient of the rows: `dt_r | B | C` of every place, written.
    pub grad_rows: RowsMut<'a>,
}

/// Places for the gradient of the rows.
pub(super) struct RowsMut<'a> {
    pub data: &'a mut [f32],
    pub stride: usize,
    pub offset: usize,
}

/// Gradients of the weights of one direction from one sequence.
pub(super) struct WeightGrads {
    /// Of `A`, or of `a_log` where that is what was given; `[channels, states]`
    pub a: Vec<f32>,
    /// `[channels]`
    pub skip: Vec<f32>,
    /// `[channels]`
    pub bias: Vec<f32>,
    /// `[channels, rank]`
    pub dt_weight: Vec<f32>,
}

impl<S: Lanes> NullaryFnOnce for Backward<'_, S> {
    type Output = WeightGrads;

    #[inline(always)]
    fn call(self) -> WeightGrads {
        let Self { simd, sequence, weights, grad_y, grad_u, mut grad_delta, grad_rows } = self;
        let Rows { rank, states, .. } = sequence.rows;
        let padded_states = weights.padded_states;
        let zero = simd.splat(0.0);
        let mut gathered = Gathered::new(simd, &sequence, weights);
        let starts = note_starts(simd, &sequence, weights, &mut gathered);

        let mut history = vec![zero; recurrence::history_len(padded_states.min(S::BACKWARD_GROUP))];
        let mut grad_h = vec![zero; weights.decay.len()];
        let mut of_a = vec![zero; weights.decay.len()];
        let mut of_skip = vec![zero; weights.blocks()];
        let mut of_bias = vec![zero; weights.blocks()];
        let mut of_dt_weight = vec![zero; weights.dt_weight.len()];
        let mut of_b = vec![0.0; CHUNK * padded_states];
        let mut of_c = vec![0.0; CHUNK * padded_states];
        let mut of_dt_r = vec![0.0; CHUNK * rank];
        let mut g = [zero; CHUNK];

        for (index, places) in sequence.order.chunks(CHUNK).enumerate().rev() {
            let steps = places.len();
            if let Some(next) = index.checked_sub(1) {
                let next = &sequence.order[next * CHUNK..index * CHUNK];
                sequence.prefetch(next, &[grad_y, grad_u]);
            }
            gathered.rows(&sequence.rows, places);
            of_b.fill(0.0);
            of_c.fill(0.0);
            of_dt_r.fill(0.0);
            for block in 0..weights.blocks() {
                gathered.channels::<true>(simd, &sequence, weights, places, block);
                for (g, &place) in g.iter_mut().zip(places) {
                    *g = simd.load_some(&grad_y[weights.places_of(block, place)]);
                }
                let mut of_input = [zero; CHUNK];
                let mut of_dt = [zero; CHUNK];
                let in_block = block * padded_states..(block + 1) * padded_states;
                let mut grads = ChunkGrads {
                    a: &mut of_a[in_block.clone()],
                    b: &mut of_b,
                    c: &mut of_c,
                    input: &mut of_input,
                    dt_decay: &mut of_dt,
                };
                let start = &starts[index * weights.decay.len()..][in_block.clone()];
                let (decay, grad_h) = (weights.decay_of(block), &mut grad_h[in_block]);
                let (chunk, history) = (gathered.chunk(steps), &mut history);
                match padded_states.min(S::BACKWARD_GROUP) {
                    4 => recurrence::backward::<S, 4>(
                        simd, decay, &chunk, start, &g, grad_h, &mut grads, history,
                    ),
                    _ => recurrence::backward::<S, 8>(
                        simd, decay, &chunk, start, &g, grad_h, &mut grads, history,
                    ),
                }

                // From `dt·u` and `exp(dt·A)` to `u`, and to `x` in `dt = softplus(x)`.
                let mut of_x = of_dt;
                for (t, &place) in places.iter().enumerate() {
                    let (u, dt) = (gathered.u[t], gathered.dt[t]);
                    let of_u = simd.mul_add(of_input[t], dt, simd.mul(weights.skip[block], g[t]));
                    simd.accumulate_some(of_u, &mut grad_u[weights.places_of(block, place)]);
                    of_skip[block] = simd.mul_add(g[t], u, of_skip[block]);
                    let of_dt = simd.mul_add(of_dt[t], simd.splat(LN_2), simd.mul(of_input[t], u));
                    of_x[t] = simd.mul(of_dt, gathered.slope[t]);
                    of_bias[block] = simd.add(of_bias[block], of_x[t]);
                }
                if let Some(grad_delta) = &mut grad_delta {
                    for (&of_x, &place) in of_x.iter().zip(places) {
                        simd.accumulate_some(of_x, &mut grad_delta[weights.places_of(block, place)]);
                    }
                }
                let in_block = block * rank..(block + 1) * rank;
                let dt_weight = &weights.dt_weight[in_block.clone()];
                let of_dt_weight = &mut of_dt_weight[in_block];
                low_rank(simd, &of_x[..steps], dt_weight, &gathered.dt_r, of_dt_weight, &mut of_dt_r);
            }
            for (t, &place) in places.iter().enumerate() {
                let row = place as usize * grad_rows.stride + grad_rows.offset;
                let row = &mut grad_rows.data[row..][..rank + 2 * states];
                let (dt_r, rest) = row.split_at_mut(rank);
                let (b, c) = rest.split_at_mut(states);
                for (r, dt_r) in dt_r.iter_mut().enumerate() {
                    *dt_r = of_dt_r[r * CHUNK + t];
                }
                copy_states(&of_b[t * padded_states..][..states], b);
                copy_states(&of_c[t * padded_states..][..states], c);
            }
        }

        WeightGrads {
            a: rows_from_lanes(simd, weights, &of_a, states),
            skip: rows_from_lanes(simd, weights, &of_skip, 1),
            bias: rows_from_lanes(simd, weights, &of_bias, 1),
            dt_weight: rows_from_lanes(simd, weights, &of_dt_weight, rank),
        }
    }
}

/// The states before every chunk, `[chunks][blocks][padded_states]`.
#[inline(always)]
fn note_starts<S: Lanes>(
    simd: S,
    sequence: &Sequence<'_>,
    weights: &Weights<S>,
    gathered: &mut Gathered<S>,
) -> Vec<S::F> {
    let padded_states = weights.padded_states;
    let n_chunks = sequence.order.len().div_ceil(CHUNK);
    let mut starts = Vec::with_capacity(n_chunks * weights.decay.len());
    let mut h = vec![simd.splat(0.0); weights.decay.len()];
    for (index, places) in sequence.order.chunks(CHUNK).enumerate() {
        starts.extend_from_slice(&h);
        if index + 1 == n_chunks {
            break;
        }
        let next = &sequence.order[(index + 1) * CHUNK..];
        sequence.prefetch(&next[..next.len().min(CHUNK)], &[]);
        gathered.rows(&sequence.rows, places);
        for block in 0..weights.blocks() {
            gathered.channels::<false>(simd, sequence, weights, places, block);
            let chunk = gathered.chunk(places.len());
            let h = &mut h[block * padded_states..][..padded_states];
            let decay = weights.decay_of(block);
            match padded_states.min(S::FORWARD_GROUP) {
                4 => recurrence::advance::<S, 4>(simd, decay, &chunk, h),
                _ => recurrence::advance::<S, 8>(simd, decay, &chunk, h),
            }
        }
    }
    starts
}

/// The gradients of `x = W·dt_r` for one block: adds to those of `W` (one vector a column) and of
/// `dt_r` (`[rank][CHUNK]`).
#[inline(always)]
fn low_rank<S: Lanes>(
    simd: S,
    of_x: &[S::F],
    dt_weight: &[S::F],
    dt_r: &[f32],
    of_dt_weight: &mut [S::F],
    of_dt_r: &mut [f32],
) {
    const STEPS: usize = 8;
    let columns = dt_weight.iter().zip(dt_r.chunks_exact(CHUNK));
    let grads = of_dt_weight.iter_mut().zip(of_dt_r.chunks_exact_mut(CHUNK));
    for ((&weight, dt_r), (of_weight, of_dt_r)) in columns.zip(grads) {
        for (&of_x, &dt_r) in of_x.iter().zip(dt_r) {
            *of_weight = simd.mul_add(of_x, simd.splat(dt_r), *of_weight);
        }
        let (of_dt_r, _) = of_dt_r.as_chunks_mut::<STEPS>();
        for (of_x, of_dt_r) in of_x.chunks(STEPS).zip(of_dt_r) {
            let mut products = [simd.splat(0.0); STEPS];
            for (product, &of_x) in products.iter_mut().zip(of_x) {
                *product = simd.mul(of_x, weight);
            }
            simd.add_lane_sums(&products, of_dt_r);
        }
    }
}

/// Vectors `[blocks][>= width]` as `[channels, width]`.
#[inline(always)]
fn rows_from_lanes<S: Lanes>(
    simd: S,
    weights: &Weights<S>,
    vectors: &[S::F],
    width: usize,
) -> Vec<f32> {
    let mut rows = vec![0.0; weights.channels * width];
    let per_block = vectors.len() / weights.blocks().max(1);
    let mut lanes = [0.0; MAX_LANES];
    for block in 0..weights.blocks() {
        for column in 0..width {
            simd.store(vectors[block * per_block + column], &mut lanes);
            for (lane, channel) in weights.channels_of(block).enumerate() {
                rows[channel * width + column] = lanes[lane];
            }
        }
    }
    rows
}
