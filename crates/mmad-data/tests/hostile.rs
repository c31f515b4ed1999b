//! Files that are not what they seem: nothing panics, nothing is made up, every error names its
//! file.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use mmad_data::decode::{decode_bytes, decode_file, decode_mask_bytes, read_header};
use mmad_data::{
    CheckOptions, Dataset, DecodeError, DecodeOptions, Kind, Loader, LoaderOptions, Preprocess,
    check,
};
use proptest::prelude::*;

/// Small enough that a header with a wild size costs nothing.
const OPTIONS: DecodeOptions =
    DecodeOptions { bit_range: mmad_data::BitRange::Auto, max_pixels: 1 << 20 };

fn fixtures() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Feeds everything that takes bytes; results do not matter, panics do.
fn feed(bytes: &[u8]) {
    let path = Path::new("hostile.bin");
    if let Ok(picture) = decode_bytes(path, bytes, &OPTIONS) {
        assert_eq!(picture.rgb.len(), picture.width * picture.height * 3);
    }
    if let Ok(mask) = decode_mask_bytes(path, bytes, &OPTIONS) {
        assert_eq!(mask.marked.len(), mask.width * mask.height);
    }
    let _ = read_header(path, bytes);
}

/// A file that is cut anywhere is an error, or, where only an end marker is lost, the picture.
#[test]
fn every_cut_is_noticed() {
    for (path, bytes) in fixtures() {
        let whole = decode_bytes(&path, &bytes, &OPTIONS).unwrap();
        for n in 0..bytes.len() {
            match decode_bytes(&path, &bytes[..n], &OPTIONS) {
                Ok(cut) => assert!(cut == whole, "{} cut at {n}", path.display()),
                Err(error) => assert_eq!(error.path(), path),
            }
            let _ = read_header(&path, &bytes[..n]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        feed(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_signature_do_not_panic(
        which in 0_usize..6,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let signatures: [&[u8]; 6] = [
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xFF\xD8\xFF", b"BM", b"II*\0", b"MM\0*",
            b"RIFF\xFF\0\0\0WEBPVP8 ",
        ];
        feed(&[signatures[which], &bytes].concat());
    }

    #[test]
    fn changed_pictures_do_not_panic(
        which in 0_usize..64,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let fixtures = fixtures();
        let mut bytes = fixtures[which % fixtures.len()].1.clone();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        feed(&bytes);
    }
}

#[test]
fn each_kind_of_wrong_file_says_what_it_is() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = root.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let error = |path: &Path| {
        let error = decode_file(path, &OPTIONS).unwrap_err();
        assert!(error.hint().is_some());
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        text.replace(&root.path().display().to_string(), "")
    };

    assert_eq!(error(&write("empty.png", b"")), "`/empty.png` is empty");
    assert_eq!(
        error(&write("text.png", b"hello")),
        "`/text.png` is not a picture (it starts with 68656c6c)"
    );
    assert_eq!(error(&write("a.png", b"GIF89a....")), "`/a.png` is a Gif file, which is not read");
    let missing = error(&root.path().join("missing.png"));
    assert!(missing.starts_with("cannot read `/missing.png`: "), "{missing}");
    std::fs::create_dir(root.path().join("folder.png")).unwrap();
    assert_eq!(error(&root.path().join("folder.png")), "`/folder.png` is not a file");
}

/// Width and height of a BMP stand at bytes 18 to 25.
#[test]
fn a_huge_picture_is_refused_by_its_header() {
    let (path, mut bytes) =
        fixtures().into_iter().find(|(path, _)| path.ends_with("rgb.bmp")).unwrap();
    bytes[18..22].copy_from_slice(&20_000_i32.to_le_bytes());
    bytes[22..26].copy_from_slice(&20_000_i32.to_le_bytes());
    let error = decode_bytes(&path, &bytes, &DecodeOptions::default()).unwrap_err();
    assert!(error.to_string().contains("20000x20000 pixels"), "{error}");
    let header = read_header(&path, &bytes).unwrap();
    assert_eq!((header.format, header.width, header.height), ("bmp", 20_000, 20_000));
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn picture() -> Vec<u8> {
        fixtures().into_iter().find(|(path, _)| path.ends_with("rgb.png")).unwrap().1
    }

    #[test]
    fn links_in_a_circle_and_sockets_are_errors() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("one.png"), root.path().join("two.png"));
        symlink(&one, &two).unwrap();
        symlink(&two, &one).unwrap();
        assert!(matches!(decode_file(&one, &OPTIONS), Err(DecodeError::Unreadable { .. })));
        // Opening a pipe or a socket could wait for ever, so it is refused before.
        let socket = root.path().join("socket.png");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(matches!(decode_file(&socket, &OPTIONS), Err(DecodeError::NotAFile { .. })));
    }

    /// A user with all rights can read the file in spite of its mode.
    #[test]
    fn an_unreadable_file_is_an_error_or_readable() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("locked.png");
        std::fs::write(&path, picture()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        let decoded = decode_file(&path, &OPTIONS);
        match std::fs::read(&path) {
            Ok(_) => assert!(decoded.is_ok()),
            Err(_) => assert!(matches!(decoded, Err(DecodeError::Unreadable { .. }))),
        }
    }

    /// A data set with a name that is not text, a folder linked into itself, a dead link and a
    /// folder named like a picture: all of it is read or named.
    #[test]
    fn a_hostile_folder_is_read_checked_and_loaded() {
        let root = tempfile::tempdir().unwrap();
        let good = root.path().join("part/good");
        std::fs::create_dir_all(&good).unwrap();
        std::fs::write(good.join(OsStr::from_bytes(b"\xFFodd.png")), picture()).unwrap();
        std::fs::write(good.join("plain.png"), picture()).unwrap();
        std::fs::create_dir(good.join("folder.png")).unwrap();
        symlink("nowhere.png", good.join("dead.png")).unwrap();
        symlink("..", root.path().join("part/round")).unwrap();
        symlink(".", root.path().join("self")).unwrap();

        let dataset = Dataset::open(root.path()).unwrap();
        let names: Vec<&str> = dataset.samples().iter().map(|s| &*s.name).collect();
        assert_eq!(names, ["part/good/\\xFFodd.png", "part/good/dead.png", "part/good/plain.png"]);

        let preprocess = Preprocess::imagenet(8, 8).unwrap();
        let samples = dataset.samples().to_vec();
        let loader = Loader::new(samples, preprocess, LoaderOptions::default()).unwrap();
        let loaded: Vec<bool> = loader.map(|item| item.is_ok()).collect();
        assert_eq!(loaded, [true, false, true]);

        let report = check(root.path(), &CheckOptions::default()).unwrap();
        let kinds_at = |name: &str| -> Vec<Kind> {
            report
                .findings
                .iter()
                .filter(|finding| finding.file.as_deref() == Some(name))
                .map(|finding| finding.kind)
                .collect()
        };
        assert!(kinds_at("part/good/\\xFFodd.png").contains(&Kind::SuspiciousName));
        assert_eq!(kinds_at("part/good/dead.png"), [Kind::BrokenPicture]);
        assert_eq!(kinds_at("part/good"), [Kind::NotRead]);
        assert!(serde_json::to_string(&report).is_ok());
    }
}
