//! Training the embedded encoder from scratch, on procedural pictures only.
//!
//! A ResNet-10 answers many small questions about endless synthetic pictures (textures, shapes,
//! colours, sizes, places, what is locally wrong). The answers are read off the flattened last map
//! and the means of the two finer ones, so that every stage has to carry structure. No photograph,
//! and none of the demo's products, is ever shown.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use mmad_data::{DataError, Preprocess};
use mmad_synthetic::{HEADS, PretrainingSample, pretraining_sample};
use mmad_weights::StateDict;
use rayon::prelude::*;

use crate::encoder::{Arch, Resnet};
use crate::nn::Linear;
use crate::params::{Builder, InitRule, ParamSet};
use crate::random;
use crate::run_file::{Schedule, TrainConfig};
use crate::train::adamw::AdamWConfig;
use crate::train::optimiser::Optimiser;
use crate::train::plan::Plan;
use crate::weights::{self, WeightsError};

/// How the encoder is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PretrainConfig {
    /// Seed of weights and pictures.
    pub seed: u64,
    /// Optimiser steps; 0 gives random weights.
    pub steps: u64,
    /// Pictures per step.
    pub batch: usize,
    /// Height and width of the pictures; a multiple of 16.
    pub side_px: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self { seed: 1, steps: 3000, batch: 64, side_px: 64, learning_rate: 2e-3 }
    }
}

/// What is reported after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PretrainStep {
    /// Number of the step, from 1.
    pub step: u64,
    /// Mean cross-entropy over the questions.
    pub loss: f64,
    /// Share of right answers over all questions of the batch.
    pub accuracy: f64,
}

/// What keeps the encoder from being trained.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// A side that the network cannot halve four times.
    #[error("the side is {0} pixels")]
    Side(usize),
    /// A size that pictures cannot be normalised for.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The loss is no longer a number.
    #[error("training diverged at step {0}")]
    Diverged(u64),
    /// The weights cannot be collected.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl PretrainError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Side(_) => "give a multiple of 16 from 32 to 256".to_owned(),
            Self::Data(error) => return error.hint(),
            Self::Diverged(_) => "use a smaller learning rate".to_owned(),
            Self::Weights(error) => return error.hint(),
        })
    }
}

/// Trains an encoder and returns its weights under torchvision's names.
///
/// # Errors
///
/// [`PretrainError`].
pub fn pretrain(
    config: &PretrainConfig,
    device: &Device,
    watch: &mut dyn FnMut(PretrainStep),
) -> Result<StateDict, PretrainError> {
    let side = config.side_px;
    if !side.is_multiple_of(16) || !(32..=256).contains(&side) {
        return Err(PretrainError::Side(side));
    }
    let preprocess = Preprocess::imagenet(side, side)?;
    let builder = Builder::new(device, random::stream(config.seed, "encoder weights", 0));
    let root = builder.root(InitRule::Fuser);
    let encoder = Resnet::<3>::new(&root.sub("encoder"), Arch::Resnet10);
    let n_answers = HEADS.iter().map(|head| head.n_classes).sum();
    let n_features = 64 + 128 + 256 * (side / 16) * (side / 16);
    let heads = Linear::new(&root.sub("heads"), n_features, n_answers, true);
    let params = builder.finish();

    let schedule = TrainConfig {
        learning_rate: config.learning_rate,
        schedule: Schedule::Cosine,
        warmup_share: 0.05,
        ..TrainConfig::default()
    };
    let plan = Plan { n_pictures: usize::MAX, batch: config.batch, n_steps: config.steps };
    let adamw = AdamWConfig { weight_decay: 0.05, ..AdamWConfig::default() };
    let mut optimiser = Optimiser::adamw(adamw, &params);
    params.track(true);
    let autodiff = device.clone().autodiff();
    for step in 0..config.steps {
        let samples = samples(config, step);
        let pixels = samples.iter().flat_map(|sample| preprocess.normalise(&sample.rgb)).collect();
        let shape = [config.batch, side, side, 3];
        let images = Tensor::from_data(TensorData::new::<f32, _>(pixels, shape), &autodiff);
        let answers = heads.forward(features(&encoder, images));
        let (loss, accuracy) = judge(answers, &samples);
        let value = f64::from(loss.clone().detach().into_scalar::<f32>());
        if !value.is_finite() {
            return Err(PretrainError::Diverged(step + 1));
        }
        let gradients = loss.backward();
        let rate = plan.learning_rate(&schedule, step);
        if !optimiser.step(&params, &gradients, 0, rate).total.is_finite() {
            return Err(PretrainError::Diverged(step + 1));
        }
        watch(PretrainStep { step: step + 1, loss: value, accuracy });
    }
    params.track(false);
    Ok(encoder_state(&params)?)
}

fn encoder_state(params: &ParamSet) -> Result<StateDict, WeightsError> {
    Ok(weights::to_state(params)?.under("encoder."))
}

fn samples(config: &PretrainConfig, step: u64) -> Vec<PretrainingSample> {
    let first = step * config.batch as u64;
    (0..config.batch as u64)
        .into_par_iter()
        .map(|index| pretraining_sample(config.seed, first + index, config.side_px))
        .collect()
}

/// What the answers are read off: `[b, 64 + 128 + 256 · (side / 16)²]`.
fn features(encoder: &Resnet<3>, images: Tensor<4>) -> Tensor<2> {
    let [fine, middle, coarse] = encoder.forward(images, true);
    let mean = |map: Tensor<4>| map.mean_dim(1).mean_dim(2).flatten::<2>(1, 3);
    Tensor::cat(vec![mean(fine), mean(middle), coarse.flatten(1, 3)], 1)
}

/// Mean cross-entropy over the questions, and the share of right answers.
fn judge(answers: Tensor<2>, samples: &[PretrainingSample]) -> (Tensor<1>, f64) {
    let device = answers.device();
    let n_samples = samples.len();
    let values: Vec<f32> =
        answers.clone().detach().into_data().try_to_vec().expect("answers are f32");
    let n_answers = values.len() / n_samples;
    let mut first = 0;
    let mut n_right = 0;
    let mut loss: Option<Tensor<1>> = None;
    for (question, head) in HEADS.iter().enumerate() {
        let labels: Vec<i64> =
            samples.iter().map(|sample| i64::from(sample.labels[question])).collect();
        for (row, &label) in labels.iter().enumerate() {
            let scores = &values[row * n_answers + first..][..head.n_classes];
            let best = (0..head.n_classes).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            n_right += usize::from(best == Some(label as usize));
        }
        let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [n_samples, 1]), &device);
        let scores = answers.clone().narrow(1, first, head.n_classes);
        let of_label = activation::log_softmax(scores, 1).gather(1, labels);
        let cross_entropy = of_label.mean().neg();
        loss = Some(match loss {
            Some(loss) => loss + cross_entropy,
            None => cross_entropy,
        });
        first += head.n_classes;
    }
    let loss = loss.expect("there are questions") / HEADS.len() as f64;
    (loss, n_right as f64 / (n_samples * HEADS.len()) as f64)
}
