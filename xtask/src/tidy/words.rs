//! Nothing is left half done: no open ends in code or text, no test that never runs.

use super::Finding;
use super::tree::{Tree, has_extension};

/// What must not occur, and what to do instead. Split, so that this file passes its own rule.
const WORDS: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "do it, or take it out"),
    (concat!("FIX", "ME"), "mend it, or assert today's behaviour in a test"),
    (concat!("todo", "!"), "write it, or take it out"),
    (concat!("unimple", "mented!"), "write it, or return an error"),
    (concat!("db", "g!"), "take it out"),
    (
        concat!("#[ig", "nore"),
        "let it run, or take it out; a test without its data says so and passes",
    ),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| !has_extension(path, "lock")) {
        for (index, line) in text.lines().enumerate() {
            for (word, instead) in WORDS {
                if has_word(line, word) {
                    findings.push(Finding::new(path, index + 1, format!("`{word}`: {instead}")));
                }
            }
        }
    }
    findings
}

/// Whether `word` occurs in `line` and is not a part of a longer word.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let is_end = !line[at + word.len()..].starts_with(joins) || !word.ends_with(joins);
        let is_start = !line[..at].ends_with(joins) || !word.starts_with(joins);
        is_start && is_end
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn open_ends_are_found() {
        for (word, _) in WORDS {
            let line = format!("//! x\n    // {word} later\n");
            let said = said(check, &[("a.rs", &line)]);
            assert_eq!(said.len(), 1, "{word}");
            assert!(said[0].starts_with("a.rs:2: "), "{}", said[0]);
        }
        let test = concat!("#[ig", "nore = \"slow\"]\n");
        assert_eq!(said(check, &[("a.rs", test)]).len(), 1);
    }

    #[test]
    fn parts_of_words_are_fine() {
        let text = concat!("AUTO", "DOC todo = \"warn\" my_todo", "!() dbg_macro\n");
        assert_eq!(said(check, &[("a.toml", text)]), [""; 0]);
        assert_eq!(said(check, &[("Cargo.lock", concat!("TO", "DO\n"))]), [""; 0]);
    }
}
