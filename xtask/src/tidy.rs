//! The rules of this repository that no other tool knows. They run within `cargo test` too.
//!
//! A new rule is one file in `tidy/` and one line in [`RULES`].

mod headers;
mod layers;
mod names;
mod project;
mod shapes;
mod tree;
mod unsafe_code;
mod whitespace;
mod words;

use std::fmt;
use std::path::Path;

use self::tree::Tree;

/// Every rule: files in, what breaks the rule out.
const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    layers::check,
    headers::check,
    shapes::check,
    words::check,
    unsafe_code::check,
    project::check,
    whitespace::check,
    names::check,
];

/// A place that breaks a rule, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Checks every file of the repository and prints what breaks a rule.
///
/// # Errors
///
/// How many places do, or why the files cannot be listed.
pub(crate) fn tidy(root: &Path) -> Result<(), String> {
    eprintln!("==> tidy");
    let tree = Tree::read(root)?;
    let findings = findings(&tree);
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        n => Err(format!("tidy: places to mend in {} files: {n}", tree.len())),
    }
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings
}

/// What `rule` says about small files, for the tests of the rules.
#[cfg(test)]
fn said(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    rule(&Tree::of(files)).iter().map(Finding::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let tree = Tree::read(&crate::root()).unwrap();
        assert!(tree.len() > 100, "only {} files were found", tree.len());
        let findings: Vec<String> = findings(&tree).iter().map(Finding::to_string).collect();
        assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    }
}
