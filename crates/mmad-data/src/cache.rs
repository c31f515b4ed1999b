//! Resized pictures kept on disk, so that the second epoch does not decode again.
//!
//! One file holds the pictures of one list of samples at one size. Its name carries a key made of
//! everything that decides its content, so it is never used for anything else; each record has a
//! checksum, so a damaged one is decoded again from its source. The file appears whole or not at
//! all.
//!
//! ```text
//! header   "mmad-cache 1\n" + three zero bytes, key (32), number of records (u64)
//! record   checksum (8), height (u64), width (u64), values cut off (u64), pixels [h, w, 3]
//! ```
//! A record without a picture (its source could not be read) is all zeros. Numbers are little
//! endian.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::dataset::{Sample, hex};
use crate::decode::DecodeOptions;
use crate::error::DataError;
use crate::loader::{Loader, LoaderOptions, Resized};
use crate::preprocess::Preprocess;

const MAGIC: &[u8; 16] = b"mmad-cache 1\n\0\0\0";
const HEADER_LEN: u64 = 16 + 32 + 8;
const RECORD_HEAD_LEN: usize = 32;
const FILE_ENDING: &str = ".mmad-cache";

/// Where a cache lies and how large it may grow.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// The folder; it is made when it is missing.
    pub folder: PathBuf,
    /// Bytes that all caches in the folder may take together. Older ones make room.
    pub max_bytes: u64,
}

/// Resized pictures of a list of samples.
#[derive(Debug)]
pub struct PictureCache {
    file: Mutex<File>,
    places: HashMap<String, u64>,
    size: (usize, usize),
    was_built: bool,
}

impl PictureCache {
    /// Opens the cache for these samples, or decodes all of them and writes it.
    ///
    /// The key covers name, length and time of change of every picture, the size, and the decode
    /// options. A cache that does not fit its key, or has another length, is written again.
    /// `threads` is as in [`LoaderOptions`].
    ///
    /// # Errors
    ///
    /// [`DataError::CacheTooLarge`] before anything is written, [`DataError::Io`] when the folder
    /// cannot be written. A picture that cannot be read is no error here; the loader tells it.
    pub fn open(
        options: &CacheOptions,
        samples: &[Sample],
        preprocess: &Preprocess,
        decode: &DecodeOptions,
        threads: Option<usize>,
    ) -> Result<Self, DataError> {
        let size = (preprocess.height(), preprocess.width());
        let needed = file_len(samples.len(), size);
        if needed > options.max_bytes {
            return Err(DataError::CacheTooLarge { needed, limit: options.max_bytes });
        }
        std::fs::create_dir_all(&options.folder).map_err(DataError::io(&options.folder))?;
        let key = key(samples, size, decode);
        let path = options.folder.join(format!("{}{FILE_ENDING}", &hex(&key)[..32]));
        let was_built = !is_whole(&path, &key, samples.len(), size);
        if was_built {
            make_room(options, &path, needed)?;
            let loader_options =
                LoaderOptions { threads, decode: *decode, ..LoaderOptions::default() };
            let loader = Loader::new(samples.to_vec(), *preprocess, loader_options)?;
            write(&options.folder, &path, &key, loader, size)?;
        }
        let file = File::open(&path).map_err(DataError::io(&path))?;
        let record_len = record_len(size);
        let places = samples
            .iter()
            .enumerate()
            .map(|(i, sample)| (sample.name.clone(), HEADER_LEN + i as u64 * record_len))
            .collect();
        Ok(Self { file: Mutex::new(file), places, size, was_built })
    }

    /// Whether the pictures had to be decoded, for lack of a whole cache with this key.
    pub fn was_built(&self) -> bool {
        self.was_built
    }

    /// The picture of a sample, unless its source or its record is damaged, or it is not a sample
    /// of this cache.
    pub(crate) fn read(&self, name: &str) -> Option<Resized> {
        let place = *self.places.get(name)?;
        let mut record = vec![0; record_len(self.size) as usize];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(place)).ok()?;
            file.read_exact(&mut record).ok()?;
        }
        let (stored, content) = record.split_first_chunk::<8>()?;
        if *stored != checksum(content) {
            return None;
        }
        let number = |i: usize| content[i * 8..].first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
        Some(Resized {
            picture_height: number(0)? as usize,
            picture_width: number(1)? as usize,
            n_outside: number(2)?,
            rgb: content[RECORD_HEAD_LEN - 8..].to_vec(),
        })
    }
}

fn record_len((height, width): (usize, usize)) -> u64 {
    (RECORD_HEAD_LEN + height * width * 3) as u64
}

fn file_len(n_samples: usize, size: (usize, usize)) -> u64 {
    HEADER_LEN + n_samples as u64 * record_len(size)
}

fn key(samples: &[Sample], (height, width): (usize, usize), decode: &DecodeOptions) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(MAGIC);
    hash.update(format!("{height} {width} {} {}\0", decode.bit_range, decode.max_pixels));
    for sample in samples {
        let metadata = std::fs::metadata(&sample.path).ok();
        let changed = metadata.as_ref().and_then(|m| m.modified().ok());
        let changed_ns = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        hash.update(sample.path.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(metadata.map_or(u64::MAX, |m| m.len()).to_le_bytes());
        hash.update(changed_ns.map_or(0, |time| time.as_nanos()).to_le_bytes());
    }
    hash.finalize().into()
}

fn checksum(content: &[u8]) -> [u8; 8] {
    let digest: [u8; 32] = Sha256::digest(content).into();
    digest[..8].try_into().unwrap_or_default()
}

fn header(key: &[u8; 32], n_samples: usize) -> Vec<u8> {
    [&MAGIC[..], key, &(n_samples as u64).to_le_bytes()].concat()
}

fn is_whole(path: &Path, key: &[u8; 32], n_samples: usize, size: (usize, usize)) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut found = vec![0; HEADER_LEN as usize];
    file.metadata().is_ok_and(|m| m.len() == file_len(n_samples, size))
        && file.read_exact(&mut found).is_ok()
        && found == header(key, n_samples)
}

fn write(
    folder: &Path,
    path: &Path,
    key: &[u8; 32],
    loader: Loader,
    size: (usize, usize),
) -> Result<(), DataError> {
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(DataError::io(folder))?;
    let mut out = BufWriter::new(temporary);
    let missing = vec![0; record_len(size) as usize];
    out.write_all(&header(key, loader.len())).map_err(DataError::io(path))?;
    for item in loader {
        match item {
            Ok(loaded) => {
                let mut content = Vec::with_capacity(missing.len() - 8);
                let sides = [loaded.picture_height as u64, loaded.picture_width as u64];
                for number in [sides[0], sides[1], loaded.n_outside] {
                    content.extend(number.to_le_bytes());
                }
                content.extend(&loaded.rgb);
                out.write_all(&checksum(&content)).map_err(DataError::io(path))?;
                out.write_all(&content).map_err(DataError::io(path))?;
            }
            Err(_) => out.write_all(&missing).map_err(DataError::io(path))?,
        }
    }
    let temporary = out.into_inner().map_err(|e| DataError::io(path)(e.into_error()))?;
    temporary.as_file().sync_all().map_err(DataError::io(path))?;
    temporary.persist(path).map_err(|error| DataError::io(path)(error.error))?;
    Ok(())
}

/// Removes the oldest caches until `needed` bytes fit beside the rest.
fn make_room(options: &CacheOptions, path: &Path, needed: u64) -> Result<(), DataError> {
    let mut others = Vec::new();
    for entry in std::fs::read_dir(&options.folder).map_err(DataError::io(&options.folder))? {
        let entry = entry.map_err(DataError::io(&options.folder))?;
        let is_cache = entry.file_name().to_string_lossy().ends_with(FILE_ENDING);
        if is_cache && entry.path() != path {
            let metadata = entry.metadata().map_err(DataError::io(&entry.path()))?;
            let changed = metadata.modified().unwrap_or(UNIX_EPOCH);
            others.push((changed, entry.path(), metadata.len()));
        }
    }
    others.sort();
    let mut taken: u64 = others.iter().map(|(.., len)| len).sum();
    for (_, old, len) in others {
        if taken + needed <= options.max_bytes {
            break;
        }
        std::fs::remove_file(&old).map_err(DataError::io(&old))?;
        taken -= len;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Setup {
        root: tempfile::TempDir,
        samples: Vec<Sample>,
        preprocess: Preprocess,
    }

    impl Setup {
        /// Three pictures, the last of them broken.
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let mut samples = Vec::new();
            for i in 0..3_u8 {
                let name = format!("{i}.png");
                let path = root.path().join(&name);
                let colour = image::Rgb([i * 40, 7, 200]);
                image::RgbImage::from_pixel(9, 5, colour).save(&path).unwrap();
                samples.push(Sample { path, ..Sample::good(&name, "c") });
            }
            std::fs::write(&samples[2].path, "broken").unwrap();
            Self { root, samples, preprocess: Preprocess::imagenet(3, 4).unwrap() }
        }

        fn options(&self, max_bytes: u64) -> CacheOptions {
            CacheOptions { folder: self.root.path().join("cache"), max_bytes }
        }

        fn open(&self) -> PictureCache {
            self.open_at_most(1_000_000).unwrap()
        }

        fn open_at_most(&self, max_bytes: u64) -> Result<PictureCache, DataError> {
            let decode = DecodeOptions::default();
            let options = self.options(max_bytes);
            PictureCache::open(&options, &self.samples, &self.preprocess, &decode, Some(2))
        }

        fn files(&self) -> Vec<PathBuf> {
            let folder = std::fs::read_dir(self.root.path().join("cache")).unwrap();
            folder.map(|entry| entry.unwrap().path()).collect()
        }

        fn load(&self, cache: Option<Arc<PictureCache>>) -> Vec<Result<Vec<f32>, String>> {
            let options = LoaderOptions { cache, ..LoaderOptions::default() };
            Loader::new(self.samples.clone(), self.preprocess, options)
                .unwrap()
                .map(|item| item.map(|loaded| loaded.pixels).map_err(|error| error.to_string()))
                .collect()
        }
    }

    #[test]
    fn a_cached_picture_is_the_picture_and_a_broken_one_keeps_its_error() {
        let setup = Setup::new();
        let cache = setup.open();
        assert!(cache.was_built());
        let resized = cache.read("1.png").unwrap();
        assert_eq!(resized.rgb, [40, 7, 200].repeat(12));
        assert_eq!((resized.picture_height, resized.picture_width), (5, 9));
        assert_eq!(cache.read("2.png"), None);
        assert_eq!(setup.load(None), setup.load(Some(Arc::new(cache))));
        assert!(!setup.open().was_built());
    }

    #[test]
    fn a_damaged_record_is_not_used_and_a_cut_file_is_written_again() {
        let setup = Setup::new();
        setup.open();
        let path = setup.files().remove(0);
        let mut bytes = std::fs::read(&path).unwrap();
        let last_of_first = HEADER_LEN as usize + record_len((3, 4)) as usize - 1;
        bytes[last_of_first] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let cache = setup.open();
        assert!(!cache.was_built());
        assert_eq!(cache.read("0.png"), None);
        assert!(cache.read("1.png").is_some());
        assert_eq!(setup.load(None), setup.load(Some(Arc::new(cache))));

        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let cache = setup.open();
        assert!(cache.was_built());
        assert!(cache.read("0.png").is_some());
    }

    #[test]
    fn a_changed_picture_has_another_cache() {
        let setup = Setup::new();
        setup.open();
        image::RgbImage::new(30, 30).save(&setup.samples[0].path).unwrap();
        assert!(setup.open().was_built());
        assert_eq!(setup.files().len(), 2);
    }

    #[test]
    fn old_caches_make_room_and_a_cache_too_large_is_refused() {
        let setup = Setup::new();
        let needed = file_len(3, (3, 4));
        setup.open_at_most(needed).unwrap();
        image::RgbImage::new(30, 30).save(&setup.samples[0].path).unwrap();
        assert!(setup.open_at_most(needed).unwrap().was_built());
        assert_eq!(setup.files().len(), 1);
        let error = setup.open_at_most(needed - 1).unwrap_err();
        assert!(matches!(error, DataError::CacheTooLarge { .. }), "{error}");
    }
}
