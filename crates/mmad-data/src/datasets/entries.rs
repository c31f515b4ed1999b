//! Index files: a list that names each picture and its mask, checked against the disk.

use std::path::{Component, Path, PathBuf};

use super::{Index, missing_mask};
use crate::dataset::{Sample, Split};
use crate::error::DataError;
use crate::finding::{Finding, Kind, Severity};
use crate::listing::relative;
use crate::pairing::names_match;

/// One line of an index file.
pub(super) struct Entry {
    /// Where it stands in the index file, such as `line 3`.
    pub(super) place: String,
    pub(super) class: String,
    pub(super) split: Split,
    /// Kind of defect, or nothing for a good picture.
    pub(super) defect: Option<String>,
    /// Path of the picture below the root.
    pub(super) picture: String,
    /// Path of the mask below the root; empty when there is none.
    pub(super) mask: String,
}

/// Turns the entries of `file` into samples.
///
/// A picture that is not there is left out and reported; so is a defective picture listed for
/// training. A mask is used only if it is there and bears the name of its picture: index files
/// made by pairing two sorted lists go wrong from the first lost mask on.
pub(super) fn index_entries(
    root: &Path,
    file: &Path,
    entries: Vec<Entry>,
) -> Result<Index, DataError> {
    let mut index = Index::default();
    let mut masked = std::collections::BTreeSet::new();
    let mut unmasked = Vec::new();
    for entry in entries {
        let path = below(root, file, &entry.place, &entry.picture)?;
        let name = relative(root, &path);
        let report = |severity, kind, what: String| {
            Finding::new(severity, kind, what).in_class(&entry.class).at(&*name)
        };
        if path.symlink_metadata().is_err() {
            let what = format!("named in `{}` but not there", relative(root, file));
            index.findings.push(report(Severity::Error, Kind::MissingPicture, what));
            continue;
        }
        if entry.split == Split::Train && entry.defect.is_some() {
            let what = "a defective picture is listed for training; it is left out".to_owned();
            index.findings.push(report(Severity::Error, Kind::ContradictoryLabel, what));
            continue;
        }
        let mut mask = None;
        if entry.defect.is_some() && !entry.mask.is_empty() {
            let path_of_mask = below(root, file, &entry.place, &entry.mask)?;
            if !names_match(&path, &path_of_mask) {
                let what = format!("paired with the mask of another picture: `{}`", entry.mask);
                let finding = report(Severity::Error, Kind::MaskName, what)
                    .fix("write the index file again, pairing by name; the mask is not used");
                index.findings.push(finding);
            } else if path_of_mask.symlink_metadata().is_ok() {
                mask = Some(path_of_mask);
                masked.insert(entry.class.clone());
            }
        }
        if entry.defect.is_some() && mask.is_none() {
            unmasked.push((entry.class.clone(), name.clone()));
        }
        let Entry { class, split, defect, .. } = entry;
        index.samples.push(Sample { name, path, class, split, defect, mask });
    }
    let (partly, fully): (Vec<_>, Vec<_>) =
        unmasked.into_iter().partition(|(class, _)| masked.contains(class));
    index.findings.extend(partly.iter().map(|(class, name)| missing_mask(class, name)));
    let bare: std::collections::BTreeSet<String> =
        fully.into_iter().map(|(class, _)| class).collect();
    for class in bare {
        index.no_masks(&class);
    }
    Ok(index)
}

/// The path of an entry, which must stay below the root.
fn below(root: &Path, file: &Path, place: &str, entry: &str) -> Result<PathBuf, DataError> {
    let path = PathBuf::from(entry.replace('\\', "/"));
    let mut parts = path.components().filter(|part| *part != Component::CurDir).peekable();
    if parts.peek().is_some() && parts.clone().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(root.join(parts.collect::<PathBuf>()));
    }
    let what = format!("{place}: `{entry}` is not a path below the root");
    Err(DataError::Index { file: file.to_path_buf(), what })
}
