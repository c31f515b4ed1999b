//! The outcome of a check, for programs and for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::facts::Facts;
use super::pictures::tally;
use crate::dataset::{ClassCounts, Dataset, plural};
use crate::finding::{Finding, Severity};

/// What a check found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// The folder that was checked.
    pub root: String,
    /// The layout it was read as.
    pub layout: &'static str,
    /// [`Dataset::digest`].
    pub digest: String,
    /// Pictures in the data set, also broken ones.
    pub n_pictures: usize,
    /// Length of all picture files together.
    pub n_bytes: u64,
    /// One entry for each class, sorted.
    pub classes: Vec<ClassSummary>,
    /// Worst first; then by class, kind and file.
    pub findings: Vec<Finding>,
    /// [`Dataset::describe`].
    #[serde(skip)]
    description: String,
}

/// What is in a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassSummary {
    /// How many pictures of which kind.
    #[serde(flatten)]
    pub counts: ClassCounts,
    /// Pictures that cannot be decoded.
    pub broken: usize,
    /// How many pictures have which `widthxheight` in pixels.
    pub sizes: BTreeMap<String, usize>,
    /// How many pictures have which colour type.
    pub modes: BTreeMap<String, usize>,
}

impl CheckReport {
    pub(super) fn new(dataset: &Dataset, facts: &[Facts], findings: Vec<Finding>) -> Self {
        let summary = |counts: ClassCounts| {
            let of_class: Vec<&Facts> =
                facts.iter().filter(|fact| fact.sample.class == counts.class).collect();
            let pictures = || of_class.iter().filter_map(|fact| fact.picture.as_ref().ok());
            ClassSummary {
                broken: of_class.len() - pictures().count(),
                sizes: tally(pictures().map(|p| format!("{}x{}", p.width, p.height))),
                modes: tally(pictures().map(|p| p.notes.mode.to_owned())),
                counts,
            }
        };
        Self {
            root: dataset.root().display().to_string(),
            layout: dataset.layout(),
            digest: dataset.digest(),
            n_pictures: facts.len(),
            n_bytes: facts.iter().filter_map(|fact| fact.bytes).map(|(len, _)| len).sum(),
            classes: dataset.counts().into_iter().map(summary).collect(),
            findings,
            description: dataset.describe(),
        }
    }

    /// How many findings are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The report as text, each finding with its fix below; ends with a line break.
    pub fn describe(&self) -> String {
        let mut text = self.description.clone();
        for finding in &self.findings {
            let _ = writeln!(text, "{finding}");
            if let Some(fix) = &finding.fix {
                let _ = writeln!(text, "    fix: {fix}");
            }
        }
        let _ = writeln!(
            text,
            "{}, {}, {} in {}",
            plural(self.count(Severity::Error), "error", "errors"),
            plural(self.count(Severity::Warning), "warning", "warnings"),
            plural(self.count(Severity::Note), "note", "notes"),
            plural(self.n_pictures, "picture", "pictures")
        );
        text
    }
}
