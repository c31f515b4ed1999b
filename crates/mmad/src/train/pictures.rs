//! What the frozen encoder sees in the training pictures, batch by batch.
//!
//! Training pictures are not augmented, so the encoder's maps of a picture never change: they are
//! computed once and kept, see `feature_cache.rs`. Pictures beyond its bounds are loaded and looked
//! at anew each time. So are all pictures of a method that wants painted defects: what is painted
//! follows from the seed, the number of the step and the place in its batch.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use mmad_data::{DataError, Loader, LoaderOptions, PaintedPicture, Painter, Preprocess, Sample};

use super::feature_cache::{FeatureCache, FeatureCacheConfig, FeatureCacheError};
use crate::method::{Method, Observation, Painted};
use crate::random;

/// Feeds the observations of training pictures.
#[derive(Debug)]
pub struct Pictures {
    samples: Vec<Sample>,
    preprocess: Preprocess,
    loader_options: LoaderOptions,
    device: Device,
    cache: FeatureCache,
    unreadable: BTreeMap<usize, DataError>,
    painter: Option<(Painter, u64)>,
}

/// Where a batch stands in a run.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Number of the step, from 0.
    pub step: u64,
    /// Phase of the training, from 0.
    pub phase: usize,
}

impl Pictures {
    /// Pictures whose maps are kept as `cache` says.
    pub fn new(
        samples: Vec<Sample>,
        preprocess: Preprocess,
        loader_options: LoaderOptions,
        device: &Device,
        cache: FeatureCacheConfig,
    ) -> Self {
        Self {
            cache: FeatureCache::new(samples.len(), cache),
            samples,
            preprocess,
            loader_options,
            device: device.clone(),
            unreadable: BTreeMap::new(),
            painter: None,
        }
    }

    /// Paints defects into every picture, decided by `seed`.
    #[must_use]
    pub fn with_painter(self, painter: Painter, seed: u64) -> Self {
        Self { painter: Some((painter, seed)), ..self }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The samples in order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Takes out why pictures could not be read, in order of picture.
    pub fn take_unreadable(&mut self) -> Vec<DataError> {
        std::mem::take(&mut self.unreadable).into_values().collect()
    }

    /// Starts to load what an epoch needs from disk, in its order.
    ///
    /// # Errors
    ///
    /// [`DataError`] where no loader can be started.
    pub fn start(&self, order: &[usize]) -> Result<Loader, DataError> {
        let wanted = order.iter().filter(|&&index| !self.cache.has(index));
        let samples = wanted.map(|&index| self.samples[index].clone()).collect();
        Loader::new(samples, self.preprocess, self.loader_options.clone())
    }

    /// The observation of a batch; `loader` must have been started with these pictures in it.
    ///
    /// A picture that cannot be read is left out and remembered, see [`Pictures::take_unreadable`];
    /// `None` where that leaves nothing.
    ///
    /// # Errors
    ///
    /// [`FeatureCacheError`] where maps that are kept on disk cannot be written or read.
    ///
    /// # Shapes
    ///
    /// - output `i`: `[n, h, w, c]`
    pub fn batch(
        &mut self,
        indices: &[usize],
        loader: &mut Loader,
        method: &dyn Method,
        place: Place,
    ) -> Result<Option<Observation>, FeatureCacheError> {
        let mut levels: Vec<Vec<Tensor<4>>> = Vec::new();
        for (number, &index) in indices.iter().enumerate() {
            let seen = match &self.painter {
                None => match self.cache.get(index, &self.device)? {
                    Some(kept) => Ok(kept),
                    None => match self.look(loader, method) {
                        Ok(seen) => Ok(self.cache.keep(index, seen)?),
                        Err(error) => Err(error),
                    },
                },
                Some((painter, seed)) => {
                    let number = place.step * indices.len() as u64 + number as u64;
                    let mut rng = random::stream(*seed, "painted defect", number);
                    let loaded = loader.next().expect("the loader was started with this picture");
                    loaded.and_then(|loaded| {
                        let (height, width) = (self.preprocess.height(), self.preprocess.width());
                        let painted = painter.paint(&loaded.rgb, height, width, &mut rng)?;
                        Ok(self.look_at_painted(painted, method, place.phase))
                    })
                }
            };
            let seen = match seen {
                Ok(seen) => seen,
                Err(error) => {
                    self.unreadable.insert(index, error);
                    continue;
                }
            };
            levels.resize(seen.len(), Vec::new());
            for (level, map) in levels.iter_mut().zip(seen) {
                level.push(map);
            }
        }
        let seen = levels.into_iter().map(|maps| Tensor::cat(maps, 0)).collect::<Observation>();
        Ok((!seen.is_empty()).then_some(seen))
    }

    fn look_at_painted(
        &self,
        painted: PaintedPicture,
        method: &dyn Method,
        phase: usize,
    ) -> Observation {
        let (height, width) = (self.preprocess.height(), self.preprocess.width());
        let map = |values: Vec<f32>, channels: usize| {
            let data = TensorData::new(values, [1, height, width, channels]);
            Tensor::<4>::from_data(data, &self.device)
        };
        let mask = painted.mask.into_iter().map(f32::from).collect();
        let images = map(self.preprocess.normalise_values(&painted.pixels), 3);
        let clean = map(self.preprocess.normalise_values(&painted.clean), 3);
        let painted = Painted { images, masks: map(mask, 1) };
        method.observe_painted(clean, painted, phase)
    }

    fn look(&self, loader: &mut Loader, method: &dyn Method) -> Result<Observation, DataError> {
        let loaded = loader.next().expect("the loader was started with this picture")?;
        let (height, width) = (self.preprocess.height(), self.preprocess.width());
        let pixels = TensorData::new(loaded.pixels, [1, height, width, 3]);
        Ok(method.observe(Tensor::from_data(pixels, &self.device)))
    }
}
