//! Whether a forward pass trains or scores, and the randomness that training needs.

use std::cell::RefCell;
use std::collections::VecDeque;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// What a forward pass is for.
#[derive(Debug)]
pub enum Mode<'a> {
    /// Scoring: no randomness; the router keeps the expected share of tokens.
    Score(KeepShare),
    /// Training: batch statistics, dropout, drop-path and Gumbel noise from `TrainStep`.
    Train(&'a TrainStep),
}

/// Over what the router averages the expected share of kept tokens when scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepShare {
    /// Over each picture alone, so that a score does not depend on its batch.
    PerPicture,
    /// Over the batch, as the reference does; for comparing with its numbers.
    PerBatch,
}

/// The randomness of one training step.
#[derive(Debug)]
pub struct TrainStep {
    noise: RefCell<Noise>,
    phase: usize,
}

#[derive(Debug)]
enum Noise {
    Drawn(Box<ChaCha8Rng>),
    /// Noise in the order of use, and neither dropout nor drop-path.
    Replayed(VecDeque<Vec<f32>>),
}

impl TrainStep {
    /// Draws from `rng`.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self { noise: RefCell::new(Noise::Drawn(Box::new(rng))), phase: 0 }
    }

    /// Uses recorded noise, one entry per use in order (Gumbel noise per call of a router, normal
    /// noise per call of [`TrainStep::normal`]), and switches dropout and drop-path off. For
    /// comparing with recorded runs.
    pub fn replay(noise: impl IntoIterator<Item = Vec<f32>>) -> Self {
        Self { noise: RefCell::new(Noise::Replayed(noise.into_iter().collect())), phase: 0 }
    }

    /// The same step in another phase of the training.
    #[must_use]
    pub fn in_phase(self, phase: usize) -> Self {
        Self { phase, ..self }
    }

    /// Phase of the training, from 0; see [`crate::method::Method::phase_shares`].
    pub fn phase(&self) -> usize {
        self.phase
    }

    /// `n_values` normal numbers with mean 0 and deviation 1.
    pub fn normal(&self, n_values: usize) -> Vec<f32> {
        match &mut *self.noise.borrow_mut() {
            Noise::Drawn(rng) => (0..n_values).map(|_| StandardNormal.sample(rng)).collect(),
            Noise::Replayed(recorded) => recorded.pop_front().expect("one recorded noise per use"),
        }
    }

    /// Gumbel noise, `-ln(-ln(u))`, for `[b, n_tokens, 2]` scores.
    pub(crate) fn gumbel(&self, batch: usize, n_tokens: usize, device: &Device) -> Tensor<3> {
        let n_values = batch * n_tokens * 2;
        let values = match &mut *self.noise.borrow_mut() {
            Noise::Drawn(rng) => (0..n_values).map(|_| gumbel_sample(rng)).collect(),
            Noise::Replayed(recorded) => {
                recorded.pop_front().expect("one recorded noise per router call")
            }
        };
        Tensor::from_data(TensorData::new(values, [batch, n_tokens, 2]), device)
    }

    /// 1 for about the share `probability` of `n_values`, else 0; all 1 where noise is recorded.
    pub fn chosen(&self, n_values: usize, probability: f64) -> Vec<f32> {
        match &mut *self.noise.borrow_mut() {
            Noise::Drawn(rng) => (0..n_values)
                .map(|_| if rng.random_bool(probability) { 1.0 } else { 0.0 })
                .collect(),
            Noise::Replayed(_) => vec![1.0; n_values],
        }
    }

    /// 0 or `1 / keep` for each value, kept with probability `1 - rate`; `None` when off.
    fn keep_scales(&self, n_values: usize, rate: f64) -> Option<Vec<f32>> {
        let Noise::Drawn(rng) = &mut *self.noise.borrow_mut() else { return None };
        let scale = (1.0 / (1.0 - rate)) as f32;
        let keep = |rng: &mut ChaCha8Rng| if rng.random_bool(1.0 - rate) { scale } else { 0.0 };
        (rate > 0.0).then(|| (0..n_values).map(|_| keep(rng)).collect())
    }
}

fn gumbel_sample(rng: &mut ChaCha8Rng) -> f32 {
    // Never exactly 0 or 1, so that both logarithms stay finite.
    let uniform = (f64::from(rng.random::<u32>()) + 0.5) / 4_294_967_296.0;
    (-(-uniform.ln()).ln()) as f32
}

impl Mode<'_> {
    /// Scoring as the product does it.
    pub const SCORE: Self = Self::Score(KeepShare::PerPicture);

    /// True in training.
    pub fn is_training(&self) -> bool {
        matches!(self, Self::Train(_))
    }

    /// Leaves the whole branch of a picture out with probability `rate` in training, and scales
    /// the others up so that the mean stays.
    pub(crate) fn drop_path(&self, branch: Tensor<4>, rate: f64) -> Tensor<4> {
        let [batch, ..] = branch.dims();
        self.scaled(branch, [batch, 1, 1, 1], rate)
    }

    /// Sets single values to zero with probability `rate` in training.
    pub(crate) fn dropout<const D: usize>(&self, x: Tensor<D>, rate: f64) -> Tensor<D> {
        let shape = x.dims();
        self.scaled(x, shape, rate)
    }

    fn scaled<const D: usize>(&self, x: Tensor<D>, mask_shape: [usize; D], rate: f64) -> Tensor<D> {
        let Self::Train(step) = self else { return x };
        match step.keep_scales(mask_shape.iter().product(), rate) {
            None => x,
            Some(scales) => {
                let device = x.device();
                x * Tensor::<D>::from_data(TensorData::new(scales, mask_shape), &device)
            }
        }
    }
}
