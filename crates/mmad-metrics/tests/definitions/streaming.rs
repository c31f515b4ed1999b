//! What streaming says of a class against what the class is.

use mmad_metrics::{MetricInfo, MetricOptions, STREAMING_BITS, StreamedMetrics, StreamingClass};
use proptest::prelude::*;

use super::pictures::{Picture, class, measure, pictures};

fn stream(pictures: &[Picture], bits: u32) -> StreamingClass {
    let mut class = StreamingClass::new(bits).unwrap();
    for picture in pictures {
        class.add(&picture.scored()).unwrap();
    }
    class
}

fn metrics(class: &StreamingClass) -> StreamedMetrics {
    class.metrics(&MetricOptions::default()).unwrap()
}

proptest! {
    #[test]
    fn the_exact_value_lies_inside(pictures in pictures(), bits in 1_u32..=24) {
        let exact = measure(&pictures, &MetricOptions::default());
        let streamed = metrics(&stream(&pictures, bits));
        prop_assert_eq!(streamed.counts, exact.counts);
        for (id, bounds) in &streamed.values {
            match (bounds, MetricInfo::find(id).unwrap().of(&exact)) {
                (Ok(bounds), Ok(exact)) => {
                    prop_assert!(bounds.contains(*exact), "{} {} {:?}", id, exact, bounds);
                }
                (bounds, exact) => {
                    prop_assert_eq!(bounds.clone().err(), exact.clone().err(), "{}", id);
                }
            }
        }
    }

    #[test]
    fn parts_merge_in_any_order(
        (pictures, shuffled) in
            pictures().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle())),
        cut in 0_usize..6,
    ) {
        let whole = metrics(&stream(&pictures, 12));
        let cut = cut.min(shuffled.len());
        let parts = || (stream(&shuffled[..cut], 12), stream(&shuffled[cut..], 12));
        let (mut first, second) = parts();
        first.merge(second).unwrap();
        prop_assert_eq!(&metrics(&first), &whole);
        let (first, mut second) = parts();
        second.merge(first).unwrap();
        prop_assert_eq!(&metrics(&second), &whole);
    }
}

#[test]
fn more_bits_make_narrower_bounds() {
    let pictures = class(5);
    let mut widths = Vec::new();
    for bits in [8, 12, 16, STREAMING_BITS] {
        let streamed = metrics(&stream(&pictures, bits));
        widths.push(streamed.get("pixel_ap").unwrap().clone().unwrap().half_width());
    }
    assert!(widths.is_sorted_by(|a, b| a > b), "{widths:?}");
    assert!(widths[3] < 1e-3, "{widths:?}");
}
