//! To how many bits the factors of a product are rounded before they are multiplied.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::partition::{ELEMENTWISE, for_each_chunk};
use crate::scratch;

/// The number type that inputs and weights of a layer are rounded to, to the nearest and from the
/// middle to even. Sums are `f32` for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision: nothing is rounded.
    #[default]
    F32,
    /// 8 bits of precision with the range of single precision.
    Bf16,
    /// 11 bits of precision. Beyond 65,504 lies infinity, and below 6e-5 bits are lost.
    F16,
}

/// Whether layers in [`Precision::Bf16`] run on hardware for it here, at twice the rate of
/// [`Precision::F32`].
pub fn has_bf16_unit() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = crate::pairs::Bf16Unit::get().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    let has = false;
    has
}

/// Every precision with its name in files and on the command line.
pub const PRECISIONS: [(&str, Precision); 3] =
    [("f32", Precision::F32), ("bf16", Precision::Bf16), ("f16", Precision::F16)];

/// Values rounded at a time.
const BLOCK: usize = 256;

impl Precision {
    /// Its name in [`PRECISIONS`].
    pub fn name(self) -> &'static str {
        PRECISIONS.iter().find(|(_, precision)| *precision == self).map_or("", |(name, _)| name)
    }

    /// `into[i]` is the value of this type nearest to `x[i]`. Not-a-number stays it.
    ///
    /// # Panics
    ///
    /// When the slices have different lengths.
    pub fn round(self, x: &[f32], into: &mut [f32]) {
        assert_eq!(x.len(), into.len(), "round: as many values out as in");
        for_each_chunk(into, ELEMENTWISE, |task, into| {
            let x = &x[task * ELEMENTWISE..][..into.len()];
            match self {
                Self::F32 => into.copy_from_slice(x),
                Self::Bf16 => round_blocks([bf16::ZERO; BLOCK], x, into),
                Self::F16 => round_blocks([f16::ZERO; BLOCK], x, into),
            }
        });
    }

    /// Shows `x` as this type has it; not copied where nothing is rounded.
    pub(crate) fn with_rounded<R>(self, x: &[f32], see: impl FnOnce(&[f32]) -> R) -> R {
        if self == Self::F32 {
            return see(x);
        }
        let mut rounded = scratch::take(x.len());
        self.round(x, &mut rounded);
        see(&rounded)
    }
}

fn round_blocks<T>(mut rounded: [T; BLOCK], x: &[f32], into: &mut [f32])
where
    [T]: HalfFloatSliceExt,
{
    for (x, into) in x.chunks(BLOCK).zip(into.chunks_mut(BLOCK)) {
        let rounded = &mut rounded[..x.len()];
        rounded.convert_from_f32_slice(x);
        rounded.convert_to_f32_slice(into);
    }
}

/// The definition by the size of the last bit. Kept simple: it is what [`Precision::round`] and the
/// layers that round are tested against.
pub mod reference {
    use super::Precision;

    /// The value of this type nearest to `x`, which is an `f32`.
    pub fn round(precision: Precision, x: f64) -> f64 {
        let (bits, smallest_exponent, largest) = match precision {
            Precision::F32 => return x,
            Precision::Bf16 => (8, -126, f64::from(f32::from_bits(0x7f7f_0000))),
            Precision::F16 => (11, -14, 65504.0),
        };
        if !x.is_finite() || x == 0.0 {
            return x;
        }
        // The exponent of a double is right for every `f32`, also for one that is subnormal.
        let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        let last_bit = 2.0_f64.powi(exponent.max(smallest_exponent) - (bits - 1));
        let rounded = (x / last_bit).round_ties_even() * last_bit;
        if rounded.abs() > largest { f64::INFINITY.copysign(x) } else { rounded }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUNDING: [Precision; 2] = [Precision::Bf16, Precision::F16];

    fn rounded(precision: Precision, x: f32) -> f32 {
        let mut into = [f32::NAN];
        precision.round(&[x], &mut into);
        into[0]
    }

    proptest! {
        #[test]
        fn every_number_is_rounded_as_defined(bits in any::<u32>()) {
            let x = f32::from_bits(bits);
            for precision in ROUNDING {
                let (fast, slow) = (rounded(precision, x), reference::round(precision, f64::from(x)));
                if x.is_nan() {
                    prop_assert!(fast.is_nan());
                } else {
                    prop_assert_eq!(f64::from(fast).to_bits(), slow.to_bits(), "{} {:?}", x, precision);
                }
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_the_ends_to_infinity() {
        let cases = [
            (Precision::Bf16, 1.0 + 1.0 / 256.0, 1.0),
            (Precision::Bf16, 1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (Precision::Bf16, -f32::MAX, f32::NEG_INFINITY),
            (Precision::F16, 1.0 + 1.0 / 2048.0, 1.0),
            (Precision::F16, 1.0 + 3.0 / 2048.0, 1.0 + 4.0 / 2048.0),
            (Precision::F16, 65519.0, 65504.0),
            (Precision::F16, 65520.0, f32::INFINITY),
            (Precision::F16, 2.0_f32.powi(-25), 0.0),
            (Precision::F32, 1.0 + f32::EPSILON, 1.0 + f32::EPSILON),
        ];
        for (precision, x, expected) in cases {
            assert_eq!(rounded(precision, x), expected, "{x} {precision:?}");
            assert_eq!(reference::round(precision, f64::from(x)), f64::from(expected), "{x}");
        }
    }

    #[test]
    fn more_values_than_a_block_are_rounded_in_their_places() {
        let x: Vec<f32> = (0..ELEMENTWISE + BLOCK + 7).map(|i| i as f32 * 0.37 - 900.0).collect();
        for precision in ROUNDING {
            let mut into = vec![f32::NAN; x.len()];
            precision.round(&x, &mut into);
            for (&x, &into) in x.iter().zip(&into) {
                assert_eq!(f64::from(into), reference::round(precision, f64::from(x)));
            }
        }
    }
}
