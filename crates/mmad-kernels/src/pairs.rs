//! Products of `bf16` numbers with `AVX512_BF16`: two neighbouring channels take part at a time.
//!
//! A [`Pair`] fills the 32 bits of one `f32`, so a convolution of pairs is one of half the channels:
//! the same taps, panels and tiles, and one instruction that multiplies two pairs and adds both
//! products to a sum in `f32`. Where the number of channels is odd, the last pair of a pixel ends
//! with a zero.
//!
//! The instruction takes subnormal factors and results for zero: a sum may be off by 1e-38 for each.

#![allow(unsafe_code, reason = "one instruction that pulp has no method for")]

use std::arch::x86_64::_mm512_dpbf16_ps;
use std::sync::LazyLock;

use pulp::bytemuck::cast_slice_mut;
use pulp::x86::V4;
use pulp::{NullaryFnOnce, Simd, cast};

use crate::partition::{ELEMENTWISE, for_each_chunk};
use crate::register_tile::{Element, MultiplyRun, Product};
use crate::simd::{is_held_to_less_than_avx512, vectorized};

/// Two numbers in `bf16`, the first in the lower half. [`pair`] makes them.
pub(crate) type Pair = u32;

pulp::simd_type! {
    /// What the processor must have.
    struct Bf16Features {
        sse: "sse",
        sse2: "sse2",
        fxsr: "fxsr",
        sse3: "sse3",
        ssse3: "ssse3",
        sse4_1: "sse4.1",
        sse4_2: "sse4.2",
        popcnt: "popcnt",
        avx: "avx",
        avx2: "avx2",
        bmi1: "bmi1",
        bmi2: "bmi2",
        fma: "fma",
        lzcnt: "lzcnt",
        avx512f: "avx512f",
        avx512bw: "avx512bw",
        avx512cd: "avx512cd",
        avx512dq: "avx512dq",
        avx512vl: "avx512vl",
        avx512bf16: "avx512bf16",
    }
}

/// The part of a processor that multiplies pairs; a value is a proof that this one has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bf16Unit {
    simd: V4,
    features: Bf16Features,
}

impl Bf16Unit {
    /// The unit of this processor, unless the environment holds the program to less.
    pub(crate) fn get() -> Option<Self> {
        static UNIT: LazyLock<Option<Bf16Unit>> = LazyLock::new(|| {
            let (simd, features) = (V4::try_new()?, Bf16Features::try_new()?);
            (!is_held_to_less_than_avx512()).then_some(Bf16Unit { simd, features })
        });
        *UNIT
    }
}

/// Pairs of neighbouring values of rows with `row_len` values each, rounded to the nearest.
///
/// # Shapes
///
/// - `x`: `[rows, row_len]`
/// - `pairs`: `[rows, row_len / 2, rounded up]`
pub(crate) fn pair(x: &[f32], row_len: usize, pairs: &mut [Pair]) {
    if row_len.is_multiple_of(2) {
        for_each_chunk(pairs, ELEMENTWISE, |task, pairs| {
            let x = &x[2 * task * ELEMENTWISE..][..2 * pairs.len()];
            round_all(x, cast_slice_mut(pairs));
        });
        return;
    }
    let n_pairs = row_len.div_ceil(2);
    let rows = ELEMENTWISE.div_ceil(n_pairs);
    for_each_chunk(pairs, rows * n_pairs, |task, pairs| {
        let x = x[task * rows * row_len..].chunks_exact(row_len);
        for (pairs, x) in pairs.chunks_exact_mut(n_pairs).zip(x) {
            let halves: &mut [u16] = cast_slice_mut(pairs);
            let (padding, halves) = halves.split_last_mut().expect("an odd row has a value");
            *padding = 0;
            for (half, x) in halves.iter_mut().zip(x) {
                *half = round(*x);
            }
        }
    });
}

vectorized! {
    fn round_all<'a, S>(_simd, x: &'a [f32], halves: &'a mut [u16]) {
        for (half, x) in halves.iter_mut().zip(x) {
            *half = round(*x);
        }
    }
}

/// The upper half of the nearest `bf16`, from the middle to even, without a branch.
#[inline(always)]
fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    let to_even = (bits >> 16) & 1;
    let nearest = bits.wrapping_add(0x7fff + to_even) >> 16;
    // Cutting off could leave a NaN without a bit that makes it one.
    let quiet = (bits >> 16) | 0x40;
    (if x.is_nan() { quiet } else { nearest }) as u16
}

impl Element for Pair {
    fn multiply_run(task: MultiplyRun<'_, Pair>) {
        struct Vectorized<'a>(Bf16Unit, MultiplyRun<'a, Pair>);

        impl NullaryFnOnce for Vectorized<'_> {
            type Output = ();

            #[inline(always)]
            fn call(self) {
                let Self(unit, task) = self;
                task.run(unit.simd, unit);
            }
        }

        let unit = Bf16Unit::get().expect("pairs are made where they can be multiplied");
        unit.features.vectorize(Vectorized(unit, task));
    }
}

impl Product<V4> for Bf16Unit {
    type Element = Pair;
    type Vector = <V4 as Simd>::u32s;

    #[inline(always)]
    fn splat(self, simd: V4, element: Pair) -> Self::Vector {
        simd.splat_u32s(element)
    }

    #[inline(always)]
    fn vectors(elements: &[Pair]) -> &[Self::Vector] {
        V4::as_simd_u32s(elements).0
    }

    #[inline(always)]
    fn add(
        self,
        _: V4,
        input: Self::Vector,
        weight: Self::Vector,
        sum: <V4 as Simd>::f32s,
    ) -> <V4 as Simd>::f32s {
        // SAFETY: the instruction needs AVX512F and AVX512_BF16 and reads no memory. A `Bf16Unit`
        // is made by `Bf16Unit::get` alone, and there only where the processor has both.
        cast(unsafe { _mm512_dpbf16_ps(cast(sum), cast(input), cast(weight)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precision::Precision;
    use crate::testing::values;

    /// Odd rows end with a zero, whatever was in memory; all else is rounded as on any processor.
    #[test]
    fn pairs_hold_rounded_neighbours() {
        let special =
            [f32::NAN, f32::from_bits(0xff80_0001), f32::INFINITY, -f32::MAX, -0.0, 1e-40];
        for (rows, row_len) in [(1, 1), (5, 3), (7, 64), (9000, 4), (3000, 33)] {
            let mut x = values(1, rows * row_len);
            for (x, special) in x.iter_mut().zip(special) {
                *x = special;
            }
            let mut rounded = vec![0.0; x.len()];
            Precision::Bf16.round(&x, &mut rounded);
            let n_pairs = row_len.div_ceil(2);
            let mut pairs = vec![u32::MAX; rows * n_pairs];
            pair(&x, row_len, &mut pairs);
            for (pairs, rounded) in pairs.chunks(n_pairs).zip(rounded.chunks(row_len)) {
                for (pair, rounded) in pairs.iter().zip(rounded.chunks(2)) {
                    let bits = |i: usize| rounded.get(i).map_or(0, |x| x.to_bits() >> 16);
                    assert_eq!((pair & 0xffff, pair >> 16), (bits(0), bits(1)), "{rounded:?}");
                }
            }
        }
    }
}
