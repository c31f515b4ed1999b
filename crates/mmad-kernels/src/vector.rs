//! Vectors of `f32` with the usual operators, so that formulas read as formulas.

use std::ops::{Add, Div, Mul, Neg, Sub};

use pulp::Simd;

use crate::simd::{load, store};

/// As many `f32` as the instruction set `S` holds in a register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vector<S: Simd> {
    simd: S,
    lanes: S::f32s,
}

impl<S: Simd> Vector<S> {
    /// The same value in all lanes.
    #[inline(always)]
    pub(crate) fn splat(simd: S, value: f32) -> Self {
        Self { simd, lanes: simd.splat_f32s(value) }
    }

    /// The values of `row` from `start` on; lanes behind its end are zero.
    #[inline(always)]
    pub(crate) fn load(simd: S, row: &[f32], start: usize) -> Self {
        Self { simd, lanes: load(simd, &row[start..]) }
    }

    /// Overwrites the values of `row` from `start` on; lanes behind its end are dropped.
    #[inline(always)]
    pub(crate) fn store(self, row: &mut [f32], start: usize) {
        store(self.simd, &mut row[start..], self.lanes);
    }

    /// Another vector with the same value in all lanes.
    #[inline(always)]
    pub(crate) fn same(self, value: f32) -> Self {
        Self::splat(self.simd, value)
    }

    /// `self * factor + term`, rounded once.
    #[inline(always)]
    pub(crate) fn mul_add(self, factor: Self, term: Self) -> Self {
        let lanes = self.simd.mul_add_f32s(self.lanes, factor.lanes, term.lanes);
        Self { lanes, ..self }
    }

    /// The size without the sign.
    #[inline(always)]
    pub(crate) fn abs(self) -> Self {
        Self { lanes: self.simd.abs_f32s(self.lanes), ..self }
    }

    /// `if self < bound { below } else { otherwise }`; not-a-number is not below anything.
    #[inline(always)]
    pub(crate) fn if_less(self, bound: Self, below: Self, otherwise: Self) -> Self {
        let mask = self.simd.less_than_f32s(self.lanes, bound.lanes);
        Self { lanes: self.simd.select_f32s(mask, below.lanes, otherwise.lanes), ..self }
    }

    /// The size of `self` with the sign of `sign`.
    #[inline(always)]
    pub(crate) fn copysign(self, sign: Self) -> Self {
        let bit = self.simd.splat_f32s(-0.0);
        let sign = self.simd.and_f32s(bit, sign.lanes);
        let size = self.simd.abs_f32s(self.lanes);
        Self { lanes: self.simd.or_f32s(size, sign), ..self }
    }

    /// The bits as whole numbers, changed by `change`.
    #[inline(always)]
    pub(crate) fn with_bits(self, change: impl FnOnce(S, S::u32s) -> S::u32s) -> Self {
        let bits = change(self.simd, self.simd.transmute_u32s_f32s(self.lanes));
        Self { lanes: self.simd.transmute_f32s_u32s(bits), ..self }
    }

    /// The sum of all lanes.
    #[inline(always)]
    pub(crate) fn sum(self) -> f32 {
        self.simd.reduce_sum_f32s(self.lanes)
    }
}

/// Implements an operator between vectors, and between a vector and a number.
macro_rules! operator {
    ($trait:ident, $method:ident, $operation:ident) => {
        impl<S: Simd> $trait for Vector<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self { lanes: self.simd.$operation(self.lanes, other.lanes), ..self }
            }
        }

        impl<S: Simd> $trait<f32> for Vector<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: f32) -> Self {
                self.$method(self.same(other))
            }
        }
    };
}

operator!(Add, add, add_f32s);
operator!(Sub, sub, sub_f32s);
operator!(Mul, mul, mul_f32s);
operator!(Div, div, div_f32s);

impl<S: Simd> Neg for Vector<S> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self { lanes: self.simd.neg_f32s(self.lanes), ..self }
    }
}
