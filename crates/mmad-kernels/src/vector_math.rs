//! Elementary functions on slices. Relative errors stay below 3e-7 wherever the result is a normal
//! number; not-a-number goes in and comes out.

use crate::elementary;
use crate::partition::{ELEMENTWISE, expect_len, for_each_chunk};
use crate::simd::vectorized;
use crate::vector::Vector;

/// Defines a function on slices from one on vectors.
macro_rules! on_slices {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// # Panics
        ///
        /// When the slices differ in length.
        pub fn $name(x: &[f32], y: &mut [f32]) {
            vectorized! {
                fn apply<'a, S>(simd, x: &'a [f32], y: &'a mut [f32]) {
                    for start in (0..y.len()).step_by(S::F32_LANES) {
                        elementary::$name(Vector::load(simd, x, start)).store(y, start);
                    }
                }
            }
            expect_len(stringify!($name), "y", y.len(), x.len());
            for_each_chunk(y, ELEMENTWISE, |task, y| {
                apply(&x[task * ELEMENTWISE..][..y.len()], y);
            });
        }
    };
}

on_slices! {
    /// `y = e^x`.
    exp
}
on_slices! {
    /// `y = 1 / (1 + e^-x)`.
    sigmoid
}
on_slices! {
    /// `y = tanh x`.
    tanh
}
on_slices! {
    /// `y = erf x`, the error function.
    erf
}
on_slices! {
    /// `y = ln(1 + x)`; `-∞` at -1, not-a-number below.
    log1p
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, values, widen};

    #[test]
    fn slices_are_mapped_to_their_end() {
        let x = values(1, 2 * ELEMENTWISE + 5);
        for (function, exact) in [
            (exp as fn(&[f32], &mut [f32]), f64::exp as fn(f64) -> f64),
            (tanh, f64::tanh),
            (erf, crate::activation::reference::erf),
            (sigmoid, crate::activation::reference::sigmoid),
            (log1p, |x| x.max(-1.0).ln_1p()),
        ] {
            let mut y = vec![f32::NAN; x.len()];
            function(&x, &mut y);
            let slow: Vec<f64> = widen(&x).into_iter().map(exact).collect();
            let finite = slow.iter().all(|y| y.is_finite());
            assert!(finite, "the test's own values are finite");
            assert_close("y", &y, &slow, 1, 3e-7);
        }
    }
}
