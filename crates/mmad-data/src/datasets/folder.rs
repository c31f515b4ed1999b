//! Plain folders: what somebody has who photographed parts and sorted them.
//!
//! Three forms are understood: folders of classes, the folder of one class, and a folder with
//! nothing but good pictures. Where there are defects, a share of the good pictures is kept for
//! testing, chosen by name and seed (see [`crate::split`]).

use std::path::{Path, PathBuf};

use super::{DatasetLayout, Index, IndexOptions, Label};
use crate::dataset::Split;
use crate::error::DataError;
use crate::finding::{Finding, Kind, Severity};
use crate::listing::{Folder, file_name, good_folder, is_good_name, list, own_name, relative};
use crate::pairing::{MaskFolder, split_beside};
use crate::split::choose;

pub(super) const LAYOUT: DatasetLayout = DatasetLayout {
    id: "folder",
    about: "<class>/good and <class>/<defect>, or one such class, or a folder of good pictures",
    example_tree: &[
        "cap/good/000.png",
        "cap/good/001.png",
        "cap/good/002.png",
        "cap/dent/000.png",
        "cap/dent/001.png",
        "cap/masks/dent/000_mask.png",
        "cap/masks/dent/001.png",
        "label/ok/000.png",
        "label/ok/001.png",
        "label/torn/000.png",
        "label/torn/000_mask.png",
    ],
    example_index: None,
    detect,
    index,
};

/// Folders of a class that hold masks.
const MASK_FOLDERS: [&str; 3] = ["ground_truth", "masks", "mask"];

fn detect(root: &Path) -> bool {
    let Ok(folder) = list(root) else { return false };
    good_folder(root).is_some()
        || folder.folders.iter().any(|class| good_folder(class).is_some())
        || !folder.pictures.is_empty()
}

fn index(root: &Path, options: &IndexOptions) -> Result<Index, DataError> {
    let mut index = Index::default();
    if good_folder(root).is_some() {
        index_class(&mut index, root, root, &own_name(root), options)?;
        return Ok(index);
    }
    let Folder { folders, pictures, others } = list(root)?;
    let (classes, strangers): (Vec<PathBuf>, Vec<PathBuf>) =
        folders.into_iter().partition(|folder| good_folder(folder).is_some());
    for class in &classes {
        index_class(&mut index, root, class, &file_name(class), options)?;
    }
    if classes.is_empty() {
        let label = Label { class: &own_name(root), split: Split::Train, defect: None };
        index.add_pictures(root, label, pictures, None);
    } else {
        index.not_read(root, None, &pictures, Severity::Warning);
    }
    index.not_read(root, None, &strangers, Severity::Warning);
    index.not_read(root, None, &others, Severity::Note);
    Ok(index)
}

fn index_class(
    index: &mut Index,
    root: &Path,
    path: &Path,
    class: &str,
    options: &IndexOptions,
) -> Result<(), DataError> {
    let Folder { folders, pictures, others } = list(path)?;
    index.not_read(root, Some(class), &pictures, Severity::Warning);
    index.not_read(root, Some(class), &others, Severity::Note);

    let (mask_folders, folders): (Vec<PathBuf>, Vec<PathBuf>) = folders
        .into_iter()
        .partition(|folder| MASK_FOLDERS.contains(&&*file_name(folder).to_lowercase()));
    let (good, defects): (Vec<PathBuf>, Vec<PathBuf>) =
        folders.into_iter().partition(|folder| is_good_name(&file_name(folder)));

    let has_defects = index_defects(index, root, class, &defects, &mask_folders)?;
    let mut pictures = Vec::new();
    for folder in good {
        pictures.extend(index.pictures_in(root, class, &folder)?);
    }
    let fraction = if has_defects { options.test_fraction } else { 0.0 };
    let names: Vec<String> = pictures.iter().map(|path| relative(root, path)).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (class, &**name)).collect();
    let aside = choose(&pairs, fraction, options.seed, "test");
    let n_aside = aside.iter().filter(|&&aside| aside).count();
    if n_aside > 0 {
        let what = format!(
            "{n_aside} of {} good pictures kept for testing, chosen by name and seed {}",
            aside.len(),
            options.seed
        );
        let finding = Finding::new(Severity::Note, Kind::HeldOut, what).in_class(class);
        index.findings.push(finding);
    }
    for (picture, aside) in pictures.into_iter().zip(aside) {
        let split = if aside { Split::Test } else { Split::Train };
        index.add_pictures(root, Label { class, split, defect: None }, vec![picture], None);
    }
    Ok(())
}

/// Adds the defective pictures of a class; says whether there are any.
fn index_defects(
    index: &mut Index,
    root: &Path,
    class: &str,
    defects: &[PathBuf],
    mask_folders: &[PathBuf],
) -> Result<bool, DataError> {
    let mut found = Vec::new();
    let mut has_masks = false;
    for folder in defects {
        let (pictures, mut masks) = split_beside(index.pictures_in(root, class, folder)?);
        let kind = file_name(folder);
        for mask_folder in mask_folders {
            let same_name = mask_folder.join(folder.file_name().unwrap_or_default());
            if same_name.is_dir() {
                masks.extend(list(&same_name)?.pictures);
            }
        }
        has_masks |= !masks.is_empty();
        if !pictures.is_empty() {
            found.push((kind, pictures, masks));
        }
    }
    for mask_folder in mask_folders {
        for folder in list(mask_folder)?.folders {
            if !found.iter().any(|(kind, ..)| *kind == file_name(&folder)) {
                index.extra_masks(root, class, list(&folder)?.pictures);
            }
        }
    }
    let has_defects = !found.is_empty();
    for (kind, pictures, masks) in found {
        let label = Label { class, split: Split::Test, defect: Some(&kind) };
        let masks = has_masks.then(|| MaskFolder::from_files(masks));
        index.add_pictures(root, label, pictures, masks);
    }
    if has_defects && !has_masks {
        index.no_masks(class);
    }
    Ok(has_defects)
}
