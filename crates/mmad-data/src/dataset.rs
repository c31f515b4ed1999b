//! A data set as a sorted list of samples, however its folders were laid out.

mod describe;
mod digest;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::datasets::{DATASETS, DatasetLayout, Index, IndexOptions};
use crate::error::DataError;
use crate::finding::{Finding, Kind, Severity};

pub use describe::ClassCounts;
pub(crate) use describe::plural;
pub(crate) use digest::hex;

/// What a picture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// For training and calibration: good pictures only.
    Train,
    /// For evaluation: good and defective pictures.
    Test,
}

impl Split {
    /// The word for it: `train` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// One picture and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Sample {
    /// Path relative to the root with `/` between its parts; unique in a data set.
    pub name: String,
    /// Where the picture lies.
    pub path: PathBuf,
    /// The product it shows.
    pub class: String,
    /// What it is for.
    pub split: Split,
    /// Kind of defect, or nothing for a good picture.
    pub defect: Option<String>,
    /// Where its mask lies; a good picture needs none, a defective one may lack it.
    pub mask: Option<PathBuf>,
}

impl Sample {
    /// Whether the picture shows a defect.
    pub fn is_anomalous(&self) -> bool {
        self.defect.is_some()
    }

    /// A good training picture named `name`, lying at that path.
    #[cfg(test)]
    pub(crate) fn good(name: &str, class: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: name.into(),
            class: class.to_owned(),
            split: Split::Train,
            defect: None,
            mask: None,
        }
    }
}

/// How to open a data set. The defaults suit every layout.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// The [`DatasetLayout::id`] to read the folder as; nothing finds out by looking.
    pub layout: Option<String>,
    /// Share of the good pictures kept for testing where the folders name no test split,
    /// in `0..1`.
    pub test_fraction: f64,
    /// Chooses which pictures these are.
    pub seed: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { layout: None, test_fraction: 0.2, seed: 0 }
    }
}

/// A data set that was understood.
#[derive(Debug, Clone)]
pub struct Dataset {
    root: PathBuf,
    layout: &'static str,
    samples: Vec<Sample>,
    classes: Vec<String>,
    findings: Vec<Finding>,
}

impl Dataset {
    /// Opens the data set in `root`, whatever its layout.
    ///
    /// # Errors
    ///
    /// [`DataError`] when `root` is no folder, no layout fits, or there is no picture. Lost masks
    /// and the like do not stop it; they are in [`findings`](Self::findings).
    pub fn open(root: &Path) -> Result<Self, DataError> {
        Self::open_with(root, &OpenOptions::default())
    }

    /// Opens the data set in `root` with other than the usual options.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and when an option is outside its range.
    pub fn open_with(root: &Path, options: &OpenOptions) -> Result<Self, DataError> {
        if !root.is_dir() {
            return Err(DataError::NotAFolder { path: root.to_path_buf() });
        }
        crate::split::require_fraction("test fraction", options.test_fraction)?;
        let layout = find_layout(root, options.layout.as_deref())?;
        let index_options =
            IndexOptions { test_fraction: options.test_fraction, seed: options.seed };
        let Index { mut samples, mut findings } = (layout.index)(root, &index_options)?;
        if samples.is_empty() {
            let root = root.to_path_buf();
            return Err(DataError::NoPictures { root, layout: layout.id.to_owned() });
        }
        samples.sort_by(|a, b| (&a.name, a.split, &a.defect).cmp(&(&b.name, b.split, &b.defect)));
        samples.dedup_by(|again, first| {
            let repeated = again.name == first.name;
            if repeated {
                findings.push(repeated_entry(first, again));
            }
            repeated
        });
        findings.sort();
        let classes = class_names(&samples);
        Ok(Self { root: root.to_path_buf(), layout: layout.id, samples, classes, findings })
    }

    /// The folder it was read from.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The [`DatasetLayout::id`] it was read as.
    pub fn layout(&self) -> &'static str {
        self.layout
    }

    /// All samples, sorted by name.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The classes, sorted.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// What was noticed while reading the folders. [`check_dataset`](crate::check_dataset) looks
    /// into the files as well.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The samples of one split, sorted by name.
    pub fn of_split(&self, split: Split) -> Vec<Sample> {
        self.samples.iter().filter(|sample| sample.split == split).cloned().collect()
    }

    /// The same data set with these classes only; an empty list means all.
    ///
    /// # Errors
    ///
    /// [`DataError::UnknownClass`] for a class that is not there.
    pub fn with_classes(&self, classes: &[String]) -> Result<Self, DataError> {
        if let Some(asked) = classes.iter().find(|class| !self.classes.contains(class)) {
            let (asked, known) = (asked.clone(), self.classes.clone());
            return Err(DataError::UnknownClass { asked, known });
        }
        let mut kept = self.clone();
        if !classes.is_empty() {
            kept.samples.retain(|sample| classes.contains(&sample.class));
            kept.classes.retain(|class| classes.contains(class));
            kept.findings.retain(|f| f.class.as_ref().is_none_or(|class| classes.contains(class)));
        }
        Ok(kept)
    }

    /// Makes sure that no class has masks for a part of its defective pictures only.
    ///
    /// # Errors
    ///
    /// [`DataError::MaskMissing`] naming the first picture without its mask.
    pub fn require_masks(&self) -> Result<(), DataError> {
        match self.findings.iter().find(|finding| finding.kind == Kind::MissingMask) {
            Some(finding) => {
                Err(DataError::MaskMissing { picture: finding.file.clone().unwrap_or_default() })
            }
            None => Ok(()),
        }
    }
}

fn find_layout(root: &Path, asked: Option<&str>) -> Result<&'static DatasetLayout, DataError> {
    let known = || DATASETS.iter().map(|layout| layout.id.to_owned()).collect();
    match asked {
        Some(asked) => DATASETS
            .iter()
            .find(|layout| layout.id == asked)
            .ok_or_else(|| DataError::NoSuchLayout { asked: asked.to_owned(), known: known() }),
        None => DATASETS
            .iter()
            .find(|layout| (layout.detect)(root))
            .ok_or_else(|| DataError::UnknownLayout { root: root.to_path_buf(), known: known() }),
    }
}

/// An index file may name a picture twice; the first entry, training before test, is kept.
fn repeated_entry(first: &Sample, again: &Sample) -> Finding {
    let (kind, what) = if first.split == again.split {
        (Kind::Duplicate, "listed twice; the second entry is left out")
    } else {
        (Kind::Leak, "listed for training and for testing; it is used for training only")
    };
    Finding::new(Severity::Error, kind, what)
        .in_class(&first.class)
        .at(&*first.name)
        .fix("keep one of the entries")
}

fn class_names(samples: &[Sample]) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = samples.iter().map(|s| &s.class).collect();
    names.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in ["b/good/0.png", "b/good/1.png", "a/good/0.png", "a/good/1.png"] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        root
    }

    #[test]
    fn samples_and_classes_are_sorted() {
        let root = tiny();
        let dataset = Dataset::open(root.path()).unwrap();
        assert_eq!(dataset.layout(), "folder");
        assert_eq!(dataset.classes(), ["a", "b"]);
        let names: Vec<&str> = dataset.samples().iter().map(|s| &*s.name).collect();
        assert_eq!(names, ["a/good/0.png", "a/good/1.png", "b/good/0.png", "b/good/1.png"]);
    }

    #[test]
    fn classes_can_be_chosen_and_a_typo_names_the_known_ones() {
        let root = tiny();
        let dataset = Dataset::open(root.path()).unwrap();
        let one = dataset.with_classes(&["b".to_owned()]).unwrap();
        assert_eq!((one.classes().len(), one.samples().len()), (1, 2));
        assert_eq!(dataset.with_classes(&[]).unwrap().samples().len(), 4);
        let error = dataset.with_classes(&["c".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "class `c` is not in the data set");
        assert_eq!(error.hint().unwrap(), "the data set has: a, b");
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("nothing");
        assert!(matches!(Dataset::open(&missing), Err(DataError::NotAFolder { .. })));
        assert!(matches!(Dataset::open(root.path()), Err(DataError::UnknownLayout { .. })));
        let options = OpenOptions { layout: Some("mvtek".into()), ..OpenOptions::default() };
        let error = Dataset::open_with(root.path(), &options).unwrap_err();
        assert_eq!(error.to_string(), "there is no layout `mvtek`");
        let options = OpenOptions { test_fraction: 1.0, ..OpenOptions::default() };
        let error = Dataset::open_with(root.path(), &options).unwrap_err();
        assert_eq!(error.to_string(), "test fraction is 1, but must be at least 0 and below 1");
    }
}
