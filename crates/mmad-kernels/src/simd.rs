//! Which instruction set runs: the best one of this processor, found once.

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

/// The environment variable `MMAD_SIMD` can name a smaller set than the best: `scalar`, or `avx2`
/// on x86-64. Results then equal those of an older processor bit for bit.
static ARCH: LazyLock<Arch> = LazyLock::new(|| match std::env::var("MMAD_SIMD").as_deref() {
    Ok("scalar") => Arch::Scalar,
    #[cfg(target_arch = "x86_64")]
    Ok("avx2") => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
    _ => Arch::new(),
});

/// Runs `op` compiled for the chosen instruction set.
#[inline]
pub(crate) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    ARCH.dispatch(op)
}

/// Calls `kernel(arguments)` compiled for the chosen instruction set, with its loops vectorised by
/// the compiler. For that `kernel`, and all it calls, must be `#[inline(always)]` functions; a
/// closure will not do, because the compiler may leave it out of line and then in plain code.
#[inline]
pub(crate) fn vectorize<A, R>(kernel: impl FnOnce(A) -> R, arguments: A) -> R {
    dispatch(Call { kernel, arguments })
}

struct Call<F, A> {
    kernel: F,
    arguments: A,
}

impl<A, R, F: FnOnce(A) -> R> WithSimd for Call<F, A> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.kernel)(self.arguments)
    }
}

/// Loads as many lanes as `values` holds, at most one vector; the others are zero.
#[inline(always)]
pub(crate) fn load<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match S::as_simd_f32s(values).0.first() {
        Some(&full) => full,
        None => simd.partial_load_f32s(values),
    }
}

/// Stores the first lanes of `vector` into `values`, at most one vector.
#[inline(always)]
pub(crate) fn store<S: Simd>(simd: S, values: &mut [f32], vector: S::f32s) {
    if values.len() >= S::F32_LANES {
        S::as_mut_simd_f32s(values).0[0] = vector;
    } else {
        simd.partial_store_f32s(values, vector);
    }
}
