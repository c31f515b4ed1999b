//! Elementary functions of vectors, without branches or tables.
//!
//! Relative errors against `f64` stay below 3e-7 wherever the result is a normal number, in the
//! tails too. Not-a-number goes in and comes out. The polynomials are minimax fits (Lawson's
//! iteration in 40 digits) of the functions named beside them.

use std::f32::consts::LOG2_E;

use pulp::Simd;

use crate::vector::Vector;

/// Adding this rounds a small number to the nearest integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23

/// `ln 2` in two parts; the first has so few bits that its small multiples are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `c[0] + c[1] x + c[2] x² + ..`.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(x: Vector<S>, c: [f32; N]) -> Vector<S> {
    let mut sum = x.same(c[N - 1]);
    for &c in c[..N - 1].iter().rev() {
        sum = sum.mul_add(x, x.same(c));
    }
    sum
}

/// `2^n` for whole `n` with `-126 <= n <= 127`.
#[inline(always)]
fn power_of_two<S: Simd>(n: Vector<S>) -> Vector<S> {
    // The sum holds n + 127 in its low bits; shifted, they are the exponent.
    (n + (ROUND + 127.0))
        .with_bits(|simd, bits| simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23)))
}

/// `e^x`. Underflows to zero, overflows to infinity, both as gradually as the format allows.
#[inline(always)]
pub(crate) fn exp<S: Simd>(x: Vector<S>) -> Vector<S> {
    // Beyond these the result is 0 or infinite for certain.
    let (low, high) = (x.same(-105.0), x.same(89.0));
    let x = high.if_less(x, high, x);
    let x = x.if_less(low, low, x);
    // x = n ln 2 + r with |r| <= ln 2 / 2
    let n = x.mul_add(x.same(LOG2_E), x.same(ROUND)) - ROUND;
    let r = n.mul_add(x.same(-LN_2_HIGH), x);
    let r = n.mul_add(x.same(-LN_2_LOW), r);
    // (e^r - 1 - r) / r²
    let p =
        polynomial(r, [4.999_999_4e-1, 1.666_652_1e-1, 4.166_839e-2, 8.368_711e-3, 1.381_460_1e-3]);
    let e_r = (r * r).mul_add(p, r) + 1.0;
    // 2^n in two steps, because n leaves the range of exponents where the result is subnormal.
    let half = n * 0.5 + ROUND - ROUND;
    e_r * power_of_two(half) * power_of_two(n - half)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(x: Vector<S>) -> Vector<S> {
    x.same(1.0) / (exp(-x) + 1.0)
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(x: Vector<S>) -> Vector<S> {
    let size = x.abs();
    // tanh x = 1 - 2 / (e^2x + 1) loses digits near zero, where (tanh x - x) / x³ takes over.
    let far = x.same(1.0) - x.same(2.0) / (exp(size + size) + 1.0);
    let z = x * x;
    let p =
        polynomial(z, [-3.333_328e-1, 1.333_144_2e-1, -5.373_97e-2, 2.063_904e-2, -5.704_938e-3]);
    let near = (x * z).mul_add(p, x);
    size.if_less(x.same(0.625), near, far.copysign(x))
}

/// The error function, `2/√π` times the integral of `e^-t²` from 0 to `x`.
#[inline(always)]
pub(crate) fn erf<S: Simd>(x: Vector<S>) -> Vector<S> {
    let size = x.abs();
    // From 4 on the result rounds to 1.
    let end = x.same(4.0);
    let t = end.if_less(size, end, size);
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
    let far = x.same(1.0) - exp(-p);
    // erf x / x - 1, in x²
    let q = polynomial(
        x * x,
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
    size.if_less(x.same(0.92), near, far.copysign(x))
}

/// `ln(1 + x)`, exact near zero; `-∞` at -1, not-a-number below.
#[inline(always)]
pub(crate) fn log1p<S: Simd>(x: Vector<S>) -> Vector<S> {
    let (zero, one) = (x.same(0.0), x.same(1.0));
    let u = x + 1.0;
    // What rounding lost in `u`, to be given back as a small correction.
    let lost = one.if_less(x, one - (u - x), x - (u - 1.0));
    // u = 2^n m with m in [√½, √2): the exponent field, counted from √½ on, is n + 127.
    let from_root = |simd: S, bits| {
        simd.add_u32s(bits, simd.splat_u32s(1.0_f32.to_bits() - ROOT_HALF.to_bits()))
    };
    let n = u.with_bits(|simd, bits| {
        let exponent = simd.wrapping_dyn_shr_u32s(from_root(simd, bits), simd.splat_u32s(23));
        simd.add_u32s(exponent, simd.splat_u32s(ROUND.to_bits()))
    }) - (ROUND + 127.0);
    let m = u.with_bits(|simd, bits| {
        let fraction = simd.and_u32s(from_root(simd, bits), simd.splat_u32s(0x007f_ffff));
        simd.add_u32s(fraction, simd.splat_u32s(ROOT_HALF.to_bits()))
    });
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
    let low = n.mul_add(x.same(LN_2_LOW), lost / u);
    let tail = (f * f).mul_add(f.mul_add(p, x.same(-0.5)), low);
    let log = n.mul_add(x.same(LN_2_HIGH), f + tail);
    // Infinity and not-a-number stay what they are; zero and less have no finite logarithm.
    let log = u.if_less(x.same(f32::INFINITY), log, u);
    let log = zero.if_less(u, log, u + f32::NEG_INFINITY);
    u.if_less(zero, x.same(f32::NAN), log)
}

/// `√½`, rounded down.
const ROOT_HALF: f32 = 0.707_106_77;

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::activation::reference;
    use crate::simd::dispatch;

    /// Defines a test of one function against its definition in `f64`.
    macro_rules! exact_to_3e_7 {
        ($test:ident, $function:ident, $exact:expr, |$x:ident| $in_range:expr) => {
            #[test]
            fn $test() {
                struct Evaluate<'a>(&'a mut [f32]);
                impl WithSimd for Evaluate<'_> {
                    type Output = ();

                    #[inline(always)]
                    fn with_simd<S: Simd>(self, simd: S) {
                        for start in (0..self.0.len()).step_by(S::F32_LANES) {
                            $function(Vector::load(simd, self.0, start)).store(self.0, start);
                        }
                    }
                }
                let exact: fn(f64) -> f64 = $exact;
                let xs: Vec<f32> = arguments().filter(|&$x| $in_range).collect();
                let mut ys = xs.clone();
                dispatch(Evaluate(&mut ys));
                for (&x, &y) in xs.iter().zip(&ys) {
                    let exact = exact(f64::from(x));
                    let (error, y) = ((f64::from(y) - exact).abs(), y);
                    // Where the result is subnormal, or overflows, rounding is all there is.
                    let fine = error <= 3e-7 * exact.abs()
                        || error <= 1.5e-45
                        || y == exact as f32
                        || y.is_nan() && exact.is_nan();
                    assert!(fine, "{}({x:e}) is {exact:e} and not {y:e}", stringify!($function));
                }
            }
        };
    }

    exact_to_3e_7!(exp_is_exact, exp, f64::exp, |_x| true);
    // Below -87, e^-x overflows before the result is subnormal.
    exact_to_3e_7!(sigmoid_is_exact, sigmoid, reference::sigmoid, |x| !(-104.0..-87.0)
        .contains(&x));
    exact_to_3e_7!(tanh_is_exact, tanh, f64::tanh, |_x| true);
    exact_to_3e_7!(erf_is_exact, erf, reference::erf, |_x| true);
    exact_to_3e_7!(log1p_is_exact, log1p, f64::ln_1p, |_x| true);

    /// Numbers of all sizes and both signs, a dense grid around zero, and the special values. Their
    /// count is odd, so that the last vector is not full.
    fn arguments() -> impl Iterator<Item = f32> {
        let all_sizes = (0..u32::MAX / 4099).map(|i| f32::from_bits(i * 4099));
        let grid = (-500_000..=500_000).map(|i| i as f32 * 2.3e-4);
        let special = [0.0, -0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX];
        all_sizes.chain(grid).chain(special)
    }
}
