//! The reference pictures, where they are: counts, a check without errors, and loading.
//!
//! `MMAD_TEST_DATA` names their folder; without it, `../shared/data` beside the workspace.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use mmad_data::{
    CheckOptions, Dataset, Loader, LoaderOptions, Preprocess, Severity, Split, check_dataset,
};

fn root() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("MMAD_TEST_DATA").map_or(beside, PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("skipped: no reference pictures in `{}`; set MMAD_TEST_DATA", root.display());
    None
}

#[test]
fn the_five_classes_have_the_documented_counts() {
    let Some(root) = root() else { return };
    let dataset = Dataset::open(&root).unwrap();
    assert_eq!(dataset.layout(), "mvtec");
    let counts: Vec<(String, [usize; 5])> = dataset
        .counts()
        .into_iter()
        .map(|c| {
            let numbers = [c.train_good, c.test_good, c.test_defective, c.masks, c.defect_kinds];
            (c.class, numbers)
        })
        .collect();
    let expected = [
        ("bottle", [209, 20, 63, 63, 3]),
        ("magnetic_tile", [500, 120, 388, 388, 5]),
        ("pill", [267, 26, 141, 141, 7]),
        ("pill_xray", [110, 30, 100, 0, 1]),
        ("screw", [320, 41, 119, 119, 5]),
    ];
    assert_eq!(counts, expected.map(|(class, numbers)| (class.to_owned(), numbers)));
    dataset.require_masks().unwrap();
}

#[test]
fn one_class_is_checked_and_loaded() {
    let Some(root) = root() else { return };
    let dataset = Dataset::open(&root).unwrap().with_classes(&["bottle".to_owned()]).unwrap();
    let report = check_dataset(&dataset, &CheckOptions::default());
    assert_eq!(report.count(Severity::Error), 0, "{}", report.describe());

    let preprocess = Preprocess::imagenet(256, 256).unwrap();
    let test = dataset.of_split(Split::Test);
    let mut n_marked = 0;
    for item in Loader::new(test, preprocess, LoaderOptions::default()).unwrap() {
        let loaded = item.unwrap();
        assert_eq!(loaded.pixels.len(), 256 * 256 * 3);
        let marked = loaded.mask.unwrap().contains(&1);
        assert_eq!(marked, loaded.sample.is_anomalous(), "{}", loaded.sample.name);
        n_marked += usize::from(marked);
    }
    assert_eq!(n_marked, 63);
}
