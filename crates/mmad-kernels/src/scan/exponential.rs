//! Exponential, softplus and the logistic function on vectors.
//!
//! The polynomials are minimax fits of the relative error, made in 64-bit arithmetic with the
//! Remez exchange. Where a function passes through a simple value (`2^0 = 1`) the fit is held
//! there exactly, so that a slowly forgetting state (`2^x` with `x` just below 0) forgets at the
//! right rate over thousands of steps.

use super::lanes::Lanes;
use std::f32::consts::LOG2_E;

/// `2^x` to 3e-7 relative; 0 below -126.5, infinite above 127.5, NaN for NaN.
///
/// `x = k + f` with an integer `k` and `|f| <= 1/2`: `2^f` from a polynomial, `2^k` from the bits.
#[inline(always)]
pub(super) fn exp2<S: Lanes>(simd: S, x: S::F) -> S::F {
    let x = simd.min(simd.splat(128.0), simd.max(simd.splat(-127.0), x));
    let shifted = simd.add(x, simd.splat(SHIFT));
    let f = simd.sub(x, simd.sub(shifted, simd.splat(SHIFT)));
    simd.mul(exp2_fraction(simd, f), simd.power_of_two(shifted))
}

/// `1.5·2^23`: adding it to a number below `2^22` in size rounds that number to an integer, which
/// then stands in the low bits of the sum's encoding.
pub(super) const SHIFT: f32 = 12_582_912.0;

/// `2^f` for `|f| <= 1/2`, to 1e-7 relative.
#[inline(always)]
pub(super) fn exp2_fraction<S: Lanes>(simd: S, f: S::F) -> S::F {
    /// `2^f - 1 = f·P(f)`
    #[expect(clippy::approx_constant, reason = "the best fit begins near ln 2, not with it")]
    const P: [f32; 5] = [0.693_147, 0.240_222_42, 0.055_507_336, 0.009_671_513, 0.001_326_472_7];
    simd.mul_add(polynomial(simd, &P, f), f, simd.splat(1.0))
}

/// `ln 2` in two parts; the first has so few bits that its multiples are exact.
pub(super) const LN_2_HIGH: f32 = 0.6875;
pub(super) const LN_2_LOW: f32 = 0.005_647_180_6;

/// `e^x` to 3e-7 relative; 0 below -87.7, infinite above 88.4, NaN for NaN.
///
/// Slower than [`exp2`] of a scaled number, and as exact for large `x` as for small.
#[inline(always)]
pub(super) fn exp<S: Lanes>(simd: S, x: S::F) -> S::F {
    let x = simd.min(simd.splat(88.7), simd.max(simd.splat(-88.0), x));
    let shifted = simd.mul_add(x, simd.splat(LOG2_E), simd.splat(SHIFT));
    let k = simd.sub(shifted, simd.splat(SHIFT));
    let rest = simd.mul_add(k, simd.splat(-LN_2_HIGH), x);
    let rest = simd.mul_add(k, simd.splat(-LN_2_LOW), rest);
    let f = simd.mul(rest, simd.splat(LOG2_E));
    simd.mul(exp2_fraction(simd, f), simd.power_of_two(shifted))
}

/// `ln(1 + e^x)` to 7e-7 relative for `x` above -87, and its derivative `1 / (1 + e^-x)`.
///
/// Below -87 both are subnormal or 0, by instruction set, and below -104 they are 0; above 20 the value
/// is `x` and the derivative 1, to the last bit.
#[inline(always)]
pub(super) fn softplus_and_slope<S: Lanes>(simd: S, x: S::F) -> (S::F, S::F) {
    let zero = simd.splat(0.0);
    let one = simd.splat(1.0);
    let z = simd.exp(simd.min(x, simd.sub(zero, x)));
    let value = simd.add(simd.max(zero, x), simd.ln_1p(z));
    let slope = simd.div(simd.select_negative(x, z, one), simd.add(one, z));
    (value, slope)
}

/// `ln(1 + z)` for `0 <= z <= 1`, to 2e-7 relative, however small `z` is.
#[inline(always)]
pub(super) fn ln_1p<S: Lanes>(simd: S, z: S::F) -> S::F {
    /// `ln(1 + z) = z·(1 + z·P(z))`
    const P: [f32; 8] = [
        -0.499_996_48,
        0.333_213_24,
        -0.248_571_75,
        0.191_536_98,
        -0.137_538_9,
        0.079_205_51,
        -0.030_066_364,
        0.005_364_962,
    ];
    let p = simd.mul_add(polynomial(simd, &P, z), z, simd.splat(1.0));
    simd.mul(p, z)
}

/// `coefficients[0] + coefficients[1]·x + ..`: the even and the odd powers by Horner's rule in
/// `x²`, side by side, because one rule for all would wait for itself twice as long.
#[inline(always)]
fn polynomial<S: Lanes, const N: usize>(simd: S, coefficients: &[f32; N], x: S::F) -> S::F {
    let square = simd.mul(x, x);
    let mut sums = [simd.splat(coefficients[N - 1]), simd.splat(coefficients[N - 2])];
    for i in (0..N - 2).rev() {
        let chain = (N - 1 - i) % 2;
        sums[chain] = simd.mul_add(sums[chain], square, simd.splat(coefficients[i]));
    }
    let [last, other] = sums;
    // The chain that ends at coefficient 0 has the even powers.
    let (even, odd) = if N % 2 == 1 { (last, other) } else { (other, last) };
    simd.mul_add(odd, x, even)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Isa;
    use crate::scan::isa::with_lanes;
    use crate::scan::lanes::MAX_LANES;

    /// One function of one number with one instruction set.
    macro_rules! value {
        ($isa:expr, $x:expr, |$simd:ident, $v:ident| $body:expr) => {
            with_lanes!($isa, |$simd| {
                let $v = $simd.splat($x);
                let mut lanes = [0.0; MAX_LANES];
                $simd.store($body, &mut lanes);
                lanes[0]
            })
        };
    }

    /// Evenly spaced numbers.
    fn between(low: f32, high: f32) -> impl Iterator<Item = f32> {
        const STEPS: u32 = 40_000;
        (0..=STEPS).map(move |i| low + (high - low) * (i as f32 / STEPS as f32))
    }

    #[track_caller]
    fn assert_close(isa: Isa, x: f32, got: f32, wanted: f64, tolerance: f64) {
        let error = (f64::from(got) - wanted).abs() / wanted;
        assert!(error <= tolerance, "{} at {x}: {got} is not {wanted}, {error:.1e}", isa.name());
    }

    #[test]
    fn exponentials_are_accurate_over_their_whole_range() {
        for isa in Isa::available() {
            for x in between(-126.0, 127.4) {
                let got = value!(isa, x, |simd, v| simd.exp2(v));
                assert_close(isa, x, got, f64::from(x).exp2(), 3e-7);
            }
            for x in between(-87.0, 88.0) {
                let got = value!(isa, x, |simd, v| simd.exp(v));
                assert_close(isa, x, got, f64::from(x).exp(), 3e-7);
            }
        }
    }

    /// A state that forgets slowly multiplies thousands of such numbers: `1 - 2^x` counts.
    #[test]
    fn exp2_just_below_zero_forgets_at_the_right_rate() {
        for isa in Isa::available() {
            assert_eq!(value!(isa, 0.0, |simd, v| simd.exp2(v)), 1.0);
            let x = -(2.0_f32.powi(-10));
            let got = f64::from(value!(isa, x, |simd, v| simd.exp2(v)));
            let wanted = f64::from(x).exp2();
            // Half the distance of two floats below 1, over the rate.
            assert!((got - wanted).abs() <= 3.1e-8, "{}: {got} {wanted}", isa.name());
        }
    }

    #[test]
    fn softplus_and_its_slope_are_accurate_however_small() {
        for isa in Isa::available() {
            for x in between(-87.0, 100.0).chain(between(-2.0, 2.0)) {
                let wide = f64::from(x);
                let got = value!(isa, x, |simd, v| softplus_and_slope(simd, v).0);
                assert_close(isa, x, got, wide.exp().ln_1p(), 1e-6);
                let got = value!(isa, x, |simd, v| softplus_and_slope(simd, v).1);
                assert_close(isa, x, got, 1.0 / (1.0 + (-wide).exp()), 1e-6);
            }
            for x in [20.0, 20.5, 1e4, f32::MAX] {
                assert_eq!(value!(isa, x, |simd, v| softplus_and_slope(simd, v).0), x);
                assert_eq!(value!(isa, x, |simd, v| softplus_and_slope(simd, v).1), 1.0);
            }
        }
    }

    #[test]
    fn far_numbers_end_at_zero_and_infinity() {
        for isa in Isa::available() {
            for x in [-200.0, -1e6, -1e30, f32::MIN] {
                assert_eq!(value!(isa, x, |simd, v| simd.exp2(v)), 0.0, "{x}");
                assert_eq!(value!(isa, x, |simd, v| simd.exp(v)), 0.0, "{x}");
                assert_eq!(value!(isa, x, |simd, v| softplus_and_slope(simd, v).0), 0.0, "{x}");
            }
            for x in [200.0, 1e6, 1e30, f32::MAX] {
                assert_eq!(value!(isa, x, |simd, v| simd.exp2(v)), f32::INFINITY, "{x}");
                assert_eq!(value!(isa, x, |simd, v| simd.exp(v)), f32::INFINITY, "{x}");
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let all_ones = f32::from_bits(0xFFFF_FFFF);
        let low_bit = f32::from_bits(0x7FC0_0001);
        for isa in Isa::available() {
            for x in [f32::NAN, -f32::NAN, all_ones, low_bit] {
                assert!(value!(isa, x, |simd, v| simd.exp2(v)).is_nan());
                assert!(value!(isa, x, |simd, v| simd.exp(v)).is_nan());
                assert!(value!(isa, x, |simd, v| softplus_and_slope(simd, v).0).is_nan());
            }
        }
    }
}
