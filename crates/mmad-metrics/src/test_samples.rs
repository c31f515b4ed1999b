//! Random labelled scores for the property tests.

use proptest::prelude::*;

/// Scores and labels of the same length, with few distinct scores so that ties are common (the
/// two zeros among them), and with both labels.
pub(crate) fn samples() -> impl Strategy<Value = (Vec<f32>, Vec<bool>)> {
    let score =
        prop_oneof![(-5_i32..6).prop_map(|x| x as f32 / 4.0), Just(-0.0_f32), -2.0_f32..2.0,];
    proptest::collection::vec((score, any::<bool>()), 2..60)
        .prop_map(|pairs| pairs.into_iter().unzip())
        .prop_filter("both labels", |(_, labels): &(Vec<f32>, Vec<bool>)| {
            labels.contains(&true) && labels.contains(&false)
        })
}
