//! The folder of converted weights: import once, find by id, trust the content.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::hex;
use crate::read::{Tensors, parse, read, read_whole};
use crate::safetensors_file::{Precision, read_metadata, write_safetensors};
use crate::{Comparison, Error, KnownWeights, StateDict};

/// Metadata keys of cached files.
pub mod metadata_key {
    /// Id in the cache.
    pub const ID: &str = "mmad.weights.id";
    /// Name of the original file.
    pub const ORIGIN: &str = "mmad.weights.origin";
    /// SHA-256 of the original file.
    pub const ORIGIN_SHA256: &str = "mmad.weights.origin_sha256";
    /// Digest of names, shapes and values, see [`StateDict::sha256`](crate::StateDict::sha256).
    pub const CONTENT_SHA256: &str = "mmad.weights.content_sha256";
    /// When the file was imported, as the caller wrote it.
    pub const IMPORTED_ON: &str = "mmad.weights.imported_on";
    /// Origin and licence of published weights.
    pub const NOTE: &str = "mmad.weights.note";
}

/// Extension of cached files.
const EXTENSION: &str = "safetensors";

/// A folder of weights, each in a safetensors file `ID.safetensors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightCache {
    root: PathBuf,
}

/// One file of a cache.
#[derive(Debug)]
pub struct CacheEntry {
    /// Id of the weights.
    pub id: String,
    /// The file.
    pub path: PathBuf,
    /// Size of the file.
    pub n_bytes: u64,
    /// What the file says about its origin, under the keys of [`metadata_key`]; an error when it
    /// cannot be read.
    pub metadata: Result<BTreeMap<String, String>, Error>,
}

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// Id of the weights in the cache.
    pub id: String,
    /// The cached file.
    pub path: PathBuf,
    /// SHA-256 of the original file.
    pub origin_sha256: String,
    /// The published weights that the digest identifies, if any.
    pub known: Option<&'static KnownWeights>,
    /// True when the cache already held the same content.
    pub was_cached: bool,
    /// Number of tensors.
    pub n_tensors: usize,
    /// Number of elements of all tensors.
    pub n_elements: usize,
}

impl WeightCache {
    /// The cache in `root`, which is created by the first import.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The user's cache: `$MMAD_CACHE/weights`, or `mmad/weights` in the platform's cache folder.
    ///
    /// # Errors
    ///
    /// [`Error::NoCacheFolder`] when neither is there.
    pub fn of_user() -> Result<Self, Error> {
        Self::choose(std::env::var_os("MMAD_CACHE"), dirs::cache_dir())
    }

    fn choose(variable: Option<OsString>, platform: Option<PathBuf>) -> Result<Self, Error> {
        let folder = match variable.filter(|value| !value.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => platform.ok_or(Error::NoCacheFolder)?.join("mmad"),
        };
        Ok(Self::at(folder.join("weights")))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Reads a weight file, checks it, and stores it as safetensors with its origin.
    ///
    /// Without `id`, published weights get their known id and others the name of their file without
    /// its extension. `imported_on` is noted as it is. `expect` sees the id and the tensors, and
    /// answers with the comparison to the model they are for; extra tensors are kept.
    ///
    /// The same content may be imported again; the cached file then stays as it is.
    ///
    /// # Errors
    ///
    /// Those of [`read`](crate::read()); [`Error::WrongDigest`] when the file name or the id is that
    /// of published weights and the bytes are not; [`Error::NotFinite`]; [`Error::Mismatch`] when
    /// `expect` finds something missing; [`Error::BadId`]; [`Error::IdTaken`]; [`Error::Io`].
    pub fn import(
        &self,
        file: &Path,
        id: Option<&str>,
        imported_on: &str,
        expect: impl FnOnce(&str, &StateDict) -> Comparison,
    ) -> Result<Imported, Error> {
        let origin = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.import_as(file, &origin, id, imported_on, expect)
    }

    /// [`WeightCache::import`] of a file that was called `origin` where it came from.
    pub(crate) fn import_as(
        &self,
        file: &Path,
        origin: &str,
        id: Option<&str>,
        imported_on: &str,
        expect: impl FnOnce(&str, &StateDict) -> Comparison,
    ) -> Result<Imported, Error> {
        let bytes = read_whole(file)?;
        let origin_sha256 = hex(&Sha256::digest(&bytes));
        let known = KnownWeights::by_sha256(&origin_sha256);
        let id = id.or(known.map(|known| known.id)).map_or_else(|| id_from(origin), str::to_owned);
        if !is_valid_id(&id) {
            return Err(Error::BadId { id });
        }
        for (claim, promised) in
            [(origin, KnownWeights::by_file_name(origin)), (&id, KnownWeights::by_id(&id))]
        {
            if let Some(promised) = promised
                && !promised.is_sha256(&origin_sha256)
            {
                return Err(Error::WrongDigest {
                    path: file.to_owned(),
                    claim: claim.to_owned(),
                    expected: promised.sha256_prefix.to_owned(),
                    found: origin_sha256,
                });
            }
        }

        let tensors = parse(&bytes, file, Tensors::Model)?;
        drop(bytes);
        if let Some((tensor, position)) = tensors.first_non_finite() {
            let tensor = tensor.to_owned();
            return Err(Error::NotFinite { path: file.to_owned(), tensor, position });
        }
        let comparison = expect(&id, &tensors);
        if !comparison.fits() {
            let comparison = Box::new(comparison);
            return Err(Error::Mismatch { path: file.to_owned(), comparison });
        }

        let path = self.path_of(&id);
        let content_sha256 = tensors.sha256();
        let was_cached = match self.find(&id) {
            Err(Error::NotInCache { .. }) => false,
            // An entry that cannot be read is no reason to refuse a good one.
            Ok(entry) if entry.content_sha256().is_none() => false,
            Ok(entry) if entry.content_sha256() == Some(&content_sha256) => {
                load_checked(&entry).is_ok()
            }
            Ok(_) => return Err(Error::IdTaken { id, path }),
            Err(error) => return Err(error),
        };
        if !was_cached {
            fs::create_dir_all(&self.root)
                .map_err(|reason| Error::io("create", &self.root, reason))?;
            let mut metadata = BTreeMap::from([
                (metadata_key::ID.to_owned(), id.clone()),
                (metadata_key::ORIGIN.to_owned(), origin.to_owned()),
                (metadata_key::ORIGIN_SHA256.to_owned(), origin_sha256.clone()),
                (metadata_key::CONTENT_SHA256.to_owned(), content_sha256),
                (metadata_key::IMPORTED_ON.to_owned(), imported_on.to_owned()),
            ]);
            if let Some(known) = known {
                metadata.insert(metadata_key::NOTE.to_owned(), known.note.to_owned());
            }
            write_safetensors(&path, &tensors, &metadata, Precision::Full)?;
        }
        Ok(Imported {
            id,
            path,
            origin_sha256,
            known,
            was_cached,
            n_tensors: tensors.len(),
            n_elements: tensors.n_elements(),
        })
    }

    /// All entries in id order. A cache that does not exist yet is empty.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the folder cannot be read. A single unreadable file is an entry with an
    /// error as its metadata.
    pub fn list(&self) -> Result<Vec<CacheEntry>, Error> {
        let io = |reason| Error::io("read", &self.root, reason);
        let files = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(io)?,
        };
        let mut ids = Vec::new();
        for file in files {
            let name = file.map_err(io)?.file_name().into_string().unwrap_or_default();
            if let Some(id) = name.strip_suffix(EXTENSION).and_then(|id| id.strip_suffix('.'))
                && is_valid_id(id)
            {
                ids.push(id.to_owned());
            }
        }
        ids.sort();
        ids.iter().map(|id| self.find(id)).collect()
    }

    /// The entry of this id.
    ///
    /// # Errors
    ///
    /// [`Error::BadId`], [`Error::NotInCache`], or [`Error::Io`].
    pub fn find(&self, id: &str) -> Result<CacheEntry, Error> {
        if !is_valid_id(id) {
            return Err(Error::BadId { id: id.to_owned() });
        }
        let path = self.path_of(id);
        match fs::metadata(&path) {
            Ok(facts) => Ok(CacheEntry {
                id: id.to_owned(),
                n_bytes: facts.len(),
                metadata: read_metadata(&path),
                path,
            }),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => {
                Err(Error::NotInCache { id: id.to_owned(), root: self.root.clone() })
            }
            Err(reason) => Err(Error::io("read", &path, reason)),
        }
    }

    /// The tensors of this id, checked against the digest that was noted when they were imported.
    ///
    /// # Errors
    ///
    /// Those of [`WeightCache::find`] and [`read`](crate::read()), and [`Error::Altered`].
    pub fn load(&self, id: &str) -> Result<StateDict, Error> {
        load_checked(&self.find(id)?)
    }

    /// Deletes the entry of this id.
    ///
    /// # Errors
    ///
    /// Those of [`WeightCache::find`], and [`Error::Io`] when the file cannot be deleted.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let path = self.find(id)?.path;
        fs::remove_file(&path).map_err(|reason| Error::io("delete", &path, reason))
    }

    fn path_of(&self, id: &str) -> PathBuf {
        self.root.join(format!("{id}.{EXTENSION}"))
    }
}

impl CacheEntry {
    fn content_sha256(&self) -> Option<&String> {
        self.metadata.as_ref().ok()?.get(metadata_key::CONTENT_SHA256)
    }
}

/// Ids become file names, so only harmless characters are allowed.
pub(crate) fn is_valid_id(id: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    id.len() <= 64
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !id.ends_with('.')
        && id.chars().all(is_plain)
}

fn load_checked(entry: &CacheEntry) -> Result<StateDict, Error> {
    let tensors = read(&entry.path)?;
    let found = tensors.sha256();
    match entry.content_sha256() {
        Some(expected) if *expected == found => Ok(tensors),
        expected => Err(Error::Altered {
            path: entry.path.clone(),
            expected: expected.cloned().unwrap_or_else(|| "none on record".to_owned()),
            found,
        }),
    }
}

/// The file name without its last extension.
fn id_from(file_name: &str) -> String {
    file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem).to_owned()
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
