//! The definitions in `f64`. Kept simple: they are what the fast functions are tested against.

use super::{Activation, LEAKY_SLOPE, Pointwise};

/// `1 / (1 + e^-x)`.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `x sigmoid(x)`.
pub fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

/// The derivative of [`silu`].
pub fn silu_slope(x: f64) -> f64 {
    sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)))
}

/// The error function: `2/√π e^-x² Σ 2^n x^(2n+1) / (2n+1)!!`, all terms of one sign.
/// Source: Abramowitz and Stegun, 7.1.6.
pub fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `x Φ(x)` with the normal distribution `Φ`.
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// The derivative of [`gelu`].
pub fn gelu_slope(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)) + x * density
}

/// The activation function and its derivative at `x`.
pub fn pointwise(function: Pointwise, x: f64) -> (f64, f64) {
    match function {
        Pointwise::Silu => (silu(x), silu_slope(x)),
        Pointwise::Gelu => (gelu(x), gelu_slope(x)),
        Pointwise::Sigmoid => (sigmoid(x), sigmoid(x) * (1.0 - sigmoid(x))),
        Pointwise::Relu => (x.max(0.0), f64::from(u8::from(x > 0.0))),
        Pointwise::LeakyRelu if x > 0.0 => (x, 1.0),
        Pointwise::LeakyRelu => (f64::from(LEAKY_SLOPE) * x, f64::from(LEAKY_SLOPE)),
    }
}

/// The value of what follows a norm.
pub fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Silu => silu(x),
    }
}

/// The slope of what follows a norm.
pub fn activation_slope(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => 1.0,
        Activation::Relu => f64::from(u8::from(x > 0.0)),
        Activation::Silu => silu_slope(x),
    }
}
