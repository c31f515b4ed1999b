//! Sixteen lanes with AVX-512.

use pulp::x86::V4;
use pulp::{NullaryFnOnce, cast};
use std::arch::x86_64::{__m512, __m512i};
use std::f32::consts::LOG2_E;

use super::exponential::{LN_2_HIGH, LN_2_LOW, SHIFT};
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
        // `x = k + j/32 + f` with `|f| <= 1/64`.
        let shifted = self.add(x, self.splat(SHIFT_32));
        let rounded = self.sub(shifted, self.splat(SHIFT_32));
        self.power(shifted, rounded, self.sub(x, rounded), [LINEAR, SQUARE])
    }

    #[inline(always)]
    fn exp(self, x: __m512) -> __m512 {
        // As `exp2` of `x/ln 2`, but `f = x - k·ln 2/32` in two steps, so that a large `x` loses nothing.
        let x = self.min(self.splat(89.0), self.max(self.splat(-104.0), x));
        let shifted = self.mul_add(x, self.splat(LOG2_E), self.splat(SHIFT_32));
        let rounded = self.sub(shifted, self.splat(SHIFT_32));
        let f = self.mul_add(rounded, self.splat(-LN_2_HIGH), x);
        let f = self.mul_add(rounded, self.splat(-LN_2_LOW), f);
        self.power(shifted, rounded, f, [LINEAR_OF_E, SQUARE_OF_E])
    }

    #[inline(always)]
    fn ln_1p(self, z: __m512) -> __m512 {
        // `31·z = j + t` with `|t| <= 1/2`, and a parabola in `t` for every `j`.
        let shifted = self.mul_add(z, self.splat(31.0), self.splat(SHIFT));
        let j = self.sub(shifted, self.splat(SHIFT));
        let t = self.avx512f._mm512_fmsub_ps(z, self.splat(31.0), j);
        let [at, slope, square] = QUOTIENTS.each_ref().map(|table| self.look_up(table, shifted));
        let quotient = self.mul_add(self.mul_add(square, t, slope), t, at);
        self.mul(z, quotient)
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

/// 32 numbers in two vectors.
type Table = [[f32; 16]; 2];

/// What is found with a table.
trait Tables {
    /// Number `j` of the table for the integer `j` in the last five bits of the index.
    fn look_up(self, table: &Table, index: __m512) -> __m512;

    /// `2^rounded·(1 + f·(linear + f·square))`, where `rounded` is a multiple of 1/32 and `shifted` its
    /// sum with [`SHIFT_32`]: a root from a table, a short polynomial, and the exponent added with all
    /// special cases right.
    fn power(self, shifted: __m512, rounded: __m512, f: __m512, polynomial: [f32; 2]) -> __m512;
}

impl Tables for V4 {
    #[inline(always)]
    fn look_up(self, table: &Table, index: __m512) -> __m512 {
        let [low, high] = table.map(cast::<[f32; 16], __m512>);
        self.avx512f._mm512_permutex2var_ps(low, cast(index), high)
    }

    #[inline(always)]
    fn power(
        self,
        shifted: __m512,
        rounded: __m512,
        f: __m512,
        [linear, square]: [f32; 2],
    ) -> __m512 {
        let slope = self.mul_add(f, self.splat(square), self.splat(linear));
        let power = self.mul_add(f, slope, self.splat(1.0));
        let power = self.mul(self.look_up(&ROOTS, shifted), power);
        self.avx512f._mm512_scalef_ps(power, rounded)
    }
}

/// `2^(j/32)` for `j` from 0 to 31.
static ROOTS: Table = {
    const ROOT: f64 = 1.021_897_148_654_116_7;
    let mut table = [[0.0; 16]; 2];
    let (mut power, mut j) = (1.0, 0);
    while j < 32 {
        table[j / 16][j % 16] = power as f32;
        power *= ROOT;
        j += 1;
    }
    table
};

/// `ln(1 + z)/z` near `z = j/31` for `j` from 0 to 31, as `c[0] + c[1]·t + c[2]·t²` with
/// `t = 31·z - j`: the parabola through three Chebyshev nodes, to 3e-7.
static QUOTIENTS: [Table; 3] = {
    const NODE: f64 = 0.433_012_701_892_219_3;
    let mut tables = [[[0.0; 16]; 2]; 3];
    let mut j = 0;
    while j < 32 {
        let below = ln_1p_quotient((j as f64 - NODE) / 31.0);
        let at = ln_1p_quotient(j as f64 / 31.0);
        let above = ln_1p_quotient((j as f64 + NODE) / 31.0);
        let (row, lane) = (j / 16, j % 16);
        tables[0][row][lane] = at as f32;
        tables[1][row][lane] = ((above - below) / (2.0 * NODE)) as f32;
        tables[2][row][lane] = ((above - 2.0 * at + below) / (2.0 * NODE * NODE)) as f32;
        j += 1;
    }
    tables
};

/// `ln(1 + z)/z` for `z` of a size up to 1.1, by the series of `ln(1 + z) = 2·artanh(z/(2 + z))`.
const fn ln_1p_quotient(z: f64) -> f64 {
    let s = z / (2.0 + z);
    let (mut sum, mut power, mut n) = (0.0, 1.0, 1);
    while n < 60 {
        sum += power / n as f64;
        power *= s * s;
        n += 2;
    }
    2.0 / (2.0 + z) * sum
}

/// `1.5·2^23/32`: adding it to a number below `2^17` in size rounds that number to a multiple of
/// 1/32, whose last five bits then stand at the end of the sum's encoding.
const SHIFT_32: f32 = 393_216.0;

/// `2^f = 1 + f·(LINEAR + f·SQUARE)` for `|f| <= 1/64`, to 6e-8 relative.
const LINEAR: f32 = 0.693_157_2;
const SQUARE: f32 = 0.240_226_5;

/// The same for `e^f` and `|f| <= ln 2/64`.
const LINEAR_OF_E: f32 = LINEAR * LOG2_E;
const SQUARE_OF_E: f32 = SQUARE * LOG2_E * LOG2_E;

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
