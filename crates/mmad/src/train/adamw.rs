//! AdamW with decoupled weight decay, and Adam with decay in the gradient.
//!
//! Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", in PyTorch's order
//! of operations: decay first, then the moments, then the step with `sqrt(v / bias2) + eps`.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Constants of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Share of a weight that each step takes away, times the learning rate. Biases, norms and
    /// other one-dimensional parameters do not decay.
    pub weight_decay: f64,
    /// Largest global norm of all gradients together.
    pub clip_norm: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-4, clip_norm: 5.0 }
    }
}

/// First and second moment of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Running mean of the gradient.
    pub first: Vec<f32>,
    /// Running mean of its square; empty under a rule that has none.
    pub second: Vec<f32>,
}

/// One step's constants.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    beta1: f32,
    beta2: f32,
    eps: f32,
    keep: f32,
    step_size: f32,
    bias2_root: f32,
    clip: f32,
    l2: f32,
}

impl Update {
    /// Constants of step number `n_steps`, counted from 1; gradients are scaled by `clip` first.
    pub fn new(config: &AdamWConfig, n_steps: u64, learning_rate: f64, clip: f64) -> Self {
        let bias1 = 1.0 - config.beta1.powf(n_steps as f64);
        let bias2 = 1.0 - config.beta2.powf(n_steps as f64);
        Self {
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            eps: config.eps as f32,
            keep: (1.0 - learning_rate * config.weight_decay) as f32,
            step_size: (learning_rate / bias1) as f32,
            bias2_root: bias2.sqrt() as f32,
            clip: clip as f32,
            l2: 0.0,
        }
    }

    /// Adam without decoupled decay; `l2` times the value is added to the clipped gradient.
    pub fn coupled(
        config: &AdamWConfig,
        n_steps: u64,
        learning_rate: f64,
        clip: f64,
        l2: f64,
    ) -> Self {
        Self { keep: 1.0, l2: l2 as f32, ..Self::new(config, n_steps, learning_rate, clip) }
    }

    /// Moves `values` and `moments`; all four slices have one length.
    pub fn apply(&self, values: &mut [f32], grad: &[f32], moments: &mut Moments, decays: bool) {
        const CHUNK: usize = 1 << 14;
        let keep = if decays { self.keep } else { 1.0 };
        let Self { beta1, beta2, eps, step_size, bias2_root, clip, l2, .. } = *self;
        let moments = moments.first.par_chunks_mut(CHUNK).zip(moments.second.par_chunks_mut(CHUNK));
        let chunks = values.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK)).zip(moments);
        chunks.for_each(|((values, grad), (first, second))| {
            for (((value, &grad), m), v) in values.iter_mut().zip(grad).zip(first).zip(second) {
                let grad = if l2 == 0.0 { grad * clip } else { grad * clip + l2 * *value };
                *m = beta1 * *m + (1.0 - beta1) * grad;
                *v = beta2 * *v + (1.0 - beta2) * grad * grad;
                let denominator = v.sqrt() / bias2_root + eps;
                *value = *value * keep - step_size * (*m / denominator);
            }
        });
    }
}
