//! Vectors of channels: the few operations the scan needs from an instruction set.
//!
//! The scan is written once, over [`Lanes`]. A type that implements it is a proof that the
//! processor has the instructions (it can only be made by asking), so everything here is safe.
//! `pulp` holds that proof for AVX2 and AVX-512; plain arrays serve every other processor.

use pulp::NullaryFnOnce;

use super::exponential;

/// An instruction set, and the vectors of [`LANES`](Lanes::LANES) 32-bit floats it works on.
///
/// All functions act lane by lane unless they say otherwise.
pub(super) trait Lanes: Copy + Send + Sync + 'static {
    /// One vector.
    type F: Copy + Send + Sync + 'static;

    /// Numbers in one vector, at most [`MAX_LANES`].
    const LANES: usize;

    /// States that the recurrence holds in registers at once; 4 or 8.
    const GROUP: usize;

    /// Runs `op` compiled for this instruction set. All that `op` calls must be inlined.
    fn vectorize<Op: NullaryFnOnce>(self, op: Op) -> Op::Output;

    /// The same number in every lane.
    fn splat(self, value: f32) -> Self::F;

    /// The first `LANES` numbers of `from`, which has at least as many.
    fn load(self, from: &[f32]) -> Self::F;

    /// Writes to the first `LANES` places of `into`, which has at least as many.
    fn store(self, value: Self::F, into: &mut [f32]);

    /// `a + b`
    fn add(self, a: Self::F, b: Self::F) -> Self::F;

    /// `a - b`
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;

    /// `a * b`
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;

    /// `a / b`
    fn div(self, a: Self::F, b: Self::F) -> Self::F;

    /// `a * b + c`, rounded once where the hardware can.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;

    /// The larger; `b` when either is not a number.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;

    /// The smaller; `b` when either is not a number.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;

    /// `if_negative` where the sign bit of `by` is set, `otherwise` elsewhere.
    fn select_negative(self, by: Self::F, if_negative: Self::F, otherwise: Self::F) -> Self::F;

    /// `2^k` for the integer `k` in the low bits of the encoding of `1.5·2^23 + k`: 0 for
    /// `k = -127`, infinite for `k = 128`, exact between.
    fn power_of_two(self, shifted: Self::F) -> Self::F;

    /// `2^x` to about 1e-7 relative; see [`exponential::exp2`].
    fn exp2(self, x: Self::F) -> Self::F;

    /// `e^x` to 3e-7 relative; subnormal or 0 below -87, infinite above 88.8, NaN for NaN. See
    /// [`exponential::exp`].
    #[inline(always)]
    fn exp(self, x: Self::F) -> Self::F {
        exponential::exp(self, x)
    }

    /// `ln(1 + z)` for `0 <= z <= 1`, to 4e-7 relative; see [`exponential::ln_1p`].
    #[inline(always)]
    fn ln_1p(self, z: Self::F) -> Self::F {
        exponential::ln_1p(self, z)
    }

    /// Adds the sum over the lanes of `vectors[i]` to `sums[i]`; `G` is 4 or 8.
    fn add_lane_sums<const G: usize>(self, vectors: &[Self::F; G], sums: &mut [f32; G]);

    /// The first numbers of `from`, then zeros when there are fewer than `LANES`.
    #[inline(always)]
    fn load_some(self, from: &[f32]) -> Self::F {
        if from.len() >= Self::LANES {
            self.load(from)
        } else {
            let mut padded = [0.0; MAX_LANES];
            padded[..from.len()].copy_from_slice(from);
            self.load(&padded)
        }
    }

    /// Writes as many lanes as `into` has places for.
    #[inline(always)]
    fn store_some(self, value: Self::F, into: &mut [f32]) {
        if into.len() >= Self::LANES {
            self.store(value, into);
        } else {
            let mut padded = [0.0; MAX_LANES];
            self.store(value, &mut padded);
            into.copy_from_slice(&padded[..into.len()]);
        }
    }

    /// Adds lanes to as many places as `into` has.
    #[inline(always)]
    fn accumulate_some(self, value: Self::F, into: &mut [f32]) {
        let sum = self.add(self.load_some(into), value);
        self.store_some(sum, into);
    }
}

/// No instruction set here has more.
pub(super) const MAX_LANES: usize = 16;
