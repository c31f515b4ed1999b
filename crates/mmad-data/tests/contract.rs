//! What every layout promises. A new layout in `DATASETS` is tested here without a new line.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use mmad_data::{DATASETS, Dataset, DatasetLayout, Kind, OpenOptions, Severity, Split};

/// Writes the example of a layout: pictures of 8x6 pixels, and the index file if there is one.
fn write_example(layout: &DatasetLayout, root: &Path) {
    for name in layout.example_tree {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // The content tells the format, so the name may end in anything.
        image::GrayImage::new(8, 6).save_with_format(&path, image::ImageFormat::Png).unwrap();
    }
    if let Some((name, content)) = layout.example_index {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

fn each_layout(test: impl Fn(&'static DatasetLayout, &Path)) {
    for layout in DATASETS {
        let root = tempfile::tempdir().unwrap();
        write_example(layout, root.path());
        test(layout, root.path());
    }
}

#[test]
fn names_are_told_apart() {
    for (i, layout) in DATASETS.iter().enumerate() {
        assert!(!layout.about.is_empty());
        assert!(DATASETS[..i].iter().all(|other| other.id != layout.id), "{}", layout.id);
    }
}

#[test]
fn each_example_is_found_out_and_read() {
    each_layout(|layout, root| {
        let dataset = Dataset::open(root).unwrap();
        assert_eq!(dataset.layout(), layout.id);
        let troubles: Vec<_> =
            dataset.findings().iter().filter(|f| f.severity < Severity::Note).collect();
        assert!(troubles.is_empty(), "{}: {troubles:?}", layout.id);
        dataset.require_masks().unwrap();

        let counts = dataset.counts();
        for class in &counts {
            assert!(class.train_good > 0 && class.test_good > 0, "{}: {class:?}", layout.id);
            assert!(class.test_defective > 0, "{}: {class:?}", layout.id);
            assert_eq!(class.masks, class.test_defective, "{}: {class:?}", layout.id);
        }
        let n_files: usize =
            counts.iter().map(|c| c.train_good + c.test_good + c.test_defective + c.masks).sum();
        assert_eq!(n_files, layout.example_tree.len(), "{}", layout.id);
        assert!(dataset.describe().contains(layout.id));
    });
}

#[test]
fn samples_keep_the_rules() {
    each_layout(|layout, root| {
        let dataset = Dataset::open(root).unwrap();
        for pair in dataset.samples().windows(2) {
            assert!(pair[0].name < pair[1].name, "{}", layout.id);
        }
        for sample in dataset.samples() {
            assert_eq!(root.join(&sample.name), sample.path, "{}", layout.id);
            assert!(layout.example_tree.contains(&&*sample.name), "{}", layout.id);
            let is_train = sample.split == Split::Train;
            assert!(!(is_train && sample.is_anomalous()), "{}", layout.id);
        }
    });
}

#[test]
fn masks_pair_by_stem() {
    each_layout(|layout, root| {
        for sample in Dataset::open(root).unwrap().samples() {
            let Some(mask) = &sample.mask else { continue };
            let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
            let of_mask = stem(mask);
            assert_eq!(of_mask.trim_end_matches("_mask"), stem(&sample.path), "{}", layout.id);
        }
    });
}

/// With its first mask gone, the picture is named and no other picture takes a wrong mask.
#[test]
fn a_lost_mask_is_named_and_shifts_nothing() {
    each_layout(|layout, root| {
        let before = Dataset::open(root).unwrap();
        let lost = before.samples().iter().find(|sample| sample.mask.is_some()).unwrap();
        std::fs::remove_file(lost.mask.as_ref().unwrap()).unwrap();

        let after = Dataset::open(root).unwrap();
        let missing: Vec<&str> = after
            .findings()
            .iter()
            .filter(|finding| finding.kind == Kind::MissingMask)
            .map(|finding| finding.file.as_deref().unwrap())
            .collect();
        assert_eq!(missing, [&*lost.name], "{}", layout.id);
        let error = after.require_masks().unwrap_err().to_string();
        assert!(error.contains(&lost.name), "{error}");
        for (then, now) in before.samples().iter().zip(after.samples()) {
            if then.name != lost.name {
                assert_eq!(then, now, "{}", layout.id);
            }
        }
    });
}

#[test]
fn a_layout_can_be_asked_for_by_name_and_reads_the_same() {
    each_layout(|layout, root| {
        let options = OpenOptions { layout: Some(layout.id.to_owned()), ..Default::default() };
        let asked = Dataset::open_with(root, &options).unwrap();
        let found = Dataset::open(root).unwrap();
        assert_eq!(asked.samples(), found.samples());
        assert_eq!(asked.digest(), found.digest());
    });
}
