//! The two-dimensional selective scan (SS2D): every direction of a map, summed.
//!
//! Source: Liu et al. 2024, "`VMamba`: visual state space model", and the MMAD reference code.

use super::directions::{self, Steering};
use super::isa::{Isa, with_lanes};

/// Sizes of a two-dimensional scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ss2dShape {
    /// Pictures, `B`
    pub batch: usize,
    /// Pixels of a map, `L`
    pub pixels: usize,
    /// Channels, `D`
    pub channels: usize,
    /// Directions, `K`
    pub directions: usize,
    /// Rank of the step size, `R`
    pub rank: usize,
    /// States of a channel, `N`
    pub states: usize,
}

impl Ss2dShape {
    /// Numbers that a pixel is projected to for one direction: `R + 2N`.
    pub fn row(&self) -> usize {
        self.rank + 2 * self.states
    }

    /// Numbers in one picture's input or output.
    pub(super) fn picture(&self) -> usize {
        self.pixels * self.channels
    }

    /// Numbers in one picture's projection.
    pub(super) fn projected_picture(&self) -> usize {
        self.pixels * self.directions * self.row()
    }
}

/// Weights and scan orders of a two-dimensional scan.
#[derive(Clone, Copy, Debug)]
pub struct Ss2dParams<'a, T = f32> {
    /// Pixel at every step, `[K, L]`; each row a permutation of `0..L`
    pub orders: &'a [u32],
    /// `[K, D, R]`
    pub dt_weight: &'a [T],
    /// `[K, D]`
    pub dt_bias: &'a [T],
    /// `[K, D, N]`, where `A = -exp(a_log)`
    pub a_log: &'a [T],
    /// `[K, D]`
    pub d_skip: &'a [T],
}

/// Gradients of a two-dimensional scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Ss2dGrads<T = f32> {
    /// `[B, L, D]`, without the part that goes through the projection
    pub u: Vec<T>,
    /// `[B, L, K, R + 2N]`
    pub projected: Vec<T>,
    /// `[K, D, R]`
    pub dt_weight: Vec<T>,
    /// `[K, D]`
    pub dt_bias: Vec<T>,
    /// `[K, D, N]`
    pub a_log: Vec<T>,
    /// `[K, D]`
    pub d_skip: Vec<T>,
}

/// Scans a map in every direction and sums what comes out.
///
/// For direction `k` and step `t`, at pixel `p = orders[k][t]`, from `h = 0`:
///
/// ```text
/// [dt_r | B | C] = projected[p, k]              dt = softplus(dt_weight[k]·dt_r + dt_bias[k])
/// h = exp(-dt·exp(a_log[k]))·h + dt·u[p]·B      y[p] += <C, h> + d_skip[k]·u[p]
/// ```
///
/// The directions are added in the order `0..K` in two halves, the second to the first.
///
/// # Shapes
///
/// - `u`: `[B, L, D]`
/// - `projected`: `[B, L, K, R + 2N]`
/// - `y`: `[B, L, D]`, written
///
/// # Panics
///
/// When a length does not fit the shape, or an order names a pixel outside the map.
pub fn ss2d_forward(
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    y: &mut [f32],
) {
    ss2d_forward_with(Isa::best(), shape, u, projected, params, y);
}

/// [`ss2d_forward`] with chosen instructions.
///
/// # Panics
///
/// As [`ss2d_forward`].
pub fn ss2d_forward_with(
    isa: Isa,
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    y: &mut [f32],
) {
    check(shape, u.len(), projected.len(), params);
    check_len("y", y.len(), shape.batch * shape.picture());
    let steering = Steering::Projected(projected);
    with_lanes!(isa, |simd| {
        let weights = directions::pack_weights(simd, shape, params);
        directions::forward(simd, shape, u, steering, params.orders, &weights, false, y);
    });
}

/// The gradients of [`ss2d_forward`] for the gradient `grad_y` (`[B, L, D]`) of its output.
///
/// Needs nothing saved by the forward pass. Memory beyond the gradients: for every thread the
/// states of each 32nd step of one direction, and, when a small batch is shared out by directions,
/// one gradient of `u` and of the rows per direction.
///
/// # Panics
///
/// As [`ss2d_forward`].
pub fn ss2d_backward(
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    grad_y: &[f32],
) -> Ss2dGrads {
    ss2d_backward_with(Isa::best(), shape, u, projected, params, grad_y)
}

/// [`ss2d_backward`] with chosen instructions.
///
/// # Panics
///
/// As [`ss2d_forward`].
pub fn ss2d_backward_with(
    isa: Isa,
    shape: Ss2dShape,
    u: &[f32],
    projected: &[f32],
    params: &Ss2dParams<'_>,
    grad_y: &[f32],
) -> Ss2dGrads {
    check(shape, u.len(), projected.len(), params);
    check_len("grad_y", grad_y.len(), shape.batch * shape.picture());
    let steering = Steering::Projected(projected);
    with_lanes!(isa, |simd| directions::backward(simd, shape, u, steering, params, &[], grad_y))
        .of_inputs
}

/// Panics unless the inputs fit the shape.
pub(super) fn check<T>(shape: Ss2dShape, u: usize, projected: usize, params: &Ss2dParams<'_, T>) {
    check_map(shape, u, params.orders);
    check_len("projected", projected, shape.batch * shape.projected_picture());
    check_weights(shape, params);
}

/// Panics unless input and orders fit the shape.
pub(super) fn check_map(shape: Ss2dShape, u: usize, orders: &[u32]) {
    let Ss2dShape { batch, pixels, directions, .. } = shape;
    check_len("u", u, batch * shape.picture());
    check_len("orders", orders.len(), directions * pixels);
    // Without an early exit, the test runs many at a time.
    if orders.iter().fold(0, |last, &pixel| pixel.max(last)) as usize >= pixels.max(1) {
        let at = orders.iter().position(|&pixel| pixel as usize >= pixels).unwrap_or(0);
        panic!("orders[{at}] is pixel {} of a map of {pixels} pixels", orders[at]);
    }
}

/// Panics unless the weights fit the shape.
pub(super) fn check_weights<T>(shape: Ss2dShape, params: &Ss2dParams<'_, T>) {
    let Ss2dShape { channels, directions, rank, states, .. } = shape;
    assert!(states > 0, "a scan needs at least 1 state");
    check_len("dt_weight", params.dt_weight.len(), directions * channels * rank);
    check_len("dt_bias", params.dt_bias.len(), directions * channels);
    check_len("a_log", params.a_log.len(), directions * channels * states);
    check_len("d_skip", params.d_skip.len(), directions * channels);
}

/// Panics unless an array has the length that its shape asks for.
#[track_caller]
pub(super) fn check_len(name: &str, len: usize, wanted: usize) {
    assert!(len == wanted, "`{name}` has {len} numbers, its shape needs {wanted}");
}
