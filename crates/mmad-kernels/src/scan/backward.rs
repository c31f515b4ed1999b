//! The backward pass over one sequence: once forward to note the states at the start of every
//! chunk, then chunk by chunk from the last to the first.

use pulp::NullaryFnOnce;
use std::borrow::Cow;
use std::f32::consts::LN_2;

use super::features::{ProjectedChunk, ProjectionBack};
use super::lanes::{Lanes, MAX_LANES};
use super::recurrence::{self, CHUNK, ChunkGrads, STEPS};
use super::sequence::{Gathered, Rows, Sequence, Weights, copy_states, note, noted_len};

/// Adds the gradients of one sequence to `grad_u` and `grad_delta`, writes those of its rows, and
/// returns those of the weights. Of rows that are projected here, `dt_r` alone is written.
pub(super) struct Backward<'a, S: Lanes> {
    pub simd: S,
    pub sequence: Sequence<'a>,
    /// Where the rows come from, unless they are given: then `sequence.rows` has no data.
    pub projection: Option<ProjectionBack<'a>>,
    pub weights: &'a Weights<S>,
    /// The states before every chunk, as the forward pass notes them; or empty, then they are found
    /// again.
    pub noted: &'a [f32],
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
    /// Of what projects to `B | C` here, `[2 · states, channels]`; empty where nothing does.
    pub to_states: Vec<f32>,
}

impl<S: Lanes> NullaryFnOnce for Backward<'_, S> {
    type Output = WeightGrads;

    #[inline(always)]
    fn call(self) -> WeightGrads {
        let Self {
            simd,
            sequence,
            projection,
            weights,
            noted,
            grad_y,
            grad_u,
            mut grad_delta,
            mut grad_rows,
        } = self;
        let zero = simd.splat(0.0);
        let mut gathered = Gathered::new(simd, &sequence, weights);
        let mut local = projection.map(|projection| projection.forward.chunks());
        let starts = match noted {
            [] => Cow::Owned(note_starts(simd, &sequence, &mut local, weights, &mut gathered)),
            noted => Cow::Borrowed(noted),
        };
        let mut back = projection.map(ProjectionBack::chunks);

        let mut of_weights = VectorGrads::new(simd, weights);
        let mut of_rows = RowGrads::new(&sequence.rows, weights.padded_states);
        let mut grad_h = vec![zero; weights.decay.len()];
        let mut history = vec![zero; recurrence::history_len::<S>()];
        let mut g = [zero; CHUNK];
        for (index, places) in sequence.order.chunks(CHUNK).enumerate().rev() {
            let read = gathered.steps(&sequence, local.as_mut(), places);
            of_rows.clear();
            let starts = &starts[index * weights.decay.len() * S::LANES..];
            for block in 0..weights.blocks() {
                gathered.channels::<true>(simd, &read, weights, block);
                for (g, &place) in g.iter_mut().zip(places) {
                    *g = simd.load_some(&grad_y[weights.places_of(block, place)]);
                }
                let mut of_input = [zero; CHUNK];
                let mut of_decay = [zero; CHUNK];
                let states = weights.states_of(block);
                recurrence::backward(
                    simd,
                    weights.decay_of(block),
                    &gathered.chunk(places.len()),
                    &starts[states.start * S::LANES..states.end * S::LANES],
                    &g,
                    &mut grad_h[states.clone()],
                    &mut ChunkGrads {
                        a: &mut of_weights.a[states],
                        states: &mut of_rows.states,
                        input: &mut of_input,
                        dt_decay: &mut of_decay,
                    },
                    &mut history,
                );

                // From `dt·u` and `exp(dt·A)` to `u`, and to `x` in `dt = softplus(x)`.
                let skip = weights.skip[block];
                let mut of_x = [zero; CHUNK];
                for (t, &place) in places.iter().enumerate() {
                    let (u, dt) = (gathered.u[t], gathered.dt[t]);
                    let of_u = simd.mul_add(of_input[t], dt, simd.mul(skip, g[t]));
                    if let Some(back) = &mut back {
                        // The part that goes through the projection joins it below.
                        simd.store_some(of_u, &mut back.u[weights.places_of(block, t as u32)]);
                    } else {
                        simd.accumulate_some(of_u, &mut grad_u[weights.places_of(block, place)]);
                    }
                    let of_dt = simd.mul(of_input[t], u);
                    let of_dt = simd.mul_add(of_decay[t], simd.splat(LN_2), of_dt);
                    of_x[t] = simd.mul(of_dt, gathered.slope[t]);
                    if let Some(grad_delta) = &mut grad_delta {
                        let at = weights.places_of(block, place);
                        simd.accumulate_some(of_x[t], &mut grad_delta[at]);
                    }
                }
                of_weights.add(simd, block, &gathered, &g[..places.len()], &of_x);
                of_rows.add_dt_r(simd, weights.dt_weight_of(block), &of_x);
            }
            let RowsMut { data, stride, offset } = &mut grad_rows;
            of_rows.write_dt_r(data, *stride, *offset, places);
            if let Some(back) = &mut back {
                back.project(&of_rows.states, read.u, places.len());
                for (t, &place) in places.iter().enumerate() {
                    for block in 0..weights.blocks() {
                        let of_u = &back.u_and_states[weights.places_of(block, t as u32)];
                        let at = weights.places_of(block, place);
                        simd.accumulate_some(simd.load_some(of_u), &mut grad_u[at]);
                    }
                }
            } else {
                of_rows.write_states(data, *stride, *offset + sequence.rows.rank, places);
            }
        }
        let states = sequence.rows.states;
        let to_states = back.map(|back| back.into_of_weight(states)).unwrap_or_default();
        WeightGrads { to_states, ..of_weights.into_plain(simd, weights, states) }
    }
}

/// The states before every chunk, [`noted_len`] values.
#[inline(always)]
fn note_starts<S: Lanes>(
    simd: S,
    sequence: &Sequence<'_>,
    local: &mut Option<ProjectedChunk<'_>>,
    weights: &Weights<S>,
    gathered: &mut Gathered<S>,
) -> Vec<f32> {
    let n_chunks = sequence.order.len().div_ceil(CHUNK);
    let mut starts = Vec::with_capacity(noted_len(simd, sequence.order.len(), weights));
    let mut h = vec![simd.splat(0.0); weights.decay.len()];
    note(simd, &h, &mut starts);
    for places in sequence.order.chunks(CHUNK).take(n_chunks.saturating_sub(1)) {
        let read = gathered.steps(sequence, local.as_mut(), places);
        for block in 0..weights.blocks() {
            gathered.channels::<false>(simd, &read, weights, block);
            let h = &mut h[weights.states_of(block)];
            recurrence::advance(simd, weights.decay_of(block), &gathered.chunk(places.len()), h);
        }
        note(simd, &h, &mut starts);
    }
    starts
}

/// Gradients of the weights in vectors of channels, shaped as [`Weights`].
struct VectorGrads<S: Lanes> {
    a: Vec<S::F>,
    skip: Vec<S::F>,
    bias: Vec<S::F>,
    dt_weight: Vec<S::F>,
}

impl<S: Lanes> VectorGrads<S> {
    #[inline(always)]
    fn new(simd: S, weights: &Weights<S>) -> Self {
        let zeros = |len: usize| vec![simd.splat(0.0); len];
        Self {
            a: zeros(weights.decay.len()),
            skip: zeros(weights.blocks()),
            bias: zeros(weights.blocks()),
            dt_weight: zeros(weights.dt_weight.len()),
        }
    }

    /// Adds the part of one block and chunk, but for `A`, which the recurrence adds.
    #[inline(always)]
    fn add(&mut self, simd: S, block: usize, chunk: &Gathered<S>, g: &[S::F], of_x: &[S::F]) {
        let (mut skip, mut bias) = (self.skip[block], self.bias[block]);
        for ((&g, &of_x), &u) in g.iter().zip(of_x).zip(&chunk.u) {
            skip = simd.mul_add(g, u, skip);
            bias = simd.add(of_x, bias);
        }
        (self.skip[block], self.bias[block]) = (skip, bias);
        let rank = chunk.dt_r.len() / CHUNK;
        let dt_weight = &mut self.dt_weight[block * rank..][..rank];
        for (of_weight, dt_r) in dt_weight.iter_mut().zip(chunk.dt_r.chunks_exact(CHUNK)) {
            // Two sums, because one would wait for itself.
            let mut sums = [*of_weight, simd.splat(0.0)];
            for (t, (&of_x, &dt_r)) in of_x[..g.len()].iter().zip(dt_r).enumerate() {
                sums[t % 2] = simd.mul_add(of_x, simd.splat(dt_r), sums[t % 2]);
            }
            *of_weight = simd.add(sums[0], sums[1]);
        }
    }

    #[inline(always)]
    fn into_plain(self, simd: S, weights: &Weights<S>, states: usize) -> WeightGrads {
        let rank = self.dt_weight.len() / weights.blocks().max(1);
        WeightGrads {
            a: rows_from_lanes(simd, weights, &self.a, states),
            skip: rows_from_lanes(simd, weights, &self.skip, 1),
            bias: rows_from_lanes(simd, weights, &self.bias, 1),
            dt_weight: rows_from_lanes(simd, weights, &self.dt_weight, rank),
            to_states: Vec::new(),
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

/// Gradients of the rows of one chunk, laid out as in [`Gathered`].
struct RowGrads {
    rank: usize,
    n_states: usize,
    states: Vec<f32>,
    dt_r: Vec<f32>,
}

impl RowGrads {
    fn new(rows: &Rows<'_>, padded_states: usize) -> Self {
        Self {
            rank: rows.rank,
            n_states: rows.states,
            states: vec![0.0; CHUNK * 2 * padded_states],
            dt_r: vec![0.0; CHUNK * rows.rank],
        }
    }

    #[inline(always)]
    fn clear(&mut self) {
        self.states.fill(0.0);
        self.dt_r.fill(0.0);
    }

    /// Adds the part of one block to the gradient of `dt_r`, from that of `x = W·dt_r`.
    #[inline(always)]
    fn add_dt_r<S: Lanes>(&mut self, simd: S, dt_weight: &[S::F], of_x: &[S::F; CHUNK]) {
        for (&weight, sums) in dt_weight.iter().zip(self.dt_r.chunks_exact_mut(CHUNK)) {
            let (of_x, _) = of_x.as_chunks::<STEPS>();
            let (sums, _) = sums.as_chunks_mut::<STEPS>();
            for (of_x, sums) in of_x.iter().zip(sums) {
                let mut products = *of_x;
                for product in &mut products {
                    *product = simd.mul(*product, weight);
                }
                simd.add_lane_sums(&products, sums);
            }
        }
    }

    /// Writes `dt_r` of the chunk.
    #[inline(always)]
    fn write_dt_r(&self, into: &mut [f32], stride: usize, offset: usize, places: &[u32]) {
        for (t, &place) in places.iter().enumerate() {
            let dt_r = &mut into[place as usize * stride + offset..][..self.rank];
            for (r, dt_r) in dt_r.iter_mut().enumerate() {
                *dt_r = self.dt_r[r * CHUNK + t];
            }
        }
    }

    /// Writes `B | C` of the chunk.
    #[inline(always)]
    fn write_states(&self, into: &mut [f32], stride: usize, offset: usize, places: &[u32]) {
        let (n_states, padded_states) = (self.n_states, self.states.len() / (2 * CHUNK));
        for (&place, from) in places.iter().zip(self.states.chunks_exact(2 * padded_states)) {
            let row = &mut into[place as usize * stride + offset..][..2 * n_states];
            let (b, c) = row.split_at_mut(n_states);
            copy_states(&from[..n_states], b);
            copy_states(&from[padded_states..][..n_states], c);
        }
    }
}
