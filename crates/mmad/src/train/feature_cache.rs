//! The frozen encoder's maps of training pictures, kept from their first use on.
//!
//! Which pictures are kept, and where, follows from their number and the bounds alone: the first in
//! memory, those after them on disk. What is kept is rounded from its first use on, so a run has the
//! same bits whether it was stopped in between or not, and wherever its maps lie.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use half::slice::HalfFloatSliceExt as _;

use crate::method::Observation;
use crate::run_file::FeatureType;

/// Where maps are kept, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureCacheConfig {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Folder whose disk is used. The file in it has no name, and vanishes with the run.
    pub folder: PathBuf,
    /// How values are kept.
    pub feature_type: FeatureType,
}

/// What keeps maps from being kept on disk.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the encoder's maps on the disk of `{}`", folder.display())]
pub struct FeatureCacheError {
    /// The folder.
    pub folder: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl FeatureCacheError {
    /// How to mend it.
    pub fn hint(&self) -> String {
        "make room, or lower `train.feature_cache_disk_mb`; 0 uses no disk".to_owned()
    }
}

/// Maps by number of picture.
#[derive(Debug)]
pub struct FeatureCache {
    config: FeatureCacheConfig,
    slots: Vec<Slot>,
    shapes: Vec<[usize; 3]>,
    file: Option<File>,
}

#[derive(Debug)]
enum Slot {
    Empty,
    Memory(Box<[u8]>),
    Disk { offset: u64 },
}

impl FeatureCache {
    /// An empty cache for this many pictures.
    pub fn new(n_pictures: usize, config: FeatureCacheConfig) -> Self {
        let slots = (0..n_pictures).map(|_| Slot::Empty).collect();
        Self { config, slots, shapes: Vec::new(), file: None }
    }

    /// Whether a picture's maps are here.
    pub fn has(&self, index: usize) -> bool {
        !matches!(self.slots[index], Slot::Empty)
    }

    /// A picture's maps; `None` where they are not here.
    ///
    /// # Errors
    ///
    /// [`FeatureCacheError`] where the disk cannot be read.
    ///
    /// # Shapes
    ///
    /// - output `i`: `[1, h, w, c]`, as it was kept
    pub fn get(
        &self,
        index: usize,
        device: &Device,
    ) -> Result<Option<Observation>, FeatureCacheError> {
        let on_disk;
        let bytes: &[u8] = match &self.slots[index] {
            Slot::Empty => return Ok(None),
            Slot::Memory(bytes) => bytes,
            &Slot::Disk { offset } => {
                on_disk = self.read(offset).map_err(|source| self.error(source))?;
                &on_disk
            }
        };
        Ok(Some(self.restore(bytes, device)))
    }

    /// Keeps a picture's maps as far as the bounds allow, and gives them back as they will be seen
    /// from now on.
    ///
    /// # Errors
    ///
    /// [`FeatureCacheError`] where the disk cannot be written.
    ///
    /// # Shapes
    ///
    /// - `seen` and output `i`: `[1, h, w, c]`, the same for every picture
    pub fn keep(
        &mut self,
        index: usize,
        seen: Observation,
    ) -> Result<Observation, FeatureCacheError> {
        let Some(device) = seen.first().map(Tensor::device) else { return Ok(seen) };
        self.shapes = seen.iter().map(Tensor::dims).map(|[_, h, w, c]| [h, w, c]).collect();
        let n_bytes = self.n_bytes().max(1) as u64;
        let FeatureCacheConfig { memory_bytes, disk_bytes, .. } = self.config;
        let (number, n_memory) = (index as u64, memory_bytes / n_bytes);
        if number >= n_memory + disk_bytes / n_bytes {
            return Ok(seen);
        }
        let bytes: Vec<u8> = seen.into_iter().flat_map(|map| self.encode(map)).collect();
        let rounded = self.restore(&bytes, &device);
        self.slots[index] = if number < n_memory {
            Slot::Memory(bytes.into())
        } else {
            let offset = (number - n_memory) * n_bytes;
            self.write(offset, &bytes).map_err(|source| self.error(source))?;
            Slot::Disk { offset }
        };
        Ok(rounded)
    }

    fn n_bytes(&self) -> usize {
        let n_values: usize = self.shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        n_values
            * match self.config.feature_type {
                FeatureType::F16 => size_of::<f16>(),
                FeatureType::F32 => size_of::<f32>(),
            }
    }

    fn encode(&self, map: Tensor<4>) -> Vec<u8> {
        let values: Vec<f32> = map.into_data().try_to_vec().expect("features are f32");
        match self.config.feature_type {
            FeatureType::F16 => {
                let mut halves = vec![f16::ZERO; values.len()];
                halves.convert_from_f32_slice(&values);
                halves.into_iter().flat_map(f16::to_le_bytes).collect()
            }
            FeatureType::F32 => values.into_iter().flat_map(f32::to_le_bytes).collect(),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Vec<f32> {
        match self.config.feature_type {
            FeatureType::F16 => {
                let halves = bytes.as_chunks::<2>().0.iter();
                let halves: Vec<f16> = halves.map(|&two| f16::from_le_bytes(two)).collect();
                let mut values = vec![0.0; halves.len()];
                halves.convert_to_f32_slice(&mut values);
                values
            }
            FeatureType::F32 => {
                bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)).collect()
            }
        }
    }

    fn restore(&self, bytes: &[u8], device: &Device) -> Observation {
        let mut values = self.decode(bytes).into_iter();
        let maps = self.shapes.iter().map(|&[height, width, channels]| {
            let level: Vec<f32> = values.by_ref().take(height * width * channels).collect();
            Tensor::from_data(TensorData::new(level, [1, height, width, channels]), device)
        });
        maps.collect()
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.config.folder)?),
        };
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn read(&self, offset: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.n_bytes()];
        let mut file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn error(&self, source: io::Error) -> FeatureCacheError {
        FeatureCacheError { folder: self.config.folder.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two maps of 12 and 2 values, which need 11 bits and more.
    fn seen(number: usize) -> Observation {
        let map = |shape: [usize; 4]| {
            let n_values = shape.iter().product::<usize>();
            let values: Vec<f32> =
                (0..n_values).map(|i| number as f32 + (i as f32 + 0.1) / 7.0).collect();
            Tensor::from_data(TensorData::new(values, shape), &Device::flex())
        };
        vec![map([1, 2, 3, 2]), map([1, 1, 1, 2])]
    }

    fn values(seen: &Observation) -> Vec<Vec<f32>> {
        seen.iter().map(|map| map.clone().into_data().try_to_vec().unwrap()).collect()
    }

    fn cache(memory_bytes: u64, disk_bytes: u64, feature_type: FeatureType) -> FeatureCache {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        FeatureCache::new(4, FeatureCacheConfig { memory_bytes, disk_bytes, folder, feature_type })
    }

    /// The first two pictures in memory, the third on disk, the last nowhere; in any order of use.
    #[test]
    fn maps_come_back_from_memory_and_from_disk() {
        let device = Device::flex();
        for (feature_type, n_bytes, tolerance) in
            [(FeatureType::F16, 28, 2e-3), (FeatureType::F32, 56, 0.0)]
        {
            let folder = tempfile::tempdir().unwrap();
            let mut cache = cache(3 * n_bytes - 1, n_bytes, feature_type);
            cache.config.folder = folder.path().to_owned();
            for index in [3, 2, 0, 1] {
                let first = cache.keep(index, seen(index)).unwrap();
                assert_eq!(cache.has(index), index < 3);
                let again = cache.get(index, &device).unwrap().unwrap_or_else(|| seen(3));
                assert_eq!(values(&first), values(&again), "{feature_type:?} {index}");
                for (ours, exact) in
                    values(&again).concat().iter().zip(values(&seen(index)).concat())
                {
                    assert!((ours - exact).abs() <= tolerance, "{ours} {exact}");
                }
            }
            assert!(matches!(cache.slots[1], Slot::Memory(_)));
            assert!(matches!(cache.slots[2], Slot::Disk { offset: 0 }));
        }
        let half = cache(1000, 0, FeatureType::F16).keep(0, seen(1)).unwrap();
        assert_ne!(values(&half), values(&seen(1)));
    }

    #[test]
    fn nothing_is_kept_without_room() {
        let mut cache = cache(0, 0, FeatureType::F16);
        assert_eq!(values(&cache.keep(0, seen(0)).unwrap()), values(&seen(0)));
        assert!(!cache.has(0) && cache.get(0, &Device::flex()).unwrap().is_none());
    }

    #[test]
    fn a_folder_that_is_gone_is_named() {
        let mut cache = cache(0, 1000, FeatureType::F16);
        cache.config.folder = PathBuf::from("no/such/folder");
        let error = cache.keep(0, seen(0)).unwrap_err();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
        assert!(error.hint().contains("feature_cache_disk_mb"));
    }
}
