//! The whole page of a sample: its size, that it needs nothing from outside, and that it repeats.

#![allow(clippy::unwrap_used)]

#[path = "../examples/sample_report/sample.rs"]
mod sample;
#[path = "../examples/sample_report/scene.rs"]
mod scene;

use mmad_report::render;

use crate::sample::{SampleSize, sample_report};

#[test]
fn a_large_report_is_small_and_needs_no_network() {
    let size = SampleSize { n_classes: 15, scores_per_class: 100, pictures_per_class: 8 };
    let report = sample_report(&size, 3).unwrap();
    // Eight per class; the last class has no defective parts to fill its share.
    assert_eq!((report.scores.len(), report.pictures.len()), (1500, 118));
    let page = render(&report).unwrap();

    let megabytes = page.len() as f64 / 1e6;
    assert!(megabytes < 6.0, "{megabytes:.2} MB");

    let namespace = "http://www.w3.org/2000/svg";
    let rest = page.replace(namespace, "");
    for outside in ["http://", "https://", "src=\"//", "url(", "@import", "fetch("] {
        assert!(!rest.contains(outside), "the page refers to {outside}");
    }
}

#[test]
fn the_same_seed_makes_the_same_page() {
    let size = SampleSize { n_classes: 2, scores_per_class: 20, pictures_per_class: 3 };
    let page = |seed| render(&sample_report(&size, seed).unwrap()).unwrap();
    assert_eq!(page(5), page(5));
    assert_ne!(page(5), page(6));
}
