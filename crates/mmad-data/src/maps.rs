//! Anomaly maps of any tool with their masks: which belong together, and how they are read.
//!
//! ```text
//! MAPS/<class>/<defect>/000.npy   +   MASKS/<class>/<defect>/000_mask.png
//! MAPS/<class>.npy  [n, h, w]     +   MASKS/<class>.npy  [n, h, w]
//! ```
//!
//! Files pair by their paths below the two roots, without ending, without `_mask` and `_map`, and
//! without the folders `test` and `ground_truth`, so that the folders of MVTec AD and the maps that
//! its evaluation wants fit as they are. The class is the first folder; a root with a folder of good
//! pictures (`good`, `ok`, `normal`) is one class itself. A picture without a mask is good.

mod npy;
mod pairing;

use std::path::{Path, PathBuf};

use self::npy::NpyFile;
use crate::decode::{
    DecodeError, DecodeOptions, MapValues, Mask, decode_map_bytes, decode_mask_bytes, read_whole,
};
use crate::preprocess::Preprocess;

/// Maps with their masks, class by class.
#[derive(Debug)]
pub struct MapSet {
    /// The classes, sorted by name.
    pub classes: Vec<MapClass>,
    /// What had to be left out, and why.
    pub problems: Vec<String>,
    /// What is worth knowing, and changes nothing.
    pub notes: Vec<String>,
}

/// The maps of one class.
#[derive(Debug)]
pub struct MapClass {
    /// Its name.
    pub name: String,
    /// Its pictures, sorted by name.
    pub pairs: Vec<MapPair>,
}

/// A map and where its ground truth lies.
#[derive(Debug, Clone)]
pub struct MapPair {
    /// Path below the root, with the position in square brackets for a picture of a stack.
    pub name: String,
    map: MapFile,
    mask: Option<MapFile>,
}

/// A file, or one picture of a stack.
#[derive(Debug, Clone)]
enum MapFile {
    Picture(PathBuf),
    Npy(NpyFile, usize),
}

/// A map and its mask in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedMap {
    /// Width in pixels.
    pub width: usize,
    /// The map, `[height, width]`, all finite.
    pub map: Vec<f32>,
    /// 1 on a defect, else 0; nothing where there is no mask.
    pub mask: Option<Vec<u8>>,
}

/// Why maps could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// A root is missing, or one is a folder and the other is not.
    #[error("`{path}` is not a {expected}")]
    Root {
        /// What was given.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// A folder cannot be listed.
    #[error("cannot read `{path}`: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no map in the folder.
    #[error("there is no map in `{root}`")]
    NoMaps {
        /// The folder.
        root: PathBuf,
    },
    /// No mask fits any of the maps.
    #[error("no mask in `{masks}` has the name of a map in `{maps}` (looked for `{looked_for}`)")]
    NoMasks {
        /// The folder of the maps.
        maps: PathBuf,
        /// The folder of the masks.
        masks: PathBuf,
        /// The name of the first map, as masks may have it.
        looked_for: String,
    },
    /// Two stacks have different numbers of pictures, or a stack stands beside a picture.
    #[error("`{maps}` has {n_maps} pictures, but `{masks}` has {n_masks}")]
    StackLength {
        /// The maps.
        maps: PathBuf,
        /// How many.
        n_maps: usize,
        /// The masks.
        masks: PathBuf,
        /// How many.
        n_masks: usize,
    },
    /// A picture file could not be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A NumPy file could not be read.
    #[error("`{path}` is no NumPy array of pictures: {what}")]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A number of a map is NaN or infinite.
    #[error("map `{name}` holds `{value}` at row {row}, column {column}")]
    NotFinite {
        /// The map.
        name: String,
        /// Row of the first such pixel, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The value.
        value: f32,
    },
    /// Map and mask differ in size.
    #[error("map `{name}` is {width}x{height}, but its mask is {mask_width}x{mask_height}")]
    Size {
        /// The map.
        name: String,
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
        /// Width of the mask in pixels.
        mask_width: usize,
        /// Height of the mask in pixels.
        mask_height: usize,
    },
}

impl MapError {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Decode(error) => return error.hint(),
            Self::Root { .. } => "give two folders, or two .npy files",
            Self::Folder { .. } => "check that you may read it",
            Self::NoMaps { .. } => "maps are .npy files, and .png and .tif files with grey levels",
            Self::NoMasks { .. } => {
                "masks pair by their path and name, with or without `_mask` behind it"
            }
            Self::StackLength { .. } => {
                "give one mask for every map, in the same order, all zero where nothing is wrong"
            }
            Self::Npy { .. } => {
                "save it with `numpy.save` as float32, in C order, of shape [h, w] or [n, h, w]"
            }
            Self::NotFinite { .. } => "a model that returns such a value is broken",
            Self::Size { .. } => {
                "save maps at the size of the masks, or let `--resize-masks` bring the masks to \
                 that of the maps"
            }
        };
        Some(hint.to_owned())
    }
}

impl MapSet {
    /// Finds the maps and the masks below two folders, or in two files, and pairs them.
    ///
    /// # Errors
    ///
    /// A root that is missing or cannot be listed; not a single map; not a single mask that fits.
    /// What concerns one file is in [`problems`](Self::problems).
    pub fn open(maps: &Path, masks: &Path) -> Result<Self, MapError> {
        pairing::open(maps, masks)
    }
}

impl MapPair {
    /// Reads map and mask. A mask of another size is refused, or with `resize_masks` brought to the
    /// size of the map, where it marks what is above one half.
    ///
    /// # Errors
    ///
    /// [`MapError`] that names the file.
    pub fn read(&self, resize_masks: bool) -> Result<LoadedMap, MapError> {
        let MapValues { width, height, values } = self.map.values()?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(MapError::NotFinite {
                name: self.name.clone(),
                row: index / width,
                column: index % width,
                value: values[index],
            });
        }
        let Some(file) = &self.mask else {
            return Ok(LoadedMap { width, map: values, mask: None });
        };
        let mask = file.mask()?;
        let marked = if (mask.width, mask.height) == (width, height) {
            mask.marked.iter().map(|&mark| u8::from(mark > 0)).collect()
        } else if let Ok(resized) = Preprocess::imagenet(height, width)
            && resize_masks
        {
            resized.mask(&mask)
        } else {
            return Err(MapError::Size {
                name: self.name.clone(),
                width,
                height,
                mask_width: mask.width,
                mask_height: mask.height,
            });
        };
        Ok(LoadedMap { width, map: values, mask: Some(marked) })
    }
}

impl MapFile {
    fn values(&self) -> Result<MapValues, MapError> {
        match self {
            Self::Npy(file, index) => file.read(*index),
            Self::Picture(path) => {
                let bytes = read_whole(path)?;
                Ok(decode_map_bytes(path, &bytes, DecodeOptions::default().max_pixels)?)
            }
        }
    }

    fn mask(&self) -> Result<Mask, MapError> {
        match self {
            Self::Npy(file, index) => {
                let MapValues { width, height, values } = file.read(*index)?;
                let marked: Vec<u8> =
                    values.iter().map(|&value| if value > 0.0 { 255 } else { 0 }).collect();
                let n_marked = marked.iter().filter(|&&mark| mark > 0).count();
                Ok(Mask { width, height, marked, n_marked, n_levels: 2 })
            }
            Self::Picture(path) => {
                Ok(decode_mask_bytes(path, &read_whole(path)?, &DecodeOptions::default())?)
            }
        }
    }
}
