//! Activation functions, value by value, and the gate of the feed-forward block.

pub mod reference;

use std::f32::consts::FRAC_1_SQRT_2;

use pulp::Simd;

use crate::elementary::{erf, exp, sigmoid};
use crate::partition::{ELEMENTWISE, expect_len, for_each_chunk};
use crate::simd::vectorized;
use crate::vector::Vector;

/// Slope of [`Pointwise::LeakyRelu`] below zero.
pub const LEAKY_SLOPE: f32 = 0.1;

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointwise {
    /// `x sigmoid(x)`.
    Silu,
    /// `x Φ(x)` with the exact normal distribution `Φ`.
    Gelu,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `max(x, 0)`.
    Relu,
    /// `x` above zero, [`LEAKY_SLOPE`] times `x` below.
    LeakyRelu,
}

/// What a norm applies to its result in the same pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x sigmoid(x)`.
    Silu,
}

/// `y = activation(x)`.
///
/// # Panics
///
/// When the slices differ in length.
pub fn forward(activation: Pointwise, x: &[f32], y: &mut [f32]) {
    expect_len("activation", "y", y.len(), x.len());
    for_each_chunk(y, ELEMENTWISE, |task, y| {
        let x = &x[task * ELEMENTWISE..][..y.len()];
        match activation {
            Pointwise::Silu => apply::<Silu>(x, y),
            Pointwise::Gelu => apply::<Gelu>(x, y),
            Pointwise::Sigmoid => apply::<Sigmoid>(x, y),
            Pointwise::Relu => apply::<Relu>(x, y),
            Pointwise::LeakyRelu => apply::<LeakyRelu>(x, y),
        }
    });
}

vectorized! {
    fn apply<'a, S, F: Function>(simd, x: &'a [f32], y: &'a mut [f32]) {
        for start in (0..y.len()).step_by(S::F32_LANES) {
            F::value(Vector::load(simd, x, start)).store(y, start);
        }
    }
}

/// `grad_x = grad_y * activation'(x)`, from the input `x` of [`forward`].
///
/// # Panics
///
/// When the slices differ in length.
pub fn backward(activation: Pointwise, x: &[f32], grad_y: &[f32], grad_x: &mut [f32]) {
    expect_len("activation backward", "grad_y", grad_y.len(), x.len());
    expect_len("activation backward", "grad_x", grad_x.len(), x.len());
    for_each_chunk(grad_x, ELEMENTWISE, |task, grad_x| {
        let x = &x[task * ELEMENTWISE..][..grad_x.len()];
        let grad_y = &grad_y[task * ELEMENTWISE..][..grad_x.len()];
        match activation {
            Pointwise::Silu => apply_slope::<Silu>(x, grad_y, grad_x),
            Pointwise::Gelu => apply_slope::<Gelu>(x, grad_y, grad_x),
            Pointwise::Sigmoid => apply_slope::<Sigmoid>(x, grad_y, grad_x),
            Pointwise::Relu => apply_slope::<Relu>(x, grad_y, grad_x),
            Pointwise::LeakyRelu => apply_slope::<LeakyRelu>(x, grad_y, grad_x),
        }
    });
}

vectorized! {
    fn apply_slope<'a, S, F: Function>(
        simd,
        x: &'a [f32],
        grad_y: &'a [f32],
        grad_x: &'a mut [f32],
    ) {
        for start in (0..grad_x.len()).step_by(S::F32_LANES) {
            let slope = F::slope(Vector::load(simd, x, start));
            (Vector::load(simd, grad_y, start) * slope).store(grad_x, start);
        }
    }
}

/// `y[row, c] = gelu(x[row, c]) * x[row, channels + c]`: the first half of every row gated by the
/// second.
///
/// # Shapes
///
/// - `x`: `[rows, 2 channels]`
/// - `y`: `[rows, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn gelu_gate(channels: usize, x: &[f32], y: &mut [f32]) {
    expect_len("gelu gate", "x", x.len(), 2 * y.len());
    let rows = rows_per_task("gelu gate", channels, y.len());
    for_each_chunk(y, (rows * channels).max(1), |task, y| {
        gelu_gate_rows(channels, &x[task * rows * 2 * channels..], y);
    });
}

vectorized! {
    fn gelu_gate_rows<'a, S>(simd, channels: usize, x: &'a [f32], y: &'a mut [f32]) {
        for (x, y) in x.chunks_exact(2 * channels).zip(y.chunks_exact_mut(channels)) {
            let (a, b) = x.split_at(channels);
            for start in (0..channels).step_by(S::F32_LANES) {
                let (a, b) = (Vector::load(simd, a, start), Vector::load(simd, b, start));
                (gelu(a) * b).store(y, start);
            }
        }
    }
}

/// The gradient of [`gelu_gate`].
///
/// # Shapes
///
/// - `x`, `grad_x`: `[rows, 2 channels]`
/// - `grad_y`: `[rows, channels]`
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn gelu_gate_backward(channels: usize, x: &[f32], grad_y: &[f32], grad_x: &mut [f32]) {
    expect_len("gelu gate backward", "x", x.len(), 2 * grad_y.len());
    expect_len("gelu gate backward", "grad_x", grad_x.len(), x.len());
    let rows = rows_per_task("gelu gate backward", channels, grad_y.len());
    for_each_chunk(grad_x, (rows * 2 * channels).max(1), |task, grad_x| {
        let start = task * rows * channels;
        gelu_gate_backward_rows(channels, &x[2 * start..], &grad_y[start..], grad_x);
    });
}

vectorized! {
    fn gelu_gate_backward_rows<'a, S>(
        simd,
        channels: usize,
        x: &'a [f32],
        grad_y: &'a [f32],
        grad_x: &'a mut [f32],
    ) {
        let rows = x.chunks_exact(2 * channels).zip(grad_y.chunks_exact(channels));
        for (grad_x, (x, grad_y)) in grad_x.chunks_exact_mut(2 * channels).zip(rows) {
            let ((a, b), (grad_a, grad_b)) = (x.split_at(channels), grad_x.split_at_mut(channels));
            for start in (0..channels).step_by(S::F32_LANES) {
                let (a, b) = (Vector::load(simd, a, start), Vector::load(simd, b, start));
                let grad_y = Vector::load(simd, grad_y, start);
                (grad_y * b * gelu_slope(a)).store(grad_a, start);
                (grad_y * gelu(a)).store(grad_b, start);
            }
        }
    }
}

/// Rows per task of a pass over rows of `channels` values, after a check that rows are whole.
fn rows_per_task(op: &str, channels: usize, len: usize) -> usize {
    assert!(
        len.is_multiple_of(channels),
        "{op}: {len} values are not whole rows of {channels} channels"
    );
    (ELEMENTWISE / channels.max(1)).max(1)
}

/// A function of one value that kernels can be built around. Always inlined.
pub(crate) trait Function {
    /// The function.
    fn value<S: Simd>(x: Vector<S>) -> Vector<S>;
    /// Its derivative.
    fn slope<S: Simd>(x: Vector<S>) -> Vector<S>;
}

/// Implements [`Function`] for a type of its own.
macro_rules! function {
    ($name:ident, |$x:ident| $value:expr, $slope:expr) => {
        pub(crate) struct $name;

        impl Function for $name {
            #[inline(always)]
            fn value<S: Simd>($x: Vector<S>) -> Vector<S> {
                $value
            }

            #[inline(always)]
            fn slope<S: Simd>($x: Vector<S>) -> Vector<S> {
                $slope
            }
        }
    };
}

function!(Identity, |x| x, x.same(1.0));
function!(Silu, |x| silu(x), silu_slope(x));
function!(Gelu, |x| gelu(x), gelu_slope(x));
function!(Sigmoid, |x| sigmoid(x), sigmoid(x) * (x.same(1.0) - sigmoid(x)));
function!(Relu, |x| leaky(x, 0.0), leaky_slope(x, 0.0));
function!(LeakyRelu, |x| leaky(x, LEAKY_SLOPE), leaky_slope(x, LEAKY_SLOPE));

/// `x sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu<S: Simd>(x: Vector<S>) -> Vector<S> {
    x / (exp(-x) + 1.0)
}

/// The derivative of [`silu`].
#[inline(always)]
pub(crate) fn silu_slope<S: Simd>(x: Vector<S>) -> Vector<S> {
    let s = sigmoid(x);
    s.mul_add(x * (x.same(1.0) - s), s)
}

#[inline(always)]
fn gelu<S: Simd>(x: Vector<S>) -> Vector<S> {
    x * 0.5 * (erf(x * FRAC_1_SQRT_2) + 1.0)
}

#[inline(always)]
fn gelu_slope<S: Simd>(x: Vector<S>) -> Vector<S> {
    let cumulative = (erf(x * FRAC_1_SQRT_2) + 1.0) * 0.5;
    // 1 / √(2π)
    let density = exp(x * x * -0.5) * 0.398_942_3;
    x.mul_add(density, cumulative)
}

/// `x` above zero, `slope` times `x` below; not-a-number stays not-a-number.
#[inline(always)]
fn leaky<S: Simd>(x: Vector<S>, slope: f32) -> Vector<S> {
    x.if_less(x.same(0.0), x * slope, x)
}

/// The derivative of [`leaky`], `slope` at zero.
#[inline(always)]
fn leaky_slope<S: Simd>(x: Vector<S>, slope: f32) -> Vector<S> {
    x.same(0.0).if_less(x, x.same(1.0), x.same(slope))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_same_bits_on_any_threads, values, widen};

    const FUNCTIONS: [Pointwise; 5] = [
        Pointwise::Silu,
        Pointwise::Gelu,
        Pointwise::Sigmoid,
        Pointwise::Relu,
        Pointwise::LeakyRelu,
    ];

    /// Values from -40 to 40, tightly around zero, and very large ones.
    fn wide_values() -> Vec<f32> {
        let mut x: Vec<f32> = (-40_000..=40_000).map(|i| i as f32 * 1e-3).collect();
        x.extend((-1000..=1000).map(|i| i as f32 * 1e-6));
        x.extend([1e-30, -1e-30, 1e4, -1e4, 3e38]);
        x
    }

    #[test]
    fn functions_and_slopes_equal_the_reference() {
        let x = wide_values();
        let grad_y = values(1, x.len());
        for function in FUNCTIONS {
            let (mut y, mut grad_x) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
            forward(function, &x, &mut y);
            backward(function, &x, &grad_y, &mut grad_x);
            let slow: Vec<(f64, f64)> =
                x.iter().map(|&x| reference::pointwise(function, f64::from(x))).collect();
            let (slow_y, slopes): (Vec<f64>, Vec<f64>) = slow.into_iter().unzip();
            let slow_grad: Vec<f64> =
                slopes.iter().zip(widen(&grad_y)).map(|(slope, grad)| slope * grad).collect();
            assert_close(&format!("{function:?}"), &y, &slow_y, 1, 1e-6);
            assert_close(&format!("{function:?} slope"), &grad_x, &slow_grad, 1, 1e-6);
        }
    }

    #[test]
    fn the_sign_of_the_input_is_kept_and_not_a_number_is_seen() {
        for function in [Pointwise::Silu, Pointwise::Gelu, Pointwise::Relu, Pointwise::LeakyRelu] {
            let x = wide_values();
            let mut y = vec![f32::NAN; x.len()];
            forward(function, &x, &mut y);
            assert!(x.iter().zip(&y).all(|(x, y)| x * y >= 0.0), "{function:?}");
        }
        for function in FUNCTIONS {
            let mut y = [0.0];
            forward(function, &[f32::NAN], &mut y);
            assert!(y[0].is_nan(), "{function:?}");
        }
    }

    #[test]
    fn the_reference_slopes_are_slopes() {
        for function in FUNCTIONS {
            for x in [-3.1, -0.7, -0.01, 0.02, 0.9, 2.5] {
                let value = |x| reference::pointwise(function, x).0;
                let slope = (value(x + 1e-6) - value(x - 1e-6)) / 2e-6;
                let (_, expected) = reference::pointwise(function, x);
                assert!((slope - expected).abs() < 1e-8, "{function:?} at {x}");
            }
        }
    }

    #[test]
    fn the_gate_multiplies_the_halves_of_each_row() {
        let (rows, channels) = (700, 37);
        let x: Vec<f32> = values(1, rows * 2 * channels).iter().map(|x| 4.0 * x).collect();
        let grad_y = values(2, rows * channels);
        let (mut y, mut grad_x) = (vec![f32::NAN; grad_y.len()], vec![f32::NAN; x.len()]);
        gelu_gate(channels, &x, &mut y);
        gelu_gate_backward(channels, &x, &grad_y, &mut grad_x);
        let (mut slow_y, mut slow_grad) = (vec![0.0; y.len()], vec![0.0; x.len()]);
        for (i, &grad) in grad_y.iter().enumerate() {
            let at = i / channels * 2 * channels + i % channels;
            let (a, b) = (f64::from(x[at]), f64::from(x[at + channels]));
            slow_y[i] = reference::gelu(a) * b;
            slow_grad[at] = f64::from(grad) * b * reference::gelu_slope(a);
            slow_grad[at + channels] = f64::from(grad) * reference::gelu(a);
        }
        assert_close("y", &y, &slow_y, 1, 2e-6);
        assert_close("grad x", &grad_x, &slow_grad, 1, 2e-6);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let x = values(1, 123_456);
        assert_same_bits_on_any_threads(|| {
            let mut y = vec![0.0; x.len() / 2];
            gelu_gate(48, &x, &mut y);
            let mut grad_x = vec![0.0; x.len()];
            backward(Pointwise::Gelu, &x, &x, &mut grad_x);
            [y, grad_x].concat()
        });
    }
}
