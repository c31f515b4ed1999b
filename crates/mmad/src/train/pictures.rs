//! What the frozen encoder sees in the training pictures, batch by batch.
//!
//! Training pictures are not augmented, so the encoder's maps of a picture never change: they are
//! computed once and kept as `f16`, up to a bound of memory. Which pictures are kept is decided by
//! their number alone, and every one of them is rounded to `f16` from its first use on, so a run
//! has the same bits whether it was stopped in between or not. Pictures beyond the bound are
//! loaded and looked at anew each time. So are all pictures of a method that wants painted defects:
//! what is painted follows from the seed, the number of the step and the place in its batch.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use mmad_data::{
    DataError, LoadedSample, Loader, LoaderOptions, PaintedPicture, Painter, Preprocess, Sample,
};

use crate::method::{Method, Observation, Painted};
use crate::random;

/// Feeds the observations of training pictures.
#[derive(Debug)]
pub struct Pictures {
    samples: Vec<Sample>,
    preprocess: Preprocess,
    loader_options: LoaderOptions,
    device: Device,
    kept: Vec<Option<Vec<Kept>>>,
    max_bytes: u64,
    shapes: Option<Vec<[usize; 3]>>,
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

type Kept = Box<[f16]>;

impl Pictures {
    /// Pictures of which as many are kept as fit in `max_bytes`.
    pub fn new(
        samples: Vec<Sample>,
        preprocess: Preprocess,
        loader_options: LoaderOptions,
        device: &Device,
        max_bytes: u64,
    ) -> Self {
        Self {
            kept: (0..samples.len()).map(|_| None).collect(),
            samples,
            preprocess,
            loader_options,
            device: device.clone(),
            max_bytes,
            shapes: None,
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
        let wanted = order.iter().filter(|&&index| self.kept[index].is_none());
        let samples = wanted.map(|&index| self.samples[index].clone()).collect();
        Loader::new(samples, self.preprocess, self.loader_options.clone())
    }

    /// The observation of a batch; `loader` must have been started with these pictures in it.
    ///
    /// A picture that cannot be read is left out and remembered, see [`Pictures::take_unreadable`];
    /// `None` where that leaves nothing.
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
    ) -> Option<Observation> {
        let mut levels: Vec<Vec<Tensor<4>>> = Vec::new();
        for (number, &index) in indices.iter().enumerate() {
            let seen = match &self.painter {
                None => self.look(index, loader, method),
                Some((painter, seed)) => {
                    let number = place.step * indices.len() as u64 + number as u64;
                    let mut rng = random::stream(*seed, "painted defect", number);
                    let loaded = loader.next().expect("the loader was started with this picture");
                    loaded.and_then(|loaded| {
                        let (height, width) = (self.preprocess.height(), self.preprocess.width());
                        let painted = painter.paint(&loaded.rgb, height, width, &mut rng)?;
                        Ok(self.look_at_painted(loaded, painted, method, place.phase))
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
        (!seen.is_empty()).then_some(seen)
    }

    fn look_at_painted(
        &self,
        loaded: LoadedSample,
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
        let painted = Painted { images, masks: map(mask, 1) };
        method.observe_painted(map(loaded.pixels, 3), painted, phase)
    }

    fn look(
        &mut self,
        index: usize,
        loader: &mut Loader,
        method: &dyn Method,
    ) -> Result<Observation, DataError> {
        if let (Some(kept), Some(shapes)) = (&self.kept[index], &self.shapes) {
            return Ok(self.restore(kept, shapes));
        }
        let loaded = loader.next().expect("the loader was started with this picture")?;
        let (height, width) = (self.preprocess.height(), self.preprocess.width());
        let pixels = TensorData::new(loaded.pixels, [1, height, width, 3]);
        let seen = method.observe(Tensor::from_data(pixels, &self.device));
        let shapes: Vec<[usize; 3]> = seen
            .iter()
            .map(|map| {
                let [_, height, width, channels] = map.dims();
                [height, width, channels]
            })
            .collect();
        if index >= self.n_keepable(&shapes) {
            return Ok(seen);
        }
        let kept: Vec<Kept> = seen
            .into_iter()
            .map(|map| {
                let values: Vec<f32> = map.into_data().try_to_vec().expect("features are f32");
                values.into_iter().map(f16::from_f32).collect()
            })
            .collect();
        let seen = self.restore(&kept, &shapes);
        self.shapes = Some(shapes);
        self.kept[index] = Some(kept);
        Ok(seen)
    }

    /// How many observations with maps `[height, width, channels]` are kept.
    fn n_keepable(&self, shapes: &[[usize; 3]]) -> usize {
        let n_values: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        (self.max_bytes / (size_of::<f16>() * n_values).max(1) as u64) as usize
    }

    fn restore(&self, kept: &[Kept], shapes: &[[usize; 3]]) -> Observation {
        let levels = kept.iter().zip(shapes).map(|(kept, &[height, width, channels])| {
            let mut values = vec![0.0_f32; kept.len()];
            kept.convert_to_f32_slice(&mut values);
            let data = TensorData::new(values, [1, height, width, channels]);
            Tensor::from_data(data, &self.device)
        });
        levels.collect()
    }
}
