//! Crates depend on one another in one direction, and the leaves know nothing of Burn.

use super::Finding;
use super::tree::Tree;

/// Stands for every crate of Burn in [`LAYERS`].
const BURN: &str = "burn";

/// Every crate with what it may import of ours, and [`BURN`] where it may import that.
const LAYERS: &[(&str, &[&str])] = &[
    ("mmad-data", &[]),
    ("mmad-kernels", &[]),
    ("mmad-metrics", &[]),
    ("mmad-report", &[]),
    ("mmad-synthetic", &[]),
    ("mmad-weights", &[]),
    (
        "mmad",
        &[BURN, "mmad-data", "mmad-kernels", "mmad-metrics", "mmad-synthetic", "mmad-weights"],
    ),
    (
        "mmad-cli",
        &[
            BURN,
            "mmad",
            "mmad-data",
            "mmad-kernels",
            "mmad-metrics",
            "mmad-report",
            "mmad-synthetic",
            "mmad-weights",
        ],
    ),
    ("xtask", &[]),
];

const HERE: &str = "xtask/src/tidy/layers.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, manifest) in tree.texts() {
        let Some(name) = crate_of(path) else { continue };
        let Some((_, allowed)) = LAYERS.iter().find(|(known, _)| *known == name) else {
            let message = format!("crate `{name}` has no layer: add it to `LAYERS` in {HERE}");
            findings.push(Finding::new(path, 1, message));
            continue;
        };
        for (line, dependency) in dependencies(manifest) {
            let is_burn = dependency == BURN || dependency.starts_with("burn-");
            let layer = if is_burn { BURN } else { dependency.as_str() };
            let is_ours = LAYERS.iter().any(|(known, _)| *known == dependency);
            if (is_burn || is_ours) && !allowed.contains(&layer) {
                let message = format!(
                    "`{name}` may not depend on `{dependency}`: move the code that needs both to \
                     a crate above, see `LAYERS` in {HERE}"
                );
                findings.push(Finding::new(path, line, message));
            }
        }
    }
    findings
}

/// The crate whose manifest lies at `path`.
fn crate_of(path: &str) -> Option<&str> {
    let folder = path.strip_suffix("/Cargo.toml")?;
    let name = folder.strip_prefix("crates/").unwrap_or(folder);
    (!name.contains('/')).then_some(name)
}

/// The names in all dependency tables of a manifest, with their lines. Knows as much of TOML as
/// manifests use.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut found = Vec::new();
    let mut in_table = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if let Some(head) = line.strip_prefix('[') {
            let head = head.trim_end_matches(']');
            let (table, last) = head.rsplit_once('.').unwrap_or(("", head));
            in_table = TABLES.contains(&last);
            // `[dependencies.name]`
            if TABLES.iter().any(|name| table == *name || table.ends_with(&format!(".{name}"))) {
                found.push((index + 1, last.trim_matches('"').to_owned()));
            }
        } else if let Some((key, value)) = line.split_once('=').filter(|_| in_table) {
            let name = key.split('.').next().unwrap_or(key).trim().trim_matches('"');
            found.push((index + 1, name.to_owned()));
            // `short = { package = "name" }`
            if let Some((_, rest)) = value.split_once("package") {
                found.extend(rest.split('"').nth(1).map(|name| (index + 1, name.to_owned())));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn dependencies_are_found_in_every_way_of_writing() {
        let manifest = "[package]\nname = \"a\"\n\n[dependencies]\n# b = \"1\"\nserde.workspace = true\n\
                        mmad-data = { workspace = true }\nshort = { package = \"burn\" }\n\
                        list = { features = [\n  \"x\",\n] }\n[lints]\nworkspace = true\n\
                        [target.'cfg(unix)'.dev-dependencies]\nrayon = \"1\"\n[dependencies.toml]\n";
        let names: Vec<(usize, String)> = dependencies(manifest);
        let expected = [
            (6, "serde"),
            (7, "mmad-data"),
            (8, "short"),
            (8, "burn"),
            (9, "list"),
            (15, "rayon"),
            (16, "toml"),
        ];
        assert_eq!(names, expected.map(|(line, name)| (line, name.to_owned())));
    }

    #[test]
    fn a_leaf_stays_a_leaf() {
        let manifest = "[dependencies]\nserde = \"1\"\n[dev-dependencies]\nmmad-data.workspace = true\n\
                        burn-flex = \"0.22\"\n";
        let said = said(check, &[("crates/mmad-metrics/Cargo.toml", manifest)]);
        assert_eq!(said.len(), 2);
        assert!(
            said[0].starts_with(
                "crates/mmad-metrics/Cargo.toml:4: `mmad-metrics` may not depend on `mmad-data`"
            ),
            "{}",
            said[0]
        );
        assert!(said[1].contains(":5: ") && said[1].contains("`burn-flex`"), "{}", said[1]);
    }

    #[test]
    fn the_library_knows_no_report_and_the_program_knows_all() {
        let manifest = "[dependencies]\nmmad-report = \"1\"\nmmad-data = \"1\"\nburn = \"1\"\n";
        assert_eq!(said(check, &[("crates/mmad/Cargo.toml", manifest)]).len(), 1);
        assert_eq!(said(check, &[("crates/mmad-cli/Cargo.toml", manifest)]).len(), 0);
        assert_eq!(said(check, &[("Cargo.toml", manifest)]).len(), 0);
    }

    #[test]
    fn a_new_crate_needs_a_layer() {
        let said = said(check, &[("crates/mmad-new/Cargo.toml", "[dependencies]\n")]);
        assert!(said[0].contains("crate `mmad-new` has no layer"), "{said:?}");
    }
}
