//! What each layout does with folders that are not as they should be.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use mmad_data::{DataError, Dataset, Finding, Kind, OpenOptions, Severity, Split};

/// Makes a file for each name; layouts do not look inside pictures.
fn tree(names: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in names {
        write(root.path(), name, "");
    }
    root
}

fn write(root: &Path, name: &str, content: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn found(dataset: &Dataset, kind: Kind) -> Vec<&Finding> {
    dataset.findings().iter().filter(|finding| finding.kind == kind).collect()
}

fn files<'a>(findings: &[&'a Finding]) -> Vec<&'a str> {
    findings.iter().map(|finding| finding.file.as_deref().unwrap_or("")).collect()
}

#[test]
fn mvtec_without_ground_truth_has_picture_labels_only() {
    let root = tree(&["a/train/good/0.png", "a/test/ok/0.png", "a/test/dent/0.png"]);
    let dataset = Dataset::open(root.path()).unwrap();
    assert_eq!(dataset.layout(), "mvtec");
    assert_eq!(found(&dataset, Kind::NoMasks).len(), 1);
    assert!(found(&dataset, Kind::MissingMask).is_empty());
    dataset.require_masks().unwrap();
    assert!(dataset.describe().contains("picture labels only"));
}

#[test]
fn mvtec_reads_the_folder_of_one_class() {
    let root = tree(&["bolt/train/good/0.png", "bolt/test/dent/0.png"]);
    let dataset = Dataset::open(&root.path().join("bolt")).unwrap();
    assert_eq!((dataset.layout(), dataset.classes()), ("mvtec", &["bolt".to_owned()][..]));
}

#[test]
fn mvtec_tells_what_it_does_not_read_and_which_masks_nobody_needs() {
    let root = tree(&[
        "readme.md",
        "notes/x.png",
        "a/license.txt",
        "a/train/good/0.png",
        "a/train/good/deeper/1.png",
        "a/train/dent/0.png",
        "a/test/dent/0.png",
        "a/ground_truth/dent/0_mask.png",
        "a/ground_truth/dent/7_mask.png",
        "a/ground_truth/gone/0_mask.png",
        "b/test/good/0.png",
    ]);
    let dataset = Dataset::open(root.path()).unwrap();
    assert_eq!(
        files(&found(&dataset, Kind::ExtraMask)),
        ["a/ground_truth/dent/7_mask.png", "a/ground_truth/gone/0_mask.png"]
    );
    let not_read: Vec<(Severity, &str, &str)> = found(&dataset, Kind::NotRead)
        .iter()
        .map(|f| (f.severity, f.file.as_deref().unwrap(), &*f.what))
        .collect();
    assert_eq!(
        not_read,
        [
            (Severity::Warning, ".", "not read: `b`"),
            (Severity::Warning, "a/train", "not read: `dent`"),
            (Severity::Warning, "a/train/good", "not read: `deeper`"),
            (Severity::Note, ".", "not read: `readme.md`, `notes`"),
            (Severity::Note, "a", "not read: `license.txt`"),
        ]
    );
    assert_eq!(dataset.samples().len(), 2);
}

const HEADER: &str = "object,split,label,image,mask\n";

fn visa(rows: &str) -> (tempfile::TempDir, Result<Dataset, DataError>) {
    let root =
        tree(&["c/n/0.JPG", "c/n/1.JPG", "c/a/0.JPG", "c/a/1.JPG", "c/m/0.png", "c/m/1.png"]);
    write(root.path(), "split_csv/1cls.csv", &format!("{HEADER}{rows}"));
    let dataset = Dataset::open(root.path());
    (root, dataset)
}

#[test]
fn visa_uses_a_mask_only_under_the_name_of_its_picture() {
    let (_root, dataset) = visa(
        "c,train,normal,c/n/0.JPG,\nc,test,anomaly,c/a/0.JPG,c/m/1.png\n\
         c,test,anomaly,c\\a\\1.JPG,./c/m/1.png\n",
    );
    let dataset = dataset.unwrap();
    assert_eq!(files(&found(&dataset, Kind::MaskName)), ["c/a/0.JPG"]);
    assert_eq!(files(&found(&dataset, Kind::MissingMask)), ["c/a/0.JPG"]);
    let masks: Vec<bool> = dataset.samples().iter().map(|s| s.mask.is_some()).collect();
    assert_eq!(masks, [false, true, false]);
}

#[test]
fn visa_names_what_is_missing_or_contradicts_itself() {
    let (_root, dataset) = visa(
        "c,train,normal,c/n/0.JPG,\nc,train,normal,c/n/9.JPG,\nc,train,anomaly,c/a/0.JPG,c/m/0.png\n\
         c,train,normal,c/n/1.JPG,\nc,test,normal,c/n/1.JPG,\n",
    );
    let dataset = dataset.unwrap();
    assert_eq!(files(&found(&dataset, Kind::MissingPicture)), ["c/n/9.JPG"]);
    assert_eq!(files(&found(&dataset, Kind::ContradictoryLabel)), ["c/a/0.JPG"]);
    assert_eq!(files(&found(&dataset, Kind::Leak)), ["c/n/1.JPG"]);
    assert_eq!(dataset.of_split(Split::Train).len(), 2);
    assert!(dataset.of_split(Split::Test).is_empty());
}

#[test]
fn visa_refuses_rows_it_does_not_understand_and_paths_out_of_the_root() {
    for (rows, expected) in [
        ("c,val,normal,c/n/0.JPG,\n", "line 2: split is `val`"),
        ("c,train,fine,c/n/0.JPG,\n", "line 2: label is `fine`"),
        ("c,train,normal,../secret.png,\n", "`../secret.png` is not a path below the root"),
        ("c,train,normal,/etc/x.png,\n", "`/etc/x.png` is not a path below the root"),
        ("c,train,normal,,\n", "`` is not a path below the root"),
        ("c,train\n", "line: 2"),
    ] {
        let error = visa(rows).1.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("1cls.csv"), "{error}");
    }
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "split_csv/1cls.csv", "object,split,image,mask\n");
    let error = Dataset::open(root.path()).unwrap_err().to_string();
    assert!(error.contains("there is no column `label`"), "{error}");
}

/// The index generators of the reference pair sorted lists; one lost mask shifts the rest.
#[test]
fn ader_does_not_use_masks_paired_by_position() {
    let root = tree(&["p/good/0.png", "p/bad/0.png", "p/bad/1.png", "p/gt/1_mask.png"]);
    let meta = r#"{"train": {"p": [{"img_path": "p/good/0.png", "mask_path": "", "anomaly": 0}]},
      "test": {"p": [
        {"img_path": "p/bad/0.png", "mask_path": "p/gt/1_mask.png", "specie_name": "bad", "anomaly": 1},
        {"img_path": "p/bad/1.png", "mask_path": null, "specie_name": "bad", "anomaly": 1}]}}"#;
    write(root.path(), "meta.json", meta);
    let dataset = Dataset::open(root.path()).unwrap();
    assert_eq!(dataset.layout(), "ader");
    assert_eq!(files(&found(&dataset, Kind::MaskName)), ["p/bad/0.png"]);
    assert!(dataset.samples().iter().all(|sample| sample.mask.is_none()));

    write(root.path(), "meta.json", "{\"train\": {},\n \"test\": 7}");
    let error = Dataset::open(root.path()).unwrap_err().to_string();
    assert!(error.contains("meta.json") && error.contains("line 2"), "{error}");
}

#[test]
fn folder_reads_a_bare_folder_of_good_pictures() {
    let root = tree(&["caps/0.png", "caps/1.JPG", "caps/2.tif", "caps/notes.txt"]);
    let dataset = Dataset::open(&root.path().join("caps")).unwrap();
    assert_eq!((dataset.layout(), dataset.classes()), ("folder", &["caps".to_owned()][..]));
    assert_eq!(dataset.of_split(Split::Train).len(), 3);
    assert_eq!(files(&found(&dataset, Kind::NotRead)), ["."]);
}

#[test]
fn folder_keeps_a_share_of_the_good_pictures_when_there_are_defects() {
    let mut names: Vec<String> = (0..40).map(|i| format!("cap/OK/{i:02}.png")).collect();
    names.push("cap/dent/0.png".into());
    names.extend((0..10).map(|i| format!("lid/good/{i}.png")));
    let root = tree(&names.iter().map(|name| &**name).collect::<Vec<_>>());

    let dataset = Dataset::open(root.path()).unwrap();
    let counts = dataset.counts();
    assert_eq!((counts[0].train_good, counts[0].test_good, counts[0].test_defective), (32, 8, 1));
    let told = "cap: 8 of 40 good pictures kept for testing, chosen by name and seed 0";
    assert!(dataset.describe().contains(told), "{}", dataset.describe());
    // Without defects there is nothing to test, so every good picture trains.
    assert_eq!((counts[1].train_good, counts[1].test_good), (10, 0));

    let options = OpenOptions { test_fraction: 0.5, seed: 3, ..OpenOptions::default() };
    let half = Dataset::open_with(root.path(), &options).unwrap();
    assert_eq!(half.counts()[0].test_good, 20);
    let other = Dataset::open_with(root.path(), &OpenOptions { seed: 4, ..options }).unwrap();
    assert_ne!(half.samples(), other.samples());
    assert_ne!(half.digest(), other.digest());
}

#[test]
fn folder_finds_masks_in_every_place_and_under_both_names() {
    let root = tree(&[
        "good/0.png",
        "good/1.png",
        "dent/0.jpg",
        "dent/1.jpg",
        "ground_truth/dent/0_mask.png",
        "masks/dent/1.png",
        "crack/0.png",
        "crack/0_mask.png",
        "crack/1.png",
        "masks/old/5.png",
    ]);
    let dataset = Dataset::open(root.path()).unwrap();
    let masked: Vec<&str> =
        dataset.samples().iter().filter(|s| s.mask.is_some()).map(|s| &*s.name).collect();
    assert_eq!(masked, ["crack/0.png", "dent/0.jpg", "dent/1.jpg"]);
    assert_eq!(files(&found(&dataset, Kind::MissingMask)), ["crack/1.png"]);
    assert_eq!(files(&found(&dataset, Kind::ExtraMask)), ["masks/old/5.png"]);
}

#[test]
fn a_folder_of_folders_without_a_good_one_is_not_guessed() {
    let root = tree(&["gear/0.png", "cap/0.png"]);
    let error = Dataset::open(root.path()).unwrap_err();
    assert!(matches!(error, DataError::UnknownLayout { .. }), "{error}");
    assert!(error.hint().unwrap().contains("<class>/good"));
}

#[test]
fn empty_folders_are_no_data_set() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("gear/good")).unwrap();
    let error = Dataset::open(root.path()).unwrap_err();
    assert!(matches!(error, DataError::NoPictures { .. }), "{error}");
}
