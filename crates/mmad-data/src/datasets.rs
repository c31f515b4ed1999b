//! The layouts that are understood. A new one is one file here and one line in [`DATASETS`].

mod ader;
mod entries;
mod folder;
mod mvtec;
mod visa;

use std::path::{Path, PathBuf};

use crate::dataset::{Sample, Split};
use crate::error::DataError;
use crate::finding::{Finding, Kind, Severity};
use crate::listing::{Folder, file_name, list, relative};
use crate::pairing::MaskFolder;

/// Every layout, in the order in which they are tried.
pub static DATASETS: &[DatasetLayout] =
    &[mvtec::LAYOUT, visa::LAYOUT, ader::LAYOUT, folder::LAYOUT];

/// One way to lay out a data set in folders.
#[derive(Debug)]
pub struct DatasetLayout {
    /// Its name on the command line.
    pub id: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Pictures and masks of a tiny data set in this layout, relative to the root.
    pub example_tree: &'static [&'static str],
    /// The index file of that data set, if the layout has one: its path and content.
    pub example_index: Option<(&'static str, &'static str)>,
    /// Whether the folder looks like this layout.
    pub detect: fn(&Path) -> bool,
    /// Lists the samples in the folder, in any order.
    pub index: fn(&Path, &IndexOptions) -> Result<Index, DataError>,
}

/// What a layout needs to know besides the folder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexOptions {
    /// Share of the good pictures kept for testing where the folders name no test split.
    pub test_fraction: f64,
    /// Chooses which pictures these are.
    pub seed: u64,
}

/// What a layout found.
#[derive(Debug, Default)]
pub struct Index {
    /// The samples, in any order.
    pub samples: Vec<Sample>,
    /// What was noticed on the way.
    pub findings: Vec<Finding>,
}

/// How many entries are named when they are not read.
const SHOWN: usize = 5;

/// Whose pictures are added by [`Index::add_pictures`].
#[derive(Debug, Clone, Copy)]
struct Label<'a> {
    class: &'a str,
    split: Split,
    defect: Option<&'a str>,
}

impl Index {
    /// Adds `pictures` under one label. With `masks`, each picture takes its own; a picture that
    /// finds none is an error that names it, and so is a mask that stays behind.
    fn add_pictures(
        &mut self,
        root: &Path,
        label: Label<'_>,
        pictures: Vec<PathBuf>,
        mut masks: Option<MaskFolder>,
    ) {
        for path in pictures {
            let mask = masks.as_mut().and_then(|masks| masks.take(&path));
            let name = relative(root, &path);
            if masks.is_some() && mask.is_none() {
                self.findings.push(missing_mask(label.class, &name));
            }
            self.samples.push(Sample {
                name,
                path,
                class: label.class.to_owned(),
                split: label.split,
                defect: label.defect.map(str::to_owned),
                mask,
            });
        }
        let left_over = masks.map(MaskFolder::left_over).unwrap_or_default();
        self.extra_masks(root, label.class, left_over);
    }

    /// Reports masks without a picture.
    fn extra_masks(&mut self, root: &Path, class: &str, masks: Vec<PathBuf>) {
        for mask in masks {
            self.findings.push(
                Finding::new(Severity::Warning, Kind::ExtraMask, "mask without a picture")
                    .in_class(class)
                    .at(relative(root, &mask))
                    .fix("name it like its picture with `_mask` added, or remove it"),
            );
        }
    }

    /// Lists the pictures in a folder that should hold nothing else.
    fn pictures_in(
        &mut self,
        root: &Path,
        class: &str,
        path: &Path,
    ) -> Result<Vec<PathBuf>, DataError> {
        let Folder { folders, pictures, others } = list(path)?;
        self.not_read(root, Some(class), &folders, Severity::Warning);
        self.not_read(root, Some(class), &others, Severity::Note);
        Ok(pictures)
    }

    /// Reports entries that are not read: one finding for each folder they lie in.
    fn not_read(
        &mut self,
        root: &Path,
        class: Option<&str>,
        entries: &[PathBuf],
        severity: Severity,
    ) {
        let Some(first) = entries.first() else { return };
        let mut names: Vec<String> =
            entries.iter().take(SHOWN).map(|e| format!("`{}`", file_name(e))).collect();
        if entries.len() > SHOWN {
            names.push(format!("and {} more", entries.len() - SHOWN));
        }
        let mut finding =
            Finding::new(severity, Kind::NotRead, format!("not read: {}", names.join(", ")))
                .at(relative(root, first.parent().unwrap_or(root)));
        finding.class = class.map(str::to_owned);
        if severity < Severity::Note {
            finding = finding.fix("move its pictures to where the layout expects them");
        }
        self.findings.push(finding);
    }

    /// Says that a class has picture labels only.
    fn no_masks(&mut self, class: &str) {
        let what = "no masks: picture labels only, so no pixel metrics";
        self.findings.push(Finding::new(Severity::Note, Kind::NoMasks, what).in_class(class));
    }
}

fn missing_mask(class: &str, picture: &str) -> Finding {
    Finding::new(Severity::Error, Kind::MissingMask, "defective picture without a mask")
        .in_class(class)
        .at(picture)
        .fix("add a mask of the same name with `_mask` added; pixel metrics skip the picture")
}
