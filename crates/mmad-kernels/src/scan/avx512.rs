//! Sixteen lanes with AVX-512.

use pulp::x86::V4;
use pulp::{NullaryFnOnce, cast};
use std::arch::x86_64::{__m512, __m512i};

use super::exponential;
use super::lanes::Lanes;

impl Lanes for V4 {
    type F = __m512;

    const LANES: usize = 16;
    const GROUP: usize = 8;

    #[inline(always)]
    fn vectorize<Op: NullaryFnOnce>(self, op: Op) -> Op::Output {
        V4::vectorize(self, op)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        self.avx512f._mm512_set1_ps(value)
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        cast(from.as_chunks::<16>().0[0])
    }

    #[inline(always)]
    fn store(self, value: __m512, into: &mut [f32]) {
        into.as_chunks_mut::<16>().0[0] = cast(value);
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_add_ps(a, b)
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_sub_ps(a, b)
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_mul_ps(a, b)
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_div_ps(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        self.avx512f._mm512_fmadd_ps(a, b, c)
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_max_ps(a, b)
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_min_ps(a, b)
    }

    #[inline(always)]
    fn select_negative(self, by: __m512, if_negative: __m512, otherwise: __m512) -> __m512 {
        let negative = self.avx512dq._mm512_movepi32_mask(cast(by));
        self.avx512f._mm512_mask_blend_ps(negative, otherwise, if_negative)
    }

    #[inline(always)]
    fn power_of_two(self, shifted: __m512) -> __m512 {
        let exponent: __m512i = self.avx512f._mm512_slli_epi32::<23>(cast(shifted));
        let one: __m512i = cast(self.splat(1.0));
        cast(self.avx512f._mm512_add_epi32(exponent, one))
    }

    #[inline(always)]
    fn exp2(self, x: __m512) -> __m512 {
        // Round to the nearest integer; the exponent is then added with all special cases right.
        let k = self.avx512f._mm512_roundscale_ps::<0x08>(x);
        let f = self.sub(x, k);
        self.avx512f._mm512_scalef_ps(exponential::exp2_fraction(self, f), k)
    }

    #[inline(always)]
    fn add_lane_sums<const G: usize>(self, vectors: &[__m512; G], sums: &mut [f32; G]) {
        // Four vectors repeat themselves in the upper lanes, which nobody reads.
        let v = |i: usize| vectors[i % G];
        let low = self.sum_quads([v(0), v(1), v(2), v(3)]);
        let high = if G == 4 { low } else { self.sum_quads([v(4), v(5), v(6), v(7)]) };
        let halves = self.add(
            self.avx512f._mm512_shuffle_f32x4::<0b01_00_01_00>(low, high),
            self.avx512f._mm512_shuffle_f32x4::<0b11_10_11_10>(low, high),
        );
        let total: [f32; 16] = cast(self.add(
            self.avx512f._mm512_shuffle_f32x4::<0b10_00_10_00>(halves, halves),
            self.avx512f._mm512_shuffle_f32x4::<0b11_01_11_01>(halves, halves),
        ));
        for (sum, x) in sums.iter_mut().zip(total) {
            *sum += x;
        }
    }
}

/// A step of a sum over lanes.
trait SumQuads {
    /// Four vectors to one: every quarter holds `[a, b, c, d]`, each summed over that quarter.
    fn sum_quads(self, vectors: [__m512; 4]) -> __m512;
}

impl SumQuads for V4 {
    #[inline(always)]
    fn sum_quads(self, [a, b, c, d]: [__m512; 4]) -> __m512 {
        let pair = |a: __m512, b: __m512| {
            let low = self.avx512f._mm512_unpacklo_ps(a, b);
            let high = self.avx512f._mm512_unpackhi_ps(a, b);
            self.add(low, high)
        };
        let (ab, cd) = (pair(a, b), pair(c, d));
        let low = self.avx512f._mm512_shuffle_ps::<0b01_00_01_00>(ab, cd);
        let high = self.avx512f._mm512_shuffle_ps::<0b11_10_11_10>(ab, cd);
        self.add(low, high)
    }
}
