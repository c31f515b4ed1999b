//! Plain arrays as vectors: right on every processor, and fast where the compiler vectorises the
//! short loops (SSE2 on x86, NEON on ARM).

use pulp::NullaryFnOnce;
use std::array::from_fn;

use super::exponential;
use super::lanes::Lanes;

/// Eight lanes without any special instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portable;

impl Lanes for Portable {
    type F = [f32; 8];

    const LANES: usize = 8;
    const GROUP: usize = 4;

    #[inline(always)]
    fn vectorize<Op: NullaryFnOnce>(self, op: Op) -> Op::Output {
        op.call()
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [value; 8]
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F {
        from_fn(|i| from[i])
    }

    #[inline(always)]
    fn store(self, value: Self::F, into: &mut [f32]) {
        into[..8].copy_from_slice(&value);
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // Without the instruction `f32::mul_add` calls a slow function of the C library.
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            from_fn(|i| a[i].mul_add(b[i], c[i]))
        } else {
            from_fn(|i| a[i] * b[i] + c[i])
        }
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn select_negative(self, by: Self::F, if_negative: Self::F, otherwise: Self::F) -> Self::F {
        from_fn(|i| if by[i].is_sign_negative() { if_negative[i] } else { otherwise[i] })
    }

    #[inline(always)]
    fn power_of_two(self, shifted: Self::F) -> Self::F {
        from_fn(|i| f32::from_bits((shifted[i].to_bits() << 23).wrapping_add(1.0_f32.to_bits())))
    }

    #[inline(always)]
    fn exp2(self, x: Self::F) -> Self::F {
        exponential::exp2(self, x)
    }

    #[inline(always)]
    fn add_lane_sums<const G: usize>(self, vectors: &[Self::F; G], sums: &mut [f32; G]) {
        for (sum, v) in sums.iter_mut().zip(vectors) {
            let quarter: [f32; 4] = from_fn(|i| v[i] + v[i + 4]);
            *sum += (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
        }
    }
}
