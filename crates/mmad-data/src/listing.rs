//! What lies in a folder, sorted, and how files are named in messages and digests.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// File name endings taken for pictures, compared without regard to case.
pub(crate) const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp"];

/// Names of the folder with good pictures, compared without regard to case.
pub(crate) const GOOD_NAMES: [&str; 3] = ["good", "ok", "normal"];

/// Files that systems leave behind; never worth a word.
const SYSTEM_FILES: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// The content of one folder; every list is sorted by name, hidden entries are left out.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// Sub-folders, also those that are reached by a symbolic link.
    pub(crate) folders: Vec<PathBuf>,
    /// Entries named like a picture that are not folders. A broken link is among them, so that it
    /// is reported as a broken picture instead of vanishing.
    pub(crate) pictures: Vec<PathBuf>,
    /// All other entries.
    pub(crate) others: Vec<PathBuf>,
}

/// Reads one folder, not its sub-folders.
pub(crate) fn list(path: &Path) -> Result<Folder, DataError> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(DataError::io(path))? {
        entries.push(entry.map_err(DataError::io(path))?.path());
    }
    entries.sort();

    let mut folder = Folder::default();
    for entry in entries {
        let name = file_name(&entry);
        if name.starts_with('.') || SYSTEM_FILES.contains(&name.to_lowercase().as_str()) {
            continue;
        }
        if entry.is_dir() {
            folder.folders.push(entry);
        } else if is_picture_name(&entry) {
            folder.pictures.push(entry);
        } else {
            folder.others.push(entry);
        }
    }
    Ok(folder)
}

/// Whether the name ends like a picture's.
pub(crate) fn is_picture_name(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.contains(&extension.to_lowercase().as_str()))
}

/// Whether a folder of this name holds good pictures.
pub(crate) fn is_good_name(name: &str) -> bool {
    GOOD_NAMES.contains(&name.to_lowercase().as_str())
}

/// The sub-folder of `path` with good pictures, if there is one.
pub(crate) fn good_folder(path: &Path) -> Option<PathBuf> {
    let folder = list(path).ok()?;
    folder.folders.into_iter().find(|folder| is_good_name(&file_name(folder)))
}

/// Last part of the path, without losing anything: see [`shown`].
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| shown(Path::new(name)))
}

/// File name without its ending.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| shown(Path::new(stem)))
}

/// The path below `root`, with `/` between its parts; the whole path when it is not below, and `.`
/// for the root itself.
pub(crate) fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<String> =
        below.components().map(|part| shown(Path::new(part.as_os_str()))).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// The name as text. Bytes that are not UTF-8 become `\xNN`, so two names never look the same.
pub(crate) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

/// The name of the folder itself, for a class that has no folder of its own.
pub(crate) fn own_name(root: &Path) -> String {
    let name = root.canonicalize().map(|root| file_name(&root)).unwrap_or_default();
    if name.is_empty() { "pictures".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_and_told_apart() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b.PNG", "a.jpeg", "notes.txt", ".hidden.png", "Thumbs.db"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        std::fs::create_dir(root.path().join("folder.png")).unwrap();
        let folder = list(root.path()).unwrap();
        let names = |paths: &[PathBuf]| paths.iter().map(|p| file_name(p)).collect::<Vec<_>>();
        assert_eq!(names(&folder.pictures), ["a.jpeg", "b.PNG"]);
        assert_eq!(names(&folder.folders), ["folder.png"]);
        assert_eq!(names(&folder.others), ["notes.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_text_stay_apart() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let one = shown(Path::new(OsStr::from_bytes(b"a\xFF.png")));
        let two = shown(Path::new(OsStr::from_bytes(b"a\xFE.png")));
        assert_eq!(one, "a\\xFF.png");
        assert_ne!(one, two);
    }
}
