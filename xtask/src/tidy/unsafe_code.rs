//! Unsafe code lies in a few named files, and every place says why it is sound.

use super::Finding;
use super::tree::Tree;
use super::words::has_word;

/// The files that may hold unsafe code. All vector code is safe but for one instruction.
const ALLOWED: &[&str] = &["crates/mmad-kernels/src/pairs.rs"];

const KEYWORD: &str = "unsafe";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    check_allowing(tree, ALLOWED)
}

fn check_allowing(tree: &Tree, allowed: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            if !has_word(&code(line), KEYWORD) {
                continue;
            }
            if !allowed.contains(&path) {
                let message = "unsafe code outside the allowed files: write it in safe Rust, or \
                               add the file to `ALLOWED` in xtask/src/tidy/unsafe_code.rs";
                findings.push(Finding::new(path, index + 1, message));
            } else if !says_why(&lines[..index]) {
                let message = "no reason: say in a `// SAFETY:` comment above why this is sound";
                findings.push(Finding::new(path, index + 1, message));
            }
        }
    }
    findings
}

/// Whether the comment that ends with the last line says why the next one is sound.
fn says_why(lines: &[&str]) -> bool {
    lines
        .iter()
        .rev()
        .take_while(|line| line.starts_with("//") || line.starts_with("#["))
        .any(|line| line.starts_with("// SAFETY:") || *line == "/// # Safety")
}

/// A line without its comment and without what its strings say.
fn code(line: &str) -> String {
    let mut code = String::new();
    let mut rest = line.chars().peekable();
    let mut in_string = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' if in_string => {
                rest.next();
            }
            // The character `"` opens no string.
            '\'' if !in_string && rest.peek() == Some(&'"') => {
                rest.next();
            }
            '"' => in_string = !in_string,
            '/' if !in_string && rest.peek() == Some(&'/') => break,
            c if !in_string => code.push(c),
            _ => {}
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn unsafe_code_stays_in_its_files() {
        let said = said(check, &[("crates/a/src/b.rs", "// SAFETY: none.\nunsafe { f() }\n")]);
        assert!(said[0].starts_with("crates/a/src/b.rs:2: unsafe code outside"), "{said:?}");
    }

    #[test]
    fn unsafe_code_says_why() {
        let check = |tree: &Tree| check_allowing(tree, &["fast.rs"]);
        let with = "// SAFETY: it only reads,\n// and `x` lives.\n#[cfg(a)]\nunsafe { f() }\n";
        assert_eq!(said(check, &[("fast.rs", with)]), [""; 0]);
        let apart = "// SAFETY: another.\nlet a = 1;\nlet b = unsafe { f() };\n";
        assert!(said(check, &[("fast.rs", apart)])[0].contains(":3: no reason"));
    }

    #[test]
    fn strings_comments_and_lints_are_no_code() {
        let text =
            "#![allow(unsafe_code)]\nlet a = \"\\\"unsafe {\"; // unsafe {\nlet b = '\"'; g();\n";
        assert_eq!(said(check, &[("a.rs", text)]), [""; 0]);
        assert_eq!(code("let b = '\"'; unsafe { f() } // x"), "let b = '; unsafe { f() } ");
    }
}
