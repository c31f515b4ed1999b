//! `MVTec-AD`: one folder per class with `train`, `test` and `ground_truth`.
//!
//! Source: Bergmann et al. 2019, "`MVTec` AD", and the folders as distributed. Differences: the
//! good folders may also be called `ok` or `normal`, a class may lack `test` or `ground_truth`,
//! and the folder of a single class is a data set of its own.

use std::path::{Path, PathBuf};

use super::{DatasetLayout, Index, IndexOptions, Label};
use crate::dataset::Split;
use crate::error::DataError;
use crate::finding::Severity;
use crate::listing::{Folder, file_name, good_folder, is_good_name, list, own_name};
use crate::pairing::MaskFolder;

pub(super) const LAYOUT: DatasetLayout = DatasetLayout {
    id: "mvtec",
    about: "<class>/train/good, <class>/test/<defect>, <class>/ground_truth/<defect> (MVTec-AD)",
    example_tree: &[
        "gear/train/good/000.png",
        "gear/train/good/001.png",
        "gear/test/good/000.png",
        "gear/test/crack/000.png",
        "gear/test/crack/001.png",
        "gear/ground_truth/crack/000_mask.png",
        "gear/ground_truth/crack/001_mask.png",
        "washer/train/good/000.png",
        "washer/test/good/000.png",
        "washer/test/bent/000.png",
        "washer/ground_truth/bent/000_mask.png",
    ],
    example_index: None,
    detect,
    index,
};

fn detect(root: &Path) -> bool {
    is_class(root) || list(root).is_ok_and(|folder| folder.folders.iter().any(|f| is_class(f)))
}

fn is_class(path: &Path) -> bool {
    good_folder(&path.join("train")).is_some()
}

fn index(root: &Path, _options: &IndexOptions) -> Result<Index, DataError> {
    let mut index = Index::default();
    if is_class(root) {
        index_class(&mut index, root, root, &own_name(root))?;
        return Ok(index);
    }
    let Folder { folders, pictures, mut others } = list(root)?;
    let (classes, strangers): (Vec<PathBuf>, Vec<PathBuf>) =
        folders.into_iter().partition(|folder| is_class(folder));
    for class in &classes {
        index_class(&mut index, root, class, &file_name(class))?;
    }
    let (lost, unrelated): (Vec<PathBuf>, Vec<PathBuf>) = strangers
        .into_iter()
        .partition(|folder| folder.join("train").is_dir() || folder.join("test").is_dir());
    index.not_read(root, None, &lost, Severity::Warning);
    others.extend(unrelated);
    others.extend(pictures);
    index.not_read(root, None, &others, Severity::Note);
    Ok(index)
}

fn index_class(index: &mut Index, root: &Path, path: &Path, class: &str) -> Result<(), DataError> {
    let Folder { folders, pictures, others } = list(path)?;
    let mut strangers: Vec<PathBuf> = pictures.into_iter().chain(others).collect();
    let truth = path.join("ground_truth");
    for folder in folders {
        match &*file_name(&folder) {
            "train" => index_train(index, root, &folder, class)?,
            "test" => index_test(index, root, &folder, &truth, class)?,
            "ground_truth" => {}
            _ => strangers.push(folder),
        }
    }
    index.not_read(root, Some(class), &strangers, Severity::Note);
    Ok(())
}

fn index_train(index: &mut Index, root: &Path, train: &Path, class: &str) -> Result<(), DataError> {
    let Folder { folders, pictures, others } = list(train)?;
    let (good, defective): (Vec<PathBuf>, Vec<PathBuf>) =
        folders.into_iter().partition(|folder| is_good_name(&file_name(folder)));
    for folder in good {
        let pictures = index.pictures_in(root, class, &folder)?;
        let label = Label { class, split: Split::Train, defect: None };
        index.add_pictures(root, label, pictures, None);
    }
    index.not_read(root, Some(class), &defective, Severity::Warning);
    index.not_read(root, Some(class), &pictures, Severity::Warning);
    index.not_read(root, Some(class), &others, Severity::Note);
    Ok(())
}

fn index_test(
    index: &mut Index,
    root: &Path,
    test: &Path,
    truth: &Path,
    class: &str,
) -> Result<(), DataError> {
    let Folder { folders, pictures, others } = list(test)?;
    index.not_read(root, Some(class), &pictures, Severity::Warning);
    index.not_read(root, Some(class), &others, Severity::Note);

    let mut kinds = Vec::new();
    for folder in folders {
        let name = file_name(&folder);
        let pictures = index.pictures_in(root, class, &folder)?;
        let is_good = is_good_name(&name);
        let label = Label { class, split: Split::Test, defect: (!is_good).then_some(&*name) };
        let masks = if truth.is_dir() && !is_good {
            Some(MaskFolder::read(&truth.join(&name))?)
        } else {
            None
        };
        index.add_pictures(root, label, pictures, masks);
        if !is_good {
            kinds.push(name);
        }
    }
    if truth.is_dir() {
        for folder in list(truth)?.folders {
            if !kinds.contains(&file_name(&folder)) {
                let masks = MaskFolder::read(&folder)?.left_over();
                index.extra_masks(root, class, masks);
            }
        }
    } else if !kinds.is_empty() {
        index.no_masks(class);
    }
    Ok(())
}
