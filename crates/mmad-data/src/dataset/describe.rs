//! The counts of a data set, printed before it is used.

use std::fmt::Write;

use serde::Serialize;

use super::{Dataset, Sample, Split};
use crate::finding::{Kind, Severity};

/// How many pictures of which kind a class has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClassCounts {
    /// The class.
    pub class: String,
    /// Good pictures to train with.
    pub train_good: usize,
    /// Good pictures to test with.
    pub test_good: usize,
    /// Defective pictures to test with.
    pub test_defective: usize,
    /// How many of the defective pictures have a mask.
    pub masks: usize,
    /// Kinds of defect.
    pub defect_kinds: usize,
}

impl Dataset {
    /// Counts per class, in the order of [`classes`](Dataset::classes).
    pub fn counts(&self) -> Vec<ClassCounts> {
        self.classes.iter().map(|class| count(class, &self.samples)).collect()
    }

    /// What was understood, as text: layout, root, counts per class, what was set aside, and
    /// how many things were noticed. Ends with a line break.
    pub fn describe(&self) -> String {
        let counts = self.counts();
        let width = counts.iter().map(|c| c.class.chars().count()).max().unwrap_or(0).max(5);
        let mut text = format!(
            "layout   {}: {} in {}\n",
            self.layout,
            plural(counts.len(), "class", "classes"),
            self.root.display()
        );
        let _ = writeln!(
            text,
            "         {:width$}  {:>8}  {:>8}  {:>8}  {:>8}",
            "class", "train-ok", "test-ok", "test-ng", "masks"
        );
        for c in &counts {
            let _ = write!(
                text,
                "         {:width$}  {:>8}  {:>8}  {:>8}  {:>8}",
                c.class, c.train_good, c.test_good, c.test_defective, c.masks
            );
            text.push_str(match (c.test_defective, c.masks) {
                (0, _) => "  no defects: training and calibration only\n",
                (_, 0) => "  picture labels only: no pixel metrics\n",
                (defective, masks) if masks < defective => "  masks are missing\n",
                _ => "\n",
            });
        }
        for finding in self.findings.iter().filter(|f| f.kind == Kind::HeldOut) {
            let class = finding.class.as_deref().unwrap_or_default();
            let _ = writeln!(text, "         {class}: {}", finding.what);
        }
        for (severity, one, many) in
            [(Severity::Error, "error", "errors"), (Severity::Warning, "warning", "warnings")]
        {
            let n = self.findings.iter().filter(|f| f.severity == severity).count();
            if n > 0 {
                let _ = writeln!(text, "         {} in the folders", plural(n, one, many));
            }
        }
        text
    }
}

fn count(class: &str, samples: &[Sample]) -> ClassCounts {
    let mut counts = ClassCounts { class: class.to_owned(), ..ClassCounts::default() };
    let mut kinds = std::collections::BTreeSet::new();
    for sample in samples.iter().filter(|sample| sample.class == class) {
        match (sample.split, &sample.defect) {
            (Split::Train, _) => counts.train_good += 1,
            (Split::Test, None) => counts.test_good += 1,
            (Split::Test, Some(defect)) => {
                counts.test_defective += 1;
                counts.masks += usize::from(sample.mask.is_some());
                kinds.insert(defect);
            }
        }
    }
    counts.defect_kinds = kinds.len();
    counts
}

pub(crate) fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
