//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::Error;

/// Writes a file under a temporary name in the same folder, syncs it, and renames it.
///
/// A reader sees the old file or the new one. After a crash the old one is still there.
///
/// # Errors
///
/// [`Error::Io`] when the folder is missing or cannot be written, or the disk is full. Nothing is
/// left behind then.
pub fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    try_write_whole(path, write).map_err(|reason| Error::io("write", path, reason))
}

/// Fails where [`write_whole`] would, as far as can be seen without writing: for work that takes long
/// before it has something to write.
///
/// # Errors
///
/// [`Error::Io`] when `path` is a folder, or when nothing can be written beside it.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    let found = if path.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        temporary_beside(path).map(drop)
    };
    found.map_err(|reason| Error::io("write", path, reason))
}

/// Removes what a killed program left of files that it was writing in `folder`.
///
/// Only for folders that one program at a time writes to.
///
/// # Errors
///
/// [`Error::Io`] when the folder cannot be read or a file cannot be removed.
pub fn remove_incomplete(folder: &Path) -> Result<(), Error> {
    let entries = std::fs::read_dir(folder).map_err(|reason| Error::io("read", folder, reason))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.starts_with(INCOMPLETE)) && path.is_file() {
            std::fs::remove_file(&path).map_err(|reason| Error::io("remove", &path, reason))?;
        }
    }
    Ok(())
}

/// How the names of unfinished files begin.
const INCOMPLETE: &str = ".incomplete-";

/// A new temporary file beside `path`; it removes itself unless it is persisted.
pub(crate) fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(INCOMPLETE);
    // The default of 0600 would hide the finished file from other users of the machine. The umask
    // still applies.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder_of(path))
}

fn try_write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut temporary = temporary_beside(path)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, temporary.as_file_mut());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    sync_folder(folder_of(path))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the rename durable. Windows cannot open folders, and needs no such call.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, |out| out.write_all(b"old")).unwrap();
        let failed = write_whole(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::other("pulled the plug"))
        });
        assert!(failed.unwrap_err().to_string().contains("pulled the plug"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["file"]);
        write_whole(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_missing_folder_is_an_error_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere").join("file");
        for error in [write_whole(&path, |_| Ok(())), check_writable(&path)] {
            let error = error.unwrap_err();
            assert!(error.to_string().contains("nowhere"), "{error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn whether_a_file_can_be_written_is_seen_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(&folder.path().join("file")).unwrap();
        assert!(names(folder.path()).is_empty());
        assert!(check_writable(folder.path()).is_err(), "a folder is no file");
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_the_file_as_far_as_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (whole, plain) = (folder.path().join("whole"), folder.path().join("plain"));
        write_whole(&whole, |_| Ok(())).unwrap();
        File::create(&plain).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&whole), mode(&plain));
    }
}
