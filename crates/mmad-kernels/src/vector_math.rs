//! Elementary functions without branches or tables, which the compiler turns into vector code.
//!
//! Relative errors against `f64` stay below 3e-7 wherever the result is a normal number, in the
//! tails too. Not-a-number goes in and comes out. The polynomials are minimax fits (Lawson's
//! iteration in 40 digits) of the functions named beside them.

// Ranges are cut with comparisons, because `clamp`, `min` and `max` lose not-a-number.
#![allow(clippy::manual_clamp)]

use std::f32::consts::LOG2_E;

/// Adding this rounds a small number to the nearest integer, which is then found in the low bits.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23

/// `ln 2` in two parts; the first has so few bits that its small multiples are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `c[0] + c[1] x + c[2] x² + ..`.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    for &c in c[..N - 1].iter().rev() {
        sum = sum.mul_add(x, c);
    }
    sum
}

/// `e^x`. Underflows to zero, overflows to infinity, both as gradually as the format allows.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Beyond these the result is 0 or infinite for certain.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -105.0 { -105.0 } else { x };
    // x = n ln 2 + r with |r| <= ln 2 / 2
    let shifted = x.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_HIGH, x);
    let r = n.mul_add(-LN_2_LOW, r);
    // (e^r - 1 - r) / r²
    let p =
        polynomial(r, [4.999_999_4e-1, 1.666_652_1e-1, 4.166_839e-2, 8.368_711e-3, 1.381_460_1e-3]);
    let e_r = (r * r).mul_add(p, r) + 1.0;
    // 2^n in two steps, because n leaves the range of exponents where the result is subnormal.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = n >> 1;
    e_r * power_of_two(half) * power_of_two(n - half)
}

/// `2^n` for `-126 <= n <= 127`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = x.abs();
    // tanh x = 1 - 2 / (e^2x + 1) loses digits near zero, where (tanh x - x) / x³ takes over.
    let far = 1.0 - 2.0 / (exp(size + size) + 1.0);
    let z = x * x;
    let p =
        polynomial(z, [-3.333_328e-1, 1.333_144_2e-1, -5.373_97e-2, 2.063_904e-2, -5.704_938e-3]);
    let near = (x * z).mul_add(p, x);
    if size < 0.625 { near } else { far.copysign(x) }
}

/// The error function, `2/√π` times the integral of `e^-t²` from 0 to `x`.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let size = x.abs();
    // From 4 on the result rounds to 1.
    let t = if size > 4.0 { 4.0 } else { size };
    // -ln(1 - erf t)
    let p = polynomial(
        t,
        [
            -1.746_905_5e-4,
            1.129_514_9,
            6.333_468_6e-1,
            1.082_801_7e-1,
            -2.511_948e-2,
            4.171_084_6e-3,
            -4.344_673e-4,
            2.109_547_9e-5,
        ],
    );
    let far = 1.0 - exp(-p);
    // erf x / x - 1, in x²
    let z = x * x;
    let q = polynomial(
        z,
        [
            1.283_791_7e-1,
            -3.761_263_5e-1,
            1.128_369_7e-1,
            -2.685_95e-2,
            5.201_285_7e-3,
            -8.145_593_5e-4,
            8.382_375_4e-5,
        ],
    );
    let near = x.mul_add(q, x);
    if size < 0.92 { near } else { far.copysign(x) }
}

/// `ln(1 + x)`, exact near zero; `-∞` at -1, not-a-number below.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    // What rounding lost in `u`, to be given back as a small correction.
    let lost = if x > 1.0 { 1.0 - (u - x) } else { x - (u - 1.0) };
    // u = 2^n m with m in [√½, √2)
    let bits = u.to_bits().wrapping_add(0x3f80_0000 - 0x3f35_04f3);
    let n = (bits >> 23) as i32 - 127;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let f = m - 1.0;
    // (ln(1 + f) - f + f²/2) / f³
    let p = polynomial(
        f,
        [
            3.333_331_3e-1,
            -2.500_001e-1,
            2.000_211_9e-1,
            -1.666_799_5e-1,
            1.421_954_3e-1,
            -1.240_559_7e-1,
            1.188_823_2e-1,
            -1.167_562_3e-1,
            6.746_454_5e-2,
        ],
    );
    let n = n as f32;
    let low = n.mul_add(LN_2_LOW, lost / u);
    let tail = (f * f).mul_add(f.mul_add(p, -0.5), low);
    let log = n.mul_add(LN_2_HIGH, f + tail);
    let log = if u == f32::INFINITY { f32::INFINITY } else { log };
    let log = if u == 0.0 { f32::NEG_INFINITY } else { log };
    if u >= 0.0 { log } else { f32::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All exponents and a few hundred fractions of each, both signs.
    fn all_sizes() -> impl Iterator<Item = f32> {
        (0..u32::MAX / 4099).map(|i| f32::from_bits(i * 4099)).filter(|x| !x.is_nan())
    }

    /// The largest relative error of `fast` over `xs`, where the true value is a normal number.
    fn worst(
        xs: impl Iterator<Item = f32>,
        fast: fn(f32) -> f32,
        exact: fn(f64) -> f64,
    ) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        for x in xs {
            let y = fast(x);
            let exact = exact(f64::from(x));
            let normal = exact.abs() >= f64::from(f32::MIN_POSITIVE);
            let finite = exact.abs() <= f64::from(f32::MAX);
            let error = match (normal, finite) {
                (true, true) => (f64::from(y) - exact).abs() / exact.abs(),
                // One step of the subnormal numbers.
                (false, _) => (f64::from(y) - exact).abs() / 2e-45 * 1e-7,
                (_, false) => f64::from(u8::from(y != exact as f32)),
            };
            if error.is_nan() || error > worst.0 {
                worst = (error, x);
            }
        }
        worst
    }

    #[track_caller]
    fn check(fast: fn(f32) -> f32, exact: fn(f64) -> f64) {
        let dense = (-500_000..500_000).map(|i| i as f32 * 2.3e-4);
        let (error, x) = worst(all_sizes().chain(dense), fast, exact);
        assert!(error <= 3e-7, "relative error {error:e} at {x:e}");
        assert!(fast(f32::NAN).is_nan());
    }

    #[test]
    fn exp_is_exact_to_3e_7() {
        check(exp, f64::exp);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn sigmoid_is_exact_to_3e_7() {
        // 1 + e^-x overflows where the result is about to become subnormal, below -88.
        assert_eq!(sigmoid(-200.0), 0.0);
        check(
            |x| if x < -87.0 { x } else { sigmoid(x) },
            |x| if x < -87.0 { x } else { 1.0 / (1.0 + (-x).exp()) },
        );
        assert_eq!(sigmoid(f32::INFINITY), 1.0);
    }

    #[test]
    fn tanh_is_exact_to_3e_7() {
        check(tanh, f64::tanh);
        assert_eq!(tanh(f32::NEG_INFINITY), -1.0);
    }

    #[test]
    fn erf_is_exact_to_3e_7() {
        check(erf, crate::activation::reference::erf);
        assert_eq!(erf(f32::INFINITY), 1.0);
        assert_eq!(erf(f32::NEG_INFINITY), -1.0);
    }

    #[test]
    fn log1p_is_exact_to_3e_7() {
        check(
            |x| if x <= -1.0 { x } else { log1p(x) },
            |x| {
                if x <= -1.0 { x } else { x.ln_1p() }
            },
        );
        assert_eq!(log1p(-1.0), f32::NEG_INFINITY);
        assert_eq!(log1p(f32::INFINITY), f32::INFINITY);
        assert!(log1p(-1.5).is_nan());
    }
}
