//! Text files end with one newline and hold no blanks that nobody sees.

use super::Finding;
use super::tree::{Tree, has_extension};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        let is_rust = has_extension(path, "rs");
        for (index, line) in text.split('\n').enumerate() {
            if line.ends_with(char::is_whitespace) {
                let message = "blanks at the end of the line: take them out";
                findings.push(Finding::new(path, index + 1, message));
            }
            if is_rust && line.contains('\t') {
                findings.push(Finding::new(path, index + 1, "a tab: use spaces, or write `\\t`"));
            }
        }
        let is_ended = text.ends_with('\n') && !text.ends_with("\n\n") && text != "\n";
        if !text.is_empty() && !is_ended {
            let message = "end the file with exactly one newline";
            findings.push(Finding::new(path, text.lines().count(), message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn clean_text_passes() {
        assert_eq!(said(check, &[("a.rs", "//! x\n\nfn a() {}\n"), ("empty", "")]), [""; 0]);
        assert_eq!(said(check, &[("Makefile", "all:\n\tcargo test\n")]), [""; 0]);
    }

    #[test]
    fn unseen_blanks_are_found() {
        assert!(said(check, &[("a.md", "one\ntwo  \n")])[0].starts_with("a.md:2: blanks"));
        assert!(said(check, &[("a.md", "one\r\n")])[0].starts_with("a.md:1: blanks"));
        assert!(said(check, &[("a.rs", "a\n\tb\n")])[0].starts_with("a.rs:2: a tab"));
    }

    #[test]
    fn a_file_ends_with_one_newline() {
        for (text, line) in [("one", 1), ("one\n\n", 2), ("\n", 1)] {
            let said = said(check, &[("a.md", text)]);
            assert_eq!(said, [format!("a.md:{line}: end the file with exactly one newline")]);
        }
    }
}
