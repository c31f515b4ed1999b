//! What people read keeps up with the program.

use super::Finding;
use super::tree::Tree;
use crate::check::TEST_COMMAND;

const COMMANDS: &str = "crates/mmad-cli/src/main.rs";
const README: &str = "README.md";
const CHANGELOG: &str = "CHANGELOG.md";
const CI: &str = ".ci/run";

/// Larger files belong elsewhere: every clone carries them for ever.
const MAX_BYTES: usize = 4_000_000;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = readme(tree);
    let changelog = tree.text(CHANGELOG).unwrap_or_default();
    if !changelog.lines().any(|line| line == "## [Unreleased]") {
        let message = "no section `## [Unreleased]`: add it above the last release";
        findings.push(Finding::new(CHANGELOG, 1, message));
    }
    for path in [README, CI] {
        if tree.text(path).is_some_and(|text| !text.contains(TEST_COMMAND)) {
            let message = format!("does not run the tests as `{TEST_COMMAND}`: name that command");
            findings.push(Finding::new(path, 1, message));
        }
    }
    for file in tree.files().iter().filter(|file| file.n_bytes > MAX_BYTES) {
        let megabytes = file.n_bytes as f64 / 1e6;
        let message =
            format!("{megabytes:.1} MB, more than 4: make it smaller, or keep it outside");
        findings.push(Finding::new(&file.path, 1, message));
    }
    findings
}

/// The README, where there is one, names every command.
fn readme(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(README) else { return Vec::new() };
    let commands = commands(tree.text(COMMANDS).unwrap_or_default());
    if commands.is_empty() {
        let message = "no variants of `enum Command` found here: mend `commands` in \
                       xtask/src/tidy/project.rs";
        return vec![Finding::new(COMMANDS, 1, message)];
    }
    commands
        .iter()
        .filter(|name| !super::words::has_word(text, &format!("mmad {name}")))
        .map(|name| Finding::new(README, 1, format!("`mmad {name}` is not named: add it")))
        .collect()
}

/// The commands on the command line, from the variants of `enum Command`.
fn commands(source: &str) -> Vec<String> {
    source
        .lines()
        .skip_while(|line| !line.contains("enum Command {"))
        .skip(1)
        .map(str::trim)
        .take_while(|line| *line != "}")
        .filter(|line| line.starts_with(char::is_uppercase))
        .filter_map(|line| line.split(|c: char| !c.is_alphanumeric()).next())
        .map(kebab_case)
        .collect()
}

fn kebab_case(name: &str) -> String {
    let mut kebab = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            kebab.push('-');
        }
        kebab.extend(c.to_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    const MAIN: &str = "//! x\nenum Command {\n    /// Trains.\n    Train(TrainArgs),\n    \
                        #[command(hide = true)]\n    DryRun,\n}\nenum Other {\n    No,\n}\n";
    const LOG: (&str, &str) = (CHANGELOG, "# Changelog\n\n## [Unreleased]\n");

    #[test]
    fn commands_are_the_variants() {
        assert_eq!(commands(MAIN), ["train", "dry-run"]);
    }

    #[test]
    fn the_readme_names_every_command() {
        let full = format!("mmad train, `mmad dry-run` and {TEST_COMMAND}\n");
        assert_eq!(said(check, &[(COMMANDS, MAIN), (README, &full), LOG]), [""; 0]);
        assert_eq!(said(check, &[(COMMANDS, MAIN), LOG]), [""; 0]);
        let poor = said(check, &[(COMMANDS, MAIN), (README, "mmad trainer\n"), LOG]);
        let expected = [
            "README.md:1: `mmad train` is not named: add it",
            "README.md:1: `mmad dry-run` is not named: add it",
        ];
        assert_eq!(poor[..2], expected);
        assert!(poor[2].contains(TEST_COMMAND), "{poor:?}");
    }

    #[test]
    fn moved_commands_are_noticed() {
        assert!(said(check, &[(README, TEST_COMMAND), LOG])[0].contains("enum Command"));
    }

    #[test]
    fn the_changelog_has_an_unreleased_section() {
        assert_eq!(said(check, &[LOG]), [""; 0]);
        assert_eq!(said(check, &[(CHANGELOG, "# Changelog\n")]).len(), 1);
        assert_eq!(said(check, &[]).len(), 1);
    }

    #[test]
    fn large_files_are_refused() {
        let large = "x".repeat(MAX_BYTES + 1);
        let said = said(check, &[("a.bin", &large), ("b.bin", &large[1..]), LOG]);
        assert_eq!(said, ["a.bin:1: 4.0 MB, more than 4: make it smaller, or keep it outside"]);
    }
}
