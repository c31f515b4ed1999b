//! The files that the rules see.

use std::path::Path;
use std::process::Command;

/// Every file of the repository, in the order of their paths.
#[derive(Debug)]
pub(crate) struct Tree {
    files: Vec<File>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) n_bytes: usize,
    /// Its content, where that is text.
    pub(crate) text: Option<String>,
}

/// Folders that no rule looks into where git cannot say what is ignored.
const IGNORED: [&str; 4] = [".git", "target", "node_modules", "out"];

impl Tree {
    /// Reads all files that git knows or would add.
    ///
    /// # Errors
    ///
    /// The file or folder that cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let paths = match listed_by_git(root) {
            Some(paths) => paths,
            None => walked(root)?,
        };
        let mut files = Vec::new();
        for path in paths {
            let full = root.join(&path);
            // Git still lists a file that was deleted; a link is checked where it leads to.
            if !full.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
                continue;
            }
            let bytes = std::fs::read(&full).map_err(|error| format!("`{path}`: {error}"))?;
            files.push(File::new(path, bytes));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A tree of small files, for tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| File::new(path.to_owned(), text.into());
        Self { files: files.iter().map(file).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    /// Path and text of every text file.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }

    /// Path and text of every Rust file.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| has_extension(path, "rs"))
    }

    /// The text at `path`.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts().find(|(found, _)| *found == path).map(|(_, text)| text)
    }
}

impl File {
    fn new(path: String, bytes: Vec<u8>) -> Self {
        let n_bytes = bytes.len();
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        Self { path, n_bytes, text }
    }
}

/// Whether the name at the end of `path` ends in `.extension`.
pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// `None` where there is no git, or the folder is not a checkout.
fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .ok()
        .filter(|output| output.status.success() && !output.stdout.is_empty())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

fn walked(root: &Path) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let say = |error| format!("`{}`: {error}", root.join(&folder).display());
        for entry in std::fs::read_dir(root.join(&folder)).map_err(say)? {
            let entry = entry.map_err(say)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}{name}");
            if !entry.file_type().map_err(say)?.is_dir() {
                paths.push(path);
            } else if !IGNORED.contains(&name.as_str()) {
                folders.push(format!("{path}/"));
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_finds_what_git_lists() {
        let root = crate::root();
        let walked = walked(&root).unwrap();
        for path in ["Cargo.toml", "xtask/src/main.rs", "crates/mmad/src/lib.rs"] {
            assert!(walked.iter().any(|found| found == path), "{path}");
        }
        assert!(!walked.iter().any(|path| path.starts_with(".git/")));
    }

    #[test]
    fn pictures_are_no_text() {
        let file = |bytes: &[u8]| File::new("a".to_owned(), bytes.to_vec());
        assert_eq!(file(b"text\n").text.as_deref(), Some("text\n"));
        assert_eq!(file(b"\x89PNG\r\n").text, None);
        assert_eq!(file(b"BM\0\0").text, None);
        assert_eq!(file(b"BM\0\0").n_bytes, 4);
    }
}
