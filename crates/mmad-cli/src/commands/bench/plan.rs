//! The file of a bench, and the runs that follow from it.

use std::path::{Path, PathBuf};

use mmad::run_file::{Preset, RunConfig};
use mmad_report::PUBLISHED_DATA;
use serde::Deserialize;

use crate::failure::Failure;

/// What is compared, as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BenchFile {
    /// Seeds of every run.
    #[serde(default = "one_seed")]
    pub(super) seeds: Vec<u64>,
    /// Data sets.
    pub(super) data: Vec<BenchData>,
    /// Methods and their settings.
    pub(super) run: Vec<BenchRun>,
}

/// A data set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BenchData {
    /// Name in tables.
    pub(super) name: String,
    /// Folder, from the folder of the file.
    pub(super) path: PathBuf,
    /// Published numbers to show beside.
    #[serde(default)]
    pub(super) quoted: Option<String>,
}

/// A method with its settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BenchRun {
    /// Id of the method.
    pub(super) method: String,
    /// Preset.
    #[serde(default = "quick")]
    preset: String,
    /// Values over the preset, as for `--set`.
    #[serde(default)]
    set: Vec<String>,
    /// Name in tables; the id where there is none.
    #[serde(default)]
    name: Option<String>,
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// Its name and that of its folder.
    pub(super) id: String,
    /// Name of the data set.
    pub(super) data: String,
    /// Folder of the data set.
    pub(super) path: PathBuf,
    /// Name of the method in tables.
    pub(super) label: String,
    /// Its whole configuration.
    pub(super) config: RunConfig,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

fn quick() -> String {
    Preset::Quick.name().to_owned()
}

impl BenchRun {
    /// Name in tables.
    pub(super) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.method)
    }

    fn config(&self) -> Result<RunConfig, Failure> {
        let preset = Preset::ALL.iter().find(|(name, _)| *name == self.preset);
        let preset = preset.map(|(_, preset)| *preset).ok_or_else(|| {
            let known: Vec<&str> = Preset::ALL.iter().map(|(name, _)| *name).collect();
            let message = format!("there is no preset `{}`", self.preset);
            Failure::new(message, format!("the presets are: {}", known.join(", ")))
        })?;
        let mut config = RunConfig::of(&self.method, preset)?;
        for assignment in &self.set {
            config = config.set(assignment)?;
        }
        config.validate()?;
        Ok(config)
    }
}

impl BenchFile {
    /// Reads a file; paths in it are seen from its folder.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, error))?;
        let mut file: Self = toml::from_str(&text).map_err(|error| {
            let message = format!("`{}`: {}", path.display(), error.to_string().trim_end());
            Failure::new(message, "`mmad bench --help` shows an example")
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for data in &mut file.data {
            data.path = folder.join(&data.path);
            if let Some(quoted) = &data.quoted
                && !PUBLISHED_DATA.contains(&quoted.as_str())
            {
                let message = format!("there are no published numbers of `{quoted}`");
                let hint = format!("there are some of: {}", PUBLISHED_DATA.join(", "));
                return Err(Failure::new(message, hint));
            }
        }
        let repeats = |names: Vec<&str>| {
            let mut seen = std::collections::BTreeSet::new();
            names.into_iter().find(|name| !seen.insert(name.to_owned())).map(str::to_owned)
        };
        let names = file.data.iter().map(|data| data.name.as_str()).collect();
        let labels = file.run.iter().map(BenchRun::label).collect();
        if let Some(name) = repeats(names).or(repeats(labels)) {
            let message = format!("`{}` has two entries called `{name}`", path.display());
            return Err(Failure::new(message, "give each a `name` of its own"));
        }
        Ok(file)
    }

    /// All runs: data set by data set, method by method, seed by seed.
    pub(super) fn jobs(&self, protocol: &str) -> Result<Vec<Job>, Failure> {
        let mut jobs = Vec::new();
        for data in &self.data {
            for run in &self.run {
                let base = run.config()?;
                for &seed in &self.seeds {
                    let config = RunConfig { seed, ..base.clone() };
                    let text = format!("{protocol}\n{}", config.to_toml()?);
                    let digest = mmad::fit::digest(&[text.as_bytes()]);
                    let id = format!(
                        "{}-{}-{seed}-{}",
                        slug(&data.name),
                        slug(run.label()),
                        &digest[..8]
                    );
                    jobs.push(Job {
                        id,
                        data: data.name.clone(),
                        path: data.path.clone(),
                        label: run.label().to_owned(),
                        config,
                    });
                }
            }
        }
        Ok(jobs)
    }
}

/// A name that is a folder's everywhere.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "seeds = [3, 4]\n[[data]]\nname = \"a b\"\npath = \"pics\"\n\
                        [[run]]\nmethod = \"uniad\"\nset = [\"train.batch=2\"]\n\
                        [[run]]\nmethod = \"mmad\"\nname = \"MMAD!\"\n";

    fn read(text: &str) -> Result<BenchFile, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.toml");
        std::fs::write(&path, text).unwrap();
        BenchFile::read(&path)
    }

    #[test]
    fn runs_are_the_product_and_have_names_of_their_own() {
        let jobs = read(TEXT).unwrap().jobs("exact").unwrap();
        assert_eq!(jobs.len(), 4);
        assert_eq!(jobs[1].config.seed, 4);
        assert_eq!(jobs[0].config.train.batch, 2);
        assert!(jobs[2].id.starts_with("a_b-mmad_-3-"), "{}", jobs[2].id);
        let ids: std::collections::BTreeSet<&str> =
            jobs.iter().map(|job| job.id.as_str()).collect();
        assert_eq!(ids.len(), 4);
        let other = read(TEXT).unwrap().jobs("ader").unwrap();
        assert_ne!(jobs[0].id, other[0].id);
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, said) in [
            ("seeds", "seed", "unknown field `seed`"),
            ("name = \"MMAD!\"", "name = \"uniad\"", "two entries called `uniad`"),
            ("path = \"pics\"", "path = \"pics\"\nquoted = \"x\"", "no published numbers of `x`"),
        ] {
            let error = read(&TEXT.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let jobs = read(&TEXT.replace("uniad", "unidad")).unwrap().jobs("exact");
        assert!(jobs.unwrap_err().to_string().contains("no method `unidad`"));
    }
}
