//! Pictures and random labelled scores for the tests.

use proptest::prelude::*;

use crate::input::ScoredImage;

/// A good picture of two pixels.
pub(crate) const GOOD: ScoredImage<'static> = ScoredImage {
    name: "good/000",
    width: 2,
    map: &[0.1, 0.2],
    mask: None,
    score: 0.2,
    is_anomalous: false,
};

/// A picture with a defect in its second pixel, which its map finds.
pub(crate) const DEFECTIVE: ScoredImage<'static> = ScoredImage {
    name: "hole/000",
    map: &[0.1, 0.9],
    mask: Some(&[0, 1]),
    score: 0.9,
    is_anomalous: true,
    ..GOOD
};

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
