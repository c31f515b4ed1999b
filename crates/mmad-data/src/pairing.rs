//! Which mask belongs to which picture: by name, never by position in a list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::listing::{list, stem};

/// What a mask's name may add to its picture's name.
const MASK_SUFFIX: &str = "_mask";

/// The masks of one folder, each handed out once.
#[derive(Debug, Default)]
pub(crate) struct MaskFolder {
    by_stem: BTreeMap<String, Vec<PathBuf>>,
}

impl MaskFolder {
    /// Reads the masks of a folder; a missing folder has no masks.
    pub(crate) fn read(path: &Path) -> Result<Self, DataError> {
        if path.is_dir() { Ok(Self::from_files(list(path)?.pictures)) } else { Ok(Self::default()) }
    }

    /// Takes these files for masks.
    pub(crate) fn from_files(files: Vec<PathBuf>) -> Self {
        let mut by_stem = BTreeMap::<String, Vec<PathBuf>>::new();
        for file in files {
            by_stem.entry(stem(&file)).or_default().push(file);
        }
        Self { by_stem }
    }

    /// The mask of `picture`: `<stem>_mask.*`, else `<stem>.*`.
    pub(crate) fn take(&mut self, picture: &Path) -> Option<PathBuf> {
        let stem = stem(picture);
        let named = format!("{stem}{MASK_SUFFIX}");
        let key = [named, stem].into_iter().find(|key| self.by_stem.contains_key(key))?;
        let files = self.by_stem.get_mut(&key)?;
        let file = files.remove(0);
        if files.is_empty() {
            self.by_stem.remove(&key);
        }
        Some(file)
    }

    /// The masks nobody asked for, sorted.
    pub(crate) fn left_over(self) -> Vec<PathBuf> {
        self.by_stem.into_values().flatten().collect()
    }
}

/// Whether the names of a picture and a mask belong together.
pub(crate) fn names_match(picture: &Path, mask: &Path) -> bool {
    let (picture, mask) = (stem(picture), stem(mask));
    mask == picture || mask.strip_suffix(MASK_SUFFIX) == Some(&picture)
}

/// Splits the pictures of a folder into pictures and the masks that lie beside them: a file
/// `<stem>_mask.*` is a mask when a picture `<stem>.*` is there.
pub(crate) fn split_beside(files: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let stems: std::collections::BTreeSet<String> = files.iter().map(|file| stem(file)).collect();
    files.into_iter().partition(|file| {
        !stem(file).strip_suffix(MASK_SUFFIX).is_some_and(|picture| stems.contains(picture))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    /// With one mask lost, pairing by position would shift all that follow.
    #[test]
    fn a_lost_mask_shifts_nothing() {
        let mut masks = MaskFolder::from_files(paths(&["000_mask.png", "002_mask.png"]));
        assert_eq!(masks.take(Path::new("000.jpg")), Some("000_mask.png".into()));
        assert_eq!(masks.take(Path::new("001.jpg")), None);
        assert_eq!(masks.take(Path::new("002.jpg")), Some("002_mask.png".into()));
        assert!(masks.left_over().is_empty());
    }

    #[test]
    fn what_nobody_takes_is_left_over() {
        let mut masks = MaskFolder::from_files(paths(&["a.png", "b.png"]));
        assert_eq!(masks.take(Path::new("x/b.bmp")), Some("b.png".into()));
        assert_eq!(masks.left_over(), paths(&["a.png"]));
    }

    #[test]
    fn masks_beside_pictures_need_their_picture() {
        let files = paths(&["a.png", "a_mask.png", "b_mask.png"]);
        let (pictures, masks) = split_beside(files);
        assert_eq!(pictures, paths(&["a.png", "b_mask.png"]));
        assert_eq!(masks, paths(&["a_mask.png"]));
    }

    #[test]
    fn names_decide() {
        assert!(names_match(Path::new("a/000.JPG"), Path::new("b/000.png")));
        assert!(names_match(Path::new("a/000.png"), Path::new("b/000_mask.png")));
        assert!(!names_match(Path::new("a/000.png"), Path::new("b/001_mask.png")));
    }
}
