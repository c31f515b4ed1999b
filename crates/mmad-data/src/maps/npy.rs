//! NumPy's files of arrays: the header, and pictures of a stack one by one.
//!
//! Source: the format as NumPy documents it (`numpy.lib.format`), versions 1.0 to 3.0. Read are
//! arrays of plain numbers in C order; a pickled object never is.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::MapError;
use crate::decode::{DecodeError, MapValues};

/// A file whose header is read and fits its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NpyFile {
    path: PathBuf,
    number: Number,
    /// Where the numbers begin.
    offset: u64,
    /// Pictures in the stack; `None` for a single picture.
    pub(super) n_stacked: Option<usize>,
    height: usize,
    width: usize,
}

/// The kinds of numbers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

/// NumPy's names of the numbers, without the mark of the byte order, and their bytes.
const NUMBERS: [(&str, Number, usize); 12] = [
    ("b1", Number::Bool, 1),
    ("u1", Number::U8, 1),
    ("u2", Number::U16, 2),
    ("u4", Number::U32, 4),
    ("u8", Number::U64, 8),
    ("i1", Number::I8, 1),
    ("i2", Number::I16, 2),
    ("i4", Number::I32, 4),
    ("i8", Number::I64, 8),
    ("f2", Number::F16, 2),
    ("f4", Number::F32, 4),
    ("f8", Number::F64, 8),
];

/// A header is short; a longer one is no header of an array of numbers.
const MAX_HEADER: usize = 1 << 16;

impl NpyFile {
    pub(super) fn open(path: &Path, max_pixels: u64) -> Result<Self, MapError> {
        let unreadable = |source| DecodeError::Unreadable { path: path.to_path_buf(), source };
        let refuse = |what: String| MapError::Npy { path: path.to_path_buf(), what };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(DecodeError::NotAFile { path: path.to_path_buf() }.into());
        }
        let file = File::open(path).map_err(unreadable)?;
        let mut start = Vec::new();
        file.take(MAX_HEADER as u64).read_to_end(&mut start).map_err(unreadable)?;
        let (header, offset) = header(&start).map_err(refuse)?;
        let (number, size, shape) = fields(header).map_err(refuse)?;

        let (n_stacked, height, width) = picture_axes(&shape).ok_or_else(|| {
            refuse(format!("its shape {shape:?} is none of [h, w] and [n, h, w]"))
        })?;
        let n_pixels = (height as u64).saturating_mul(width as u64);
        if n_pixels > max_pixels {
            let what = format!("a picture in it has {n_pixels} pixels, more than {max_pixels}");
            return Err(refuse(what));
        }
        let n_bytes = n_pixels.saturating_mul((n_stacked.unwrap_or(1) * size) as u64);
        let n_there = metadata.len() - offset as u64;
        if n_bytes != n_there {
            let what = format!("it has {n_there} bytes of numbers, its header says {n_bytes}");
            return Err(refuse(what));
        }
        Ok(Self {
            path: path.to_path_buf(),
            number,
            offset: offset as u64,
            n_stacked,
            height,
            width,
        })
    }

    /// Reads one picture; `index` is 0 for a single one.
    pub(super) fn read(&self, index: usize) -> Result<MapValues, MapError> {
        let unreadable = |source| DecodeError::Unreadable { path: self.path.clone(), source };
        let n_pixels = self.height * self.width;
        let mut bytes = vec![0; n_pixels * self.number.size()];
        let mut file = File::open(&self.path).map_err(unreadable)?;
        let start = self.offset + (index * bytes.len()) as u64;
        file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
        file.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(MapValues { width: self.width, height: self.height, values: self.number.values(&bytes) })
    }
}

impl Number {
    fn size(self) -> usize {
        NUMBERS.iter().find(|(_, number, _)| *number == self).map_or(1, |(.., size)| *size)
    }

    fn values(self, bytes: &[u8]) -> Vec<f32> {
        fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
            bytes.as_chunks::<N>().0.iter().map(|&number| value(number)).collect()
        }
        match self {
            Self::Bool | Self::U8 => each(bytes, |[byte]| f32::from(byte)),
            Self::I8 => each(bytes, |b| f32::from(i8::from_le_bytes(b))),
            Self::U16 => each(bytes, |b| f32::from(u16::from_le_bytes(b))),
            Self::I16 => each(bytes, |b| f32::from(i16::from_le_bytes(b))),
            Self::U32 => each(bytes, |b| u32::from_le_bytes(b) as f32),
            Self::I32 => each(bytes, |b| i32::from_le_bytes(b) as f32),
            Self::U64 => each(bytes, |b| u64::from_le_bytes(b) as f32),
            Self::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
            Self::F16 => each(bytes, |b| half::f16::from_le_bytes(b).to_f32()),
            Self::F32 => each(bytes, f32::from_le_bytes),
            Self::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
        }
    }
}

/// Pictures, height and width; one picture may have axes of a batch or a channel in front or
/// behind, of one element.
fn picture_axes(shape: &[usize]) -> Option<(Option<usize>, usize, usize)> {
    let (n, height, width) = match *shape {
        [height, width] => (1, height, width),
        [height, width, 1] if height > 1 && width > 1 => (1, height, width),
        [n, height, width] | [n, 1, height, width] | [n, height, width, 1] => (n, height, width),
        _ => return None,
    };
    let is_empty = n == 0 || height == 0 || width == 0;
    (!is_empty).then_some(((n > 1).then_some(n), height, width))
}

/// The text of the header, and where the numbers begin.
fn header(start: &[u8]) -> Result<(&str, usize), String> {
    let cut_short = || "it is cut short".to_owned();
    let rest = start.strip_prefix(b"\x93NUMPY").ok_or("it does not begin as one")?;
    let (&major, rest) = rest.split_first().ok_or_else(cut_short)?;
    let rest = rest.get(1..).ok_or_else(cut_short)?;
    let (length, head): (usize, usize) = match major {
        1 => {
            let (length, _) = rest.split_first_chunk::<2>().ok_or_else(cut_short)?;
            (u16::from_le_bytes(*length) as usize, 10)
        }
        2 | 3 => {
            let (length, _) = rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
            (u32::from_le_bytes(*length) as usize, 12)
        }
        other => return Err(format!("its version {other} is not known")),
    };
    let text = start.get(head..head.saturating_add(length)).ok_or_else(cut_short)?;
    let text = std::str::from_utf8(text).map_err(|_| "its header is no text".to_owned())?;
    Ok((text, head + length))
}

/// Kind and size of the numbers, and the shape, from the header's dictionary.
fn fields(header: &str) -> Result<(Number, usize, Vec<usize>), String> {
    let after = |key: &str| {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let rest = quoted.iter().find_map(|quoted| Some(header.split_once(quoted.as_str())?.1));
        let rest = rest.ok_or_else(|| format!("its header has no `{key}`"))?;
        Ok::<_, String>(rest.trim_start().strip_prefix(':').unwrap_or("").trim_start())
    };
    let descr = after("descr")?;
    let name = descr.trim_start_matches(['\'', '"']).split(['\'', '"']).next().unwrap_or_default();
    let is_big = name.starts_with('>');
    let plain = name.trim_start_matches(['<', '>', '|', '=']);
    let known = NUMBERS.iter().find(|(own, ..)| *own == plain);
    let Some(&(_, number, size)) = known.filter(|(.., size)| !is_big || *size == 1) else {
        return Err(format!("its numbers are `{name}`"));
    };
    if !after("fortran_order")?.starts_with("False") {
        return Err("its columns come first (Fortran order)".to_owned());
    }
    let shape = after("shape")?;
    let inside = shape.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let (inside, _) = inside.ok_or("its shape cannot be read")?;
    let axes = inside.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    let shape: Option<Vec<usize>> =
        axes.map(|axis| axis.parse::<u32>().ok().map(|n| n as usize)).collect();
    Ok((number, size, shape.ok_or("its shape cannot be read")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn open(bytes: &[u8]) -> Result<NpyFile, MapError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        std::fs::write(&path, bytes).unwrap();
        let file = NpyFile::open(&path, 1000)?;
        // Reading works as long as the folder lives.
        for index in 0..file.n_stacked.unwrap_or(1) {
            file.read(index)?;
        }
        Ok(file)
    }

    fn shape(shape: &str, n: usize) -> Result<(Option<usize>, usize, usize), MapError> {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        open(&npy(&header, &vec![0; n])).map(|file| (file.n_stacked, file.height, file.width))
    }

    #[test]
    fn shapes_are_pictures_or_stacks() {
        assert_eq!(shape("(2, 3)", 6).unwrap(), (None, 2, 3));
        assert_eq!(shape("(1, 2, 3)", 6).unwrap(), (None, 2, 3));
        assert_eq!(shape("(2, 3, 1)", 6).unwrap(), (None, 2, 3));
        assert_eq!(shape("(4, 2, 3)", 24).unwrap(), (Some(4), 2, 3));
        assert_eq!(shape("(4, 1, 2, 3)", 24).unwrap(), (Some(4), 2, 3));
        assert_eq!(shape("(1, 5)", 5).unwrap(), (None, 1, 5));
        for (text, n) in
            [("(2, 3, 4, 5)", 120), ("(6,)", 6), ("()", 1), ("(0, 2)", 0), ("(-1, 2)", 2)]
        {
            assert!(matches!(shape(text, n), Err(MapError::Npy { .. })), "{text}");
        }
        assert!(shape("(2, 3)", 5).unwrap_err().to_string().contains("5 bytes of numbers"));
        assert!(shape("(100, 100)", 10_000).unwrap_err().to_string().contains("10000 pixels"));
        assert!(shape("(4294967295, 4294967295, 4294967295)", 9).is_err());
    }

    #[test]
    fn every_number_becomes_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let cases: [(&str, Vec<u8>, f32); 12] = [
            ("|b1", vec![1], 1.0),
            ("|u1", vec![200], 200.0),
            ("|i1", (-5_i8).to_le_bytes().into(), -5.0),
            ("<u2", 40_000_u16.to_le_bytes().into(), 40_000.0),
            ("<i2", (-300_i16).to_le_bytes().into(), -300.0),
            ("<u4", 70_000_u32.to_le_bytes().into(), 70_000.0),
            ("<i4", (-70_000_i32).to_le_bytes().into(), -70_000.0),
            ("<u8", 9_u64.to_le_bytes().into(), 9.0),
            ("<i8", (-9_i64).to_le_bytes().into(), -9.0),
            ("<f2", half::f16::from_f32(0.25).to_le_bytes().into(), 0.25),
            ("<f4", 0.1_f32.to_le_bytes().into(), 0.1),
            ("<f8", 0.1_f64.to_le_bytes().into(), 0.1),
        ];
        for (descr, data, value) in cases {
            let header =
                format!("{{\"descr\": \"{descr}\", 'fortran_order': False, 'shape': (1, 1)}}");
            std::fs::write(&path, npy(&header, &data)).unwrap();
            let map = NpyFile::open(&path, 10).unwrap().read(0).unwrap();
            assert_eq!(map.values, [value], "{descr}");
        }
    }

    #[test]
    fn pictures_of_a_stack_are_read_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 1, 2), }\n";
        let data: Vec<u8> = (0_u16..6).flat_map(u16::to_le_bytes).collect();
        std::fs::write(&path, npy(header, &data)).unwrap();
        let file = NpyFile::open(&path, 10).unwrap();
        assert_eq!(file.n_stacked, Some(3));
        assert_eq!(file.read(2).unwrap().values, [4.0, 5.0]);
        assert_eq!(file.read(0).unwrap().values, [0.0, 1.0]);
    }

    #[test]
    fn what_is_no_array_of_numbers_is_refused() {
        let whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }\n", &[0; 4]);
        assert!(open(&whole).is_ok());
        for end in 0..whole.len() {
            assert!(open(&whole[..end]).is_err(), "{end} bytes");
        }
        for header in [
            "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }",
            "{'descr': '>f4', 'fortran_order': False, 'shape': (1, 1), }",
            "{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }",
            "{'descr': '<c8', 'fortran_order': False, 'shape': (1, 1), }",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1), }",
            "{'fortran_order': False, 'shape': (1, 1), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
        ] {
            let error = open(&npy(header, &[0; 4])).unwrap_err();
            assert!(matches!(error, MapError::Npy { .. }), "{header}: {error}");
        }
    }
}
