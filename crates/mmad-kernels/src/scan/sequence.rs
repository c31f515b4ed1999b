//! One sequence through one direction: where its numbers lie, its weights in vector form, and the
//! working memory that brings a chunk of steps together.

use pulp::NullaryFnOnce;
use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::exponential::softplus_and_slope;
use super::features::ProjectedChunk;
use super::lanes::{Lanes, MAX_LANES};
use super::recurrence::{CHUNK, Chunk, STEPS};

/// The data of one sequence, channels last. Step `t` reads place `order[t]` of every array.
#[derive(Clone, Copy)]
pub(super) struct Sequence<'a> {
    /// Place of every step; a permutation of `0..order.len()`.
    pub order: &'a [u32],
    /// Input, `[places, channels]`.
    pub u: &'a [f32],
    /// What the input was projected to.
    pub rows: Rows<'a>,
    /// Where the step sizes come from.
    pub step_size: StepSize<'a>,
}

/// `dt_r | B | C` of every place: `rank + 2·states` numbers, `stride` apart, from `offset` on.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub offset: usize,
    pub rank: usize,
    pub states: usize,
}

/// Where the step sizes come from.
#[derive(Clone, Copy)]
pub(super) enum StepSize<'a> {
    /// `softplus(W·dt_r + bias)`, `W` of low rank.
    LowRank,
    /// `delta + bias`, `[places, channels]`, through softplus or not.
    Given { delta: &'a [f32], softplus: bool },
}

/// The matrix `A`, `[channels, states]`.
#[derive(Clone, Copy)]
pub(super) enum Decay<'a> {
    /// `A` itself.
    Matrix(&'a [f32]),
    /// `A = -exp(a_log)`.
    NegativeLog(&'a [f32]),
}

/// The weights of one direction in vectors of channels. Missing channels and states are zero.
pub(super) struct Weights<S: Lanes> {
    pub channels: usize,
    /// States rounded up to whole groups.
    pub padded_states: usize,
    /// `A·log2(e)`, `[blocks][padded_states]`.
    pub decay: Vec<S::F>,
    /// `[blocks]`
    pub skip: Vec<S::F>,
    /// `[blocks]`
    pub bias: Vec<S::F>,
    /// `[blocks][rank]`
    pub dt_weight: Vec<S::F>,
}

/// Brings the weights of one direction into vector form.
pub(super) struct PackWeights<'a, S: Lanes> {
    pub simd: S,
    pub states: usize,
    pub decay: Decay<'a>,
    /// `[channels]`
    pub skip: &'a [f32],
    /// `[channels]`
    pub bias: &'a [f32],
    /// `[channels, rank]`
    pub dt_weight: &'a [f32],
}

impl<S: Lanes> NullaryFnOnce for PackWeights<'_, S> {
    type Output = Weights<S>;

    #[inline(always)]
    fn call(self) -> Weights<S> {
        let Self { simd, states, decay, skip, bias, dt_weight } = self;
        let channels = skip.len();
        let rank = dt_weight.len() / channels.max(1);
        let padded_states = padded_states(states);
        let blocks = channels.div_ceil(S::LANES);
        let mut weights = Weights {
            channels,
            padded_states,
            decay: vec![simd.splat(0.0); blocks * padded_states],
            skip: Vec::with_capacity(blocks),
            bias: Vec::with_capacity(blocks),
            dt_weight: Vec::with_capacity(blocks * rank),
        };
        for block in 0..blocks {
            let channels = weights.channels_of(block);
            for state in 0..states {
                let scaled = match decay {
                    Decay::Matrix(a) => {
                        let a = column(simd, a, states, state, channels.clone());
                        simd.mul(a, simd.splat(LOG2_E))
                    }
                    Decay::NegativeLog(a_log) => {
                        let a_log = column(simd, a_log, states, state, channels.clone());
                        simd.mul(simd.exp(a_log), simd.splat(-LOG2_E))
                    }
                };
                weights.decay[block * padded_states + state] = scaled;
            }
            weights.skip.push(simd.load_some(&skip[channels.clone()]));
            weights.bias.push(simd.load_some(&bias[channels.clone()]));
            for r in 0..rank {
                weights.dt_weight.push(column(simd, dt_weight, rank, r, channels.clone()));
            }
        }
        weights
    }
}

impl<S: Lanes> Weights<S> {
    /// Blocks of channels.
    pub(super) fn blocks(&self) -> usize {
        self.channels.div_ceil(S::LANES)
    }

    /// Where the states of one block lie in an array `[blocks][padded_states]`.
    #[inline(always)]
    pub(super) fn states_of(&self, block: usize) -> Range<usize> {
        block * self.padded_states..(block + 1) * self.padded_states
    }

    /// `A·log2(e)` of one block.
    #[inline(always)]
    pub(super) fn decay_of(&self, block: usize) -> &[S::F] {
        &self.decay[self.states_of(block)]
    }

    /// The low-rank weight of one block, one vector a column.
    #[inline(always)]
    pub(super) fn dt_weight_of(&self, block: usize) -> &[S::F] {
        let rank = self.dt_weight.len() / self.blocks().max(1);
        &self.dt_weight[block * rank..][..rank]
    }

    /// The channels of one block.
    #[inline(always)]
    pub(super) fn channels_of(&self, block: usize) -> Range<usize> {
        block * S::LANES..self.channels.min((block + 1) * S::LANES)
    }

    /// Where the channels of one block lie in an array `[places, channels]`.
    #[inline(always)]
    pub(super) fn places_of(&self, block: usize, place: u32) -> Range<usize> {
        let channels = self.channels_of(block);
        let row = place as usize * self.channels;
        row + channels.start..row + channels.end
    }
}

/// Values of the states before every chunk of a sequence of `steps` steps:
/// `[chunks][blocks][padded_states][lanes]`.
pub(super) fn noted_len<S: Lanes>(_: S, steps: usize, weights: &Weights<S>) -> usize {
    steps.div_ceil(CHUNK) * weights.decay.len() * S::LANES
}

/// Appends states to `noted`.
#[inline(always)]
pub(super) fn note<S: Lanes>(simd: S, states: &[S::F], noted: &mut Vec<f32>) {
    let mut lanes = [0.0; MAX_LANES];
    for &state in states {
        simd.store(state, &mut lanes);
        noted.extend_from_slice(&lanes[..S::LANES]);
    }
}

/// States rounded up to 4 or to a multiple of 8, so that a group of either size divides them.
pub(super) fn padded_states(states: usize) -> usize {
    if states <= 4 { 4 } else { states.next_multiple_of(8) }
}

/// Column `index` of the rows `block` of a matrix with `width` columns.
#[inline(always)]
fn column<S: Lanes>(
    simd: S,
    matrix: &[f32],
    width: usize,
    index: usize,
    block: Range<usize>,
) -> S::F {
    let mut lanes = [0.0; MAX_LANES];
    for (lane, row) in lanes.iter_mut().zip(block) {
        *lane = matrix[row * width + index];
    }
    simd.load(&lanes)
}

/// Working memory: the numbers of at most [`CHUNK`] steps, brought together.
pub(super) struct Gathered<S: Lanes> {
    /// `B` and `C`, `[steps][2][padded_states]`
    pub states: Vec<f32>,
    /// `[rank][CHUNK]`
    pub dt_r: Vec<f32>,
    /// Input of one block, `[steps]`
    pub u: Vec<S::F>,
    /// Step sizes of one block, `[steps]`
    pub dt: Vec<S::F>,
    /// Derivative of `dt` by what goes into softplus, `[steps]`
    pub slope: Vec<S::F>,
}

impl<S: Lanes> Gathered<S> {
    /// Memory for the chunks of one sequence.
    #[inline(always)]
    pub(super) fn new(simd: S, sequence: &Sequence<'_>, weights: &Weights<S>) -> Self {
        Self {
            states: vec![0.0; CHUNK * 2 * weights.padded_states],
            dt_r: vec![0.0; CHUNK * sequence.rows.rank],
            u: vec![simd.splat(0.0); CHUNK],
            dt: vec![simd.splat(0.0); CHUNK],
            slope: vec![simd.splat(0.0); CHUNK],
        }
    }

    /// Brings what all channels share at `places`, at most [`CHUNK`], and says where the rest of
    /// these steps lies.
    #[inline(always)]
    pub(super) fn steps<'a>(
        &mut self,
        sequence: &Sequence<'a>,
        projection: Option<&'a mut ProjectedChunk<'_>>,
        places: &'a [u32],
    ) -> Sequence<'a> {
        if let Some(projection) = projection {
            return projection.project(sequence, places, self);
        }
        self.rows(&sequence.rows, places);
        Sequence { order: places, ..*sequence }
    }

    /// Brings rows that are given.
    #[inline(always)]
    fn rows(&mut self, rows: &Rows<'_>, places: &[u32]) {
        let Rows { data, stride, offset, rank, states } = *rows;
        let padded_states = self.states.len() / (2 * CHUNK);
        for (t, &place) in places.iter().enumerate() {
            let row = &data[place as usize * stride + offset..][..rank + 2 * states];
            let (dt_r, rest) = row.split_at(rank);
            let (from_b, from_c) = rest.split_at(states);
            self.set_dt_r(t, dt_r);
            let into = &mut self.states[2 * t * padded_states..][..2 * padded_states];
            let (b, c) = into.split_at_mut(padded_states);
            copy_states(from_b, b);
            copy_states(from_c, c);
        }
    }

    /// Notes the low-rank step of step `t`.
    #[inline(always)]
    pub(super) fn set_dt_r(&mut self, t: usize, dt_r: &[f32]) {
        for (r, &x) in dt_r.iter().enumerate() {
            self.dt_r[r * CHUNK + t] = x;
        }
    }

    /// Brings the input and the step sizes of one block, after [`steps`](Self::steps). The slopes
    /// only when `SLOPE` is set.
    #[inline(always)]
    pub(super) fn channels<const SLOPE: bool>(
        &mut self,
        simd: S,
        sequence: &Sequence<'_>,
        weights: &Weights<S>,
        block: usize,
    ) {
        let places = sequence.order;
        for (u, &place) in self.u.iter_mut().zip(places) {
            *u = simd.load_some(&sequence.u[weights.places_of(block, place)]);
        }
        let bias = weights.bias[block];
        let softplus = match sequence.step_size {
            StepSize::LowRank => {
                // Steps behind the last are no trouble, and nobody reads them.
                let dt_weight = weights.dt_weight_of(block);
                for (first, dt) in self.dt.as_chunks_mut::<STEPS>().0.iter_mut().enumerate() {
                    *dt = [bias; STEPS];
                    for (&weight, dt_r) in dt_weight.iter().zip(self.dt_r.as_chunks::<CHUNK>().0) {
                        let (dt_r, _) = dt_r.as_chunks::<STEPS>();
                        for (dt, &dt_r) in dt.iter_mut().zip(&dt_r[first]) {
                            *dt = simd.mul_add(weight, simd.splat(dt_r), *dt);
                        }
                    }
                }
                true
            }
            StepSize::Given { delta, softplus } => {
                for (dt, &place) in self.dt.iter_mut().zip(places) {
                    let delta = simd.load_some(&delta[weights.places_of(block, place)]);
                    *dt = simd.add(bias, delta);
                }
                softplus
            }
        };
        if softplus {
            let dt = &mut self.dt[..places.len()];
            for (dt, slope) in dt.iter_mut().zip(&mut self.slope) {
                let (value, derivative) = softplus_and_slope(simd, *dt);
                *dt = value;
                if SLOPE {
                    *slope = derivative;
                }
            }
        } else if SLOPE {
            self.slope.fill(simd.splat(1.0));
        }
    }

    /// The chunk of `steps` steps that lies here.
    #[inline(always)]
    pub(super) fn chunk(&self, steps: usize) -> Chunk<'_, S> {
        Chunk { u: &self.u[..steps], dt: &self.dt[..steps], states: &self.states }
    }
}

/// Copies the states of one step; places beyond them stay as they are.
#[inline(always)]
pub(super) fn copy_states(from: &[f32], into: &mut [f32]) {
    if let (Ok(from), Some(into)) = (<&[f32; 16]>::try_from(from), into.first_chunk_mut()) {
        // The usual number, in one or two moves.
        *into = *from;
    } else {
        into[..from.len()].copy_from_slice(from);
    }
}
