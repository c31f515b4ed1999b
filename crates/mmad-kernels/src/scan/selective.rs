//! The general selective scan, in the layout of the Mamba reference code.

use rayon::prelude::*;

use super::backward::{Backward, RowsMut, WeightGrads};
use super::forward::Forward;
use super::isa::{Isa, with_lanes};
use super::lanes::Lanes;
use super::sequence::{Decay, PackWeights, Rows, Sequence, StepSize, Weights};
use super::ss2d::check_len;

/// Sizes of a selective scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectiveScanShape {
    /// Sequences, `B`
    pub batch: usize,
    /// Channels, `D`
    pub channels: usize,
    /// Steps, `L`
    pub length: usize,
    /// States of a channel, `N`
    pub states: usize,
    /// Groups of `D / G` neighbouring channels that share `B` and `C`, `G`
    pub groups: usize,
}

/// What a selective scan reads.
#[derive(Clone, Copy, Debug)]
pub struct SelectiveScanInputs<'a, T = f32> {
    /// Input, `[B, D, L]`
    pub u: &'a [T],
    /// Step sizes before bias and softplus, `[B, D, L]`
    pub delta: &'a [T],
    /// The matrix `A` itself, usually negative, `[D, N]`
    pub a: &'a [T],
    /// `[B, G, N, L]`
    pub b: &'a [T],
    /// `[B, G, N, L]`
    pub c: &'a [T],
    /// Skip weight, `[D]`
    pub d: &'a [T],
    /// `[D]`
    pub delta_bias: &'a [T],
    /// Whether `delta + delta_bias` goes through softplus
    pub delta_softplus: bool,
}

/// Gradients of a selective scan, shaped as its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectiveScanGrads<T = f32> {
    /// `[B, D, L]`
    pub u: Vec<T>,
    /// `[B, D, L]`
    pub delta: Vec<T>,
    /// `[D, N]`
    pub a: Vec<T>,
    /// `[B, G, N, L]`
    pub b: Vec<T>,
    /// `[B, G, N, L]`
    pub c: Vec<T>,
    /// `[D]`
    pub d: Vec<T>,
    /// `[D]`
    pub delta_bias: Vec<T>,
}

/// Scans every channel of every sequence from `h = 0`:
///
/// ```text
/// dt = softplus(delta + delta_bias)        (softplus(x) = ln(1 + e^x), x itself above 20)
/// h = exp(dt·A)·h + dt·u·B                 y = <C, h> + D·u
/// ```
///
/// # Shapes
///
/// - `inputs`: see [`SelectiveScanInputs`]
/// - `y`: `[B, D, L]`, written
///
/// # Panics
///
/// When a length does not fit the shape, or the groups do not divide the channels.
pub fn selective_scan_forward(
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_>,
    y: &mut [f32],
) {
    selective_scan_forward_with(Isa::best(), shape, inputs, y);
}

/// [`selective_scan_forward`] with chosen instructions.
///
/// # Panics
///
/// As [`selective_scan_forward`].
pub fn selective_scan_forward_with(
    isa: Isa,
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_>,
    y: &mut [f32],
) {
    check(shape, inputs);
    check_len("y", y.len(), inputs.u.len());
    with_lanes!(isa, |simd| forward(simd, shape, inputs, y));
}

/// The gradients of [`selective_scan_forward`] for the gradient `grad_y` (`[B, D, L]`) of its
/// output.
///
/// # Panics
///
/// As [`selective_scan_forward`].
pub fn selective_scan_backward(
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_>,
    grad_y: &[f32],
) -> SelectiveScanGrads {
    selective_scan_backward_with(Isa::best(), shape, inputs, grad_y)
}

/// [`selective_scan_backward`] with chosen instructions.
///
/// # Panics
///
/// As [`selective_scan_forward`].
pub fn selective_scan_backward_with(
    isa: Isa,
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_>,
    grad_y: &[f32],
) -> SelectiveScanGrads {
    check(shape, inputs);
    check_len("grad_y", grad_y.len(), inputs.u.len());
    with_lanes!(isa, |simd| backward(simd, shape, inputs, grad_y))
}

/// Panics unless the inputs fit the shape.
pub(super) fn check<T>(shape: SelectiveScanShape, inputs: &SelectiveScanInputs<'_, T>) {
    let SelectiveScanShape { batch, channels, length, states, groups } = shape;
    assert!(states > 0, "a scan needs at least 1 state");
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "{channels} channels cannot be cut into {groups} groups"
    );
    check_len("u", inputs.u.len(), batch * channels * length);
    check_len("delta", inputs.delta.len(), batch * channels * length);
    check_len("a", inputs.a.len(), channels * states);
    check_len("b", inputs.b.len(), batch * groups * states * length);
    check_len("c", inputs.c.len(), batch * groups * states * length);
    check_len("d", inputs.d.len(), channels);
    check_len("delta_bias", inputs.delta_bias.len(), channels);
}

fn forward<S: Lanes>(
    simd: S,
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_>,
    y: &mut [f32],
) {
    if y.is_empty() {
        return;
    }
    let order = time_order(shape);
    let weights = group_weights(simd, shape, inputs);
    let width = shape.channels / shape.groups;
    y.par_chunks_mut(width * shape.length).enumerate().for_each(|(item, y)| {
        let steps_first = StepsFirst::new(shape, inputs, item);
        let mut sums = vec![0.0; y.len()];
        let sequence = steps_first.sequence(&order, shape.states, inputs.delta_softplus);
        let weights = &weights[item % shape.groups];
        simd.vectorize(Forward {
            simd,
            sequence,
            projection: None,
            weights,
            is_added: false,
            noted: None,
            y: &mut sums,
        });
        transpose(&sums, width, y, shape.length);
    });
}

fn backward<S: Lanes>(
    simd: S,
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_>,
    grad_y: &[f32],
) -> SelectiveScanGrads {
    let SelectiveScanShape { channels, length, states, groups, .. } = shape;
    let mut grads = SelectiveScanGrads {
        u: vec![0.0; inputs.u.len()],
        delta: vec![0.0; inputs.u.len()],
        a: vec![0.0; inputs.a.len()],
        b: vec![0.0; inputs.b.len()],
        c: vec![0.0; inputs.c.len()],
        d: vec![0.0; channels],
        delta_bias: vec![0.0; channels],
    };
    if inputs.u.is_empty() {
        return grads;
    }
    let order = time_order(shape);
    let weights = group_weights(simd, shape, inputs);
    let width = channels / groups;
    let scan = |item: usize, of: [&mut [f32]; 4]| {
        let [of_u, of_delta, of_b, of_c] = of;
        let steps_first = StepsFirst::new(shape, inputs, item);
        let grad_y = transposed(&grad_y[item * width * length..][..width * length], length);
        let mut grad_u = vec![0.0; width * length];
        let mut grad_delta = vec![0.0; width * length];
        let mut data = vec![0.0; length * 2 * states];
        let of_weights = simd.vectorize(Backward {
            simd,
            sequence: steps_first.sequence(&order, states, inputs.delta_softplus),
            projection: None,
            weights: &weights[item % groups],
            noted: &[],
            grad_y: &grad_y,
            grad_u: &mut grad_u,
            grad_delta: Some(&mut grad_delta),
            grad_rows: RowsMut { data: &mut data, stride: 2 * states, offset: 0 },
        });
        transpose(&grad_u, width, of_u, length);
        transpose(&grad_delta, width, of_delta, length);
        for (t, row) in data.chunks(2 * states).enumerate() {
            for n in 0..states {
                of_b[n * length + t] = row[n];
                of_c[n * length + t] = row[states + n];
            }
        }
        of_weights
    };
    let of_u = grads.u.par_chunks_mut(width * length);
    let of_delta = grads.delta.par_chunks_mut(width * length);
    let of_b = grads.b.par_chunks_mut(states * length);
    let of_c = grads.c.par_chunks_mut(states * length);
    let parts: Vec<WeightGrads> = of_u
        .zip(of_delta)
        .zip(of_b.zip(of_c))
        .enumerate()
        .map(|(item, ((u, delta), (b, c)))| scan(item, [u, delta, b, c]))
        .collect();
    for (item, part) in parts.iter().enumerate() {
        let first = item % groups * width;
        add(&mut grads.a[first * states..], &part.a);
        add(&mut grads.d[first..], &part.skip);
        add(&mut grads.delta_bias[first..], &part.bias);
    }
    grads
}

fn add(sums: &mut [f32], part: &[f32]) {
    for (sum, x) in sums.iter_mut().zip(part) {
        *sum += x;
    }
}

fn time_order(shape: SelectiveScanShape) -> Vec<u32> {
    (0..shape.length as u32).collect()
}

/// The weights of every group in vector form.
fn group_weights<S: Lanes>(
    simd: S,
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_>,
) -> Vec<Weights<S>> {
    let width = shape.channels / shape.groups;
    let pack = |group: usize| {
        let first = group * width;
        simd.vectorize(PackWeights {
            simd,
            states: shape.states,
            decay: Decay::Matrix(&inputs.a[first * shape.states..][..width * shape.states]),
            skip: &inputs.d[first..][..width],
            bias: &inputs.delta_bias[first..][..width],
            dt_weight: &[],
        })
    };
    (0..shape.groups).map(pack).collect()
}

/// One group of one sequence with time as the slow axis.
struct StepsFirst {
    u: Vec<f32>,
    delta: Vec<f32>,
    rows: Vec<f32>,
}

impl StepsFirst {
    fn new(shape: SelectiveScanShape, inputs: &SelectiveScanInputs<'_>, item: usize) -> Self {
        let SelectiveScanShape { channels, length, states, groups, .. } = shape;
        let len = channels / groups * length;
        let mut rows = vec![0.0; length * 2 * states];
        let b = &inputs.b[item * states * length..][..states * length];
        let c = &inputs.c[item * states * length..][..states * length];
        for t in 0..length {
            for n in 0..states {
                rows[t * 2 * states + n] = b[n * length + t];
                rows[t * 2 * states + states + n] = c[n * length + t];
            }
        }
        Self {
            u: transposed(&inputs.u[item * len..][..len], length),
            delta: transposed(&inputs.delta[item * len..][..len], length),
            rows,
        }
    }

    fn sequence<'a>(&'a self, order: &'a [u32], states: usize, softplus: bool) -> Sequence<'a> {
        Sequence {
            order,
            u: &self.u,
            rows: Rows { data: &self.rows, stride: 2 * states, offset: 0, rank: 0, states },
            step_size: StepSize::Given { delta: &self.delta, softplus },
        }
    }
}

/// `from` with rows of `width` numbers becomes `into` with rows of `height` numbers.
fn transpose(from: &[f32], width: usize, into: &mut [f32], height: usize) {
    for (i, row) in from.chunks(width).enumerate() {
        for (j, &x) in row.iter().enumerate() {
            into[j * height + i] = x;
        }
    }
}

/// Rows of `width` numbers become columns.
fn transposed(from: &[f32], width: usize) -> Vec<f32> {
    let mut into = vec![0.0; from.len()];
    transpose(from, width, &mut into, from.len() / width);
    into
}
