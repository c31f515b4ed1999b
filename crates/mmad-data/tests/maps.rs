//! Maps and masks in the folders in which people have them.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use mmad_data::{MapError, MapSet};
use tempfile::TempDir;

/// A NumPy file of bytes, `[1, 2]`.
fn npy(values: [u8; 2]) -> Vec<u8> {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

/// Folders with these files, whose first byte is their position in the list.
fn folder(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (index, name) in files.iter().enumerate() {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, npy([index as u8, 1])).unwrap();
    }
    root
}

fn open(root: &Path) -> Result<MapSet, MapError> {
    MapSet::open(&root.join("maps"), &root.join("masks"))
}

/// Class, name, position of the file of the map, and the mask, of every picture.
fn pairs(set: &MapSet) -> Vec<(String, String, u8, Option<Vec<u8>>)> {
    let mut pairs = Vec::new();
    for class in &set.classes {
        for pair in &class.pairs {
            let loaded = pair.read(false).unwrap();
            let position = loaded.map[0] as u8;
            pairs.push((class.name.clone(), pair.name.clone(), position, loaded.mask));
        }
    }
    pairs
}

#[test]
fn the_folders_of_mvtec_fit_as_they_are() {
    let root = folder(&[
        "maps/bottle/test/good/000.npy",
        "maps/bottle/test/crack/000.npy",
        "maps/bottle/test/crack/001.npy",
        "masks/bottle/ground_truth/crack/001_mask.npy",
        "masks/bottle/ground_truth/crack/000_mask.npy",
        "masks/bottle/test/crack/000.npy",
        "masks/bottle/train/good/000.npy",
        "masks/cable/ground_truth/cut/000_mask.npy",
    ]);
    let set = open(root.path()).unwrap();
    let row = |name: &str, position, mask: Option<[u8; 2]>| {
        ("bottle".to_owned(), name.to_owned(), position, mask.map(Vec::from))
    };
    let expected = [
        row("bottle/crack/000", 1, Some([1, 1])),
        row("bottle/crack/001", 2, Some([1, 1])),
        row("bottle/good/000", 0, None),
    ];
    assert_eq!(pairs(&set), expected);
    assert_eq!(set.problems, [""; 0]);
    assert_eq!(set.notes, ["masks of classes without maps, left out: 1"]);
}

#[test]
fn a_folder_with_good_pictures_is_one_class() {
    for between in ["", "test/"] {
        let files = [
            format!("maps/{between}good/0.npy"),
            format!("maps/{between}hole/0_map.npy"),
            "masks/hole/0_mask.npy".to_owned(),
        ];
        let root = folder(&files.each_ref().map(String::as_str));
        let set = open(root.path()).unwrap();
        let classes: Vec<&str> = set.classes.iter().map(|class| class.name.as_str()).collect();
        assert_eq!(classes, ["maps"]);
        assert_eq!(set.classes[0].pairs.len(), 2);
    }
}

#[test]
fn a_lost_mask_shifts_nothing_and_is_told() {
    let root = folder(&[
        "maps/a/cut/0.npy",
        "maps/a/cut/1.npy",
        "maps/a/cut/2.npy",
        "masks/a/cut/0.npy",
        "masks/a/cut/2.npy",
        "masks/a/cut/7.npy",
    ]);
    let set = open(root.path()).unwrap();
    let with_mask: Vec<bool> = pairs(&set).iter().map(|pair| pair.3.is_some()).collect();
    assert_eq!(with_mask, [true, false, true]);
    assert_eq!(set.notes, ["`a/cut`: 1 maps have no mask and count as good, 2 have one"]);
    assert_eq!(set.problems.len(), 1);
    assert!(set.problems[0].ends_with("7.npy` has no map"), "{:?}", set.problems);
}

#[test]
fn several_files_of_one_picture_are_told_apart_or_refused() {
    let root = folder(&[
        "maps/a/0_map.npy",
        "maps/a/0_map.png",
        "maps/a/1.npy",
        "maps/a/1_map.npy",
        "maps/a/2.npy",
        "masks/a/0.npy",
        "masks/a/0_mask.npy",
        "masks/a/2_mask.png",
        "masks/a/2_mask.npy",
    ]);
    let set = open(root.path()).unwrap();
    // The array is more exact than the picture, and what says that it is a mask is one.
    assert_eq!(pairs(&set), [("a".to_owned(), "a/0".to_owned(), 0, Some(vec![1, 1]))]);
    assert_eq!(set.problems.len(), 2, "{:?}", set.problems);
    assert!(set.problems[0].contains("several maps for one picture"), "{:?}", set.problems);
    assert!(set.problems[1].contains("several masks for one picture"), "{:?}", set.problems);
}

#[test]
fn what_cannot_be_paired_at_all_is_an_error() {
    let root = folder(&["maps/a/0.npy", "masks/a/other.npy"]);
    let error = open(root.path()).unwrap_err();
    assert!(matches!(error, MapError::NoMasks { .. }), "{error}");
    let root = folder(&["maps/a/0.txt", "masks/a/0.npy"]);
    let error = open(root.path()).unwrap_err();
    assert!(matches!(error, MapError::NoMaps { .. }), "{error}");
    let error = open(&root.path().join("nowhere")).unwrap_err();
    assert!(error.to_string().contains("is not a folder") && error.hint().is_some(), "{error}");
}

/// A link to its own parent would be listed for ever.
#[cfg(unix)]
#[test]
fn a_circle_of_folders_ends() {
    let root = folder(&["maps/a/0.npy", "masks/a/0.npy"]);
    let maps = root.path().join("maps");
    std::os::unix::fs::symlink(&maps, maps.join("a").join("again")).unwrap();
    let set = open(root.path()).unwrap();
    assert!(set.classes.iter().any(|class| class.name == "a"));
}
