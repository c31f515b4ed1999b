//! Every Rust file says what it is, is short, and says where a method comes from.

use super::Finding;
use super::tree::Tree;

const MAX_LINES: usize = 600;

/// Files here name the publication that they follow, except for `mod.rs`, which joins others.
const METHODS: &str = "crates/mmad/src/methods/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        let n_lines = text.lines().count();
        if n_lines > MAX_LINES {
            let message = format!(
                "{n_lines} lines, more than {MAX_LINES}: give one of its ideas a file of its own"
            );
            findings.push(Finding::new(path, MAX_LINES + 1, message));
        }
        let mut header = text.lines().take_while(|line| line.starts_with("//!")).peekable();
        if header.peek().is_none() {
            let message = "no header: begin with a `//!` line that says what the file is";
            findings.push(Finding::new(path, 1, message));
        } else if path.starts_with(METHODS)
            && !path.ends_with("/mod.rs")
            && !header.any(|line| line.contains("Source:"))
        {
            let message = "no origin: add `Source:` and the publication to the `//!` header";
            findings.push(Finding::new(path, 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn a_file_begins_with_what_it_is() {
        assert_eq!(said(check, &[("a.rs", "//! One thing.\n\nfn a() {}\n")]), [""; 0]);
        let said = said(check, &[("a.rs", "fn a() {}\n//! Late.\n"), ("a.md", "text\n")]);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("a.rs:1: no header"), "{}", said[0]);
    }

    #[test]
    fn a_method_names_its_origin_in_the_header() {
        let path = "crates/mmad/src/methods/mmad/dmf.rs";
        assert_eq!(said(check, &[(path, "//! A block.\n//!\n//! Source: a paper.\n")]), [""; 0]);
        assert_eq!(said(check, &[("crates/mmad/src/methods/mod.rs", "//! The list.\n")]), [""; 0]);
        let late = said(check, &[(path, "//! A block.\n\n// Source: too late.\n")]);
        assert!(late[0].contains("no origin"), "{late:?}");
    }

    #[test]
    fn a_file_has_at_most_600_lines() {
        let lines = |n: usize| "//! x\n".repeat(n);
        assert_eq!(said(check, &[("a.rs", &lines(600))]), [""; 0]);
        let long = said(check, &[("a.rs", &lines(601))]);
        assert!(long[0].starts_with("a.rs:601: 601 lines"), "{long:?}");
    }
}
