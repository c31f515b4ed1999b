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

/// Whether AVX-512 is out of the question: this processor lacks it, or the environment does not
/// want it.
#[cfg(target_arch = "x86_64")]
pub(crate) fn is_held_to_less_than_avx512() -> bool {
    !matches!(*ARCH, Arch::V4(_))
}

/// Vectors per row of a register tile, and lanes per vector.
static TILE: LazyLock<(usize, usize)> = LazyLock::new(|| {
    struct Sizes;
    impl WithSimd for Sizes {
        type Output = (usize, usize);

        fn with_simd<S: Simd>(self, _: S) -> Self::Output {
            // A tile holds 6 rows of sums. 16 registers leave 2 vectors per row, next to the
            // operands; 32 registers leave 4.
            (if S::REGISTER_COUNT >= 32 { 4 } else { 2 }, S::F32_LANES)
        }
    }
    dispatch(Sizes)
});

/// Columns of a full register tile.
pub(crate) fn tile_width() -> usize {
    TILE.0 * TILE.1
}

/// Lanes of a vector.
pub(crate) fn lanes() -> usize {
    TILE.1
}

/// Runs `op` compiled for the chosen instruction set.
#[inline]
pub(crate) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    ARCH.dispatch(op)
}

/// Defines a function whose body is compiled for every instruction set and runs in the chosen one,
/// which the body knows as the value `$simd` of type `$S`. What it calls must be
/// `#[inline(always)]`, else it may stay outside and be compiled for none. A further type
/// parameter stands for a function that is known at compile time.
macro_rules! vectorized {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident<$life:lifetime, $S:ident $(, $function:ident: $bound:path)?>(
            $simd:ident, $($arg:ident: $type:ty),* $(,)?
        ) $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name<$life $(, $function: $bound)?>($($arg: $type),*) {
            struct Kernel<$life $(, $function)?> {
                $($arg: $type,)*
                $(function: std::marker::PhantomData<$function>,)?
            }
            impl<$life $(, $function: $bound)?> pulp::WithSimd for Kernel<$life $(, $function)?> {
                type Output = ();

                #[inline(always)]
                fn with_simd<$S: pulp::Simd>(self, $simd: $S) {
                    let Self { $($arg,)* .. } = self;
                    $body
                }
            }
            $crate::simd::dispatch(Kernel {
                $($arg,)*
                $(function: std::marker::PhantomData::<$function>,)?
            });
        }
    };
}
pub(crate) use vectorized;

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
