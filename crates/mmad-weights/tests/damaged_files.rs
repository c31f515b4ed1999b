//! Files that were cut, changed, or made to do harm: always an error, never a panic or a flood.

#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use mmad_weights::{Error, StateDict, Tensors, TorchError, parse};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const GOOD: [&str; 10] = [
    "plain.pth",
    "protocol4.pth",
    "deflated.pth",
    "kinds.pth",
    "views.pth",
    "checkpoint.pth",
    "parameters.pth",
    "stream.pth",
    "stream_python2.pth",
    "tar.pth",
];

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(folder.join(name)).unwrap()
}

fn read(bytes: &[u8]) -> Result<StateDict, Error> {
    parse(bytes, Path::new("w.pth"), Tensors::All)
}

/// The small generator `SplitMix64`: mutations must be the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    /// One to four small accidents: a bit, a byte, a piece moved, a piece lost, an end cut off.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(16)).min(bytes.len());
            match self.below(6) {
                0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
                3 => {
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                4 => drop(bytes.drain(at..end)),
                _ => bytes.truncate(bytes.len() - self.below(8).min(bytes.len())),
            }
        }
        bytes
    }
}

fn records(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    (0..archive.len())
        .map(|i| {
            let mut record = archive.by_index(i).unwrap();
            let mut content = Vec::new();
            record.read_to_end(&mut content).unwrap();
            (record.name().unwrap().into_owned(), content)
        })
        .collect()
}

fn zipped(records: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, content) in records {
        archive.start_file(name.as_str(), options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A zip file around one program, with one storage of `n_bytes` zeros.
fn around(program: &[u8], n_bytes: usize) -> Vec<u8> {
    let records =
        [("a/data.pkl".to_owned(), program.to_vec()), ("a/data/0".to_owned(), vec![0; n_bytes])];
    zipped(&records, CompressionMethod::Deflated)
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for name in GOOD {
        let bytes = fixture(name);
        assert!(read(&bytes).is_ok(), "{name}");
        // A tar ends with empty blocks that nobody misses.
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        let end = if name == "tar.pth" { end } else { bytes.len() };
        for end in (0..end).step_by(if name == "tar.pth" { 13 } else { 1 }) {
            assert!(read(&bytes[..end]).is_err(), "{name} cut at {end}");
        }
    }
}

#[test]
fn ten_thousand_accidents_to_whole_files() {
    let mut random = Random(1);
    for name in GOOD {
        let bytes = fixture(name);
        for _ in 0..1000 {
            let _ = read(&random.mutate(&bytes));
        }
    }
}

/// Checksums catch most accidents to a zip file, so here they happen before the file is zipped.
#[test]
fn accidents_inside_a_zip_file() {
    let mut random = Random(2);
    let mut n_read = 0;
    for name in ["plain.pth", "protocol4.pth", "kinds.pth", "views.pth", "checkpoint.pth"] {
        let good = records(&fixture(name));
        for _ in 0..1000 {
            let mut changed = good.clone();
            let which = if random.below(4) == 0 { random.below(changed.len()) } else { 0 };
            changed[which].1 = random.mutate(&changed[which].1);
            n_read += usize::from(read(&zipped(&changed, CompressionMethod::Stored)).is_ok());
        }
    }
    assert!((100..4500).contains(&n_read), "{n_read}: the accidents are too mild or too harsh");
}

#[test]
fn a_changed_element_does_not_pass_the_checksum() {
    let mut bytes = fixture("plain.pth");
    let needle: Vec<u8> = [-1.0_f32, -0.75].map(f32::to_le_bytes).concat();
    let at = bytes.windows(8).position(|window| window == needle).unwrap();
    bytes[at] ^= 1;
    let error = read(&bytes).unwrap_err();
    assert!(matches!(error, Error::Torch { reason: TorchError::Container { .. }, .. }), "{error}");
}

#[test]
fn missing_records_are_named() {
    let mut parts = records(&fixture("plain.pth"));
    parts.retain(|(name, _)| !name.ends_with("data/1"));
    let error = read(&zipped(&parts, CompressionMethod::Stored)).unwrap_err();
    assert!(error.to_string().contains("has no part `data/1`"), "{error}");
}

#[test]
fn an_unknown_byte_order_is_an_error() {
    let mut parts = records(&fixture("plain.pth"));
    for (name, content) in &mut parts {
        if name.ends_with("byteorder") {
            *content = b"middle".to_vec();
        }
    }
    let error = read(&zipped(&parts, CompressionMethod::Stored)).unwrap_err();
    assert!(error.to_string().contains("byte order"), "{error}");
}

const ONE_TENSOR: &[u8] = b"}\x8c\x01actorch._utils\n_rebuild_tensor\n\
    ((\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpuJ";

fn one_tensor(n_elements: i32, side: i32, stride: i32) -> Vec<u8> {
    let number = |n: i32| [b"J".to_vec(), n.to_le_bytes().to_vec()].concat();
    [
        ONE_TENSOR.to_vec(),
        n_elements.to_le_bytes().to_vec(),
        b"tQK\x00".to_vec(),
        number(side),
        b"\x85".to_vec(),
        number(stride),
        b"\x85tRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn small_files_cannot_ask_for_much_memory() {
    assert!(read(&around(&one_tensor(16, 16, 1), 64)).is_ok());
    for (what, bytes) in [
        ("a deflated storage", around(&one_tensor(1 << 26, 1 << 26, 1), 1 << 28)),
        ("a repeated element", around(&one_tensor(1, i32::MAX, 0), 4)),
        ("a promise without bytes", around(&one_tensor(i32::MAX, 2, 1 << 20), 4)),
        ("a negative length", around(&one_tensor(16, -1, 1), 64)),
        ("an impossible stride", around(&one_tensor(16, 16, i32::MAX), 64)),
    ] {
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, Error::Torch { .. }), "{what}: {error}");
    }
}

#[test]
fn shared_storages_cannot_multiply_without_limit() {
    // Two thousand tensors over one storage of 4096 floats: eight million elements from 20 KB.
    let mut program = one_tensor(4096, 4096, 1);
    program.truncate(program.len() - 2);
    program.extend(b"q\x01s");
    for i in 0..2000_u16 {
        program.extend(b"M");
        program.extend(i.to_le_bytes());
        program.extend(b"h\x01s");
    }
    program.push(b'.');
    let error = read(&around(&program, 4 * 4096)).unwrap_err();
    assert!(
        matches!(error, Error::Torch { reason: TorchError::TooManyElements { .. }, .. }),
        "{error}"
    );
}

/// The start of each kind of file: random bytes behind it reach every reader.
fn beginnings() -> impl Strategy<Value = Vec<u8>> {
    let stream = fixture("stream.pth");
    let tar = fixture("tar.pth");
    prop_oneof![
        Just(Vec::new()),
        Just(b"PK\x03\x04".to_vec()),
        Just(stream[..137].to_vec()),
        Just(tar[..512].to_vec()),
        Just(tar[..2048].to_vec()),
        Just(b"\x40\0\0\0\0\0\0\0{\"a\":".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(
        mut bytes in beginnings(),
        rest in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        bytes.extend(rest);
        let _ = read(&bytes);
    }
}

#[test]
fn errors_name_the_file() {
    let path = PathBuf::from("some/where.pth");
    let error = parse(b"\x80\x02K\x01.", &path, Tensors::Model).unwrap_err();
    assert_eq!(error.to_string(), "`some/where.pth` is damaged: its magic number is wrong");
}
