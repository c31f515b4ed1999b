//! What streaming says of a class against what the class is.

use mmad_metrics::{
    AUPIMO_BOUNDS, EXTRA_METRICS, METRICS, MetricInfo, MetricOptions, STREAMING_BITS,
    StreamedMetrics, StreamingClass, aupimo,
};
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
    fn aupimo_lies_inside(
        pictures in pictures(), bits in 1_u32..=24, lower in 0.02_f64..0.5, width in 0.01_f64..0.5
    ) {
        let bounds = (lower, (lower + width).min(1.0));
        let images: Vec<_> = pictures.iter().map(Picture::scored).collect();
        let streamed = stream(&pictures, bits).aupimo(bounds);
        match (streamed, aupimo(&images, bounds)) {
            (Ok(streamed), Ok(exact)) => {
                let mean = exact.iter().map(|(_, area)| area).sum::<f64>() / exact.len() as f64;
                prop_assert!(streamed.contains(mean), "{} {:?}", mean, streamed);
                // A bin per score leaves ties open alone.
                prop_assert!(bits < 24 || streamed.half_width() < 0.5);
            }
            (streamed, exact) => prop_assert_eq!(streamed.err(), exact.err()),
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
fn aupimo_and_regions_have_narrow_bounds() {
    // 200 good pictures, so that the false positive rate 1e-5 is known.
    let pictures: Vec<Picture> = (0..50).flat_map(class).collect();
    let class = stream(&pictures, STREAMING_BITS);
    assert!(class.aupimo(AUPIMO_BOUNDS).is_ok());
    let exact = measure(&pictures, &MetricOptions::default());
    let streamed = metrics(&class);
    for id in ["aupimo", "region_recall", "region_recall_10", "region_recall_50"] {
        let bounds = streamed.get(id).unwrap().clone().unwrap();
        let value = MetricInfo::find(id).unwrap().of(&exact).clone().unwrap();
        assert!(bounds.contains(value), "{id}: {value} {bounds:?}");
        assert!(bounds.half_width() < 0.02, "{id}: {bounds:?}");
    }
    for metric in METRICS.iter().chain(EXTRA_METRICS) {
        assert!(streamed.get(metric.id).is_some(), "{}", metric.id);
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
