//! A fingerprint of a data set that takes milliseconds.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::Dataset;
use crate::listing::relative;

impl Dataset {
    /// SHA-256, as 64 hexadecimal digits, over name, file size, class, split, defect and mask of
    /// every sample in order.
    ///
    /// It tells two data sets, or two ways of splitting one, apart. It does not read the pictures,
    /// so a picture replaced by another of the same name and length goes unseen. A picture that
    /// is not there counts with a size of its own.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"mmad dataset 1\0");
        for sample in &self.samples {
            let size = std::fs::metadata(&sample.path).map_or(u64::MAX, |m| m.len());
            let mask = sample.mask.as_ref().map(|mask| relative(&self.root, mask));
            let defect = sample.defect.as_deref().unwrap_or("");
            let labels = [
                &*sample.name,
                &*sample.class,
                sample.split.name(),
                defect,
                &*mask.unwrap_or_default(),
            ];
            for label in labels {
                hash.update(label.as_bytes());
                hash.update([0]);
            }
            hash.update(size.to_le_bytes());
        }
        hex(&hash.finalize())
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Dataset) {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let dataset = Dataset::open(root.path()).unwrap();
        (root, dataset)
    }

    #[test]
    fn the_digest_follows_names_sizes_and_labels_but_not_the_root() {
        let base = [("a/good/0.png", "xx"), ("a/good/1.png", "xx")];
        let digest = tree(&base).1.digest();
        assert_eq!(digest.len(), 64);
        // `tree` drops its folder, so sizes only count while the folder is there.
        let (_keep, here) = tree(&base);
        let (_keep, there) = tree(&base);
        assert_eq!(here.digest(), there.digest());
        let others: [&[(&str, &str)]; 3] = [
            &[("a/good/0.png", "xx"), ("a/good/1.png", "xxx")],
            &[("a/good/0.png", "xx"), ("a/good/2.png", "xx")],
            &[("b/good/0.png", "xx"), ("b/good/1.png", "xx")],
        ];
        for other in others {
            let (_keep, other) = tree(other);
            assert_ne!(here.digest(), other.digest());
        }
    }
}
