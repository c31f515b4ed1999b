//! What batch norm and instance norm share: every channel of a group of rows is brought to mean 0
//! and variance 1, then scaled, shifted and passed through an activation.

pub(crate) mod reference;

use pulp::Simd;

use crate::activation::{Activation, Function, Identity, Relu, Silu};
use crate::partition::{ELEMENTWISE, RowParts, for_each_chunk};
use crate::scratch;
use crate::simd::vectorized;
use crate::vector::Vector;

/// Fewest rows that are worth a partial sum of their own.
const MIN_PART_ROWS: usize = 64;

/// `groups` times `rows` rows of `channels` values: for instance norm a group is a picture, for
/// batch norm the whole batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupedRows {
    pub(crate) groups: usize,
    pub(crate) rows: usize,
    pub(crate) channels: usize,
}

impl GroupedRows {
    pub(crate) fn len(self) -> usize {
        self.groups * self.rows * self.channels
    }

    fn parts(self) -> RowParts {
        RowParts::new(self.rows, MIN_PART_ROWS)
    }
}

/// Per group and channel, `[groups, channels]`.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f32>,
    /// Divided by the number of rows.
    pub(crate) variance: Vec<f32>,
}

/// Mean and variance of every channel of every group. Each part of the rows is centred on its own
/// mean, and the parts are joined in `f64`, so a large mean costs no digits.
///
/// Source of the joining: Chan, Golub and `LeVeque` 1979, "Updating formulae and a pairwise
/// algorithm for computing sample variances".
pub(crate) fn moments(shape: GroupedRows, x: &[f32]) -> Moments {
    let GroupedRows { groups, rows, channels } = shape;
    let parts = shape.parts();
    let mut partial = scratch::take(groups * parts.count() * 2 * channels);
    for_each_chunk(&mut partial, (2 * channels).max(1), |task, partial| {
        let range = parts.range(task % parts.count());
        let start = task / parts.count() * rows * channels;
        let x = &x[start + range.start * channels..start + range.end * channels];
        let (mean, squares) = partial.split_at_mut(channels);
        part_moments(x, mean, squares);
    });
    let mut joined =
        Moments { mean: vec![0.0; groups * channels], variance: vec![0.0; groups * channels] };
    for group in 0..groups {
        for channel in 0..channels {
            let (mut count, mut mean, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
            for part in 0..parts.count() {
                let at = (group * parts.count() + part) * 2 * channels + channel;
                let n = parts.range(part).len() as f64;
                let difference = f64::from(partial[at]) - mean;
                squares += f64::from(partial[at + channels])
                    + difference * difference * count * n / (count + n);
                mean += difference * n / (count + n);
                count += n;
            }
            joined.mean[group * channels + channel] = mean as f32;
            joined.variance[group * channels + channel] = (squares / count) as f32;
        }
    }
    joined
}

vectorized! {
    /// The mean of every column of `x` and the sum of squared differences from it.
    fn part_moments<'a, S>(_simd, x: &'a [f32], mean: &'a mut [f32], squares: &'a mut [f32]) {
        let channels = mean.len();
        mean.fill(0.0);
        squares.fill(0.0);
        for row in x.chunks_exact(channels) {
            for (mean, &value) in mean.iter_mut().zip(row) {
                *mean += value;
            }
        }
        let count = (x.len() / channels) as f32;
        for mean in mean.iter_mut() {
            *mean /= count;
        }
        for row in x.chunks_exact(channels) {
            for ((squares, &mean), &value) in squares.iter_mut().zip(mean.iter()).zip(row) {
                let difference = value - mean;
                *squares = difference.mul_add(difference, *squares);
            }
        }
    }
}

/// Factors that turn a centred value into a normalised one, `1 / sqrt(variance + eps)`.
pub(crate) fn inverse_deviations(variance: &[f32], eps: f32) -> Vec<f32> {
    variance.iter().map(|&v| (1.0 / (f64::from(v) + f64::from(eps)).sqrt()) as f32).collect()
}

/// One affine map per group and channel: `(x - centre) * scale + shift`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine<'a> {
    /// `[groups, channels]`.
    pub(crate) centre: &'a [f32],
    /// `[groups, channels]`.
    pub(crate) scale: &'a [f32],
    /// `[channels]`.
    pub(crate) shift: &'a [f32],
}

/// `y = activation((x - centre) * scale + shift)`.
pub(crate) fn apply(
    shape: GroupedRows,
    activation: Activation,
    x: &[f32],
    affine: Affine<'_>,
    y: &mut [f32],
) {
    let GroupedRows { rows, channels, .. } = shape;
    for_each_group_block(shape, y, |group, first_row, y| {
        let x = &x[(group * rows + first_row) * channels..][..y.len()];
        let affine = Affine {
            centre: &affine.centre[group * channels..][..channels],
            scale: &affine.scale[group * channels..][..channels],
            shift: affine.shift,
        };
        match activation {
            Activation::None => apply_rows::<Identity>(x, affine, y),
            Activation::Relu => apply_rows::<Relu>(x, affine, y),
            Activation::Silu => apply_rows::<Silu>(x, affine, y),
        }
    });
}

vectorized! {
    fn apply_rows<'a, S, F: Function>(simd, x: &'a [f32], affine: Affine<'a>, y: &'a mut [f32]) {
        let n = affine.centre.len();
        // Columns outside: what belongs to a column stays in registers.
        for start in (0..n).step_by(S::F32_LANES) {
            let load = |row| Vector::load(simd, row, start);
            let [centre, scale] = [load(affine.centre), load(affine.scale)];
            let shift = load(affine.shift);
            for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
                F::value((load(x) - centre).mul_add(scale, shift)).store(y, start);
            }
        }
    }
}

/// Calls `task(group, first row, rows of out)` for blocks of rows that do not cross groups.
fn for_each_group_block(
    shape: GroupedRows,
    out: &mut [f32],
    task: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let GroupedRows { rows, channels, .. } = shape;
    let block = (ELEMENTWISE / channels.max(1)).max(1);
    for_each_chunk(out, (rows * channels).max(1), |group, out| {
        for_each_chunk(out, (block * channels).max(1), |i, out| task(group, i * block, out));
    });
}

/// What the backward pass knows of the forward pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saved<'a> {
    pub(crate) x: &'a [f32],
    /// `[groups, channels]`.
    pub(crate) mean: &'a [f32],
    /// `[groups, channels]`.
    pub(crate) inverse_deviation: &'a [f32],
    /// `[channels]`.
    pub(crate) weight: &'a [f32],
    /// `[channels]`.
    pub(crate) bias: &'a [f32],
}

/// The gradient of normalising, scaling and activating. Returns the sums over the rows of each
/// group of `g` and of `g * normalised x`, `[groups, channels]` each, where `g` is the gradient
/// before the activation: summed over the groups they are the gradients of bias and weight.
///
/// With `x̂` the normalised input: `grad_x = weight / deviation * (g - mean(g) - x̂ mean(g x̂))`.
/// Source: Ioffe and Szegedy 2015, "Batch normalization", section 3.
pub(crate) fn backward(
    shape: GroupedRows,
    activation: Activation,
    saved: Saved<'_>,
    grad_y: &[f32],
    grad_x: &mut [f32],
) -> [Vec<f32>; 2] {
    let GroupedRows { groups, rows, channels } = shape;
    let parts = shape.parts();
    let mut partial = scratch::zeros(groups * parts.count() * 2 * channels);
    for_each_chunk(&mut partial, (2 * channels).max(1), |task, partial| {
        let (group, range) = (task / parts.count(), parts.range(task % parts.count()));
        let first_row = group * rows + range.start;
        let saved = saved.rows(group, channels, first_row, range.len());
        let grad_y = &grad_y[first_row * channels..];
        let (sum, sum_x) = partial.split_at_mut(channels);
        match activation {
            Activation::None => add_sums::<Identity>(saved, grad_y, sum, sum_x),
            Activation::Relu => add_sums::<Relu>(saved, grad_y, sum, sum_x),
            Activation::Silu => add_sums::<Silu>(saved, grad_y, sum, sum_x),
        }
    });
    let mut sums = [vec![0.0; groups * channels], vec![0.0; groups * channels]];
    for (which, sums) in sums.iter_mut().enumerate() {
        for (i, sum) in sums.iter_mut().enumerate() {
            let (group, channel) = (i / channels, i % channels);
            let of_part =
                |part| partial[((group * parts.count() + part) * 2 + which) * channels + channel];
            *sum = (0..parts.count()).map(|part| f64::from(of_part(part))).sum::<f64>() as f32;
        }
    }
    let share = 1.0 / rows as f32;
    let [mean_g, mean_gx] =
        [0, 1].map(|which: usize| sums[which].iter().map(|sum| share * sum).collect::<Vec<_>>());
    for_each_group_block(shape, grad_x, |group, first_row, grad_x| {
        let first_row = group * rows + first_row;
        let saved = saved.rows(group, channels, first_row, grad_x.len() / channels);
        let grad_y = &grad_y[first_row * channels..];
        let means =
            (&mean_g[group * channels..][..channels], &mean_gx[group * channels..][..channels]);
        match activation {
            Activation::None => centre_rows::<Identity>(saved, grad_y, means, grad_x),
            Activation::Relu => centre_rows::<Relu>(saved, grad_y, means, grad_x),
            Activation::Silu => centre_rows::<Silu>(saved, grad_y, means, grad_x),
        }
    });
    sums
}

impl<'a> Saved<'a> {
    /// What concerns `count` rows from `first_row` on, all of one group.
    fn rows(self, group: usize, channels: usize, first_row: usize, count: usize) -> Saved<'a> {
        Saved {
            x: &self.x[first_row * channels..][..count * channels],
            mean: &self.mean[group * channels..][..channels],
            inverse_deviation: &self.inverse_deviation[group * channels..][..channels],
            weight: &self.weight[..channels],
            bias: &self.bias[..channels],
        }
    }

    /// What concerns the channels from `start` on.
    #[inline(always)]
    fn columns<S: Simd>(&self, simd: S, start: usize) -> SavedColumns<S> {
        let load = |row| Vector::load(simd, row, start);
        SavedColumns {
            simd,
            start,
            mean: load(self.mean),
            inverse_deviation: load(self.inverse_deviation),
            weight: load(self.weight),
            bias: load(self.bias),
        }
    }
}

/// One vector of channels of [`Saved`].
struct SavedColumns<S: Simd> {
    simd: S,
    start: usize,
    mean: Vector<S>,
    inverse_deviation: Vector<S>,
    weight: Vector<S>,
    bias: Vector<S>,
}

impl<S: Simd> SavedColumns<S> {
    /// The normalised values of the row `x`, and the gradient before the activation.
    #[inline(always)]
    fn row<F: Function>(&self, x: &[f32], grad_y: &[f32]) -> (Vector<S>, Vector<S>) {
        let load = |row| Vector::load(self.simd, row, self.start);
        let normalised = (load(x) - self.mean) * self.inverse_deviation;
        let slope = F::slope(normalised.mul_add(self.weight, self.bias));
        (normalised, load(grad_y) * slope)
    }
}

vectorized! {
    fn add_sums<'a, S, F: Function>(
        simd,
        saved: Saved<'a>,
        grad_y: &'a [f32],
        sum: &'a mut [f32],
        sum_x: &'a mut [f32],
    ) {
        let n = sum.len();
        for start in (0..n).step_by(S::F32_LANES) {
            let columns = saved.columns(simd, start);
            let mut g_sum = Vector::load(simd, sum, start);
            let mut gx_sum = Vector::load(simd, sum_x, start);
            for (x, grad_y) in saved.x.chunks_exact(n).zip(grad_y.chunks_exact(n)) {
                let (normalised, g) = columns.row::<F>(x, grad_y);
                g_sum = g_sum + g;
                gx_sum = g.mul_add(normalised, gx_sum);
            }
            g_sum.store(sum, start);
            gx_sum.store(sum_x, start);
        }
    }
}

vectorized! {
    fn centre_rows<'a, S, F: Function>(
        simd,
        saved: Saved<'a>,
        grad_y: &'a [f32],
        means: (&'a [f32], &'a [f32]),
        grad_x: &'a mut [f32],
    ) {
        let n = means.0.len();
        for start in (0..n).step_by(S::F32_LANES) {
            let columns = saved.columns(simd, start);
            let scale = columns.weight * columns.inverse_deviation;
            let mean_g = Vector::load(simd, means.0, start);
            let mean_gx = Vector::load(simd, means.1, start);
            let rows = saved.x.chunks_exact(n).zip(grad_y.chunks_exact(n));
            for (grad_x, (x, grad_y)) in grad_x.chunks_exact_mut(n).zip(rows) {
                let (normalised, g) = columns.row::<F>(x, grad_y);
                (scale * (g - mean_g - normalised * mean_gx)).store(grad_x, start);
            }
        }
    }
}
