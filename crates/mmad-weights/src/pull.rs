//! Downloading published weights. The only code here that may touch the network.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::config::Config;

use crate::error::hex;
use crate::whole_file::temporary_beside;
use crate::{Comparison, Error, Imported, KnownWeights, StateDict, WeightCache};

/// More than three times the largest known file.
const MAX_DOWNLOAD_BYTES: u64 = 1 << 30;

/// How to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOptions<'a> {
    /// A folder on another server that holds the files under their published names, for example a
    /// mirror inside a factory; `None` for the published address.
    pub base_url: Option<&'a str>,
    /// How long the server may stay silent before the download is given up.
    pub patience: Duration,
    /// Whether the proxy in the environment (`HTTPS_PROXY` and the like) is used.
    pub use_proxy: bool,
}

impl Default for PullOptions<'_> {
    fn default() -> Self {
        Self { base_url: None, patience: Duration::from_secs(30), use_proxy: true }
    }
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes received so far.
    pub n_received: u64,
    /// Bytes in all, when the server said so.
    pub n_bytes: Option<u64>,
}

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The server could not be reached, or the connection broke.
    #[error("{reason}")]
    Connection {
        /// What happened.
        reason: String,
    },
    /// The server answered, but not with the file.
    #[error("the server answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The server stopped sending.
    #[error("the server was silent for {} s after {n_received} bytes", patience.as_secs_f32())]
    Stalled {
        /// How long it was silent.
        patience: Duration,
        /// Bytes received until then.
        n_received: u64,
    },
    /// The connection ended early.
    #[error("the connection ended after {n_received} of {n_bytes} bytes")]
    Truncated {
        /// Bytes received.
        n_received: u64,
        /// Bytes announced.
        n_bytes: u64,
    },
    /// The file is larger than any known weights.
    #[error("the file has more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The file is whole and is not the published one.
    #[error("the file has the SHA-256 {found}, expected one that begins with {expected}")]
    WrongDigest {
        /// First digits of the right digest.
        expected: &'static str,
        /// Digest of the file.
        found: String,
    },
}

impl PullError {
    pub(crate) fn hint(&self, url: &str) -> String {
        let by_hand = format!(
            "fetch {url} on another machine, bring the file here and run `mmad weights import FILE`"
        );
        match self {
            Self::Connection { .. } => format!("check the network; or {by_hand}"),
            Self::Status { .. } => format!("check the address of the mirror; or {by_hand}"),
            Self::Stalled { .. } | Self::Truncated { .. } => format!("try again; or {by_hand}"),
            Self::TooLarge { .. } | Self::WrongDigest { .. } => format!(
                "nothing was kept; the address serves another file: a login page, a broken mirror \
                 or a tampered copy; {by_hand}"
            ),
        }
    }
}

/// Downloads the published weights `id`, checks size and SHA-256, and imports them.
///
/// `imported_on` and `expect` are those of [`WeightCache::import`]. The file lies under a temporary
/// name in the cache folder until it has been checked, and is deleted afterwards.
///
/// # Errors
///
/// [`Error::UnknownId`], [`Error::Pull`], [`Error::Io`], and those of [`WeightCache::import`].
pub fn pull(
    cache: &WeightCache,
    id: &str,
    options: &PullOptions<'_>,
    imported_on: &str,
    expect: impl FnOnce(&str, &StateDict) -> Comparison,
    progress: impl FnMut(Progress),
) -> Result<Imported, Error> {
    let known = KnownWeights::by_id(id).ok_or_else(|| Error::UnknownId { id: id.to_owned() })?;
    pull_known(cache, known, options, imported_on, expect, progress)
}

fn pull_known(
    cache: &WeightCache,
    known: &KnownWeights,
    options: &PullOptions<'_>,
    imported_on: &str,
    expect: impl FnOnce(&str, &StateDict) -> Comparison,
    mut progress: impl FnMut(Progress),
) -> Result<Imported, Error> {
    let url = match options.base_url {
        Some(base) => format!("{}/{}", base.trim_end_matches('/'), known.file_name),
        None => known.url.to_owned(),
    };
    std::fs::create_dir_all(cache.root())
        .map_err(|reason| Error::io("create", cache.root(), reason))?;
    let place = cache.root().join(known.file_name);
    let mut file =
        temporary_beside(&place).map_err(|reason| Error::io("create", &place, reason))?;
    let found = download(&url, options, file.as_file_mut(), &place, &mut progress)?;
    if !known.is_sha256(&found) {
        let reason = PullError::WrongDigest { expected: known.sha256_prefix, found };
        return Err(Error::Pull { url, reason });
    }
    cache.import_as(file.path(), known.file_name, Some(known.id), imported_on, expect)
}

/// Writes what `url` serves to `file`; returns its SHA-256.
fn download(
    url: &str,
    options: &PullOptions<'_>,
    file: &mut impl Write,
    place: &Path,
    progress: &mut impl FnMut(Progress),
) -> Result<String, Error> {
    let failed = |reason| Error::Pull { url: url.to_owned(), reason };
    let patience = options.patience;
    let response = agent(url, options).get(url).call();
    let mut body =
        response.map_err(|error| failed(classify(error, patience, 0, None)))?.into_body();
    let n_bytes = body.content_length();
    if n_bytes.is_some_and(|n| n > MAX_DOWNLOAD_BYTES) {
        return Err(failed(PullError::TooLarge { limit_bytes: MAX_DOWNLOAD_BYTES }));
    }

    let mut reader = body.as_reader();
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    let mut n_received = 0;
    loop {
        progress(Progress { n_received, n_bytes });
        let n = match reader.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(failed(classify(error.into(), patience, n_received, n_bytes)));
            }
        };
        n_received += n as u64;
        if n_received > MAX_DOWNLOAD_BYTES {
            return Err(failed(PullError::TooLarge { limit_bytes: MAX_DOWNLOAD_BYTES }));
        }
        hasher.update(&block[..n]);
        file.write_all(&block[..n]).map_err(|reason| Error::io("write", place, reason))?;
    }
    match n_bytes {
        Some(n_bytes) if n_bytes != n_received => {
            Err(failed(PullError::Truncated { n_received, n_bytes }))
        }
        _ => Ok(hex(&hasher.finalize())),
    }
}

fn agent(url: &str, options: &PullOptions<'_>) -> Agent {
    let mut config = Config::builder()
        // A redirect must not lead from an encrypted address to an open one.
        .https_only(url.starts_with("https://"))
        .max_redirects(5)
        .user_agent(concat!("mmad/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(Some(options.patience))
        .timeout_connect(Some(options.patience))
        .timeout_recv_response(Some(options.patience))
        // Per read, so a slow line may take as long as it needs.
        .timeout_per_read(Some(options.patience));
    if !options.use_proxy {
        config = config.proxy(None);
    }
    config.build().into()
}

fn classify(
    error: ureq::Error,
    patience: Duration,
    n_received: u64,
    n_bytes: Option<u64>,
) -> PullError {
    match (error, n_bytes) {
        (ureq::Error::StatusCode(status), _) => PullError::Status { status },
        (ureq::Error::Timeout(_), _) => PullError::Stalled { patience, n_received },
        (ureq::Error::Io(error), _) if error.kind() == io::ErrorKind::TimedOut => {
            PullError::Stalled { patience, n_received }
        }
        (ureq::Error::Io(error), Some(n_bytes)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            PullError::Truncated { n_received, n_bytes }
        }
        (error, _) => PullError::Connection { reason: error.to_string() },
    }
}

#[cfg(test)]
#[path = "pull/tests.rs"]
mod tests;
