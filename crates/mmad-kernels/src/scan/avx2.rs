//! Eight lanes with AVX2 and FMA.

use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast};
use std::arch::x86_64::{__m256, __m256i};

use super::exponential;
use super::lanes::Lanes;

impl Lanes for V3 {
    type F = __m256;

    const LANES: usize = 8;
    const GROUP: usize = 8;

    #[inline(always)]
    fn vectorize<Op: NullaryFnOnce>(self, op: Op) -> Op::Output {
        V3::vectorize(self, op)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        self.avx._mm256_set1_ps(value)
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        cast(from.as_chunks::<8>().0[0])
    }

    #[inline(always)]
    fn store(self, value: __m256, into: &mut [f32]) {
        into.as_chunks_mut::<8>().0[0] = cast(value);
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_add_ps(a, b)
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_sub_ps(a, b)
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_mul_ps(a, b)
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_div_ps(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        self.fma._mm256_fmadd_ps(a, b, c)
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_max_ps(a, b)
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_min_ps(a, b)
    }

    #[inline(always)]
    fn select_negative(self, by: __m256, if_negative: __m256, otherwise: __m256) -> __m256 {
        self.avx._mm256_blendv_ps(otherwise, if_negative, by)
    }

    #[inline(always)]
    fn power_of_two(self, shifted: __m256) -> __m256 {
        let exponent: __m256i = self.avx2._mm256_slli_epi32::<23>(cast(shifted));
        let one: __m256i = cast(self.splat(1.0));
        cast(self.avx2._mm256_add_epi32(exponent, one))
    }

    #[inline(always)]
    fn exp2(self, x: __m256) -> __m256 {
        exponential::exp2(self, x)
    }

    #[inline(always)]
    fn add_lane_sums<const G: usize>(self, vectors: &[__m256; G], sums: &mut [f32; G]) {
        // Four vectors repeat themselves in the upper lanes, which nobody reads.
        let v = |i: usize| vectors[i % G];
        let low = self.sum_quads([v(0), v(1), v(2), v(3)]);
        let high = if G == 4 { low } else { self.sum_quads([v(4), v(5), v(6), v(7)]) };
        let total: [f32; 8] = cast(self.add(
            self.avx._mm256_permute2f128_ps::<0x20>(low, high),
            self.avx._mm256_permute2f128_ps::<0x31>(low, high),
        ));
        for (sum, x) in sums.iter_mut().zip(total) {
            *sum += x;
        }
    }
}

/// A step of a sum over lanes.
trait SumQuads {
    /// Four vectors to one: each half holds `[a, b, c, d]`, each summed over that half.
    fn sum_quads(self, vectors: [__m256; 4]) -> __m256;
}

impl SumQuads for V3 {
    #[inline(always)]
    fn sum_quads(self, [a, b, c, d]: [__m256; 4]) -> __m256 {
        let ab = self.add(self.avx._mm256_unpacklo_ps(a, b), self.avx._mm256_unpackhi_ps(a, b));
        let cd = self.add(self.avx._mm256_unpacklo_ps(c, d), self.avx._mm256_unpackhi_ps(c, d));
        let low = self.avx._mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
        let high = self.avx._mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
        self.add(low, high)
    }
}
