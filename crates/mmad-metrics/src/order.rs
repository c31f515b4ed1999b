//! Floating point scores as integers that sort the same way.

/// An integer that orders like the score: `order_key(a) < order_key(b)` exactly when `a < b`.
///
/// The two zeros get one key, subnormal numbers keep their own. For finite scores the key is
/// neither 0 nor `u32::MAX`.
#[inline]
pub(crate) fn order_key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits(); // -0.0 + 0.0 is 0.0
    // Positive numbers move above the negative ones, whose order is turned around.
    let flips = ((bits as i32) >> 31) as u32 | 0x8000_0000;
    bits ^ flips
}

/// The score with this key.
pub(crate) fn score_of_key(key: u32) -> f32 {
    let flips = if key & 0x8000_0000 == 0 { u32::MAX } else { 0x8000_0000 };
    f32::from_bits(key ^ flips)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_order_like_scores(a in any::<f32>(), b in any::<f32>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(order_key(a).cmp(&order_key(b)), a.partial_cmp(&b).unwrap());
            prop_assert_eq!(score_of_key(order_key(a)), a);
        }
    }

    #[test]
    fn zeros_tie_and_subnormals_do_not() {
        assert_eq!(order_key(-0.0), order_key(0.0));
        assert!(order_key(f32::from_bits(1)) > order_key(0.0));
        assert!(order_key(-f32::from_bits(1)) < order_key(0.0));
    }

    #[test]
    fn finite_scores_leave_the_extreme_keys_free() {
        assert!(order_key(f32::MAX) < u32::MAX);
        assert!(order_key(f32::MIN) > 0);
    }
}
