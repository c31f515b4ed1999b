//! Sixteen lanes with AVX-512.

use pulp::x86::V4;
use pulp::{NullaryFnOnce, cast};
use std::arch::x86_64::{__m512, __m512i};

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
        // `x = k + j/32 + f` with `|f| <= 1/64`: a root from a table, a short polynomial, and the
        // exponent added with all special cases right.
        let shifted = self.add(x, self.splat(SHIFT_32));
        let rounded = self.sub(shifted, self.splat(SHIFT_32));
        let f = self.sub(x, rounded);
        let [low, high] = ROOTS.map(cast::<[f32; 16], __m512>);
        let root = self.avx512f._mm512_permutex2var_ps(low, cast(shifted), high);
        let slope = self.mul_add(f, self.splat(SQUARE), self.splat(LINEAR));
        let power = self.mul(root, self.mul_add(f, slope, self.splat(1.0)));
        self.avx512f._mm512_scalef_ps(power, rounded)
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

/// `2^(j/32)` for `j` from 0 to 31.
#[expect(clippy::excessive_precision, clippy::approx_constant, reason = "nearest to the roots")]
const ROOTS: [[f32; 16]; 2] = [
    [
        1.0,
        1.021_897_15,
        1.044_273_78,
        1.067_140_401,
        1.090_507_7,
        1.114_386_74,
        1.138_788_6,
        1.163_724_9,
        1.189_207_1,
        1.215_247_4,
        1.241_857_8,
        1.269_051,
        1.296_839_6,
        1.325_236_64,
        1.354_255_5,
        1.383_91,
    ],
    [
        1.414_213_56,
        1.445_180_8,
        1.476_826_15,
        1.509_164_4,
        1.542_210_8,
        1.575_980_85,
        1.610_490_3,
        1.645_755_5,
        1.681_792_8,
        1.718_619_3,
        1.756_252_2,
        1.794_709_1,
        1.834_008_1,
        1.874_167_63,
        1.915_206_6,
        1.957_144_1,
    ],
];

/// `1.5·2^23/32`: adding it to a number below `2^17` in size rounds that number to a multiple of
/// 1/32, whose last five bits then stand at the end of the sum's encoding.
const SHIFT_32: f32 = 393_216.0;

/// `2^f = 1 + f·(LINEAR + f·SQUARE)` for `|f| <= 1/64`, to 6e-8 relative.
const LINEAR: f32 = 0.693_157_2;
const SQUARE: f32 = 0.240_226_5;

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
