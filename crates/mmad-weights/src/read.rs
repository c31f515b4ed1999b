//! One door for every kind of weight file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::safetensors_file::{looks_like_safetensors, parse_safetensors};
use crate::torch::{
    looks_like_pickle, looks_like_tar, looks_like_zip, read_stream, read_tar, read_zip,
};
use crate::{Error, StateDict};

/// Larger files are refused before they are read. The largest encoder here has 0.3 GB.
const MAX_FILE_BYTES: u64 = 16 << 30;

/// Which tensors of a file to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tensors {
    /// Those of the model. A checkpoint often keeps it beside the optimiser's state, in a dict under
    /// `state_dict`, `model_state_dict`, `model` or `net`: then only that dict is read, the first of
    /// these keys that there is. Afterwards `module.` is removed if every name begins with it
    /// (`DataParallel`).
    Model,
    /// All, under their full names: nested dicts are joined by dots, as in `net.conv1.weight`.
    All,
}

/// Reads the model's tensors from a safetensors or `PyTorch` file, see [`Tensors::Model`].
///
/// The content decides, not the extension. Floats become `f32`, integers and booleans `i64`. Values
/// that are not tensors are passed over. No code of the file is ever run.
///
/// # Errors
///
/// [`Error::Io`], [`Error::NotAFile`], [`Error::TooLarge`], and those of [`parse`].
pub fn read(path: &Path) -> Result<StateDict, Error> {
    parse(&read_whole(path)?, path, Tensors::Model)
}

/// Reads every tensor of a safetensors or `PyTorch` file, see [`Tensors::All`].
///
/// # Errors
///
/// As [`read`].
pub fn read_all(path: &Path) -> Result<StateDict, Error> {
    parse(&read_whole(path)?, path, Tensors::All)
}

/// Reads tensors from the bytes of a file; `path` only appears in errors.
///
/// # Errors
///
/// [`Error::UnknownFormat`] for other kinds of file, [`Error::Safetensors`] and [`Error::Torch`]
/// for damaged or refused ones, [`Error::UnsupportedElement`], and [`Error::NoTensors`].
pub fn parse(bytes: &[u8], path: &Path, which: Tensors) -> Result<StateDict, Error> {
    let torch = |result: Result<StateDict, _>| {
        result.map_err(|reason| Error::Torch { path: path.to_owned(), reason })
    };
    // Safetensors first: the length of a header can look like the start of a pickle.
    let tensors = if looks_like_safetensors(bytes) {
        parse_safetensors(bytes, path, which)
    } else if looks_like_zip(bytes) {
        torch(read_zip(bytes, which))
    } else if looks_like_tar(bytes) {
        torch(read_tar(bytes, which))
    } else if looks_like_pickle(bytes) {
        torch(read_stream(bytes, which))
    } else {
        let looks_like = describe(bytes);
        Err(Error::UnknownFormat { path: path.to_owned(), looks_like })
    }?;
    if tensors.is_empty() {
        return Err(Error::NoTensors { path: path.to_owned() });
    }
    Ok(tensors)
}

/// The bytes of a file of reasonable size.
pub(crate) fn read_whole(path: &Path) -> Result<Vec<u8>, Error> {
    let io = |reason| Error::io("read", path, reason);
    let file = File::open(path).map_err(io)?;
    let facts = file.metadata().map_err(io)?;
    if !facts.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    if facts.len() > MAX_FILE_BYTES {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            n_bytes: facts.len(),
            limit_bytes: MAX_FILE_BYTES,
        });
    }
    let mut bytes = Vec::with_capacity(facts.len() as usize);
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn describe(bytes: &[u8]) -> &'static str {
    let start: Vec<u8> =
        bytes.iter().take(64).skip_while(|b| b.is_ascii_whitespace()).copied().collect();
    let begins =
        |text: &[u8]| start.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    if bytes.is_empty() {
        "an empty file"
    } else if begins(b"<!doctype") || begins(b"<html") {
        "a web page"
    } else if begins(b"version https://git-lfs") {
        "a Git LFS pointer"
    } else if begins(b"\x1f\x8b") {
        "a gzip archive"
    } else if begins(b"\x89HDF") {
        "an HDF5 file"
    } else if begins(b"\x93NUMPY") {
        "a NumPy array"
    } else {
        "something else"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        parse(bytes, Path::new("w.pth"), Tensors::Model).unwrap_err().to_string()
    }

    #[test]
    fn other_files_are_named_for_what_they_are() {
        for (bytes, looks_like) in [
            (&b""[..], "an empty file"),
            (b"\n <!DOCTYPE html><html>", "a web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
            (b"\x1f\x8b\x08", "a gzip archive"),
            (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
            (b"hello", "something else"),
        ] {
            assert_eq!(
                refusal(bytes),
                format!("`w.pth` is not a weight file: it looks like {looks_like}")
            );
        }
    }

    #[test]
    fn folders_and_missing_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path()), Err(Error::NotAFile { .. } | Error::Io { .. })));
        let missing = read(&folder.path().join("no.pth")).unwrap_err();
        assert!(missing.to_string().contains("no.pth"), "{missing}");
    }
}
