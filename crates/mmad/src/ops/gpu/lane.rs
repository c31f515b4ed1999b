//! One unit of a scan: what it reads, where it stands, and what every step of it needs.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

use super::math::{clamp_max, registers, softplus};

/// The inputs of a scan as the kernels read them, and its sizes.
#[derive(CubeType, CubeLaunch)]
pub(super) struct Scan {
    /// `[b, pixels, channels]`.
    pub(super) u: Box<[f32]>,
    /// `[b, pixels, directions · (rank + 2 · states)]`.
    pub(super) projected: Box<[f32]>,
    /// `[directions, pixels]`.
    pub(super) orders: Box<[u32]>,
    /// `[directions, channels, rank]`.
    pub(super) dt_weight: Box<[f32]>,
    /// `[directions, channels]`.
    pub(super) dt_bias: Box<[f32]>,
    /// `[directions, channels, states]`.
    pub(super) a_log: Box<[f32]>,
    /// `[directions, channels]`.
    pub(super) d_skip: Box<[f32]>,
    /// Pixels of a map, `L`.
    pub(super) pixels: usize,
    /// Channels, `D`.
    pub(super) channels: usize,
    /// Directions, `K`.
    pub(super) directions: usize,
    /// Steps of a chunk; the last chunk of a sequence may be shorter.
    pub(super) chunk: usize,
    /// Chunks of a sequence.
    pub(super) chunks: usize,
    /// Numbers that a step is made of.
    #[cube(comptime)]
    pub(super) rank: usize,
    /// States of a channel.
    #[cube(comptime)]
    pub(super) states: usize,
}

/// Where the unit stands, one channel of one chunk of one direction of one picture, and the weights
/// of that channel.
#[derive(CubeType)]
pub(super) struct Lane {
    picture: usize,
    pub(super) direction: usize,
    /// Index of the chunk among those of all pictures and directions.
    pub(super) border: usize,
    /// A channel that exists, also for the units behind the last channel.
    pub(super) channel: usize,
    /// First step of the chunk.
    start: usize,
    /// Steps of the chunk.
    pub(super) steps: usize,
    dt_weight: Array<f32>,
    dt_bias: f32,
    /// The state matrix of the channel: `-exp(a_log)`.
    pub(super) rates: Array<f32>,
    pub(super) skip: f32,
}

/// The lane of a unit whose cube is (block of channels, chunk, picture and direction).
#[cube]
pub(super) fn lane(scan: &Scan) -> Lane {
    let rank = comptime!(scan.rank);
    let states = comptime!(scan.states);
    let sequence = CUBE_POS_Z as usize;
    let direction = sequence % scan.directions;
    let chunk = CUBE_POS_Y as usize;
    let start = chunk * scan.chunk;
    let channel = clamp_max(ABSOLUTE_POS_X as usize, scan.channels - 1);
    let weight = direction * scan.channels + channel;
    let mut rates = Array::<f32>::new(states);
    #[unroll]
    for n in 0..states {
        rates[n] = rate(scan, weight, n);
    }
    Lane {
        picture: sequence / scan.directions,
        direction,
        border: sequence * scan.chunks + chunk,
        channel,
        start,
        steps: clamp_max(scan.chunk, scan.pixels - start),
        dt_weight: registers(&scan.dt_weight, weight * rank, rank),
        dt_bias: scan.dt_bias[weight],
        rates,
        skip: scan.d_skip[weight],
    }
}

/// Entry `n` of the state matrix of a direction's channel; `weight` is `direction · D + channel`.
#[cube]
pub(super) fn rate(scan: &Scan, weight: usize, n: usize) -> f32 {
    0.0 - scan.a_log[weight * comptime!(scan.states) + n].exp()
}

/// One step of a lane.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Step {
    /// The pixel that is visited.
    pub(super) pixel: usize,
    /// Index of the pixel's first projected number for the direction.
    pub(super) row: usize,
    /// The step size before softplus.
    pub(super) raw: f32,
    pub(super) dt: f32,
}

/// Step `index` of the chunk.
#[cube]
pub(super) fn step(scan: &Scan, lane: &Lane, index: usize) -> Step {
    let rank = comptime!(scan.rank);
    let pixel = scan.orders[lane.direction * scan.pixels + lane.start + index] as usize;
    let row = ((lane.picture * scan.pixels + pixel) * scan.directions + lane.direction)
        * comptime!(scan.rank + 2 * scan.states);
    let mut raw = lane.dt_bias;
    #[unroll]
    for r in 0..rank {
        raw += lane.dt_weight[r] * scan.projected[row + r];
    }
    Step { pixel, row, raw, dt: softplus(raw) }
}

/// Entry `n` of `B` at a step.
#[cube]
pub(super) fn b(scan: &Scan, step: &Step, n: usize) -> f32 {
    scan.projected[step.row + comptime!(scan.rank) + n]
}

/// Entry `n` of `C` at a step.
#[cube]
pub(super) fn c(scan: &Scan, step: &Step, n: usize) -> f32 {
    scan.projected[step.row + comptime!(scan.rank + scan.states) + n]
}

/// What a step leaves of state `n`.
#[cube]
pub(super) fn decay(lane: &Lane, step: &Step, n: usize) -> f32 {
    (step.dt * lane.rates[n]).exp()
}

/// Moves the states over a step with the input `x`.
#[cube]
pub(super) fn advance(scan: &Scan, lane: &Lane, step: &Step, x: f32, state: &mut Array<f32>) {
    let input = step.dt * x;
    let states = comptime!(scan.states);
    #[unroll]
    for n in 0..states {
        state[n] = decay(lane, step, n) * state[n] + input * b(scan, step, n);
    }
}

/// Index of the lane's channel at a step in a map, `[b, pixels, channels]`.
#[cube]
pub(super) fn own(scan: &Scan, lane: &Lane, step: &Step) -> usize {
    (lane.picture * scan.pixels + step.pixel) * scan.channels + lane.channel
}

/// Index of the same in maps of every direction, `[b, directions, pixels, channels]`.
#[cube]
pub(super) fn own_part(scan: &Scan, lane: &Lane, step: &Step) -> usize {
    let sequence = lane.picture * scan.directions + lane.direction;
    (sequence * scan.pixels + step.pixel) * scan.channels + lane.channel
}

/// The lane's values of `[b, directions, chunks, states, channels]`.
#[cube]
pub(super) fn load(values: &[f32], scan: &Scan, lane: &Lane) -> Array<f32> {
    let states = comptime!(scan.states);
    let mut held = Array::<f32>::new(states);
    #[unroll]
    for n in 0..states {
        held[n] = values[(lane.border * states + n) * scan.channels + lane.channel];
    }
    held
}

/// Writes what [`load`] reads.
#[cube]
pub(super) fn store(values: &mut [f32], scan: &Scan, lane: &Lane, held: &Array<f32>) {
    let states = comptime!(scan.states);
    #[unroll]
    for n in 0..states {
        values[(lane.border * states + n) * scan.channels + lane.channel] = held[n];
    }
}
