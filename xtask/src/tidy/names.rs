//! Files are named after what they hold.

use super::Finding;
use super::tree::Tree;

const EMPTY_NAMES: [&str; 5] = ["utils.rs", "util.rs", "common.rs", "helpers.rs", "types.rs"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|(path, _)| path.rsplit('/').next().is_some_and(|name| EMPTY_NAMES.contains(&name)))
        .map(|(path, _)| Finding::new(path, 1, "says nothing: name the file after what it holds"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn empty_names_are_refused() {
        let files = [("crates/a/src/utils.rs", "//! x\n"), ("crates/a/src/my_utils.rs", "//! x\n")];
        let said = said(check, &files);
        assert_eq!(
            said,
            ["crates/a/src/utils.rs:1: says nothing: name the file after what it holds"]
        );
    }
}
