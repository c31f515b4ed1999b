//! Rules about what the pictures are used for: leaks, doubles, small classes, odd names.

use std::collections::BTreeMap;

use super::CheckOptions;
use super::facts::Facts;
use crate::dataset::{ClassCounts, Dataset, Sample, Split, plural};
use crate::finding::{Finding, Kind, Severity};

pub(super) fn findings(dataset: &Dataset, facts: &[Facts], options: &CheckOptions) -> Vec<Finding> {
    let mut found = same_bytes(facts);
    for counts in dataset.counts() {
        let class = counts.class.clone();
        found.extend(sizes(&counts, options).into_iter().map(|finding| finding.in_class(&class)));
    }
    found.extend(similar_class_names(dataset));
    found.extend(defects_named_good(dataset));
    found.extend(dataset.samples().iter().filter_map(odd_name));
    found
}

/// One finding for each group of pictures with the same bytes.
fn same_bytes(facts: &[Facts]) -> Vec<Finding> {
    let mut groups = BTreeMap::<[u8; 32], Vec<&Sample>>::new();
    for fact in facts {
        if let Some((1.., digest)) = fact.bytes {
            groups.entry(digest).or_default().push(&fact.sample);
        }
    }
    groups.into_values().filter(|group| group.len() > 1).map(|group| double(&group)).collect()
}

fn double(group: &[&Sample]) -> Finding {
    let in_split = |split| group.iter().find(|sample| sample.split == split);
    let with_label = |anomalous| group.iter().find(|s| s.is_anomalous() == anomalous);
    let others = group.len() - 2;
    let more = if others > 0 { format!(", and {others} more") } else { String::new() };

    let (severity, kind, first, second, what, fix) =
        if let (Some(train), Some(test)) = (in_split(Split::Train), in_split(Split::Test)) {
            let what = "used for training and, as the same file, for testing";
            (Severity::Error, Kind::Leak, train, test, what, "remove it from one of them")
        } else if let (Some(good), Some(bad)) = (with_label(false), with_label(true)) {
            let what = "labelled good and, as the same file, defective";
            (Severity::Error, Kind::ContradictoryLabel, good, bad, what, "keep the right one")
        } else {
            let what = "the same file again";
            (Severity::Warning, Kind::Duplicate, &group[0], &group[1], what, "keep one of them")
        };
    Finding::new(severity, kind, format!("{what}: `{}`{more}", second.name))
        .in_class(&first.class)
        .at(&*first.name)
        .fix(fix)
}

fn sizes(counts: &ClassCounts, options: &CheckOptions) -> Vec<Finding> {
    let tiny = |severity, what: String| Finding::new(severity, Kind::TinyClass, what);
    let mut found = Vec::new();
    let n = counts.train_good;
    if n == 0 {
        let finding = tiny(Severity::Error, "no good picture to train with".to_owned());
        found.push(finding.fix("add good pictures, or leave the class out"));
    } else if n < options.few_pictures {
        let n = plural(n, "good picture", "good pictures");
        let finding = tiny(Severity::Warning, format!("only {n} to train with"));
        found.push(finding.fix(format!("take at least {}", options.few_pictures)));
    }
    if counts.test_defective > 0 && counts.test_good == 0 {
        let what = "defective pictures but no good ones to test with: no picture metrics";
        found.push(tiny(Severity::Warning, what.to_owned()));
    }
    found
}

/// Names that only differ in case or in blanks around them would be one folder elsewhere.
fn similar_class_names(dataset: &Dataset) -> Vec<Finding> {
    let mut by_plain = BTreeMap::<String, Vec<&String>>::new();
    for class in dataset.classes() {
        by_plain.entry(class.trim().to_lowercase()).or_default().push(class);
    }
    by_plain
        .into_values()
        .filter(|names| names.len() > 1)
        .map(|names| {
            let what = format!("`{}` and `{}` are two classes", names[0], names[1]);
            Finding::new(Severity::Warning, Kind::SuspiciousName, what)
                .in_class(names[0])
                .fix("merge them, or give them names that differ in more than case or blanks")
        })
        .collect()
}

/// A folder such as `good2` beside `good` is read as a kind of defect.
fn defects_named_good(dataset: &Dataset) -> Vec<Finding> {
    let mut kinds = BTreeMap::<(&str, &str), &Sample>::new();
    for sample in dataset.samples() {
        if let Some(defect) = &sample.defect {
            kinds.entry((&sample.class, defect)).or_insert(sample);
        }
    }
    kinds
        .into_iter()
        .filter(|((_, kind), _)| sounds_good(kind))
        .map(|((class, kind), sample)| {
            let what =
                format!("`{kind}` is read as a kind of defect, but sounds like good pictures");
            Finding::new(Severity::Warning, Kind::SuspiciousName, what)
                .in_class(class)
                .at(&*sample.name)
                .fix("move good pictures to `good`, or name the folder after the defect")
        })
        .collect()
}

fn sounds_good(kind: &str) -> bool {
    let plain: String = kind.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect();
    let parts = ["good", "ok", "normal", "normals", "nodefect", "defectfree", "perfect", "pass"];
    parts.contains(&&*plain)
}

fn odd_name(sample: &Sample) -> Option<Finding> {
    let file = sample.name.rsplit('/').next().unwrap_or_default().to_lowercase();
    let stem = file.rsplit_once('.').map_or(&*file, |(stem, _)| stem);
    let (what, fix) = if sample.path.to_str().is_none() {
        ("the name is not valid UTF-8", "rename it with plain letters")
    } else if stem.ends_with("_mask") {
        ("named like a mask but read as a picture", "put it where masks belong, or rename it")
    } else if stem.ends_with("copy") || stem.ends_with("(1)") {
        ("named like a copy", "remove it if it shows the same part again")
    } else {
        return None;
    };
    let finding = Finding::new(Severity::Warning, Kind::SuspiciousName, what);
    Some(finding.in_class(&sample.class).at(&*sample.name).fix(fix))
}
