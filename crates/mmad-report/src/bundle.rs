//! Style and script of the page, from the small files under `assets/` to one text each.
//!
//! The script files are ES modules. A server can hand them out as they are; a page opened from a
//! folder cannot import files, so for it the modules are joined into one: their `import` lines go,
//! the word `export` goes, and the module scope of the one script keeps all names private.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

/// The style sheet of the page, for a server that shows the same viewer.
pub const STYLE: &str = include_str!("../assets/report.css");

/// File name and text of the page's ES modules, each after those it imports. A server can hand
/// them out under one folder; all but the last, which are one per kind of page, know nothing of
/// where their data comes from.
pub const MODULES: [(&str, &str); 18] = [
    ("dom.js", include_str!("../assets/js/dom.js")),
    ("frames.js", include_str!("../assets/js/frames.js")),
    ("stats.js", include_str!("../assets/js/stats.js")),
    ("colour.js", include_str!("../assets/js/colour.js")),
    ("picture.js", include_str!("../assets/js/picture.js")),
    ("thumbs.js", include_str!("../assets/js/thumbs.js")),
    ("histogram.js", include_str!("../assets/js/histogram.js")),
    ("curve.js", include_str!("../assets/js/curve.js")),
    ("curves.js", include_str!("../assets/js/curves.js")),
    ("outcome.js", include_str!("../assets/js/outcome.js")),
    ("mistakes.js", include_str!("../assets/js/mistakes.js")),
    ("viewer.js", include_str!("../assets/js/viewer.js")),
    ("gallery.js", include_str!("../assets/js/gallery.js")),
    ("page.js", include_str!("../assets/js/page.js")),
    ("scatter.js", include_str!("../assets/js/scatter.js")),
    ("explorer.js", include_str!("../assets/js/explorer.js")),
    ("report.js", include_str!("../assets/js/report.js")),
    ("compare.js", include_str!("../assets/js/compare.js")),
];

/// The style sheet as it is inlined.
pub(crate) fn style() -> String {
    unix_lines(STYLE)
}

/// The module with which a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The report of one evaluation.
    Report,
    /// Two evaluations side by side.
    Compare,
}

impl Entry {
    const ALL: [Self; 2] = [Self::Report, Self::Compare];

    fn module(self) -> &'static str {
        match self {
            Self::Report => "report.js",
            Self::Compare => "compare.js",
        }
    }

    /// The element that holds the data of the page.
    pub(crate) fn data_id(self) -> &'static str {
        match self {
            Self::Report => "report-data",
            Self::Compare => "comparison-data",
        }
    }
}

/// All modules that a page needs, as one.
pub(crate) fn script(entry: Entry) -> String {
    let mut script = String::new();
    let is_other = |name: &str| Entry::ALL.iter().any(|e| *e != entry && e.module() == name);
    for (name, module) in MODULES.into_iter().filter(|(name, _)| !is_other(name)) {
        script.push_str("// ");
        script.push_str(name);
        script.push('\n');
        for line in module.lines().filter(|line| !line.starts_with("import ")) {
            script.push_str(line.strip_prefix("export ").unwrap_or(line));
            script.push('\n');
        }
    }
    script
}

/// The source expression that allows exactly this inline text under a Content-Security-Policy.
pub(crate) fn csp_hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)))
}

/// The hash is taken over what the browser parses, and it parses every line end as `\n`.
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn modules_can_be_joined() {
        let mut seen = BTreeSet::new();
        let mut names = BTreeSet::new();
        for (file, module) in MODULES {
            for line in module.lines() {
                if let Some(import) = line.strip_prefix("import ") {
                    let (_, from) = import.split_once(" from './").expect(line);
                    let from = from.strip_suffix("';").expect("an import is one line");
                    assert!(seen.contains(from), "{file} imports {from}, which comes later");
                }
                let line = line.strip_prefix("export ").unwrap_or(line);
                let line = line.strip_prefix("async ").unwrap_or(line);
                for keyword in ["function ", "const ", "let ", "class "] {
                    let Some(rest) = line.strip_prefix(keyword) else { continue };
                    let end =
                        rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    assert!(names.insert(&rest[..end]), "{file} declares `{}` again", &rest[..end]);
                }
            }
            seen.insert(file);
        }
        for entry in Entry::ALL {
            let script = script(entry);
            assert!(!script.lines().any(|l| l.starts_with("import") || l.starts_with("export")));
            assert!(!script.contains("</script"), "it would end the script element");
            assert!(!script.contains("<!--"), "it would open a comment in the script element");
            let others = Entry::ALL.iter().filter(|other| **other != entry);
            assert!(
                others.clone().all(|other| !script.contains(&format!("// {}\n", other.module())))
            );
        }
    }

    #[test]
    fn the_hash_is_the_one_browsers_compute() {
        // The example of the Content Security Policy recommendation, level 2, section 7.15.2.
        let hash = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='";
        assert_eq!(csp_hash("alert('Hello, world.');"), hash);
    }
}
