//! What must not change a metric.

use mmad_metrics::{
    ClassMetrics, EXTRA_METRICS, Evaluation, METRICS, MetricOptions, Protocol, ScoredImage,
};
use proptest::prelude::*;

use super::pictures::{Picture, class, measure, pictures};

proptest! {
    #[test]
    fn the_order_of_the_pictures_changes_nothing(
        (pictures, shuffled) in pictures().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle()))
    ) {
        for protocol in Protocol::ALL {
            let options = MetricOptions { protocol, ..MetricOptions::default() };
            let (a, mut b) = (measure(&pictures, &options), measure(&shuffled, &options));
            // By definition, the order of the files decides ties there.
            if protocol == Protocol::Mvtec {
                b.image_au_roc = a.image_au_roc.clone();
            }
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn only_the_order_of_the_scores_matters(pictures in pictures()) {
        // Exact in f32, so no two scores fall together.
        let increasing: [fn(f32) -> f32; 3] =
            [|x| 4.0 * x, |x| x / 1024.0, |x| if x < 0.0 { 0.25 * x } else { 512.0 * x }];
        let before = measure(&pictures, &MetricOptions::default());
        for change in increasing {
            let mut changed = pictures.clone();
            for score in changed.iter_mut().flat_map(|picture| &mut picture.map) {
                *score = change(*score);
            }
            let after = measure(&changed, &MetricOptions::default());
            for metric in METRICS.iter().chain(EXTRA_METRICS) {
                prop_assert_eq!(metric.of(&before), metric.of(&after), "{}", metric.id);
            }
        }
    }

    #[test]
    fn a_missing_mask_on_a_good_picture_is_an_empty_mask(pictures in pictures()) {
        let mut filled = pictures.clone();
        for picture in &mut filled {
            picture.mask = Some(picture.mask());
        }
        for protocol in Protocol::ALL {
            let options = MetricOptions { protocol, ..MetricOptions::default() };
            prop_assert_eq!(measure(&pictures, &options), measure(&filled, &options));
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let classes: Vec<Vec<Picture>> = (1..9).map(class).collect();
    for protocol in Protocol::ALL {
        let options = MetricOptions { protocol, ..MetricOptions::default() };
        let alone: Vec<ClassMetrics> =
            classes.iter().map(|class| measure(class, &options)).collect();
        let images: Vec<Vec<ScoredImage<'_>>> =
            classes.iter().map(|class| class.iter().map(Picture::scored).collect()).collect();
        let named: Vec<(&str, &[ScoredImage<'_>])> =
            images.iter().map(|images| ("class", &images[..])).collect();
        for n_threads in 1..=4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let evaluation = pool.install(|| Evaluation::of(&named, &options)).unwrap();
            let together: Vec<ClassMetrics> =
                evaluation.classes.into_iter().map(|(_, class)| class).collect();
            assert_eq!(alone, together, "{n_threads} threads");
        }
    }
}

#[test]
fn perfect_maps_are_perfect() {
    let mut pictures = class(3);
    for picture in &mut pictures {
        let mask = picture.mask();
        picture.map = mask.iter().map(|&pixel| f32::from(pixel)).collect();
    }
    let metrics = measure(&pictures, &MetricOptions::default());
    for metric in METRICS {
        let value = metric.of(&metrics).clone().unwrap();
        assert!((value - 1.0).abs() < 1e-12, "{}: {value}", metric.id);
    }
}
