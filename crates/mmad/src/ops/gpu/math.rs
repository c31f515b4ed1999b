//! The arithmetic of one step of a scan, shared by the kernels.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Sizes of a scan that a kernel reads at run time.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Sizes {
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
}

/// Where the unit stands: one channel of one chunk of one direction of one picture.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    pub(super) picture: usize,
    pub(super) direction: usize,
    /// Index of the chunk among those of all pictures and directions.
    pub(super) border: usize,
    /// A channel that exists, also for the units behind the last channel.
    pub(super) channel: usize,
    /// Index of the direction's channel in a weight: `direction · D + channel`.
    pub(super) weight: usize,
    /// First step of the chunk.
    pub(super) start: usize,
    /// Steps of the chunk.
    pub(super) steps: usize,
}

/// The place of a unit whose cube is (block of channels, chunk, picture and direction).
#[cube]
pub(super) fn place(sizes: &Sizes) -> Place {
    let sequence = CUBE_POS_Z as usize;
    let direction = sequence % sizes.directions;
    let chunk = CUBE_POS_Y as usize;
    let start = chunk * sizes.chunk;
    let channel = clamp_max(ABSOLUTE_POS_X as usize, sizes.channels - 1);
    Place {
        picture: sequence / sizes.directions,
        direction,
        border: sequence * sizes.chunks + chunk,
        channel,
        weight: direction * sizes.channels + channel,
        start,
        steps: clamp_max(sizes.chunk, sizes.pixels - start),
    }
}

/// The smaller of both.
#[cube]
pub(super) fn clamp_max(x: usize, largest: usize) -> usize {
    select(x > largest, largest, x)
}

/// The pixel that step `step` of the chunk visits.
#[cube]
pub(super) fn pixel(orders: &[u32], sizes: &Sizes, place: &Place, step: usize) -> usize {
    orders[place.direction * sizes.pixels + place.start + step] as usize
}

/// Index of the pixel's first projected number for the direction.
#[cube]
pub(super) fn row(sizes: &Sizes, place: &Place, pixel: usize, #[comptime] row_len: usize) -> usize {
    ((place.picture * sizes.pixels + pixel) * sizes.directions + place.direction) * row_len
}

/// Index of the pixel's channel in a map.
#[cube]
pub(super) fn own(sizes: &Sizes, place: &Place, pixel: usize) -> usize {
    (place.picture * sizes.pixels + pixel) * sizes.channels + place.channel
}

/// Index of the pixel's channel in maps of every direction, `[b, directions, pixels, channels]`.
#[cube]
pub(super) fn own_part(sizes: &Sizes, place: &Place, pixel: usize) -> usize {
    let sequence = place.picture * sizes.directions + place.direction;
    (sequence * sizes.pixels + pixel) * sizes.channels + place.channel
}

/// `n` neighbouring values in registers.
#[cube]
pub(super) fn registers(values: &[f32], first: usize, #[comptime] n: usize) -> Array<f32> {
    let mut held = Array::<f32>::new(n);
    #[unroll]
    for i in 0..n {
        held[i] = values[first + i];
    }
    held
}

/// `n` zeros in registers.
#[cube]
pub(super) fn zeros(#[comptime] n: usize) -> Array<f32> {
    let mut held = Array::<f32>::new(n);
    #[unroll]
    for i in 0..n {
        held[i] = 0.0;
    }
    held
}

/// The state matrix of a channel: `-exp(a_log)`.
#[cube]
pub(super) fn rates(a_log: &[f32], place: &Place, #[comptime] states: usize) -> Array<f32> {
    let mut rates = Array::<f32>::new(states);
    #[unroll]
    for n in 0..states {
        rates[n] = 0.0 - a_log[place.weight * states + n].exp();
    }
    rates
}

/// The step size before softplus.
#[cube]
pub(super) fn raw_step(
    projected: &[f32],
    row: usize,
    weight: &Array<f32>,
    bias: f32,
    #[comptime] rank: usize,
) -> f32 {
    let mut sum = bias;
    #[unroll]
    for r in 0..rank {
        sum += weight[r] * projected[row + r];
    }
    sum
}

/// `ln(1 + exp(x))`, as exact for small steps as for large ones.
///
/// With `v = exp(-|x|)` it is `max(x, 0) + 2 artanh(v / (2 + v))`, and eight terms of the series of
/// artanh reach the last bit of an `f32`. The logarithm of a GPU would not do: near 1 Vulkan allows
/// it an absolute error of `2^-21`, which is a wrong digit in the fourth place of a step of 0.001.
#[cube]
pub(super) fn softplus(x: f32) -> f32 {
    let v = (0.0 - x.abs()).exp();
    let s = v / (v + 2.0);
    let q = s * s;
    let tail = q * (0.090_909_09 + q * (0.076_923_08 + q * 0.066_666_67));
    let series =
        1.0 + q * (0.333_333_34 + q * (0.2 + q * (0.142_857_15 + q * (0.111_111_11 + tail))));
    select(x > 0.0, x, 0.0) + 2.0 * s * series
}

/// The derivative of [`softplus`]: `1 / (1 + exp(-x))`, without overflow.
#[cube]
pub(super) fn sigmoid(x: f32) -> f32 {
    let v = (0.0 - x.abs()).exp();
    select(x > 0.0, 1.0, v) / (1.0 + v)
}
