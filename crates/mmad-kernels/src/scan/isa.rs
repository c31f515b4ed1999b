//! Which instructions a scan runs with.

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use super::portable::Portable;

/// An instruction set that this processor has.
///
/// Values come from [`Isa::best`] and [`Isa::available`] alone, so a value is a proof that its
/// instructions exist.
#[derive(Clone, Copy, Debug)]
pub struct Isa(pub(super) Proof);

/// The tokens behind [`Isa`]; making one asks the processor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof {
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    Portable(Portable),
}

impl Isa {
    /// The fastest instruction set of this processor.
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// All that this processor has, fastest first; the last is always the portable one.
    pub fn available() -> Vec<Self> {
        let portable = Proof::Portable(Portable);
        #[cfg(target_arch = "x86_64")]
        let fast =
            V4::try_new().map(Proof::Avx512).into_iter().chain(V3::try_new().map(Proof::Avx2));
        #[cfg(not(target_arch = "x86_64"))]
        let fast = [];
        fast.into_iter().chain([portable]).map(Self).collect()
    }

    /// `avx512`, `avx2` or `portable`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Proof::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Proof::Avx2(_) => "avx2",
            Proof::Portable(_) => "portable",
        }
    }
}

/// Runs `$body` with `$simd` bound to the token of `$isa`.
macro_rules! with_lanes {
    ($isa:expr, |$simd:ident| $body:expr) => {
        match $isa.0 {
            #[cfg(target_arch = "x86_64")]
            $crate::scan::isa::Proof::Avx512($simd) => $body,
            #[cfg(target_arch = "x86_64")]
            $crate::scan::isa::Proof::Avx2($simd) => $body,
            $crate::scan::isa::Proof::Portable($simd) => $body,
        }
    };
}
pub(super) use with_lanes;
