//! The token router of the mixer: which pixels keep their value, and three small gates.
//!
//! Source: reference implementation, `Predictor`.
//!
//! ```text
//! x, row, column ─ 1×1 ─ LN ─ LeakyReLU = f ┬─ mean over pixels ─ 1×1 ─ sigmoid   channel gate
//!                                           ├─ 3×3 ─ sigmoid                       spatial gate
//!                                           └─ mean over channels ─ MLP ─ softmax  keep or not
//! ```
//!
//! Differences: the reference samples Gumbel noise in scoring too and averages the share of kept
//! tokens over the batch. Here scoring keeps the expected share of each picture, so a score
//! depends on the picture and the weights alone. The offsets steer an attention over one element
//! and have no effect: they are computed where somebody asks for them, and nothing here does.

use burn::tensor::{Device, Tensor, TensorData, activation};

use crate::mode::{KeepShare, Mode};
use crate::nn::{Conv2d, ConvConfig, LayerNorm, Linear, Linear1x1};
use crate::params::Scope;

const LEAK: f64 = 0.1;

/// What the router decides about a map.
#[derive(Debug, Clone)]
pub struct Routing {
    /// 1 where the pixel keeps its value, 0 elsewhere: `[b, h, w, 1]`.
    pub keep: Tensor<4>,
    /// Gate of every channel: `[b, 1, 1, channels]`, in `0..1`.
    pub channel_gate: Tensor<4>,
    /// Gate of every pixel: `[b, h, w, 1]`, in `0..1`.
    pub spatial_gate: Tensor<4>,
}

/// Token router.
#[derive(Debug, Clone)]
pub struct Router {
    reduce: Linear1x1,
    norm: LayerNorm,
    channel_gate: Linear1x1,
    spatial_gate: Conv2d,
    mask_hidden: Linear,
    mask_out: Linear,
    offsets: [Linear1x1; 2],
}

/// Largest offset, in pixels.
const MAX_OFFSET_PX: f64 = 8.0;

impl Router {
    /// Makes the router of a map with `channels` channels in `scope`.
    pub fn new(scope: &Scope<'_>, channels: usize) -> Self {
        let n_in = channels + 2;
        let hidden = n_in / 4;
        let reduce = Linear1x1::new(&scope.sub("in_conv.0"), n_in, hidden, true);
        let norm = LayerNorm::new(&scope.sub("in_conv.1"), hidden, 1e-6);
        let offsets = [
            Linear1x1::new(&scope.sub("out_offsets.0"), hidden, n_in / 8, true),
            Linear1x1::new(&scope.sub("out_offsets.2"), n_in / 8, 2, true),
        ];
        Self {
            reduce,
            norm,
            channel_gate: Linear1x1::new(&scope.sub("out_CA.1"), hidden, channels, true),
            spatial_gate: Conv2d::new(&scope.sub("out_SA.0"), ConvConfig::new(hidden, 1, 3)),
            mask_hidden: Linear::new(&scope.sub("out_mask.0"), 1, 1, true),
            mask_out: Linear::new(&scope.sub("out_mask.2"), 1, 2, true),
            offsets,
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Routing {
        let [batch, height, width, _] = x.dims();
        let coordinates = coordinates(batch, height, width, &x.device());
        self.forward_placed(Tensor::cat(vec![x, coordinates], 3), mode)
    }

    /// # Shapes
    ///
    /// - `placed`: `[b, h, w, channels + 2]`, the last two being row and column
    pub fn forward_placed(&self, placed: Tensor<4>, mode: &Mode<'_>) -> Routing {
        let [batch, height, width, _] = placed.dims();
        let f = self.reduced(placed);
        let mean = f.clone().mean_dim(1).mean_dim(2);
        let scores = f.clone().mean_dim(3).reshape([batch, height * width, 1]);
        let scores = activation::leaky_relu(self.mask_hidden.forward(scores), LEAK);
        let logits = self.mask_out.forward(scores);
        let scores = activation::softmax(logits.clone(), 2);
        let keep = match mode {
            Mode::Train(step) => {
                let noise = step.gumbel(batch, height * width, &scores.device());
                straight_through(scores, noise)
            }
            Mode::Score(share) => {
                let lead = logits.clone().narrow(2, 0, 1) - logits.narrow(2, 1, 1);
                highest(scores.narrow(2, 0, 1), lead, *share)
            }
        };
        Routing {
            keep: keep.reshape([batch, height, width, 1]),
            channel_gate: activation::sigmoid(self.channel_gate.forward(mean)),
            spatial_gate: activation::sigmoid(self.spatial_gate.forward(f)),
        }
    }

    /// Where the reference's attention would look for its keys: shift to the right and down of
    /// every pixel, in pixels. Its windows hold one element, so the keys never matter.
    ///
    /// # Shapes
    ///
    /// - `placed`: as of [`Router::forward_placed`]; output: `[b, h, w, 2]`, within 8 pixels
    pub fn offsets(&self, placed: Tensor<4>) -> Tensor<4> {
        let [hidden, out] = &self.offsets;
        let x = activation::leaky_relu(hidden.forward(self.reduced(placed)), LEAK);
        out.forward(x).tanh().mul_scalar(MAX_OFFSET_PX)
    }

    /// # Shapes
    ///
    /// - `placed`: `[b, h, w, channels + 2]`; output: `[b, h, w, (channels + 2) / 4]`
    fn reduced(&self, placed: Tensor<4>) -> Tensor<4> {
        activation::leaky_relu(self.norm.forward(self.reduce.forward(placed)), LEAK)
    }
}

/// Row and column of every pixel in `-1..=1`: `[b, h, w, 2]`.
fn coordinates(batch: usize, height: usize, width: usize, device: &Device) -> Tensor<4> {
    let at = |index: usize, n: usize| match n {
        0 | 1 => -1.0,
        _ => (2.0 * index as f64 / (n - 1) as f64 - 1.0) as f32,
    };
    let values: Vec<f32> = (0..height)
        .flat_map(|row| (0..width).flat_map(move |col| [at(row, height), at(col, width)]))
        .collect();
    let one = Tensor::<4>::from_data(TensorData::new(values, [1, height, width, 2]), device);
    one.repeat_dim(0, batch)
}

/// Hard Gumbel sample with the gradient of the soft one.
///
/// # Shapes
///
/// - `scores`, `noise`: `[b, n, 2]`; output: `[b, n, 1]`, 0 or 1
fn straight_through(scores: Tensor<3>, noise: Tensor<3>) -> Tensor<3> {
    let noisy = scores + noise;
    let first = noisy.clone().narrow(2, 0, 1);
    let second = noisy.clone().narrow(2, 1, 1);
    let hard = first.greater_equal(second).float().detach();
    let soft = activation::softmax(noisy, 2).narrow(2, 0, 1);
    // (soft - soft) is exactly zero, so the value is the hard sample to the bit.
    (soft.clone() - soft.detach()) + hard
}

/// Marks the tokens with the highest scores: as many as the sampler would keep on average.
///
/// They are told apart by the lead of the first logit over the second. That is the order of the
/// scores, which lie near one half and are often equal to the last digit where the leads are not.
///
/// # Shapes
///
/// - `scores`: `[b, n, 1]`, probabilities; `lead`: `[b, n, 1]`; output: `[b, n, 1]`, 0 or 1
fn highest(scores: Tensor<3>, lead: Tensor<3>, share: KeepShare) -> Tensor<3> {
    let [batch, n_tokens, _] = scores.dims();
    let device = scores.device();
    let [scores, lead] = [scores, lead].map(|tensor| -> Vec<f32> {
        tensor.detach().into_data().try_to_vec().expect("scores are f32")
    });
    let expected = |scores: &[f32]| -> f64 {
        scores.iter().map(|&p| 1.0 / (1.0 + (-(2.0 * f64::from(p) - 1.0)).exp())).sum()
    };
    let over_batch = expected(&scores) / batch as f64;
    let mut keep = vec![0.0_f32; scores.len()];
    let pictures = scores.chunks(n_tokens).zip(lead.chunks(n_tokens));
    for ((scores, lead), keep) in pictures.zip(keep.chunks_mut(n_tokens)) {
        let n_expected = match share {
            KeepShare::PerPicture => expected(scores),
            KeepShare::PerBatch => over_batch,
        };
        let n_kept = (n_expected as usize).min(n_tokens);
        for index in highest_indices(lead, n_kept) {
            keep[index] = 1.0;
        }
    }
    Tensor::from_data(TensorData::new(keep, [batch, n_tokens, 1]), &device)
}

/// Indices of the `n` highest scores in any order; of equal scores the lower index goes first.
fn highest_indices(scores: &[f32], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if n < order.len() {
        let by_score = |&a: &usize, &b: &usize| scores[b].total_cmp(&scores[a]).then(a.cmp(&b));
        order.select_nth_unstable_by(n, by_score);
        order.truncate(n);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_scores_the_lower_index_is_kept() {
        let scores = [0.5, 2.0, 0.5, -1.0, 0.5, 2.0];
        let kept = |n| {
            let mut kept = highest_indices(&scores, n);
            kept.sort_unstable();
            kept
        };
        assert_eq!(kept(0), [0; 0]);
        assert_eq!(kept(1), [1]);
        assert_eq!(kept(3), [0, 1, 5]);
        assert_eq!(kept(4), [0, 1, 2, 5]);
        assert_eq!(kept(6), [0, 1, 2, 3, 4, 5]);
    }

    /// With fresh weights 512 tokens have about 74 different probabilities, and the last digit of
    /// one depends on the device: among equals the lead decides, and not the place.
    #[test]
    fn tokens_of_equal_probability_are_told_apart_by_their_leads() {
        let device = Device::flex();
        let column = |values: [f32; 4]| {
            Tensor::<3>::from_data(TensorData::new(values.to_vec(), [1, 4, 1]), &device)
        };
        let lead = column([1e-9, 4e-9, 2e-9, 3e-9]);
        let keep = highest(column([0.5; 4]), lead, KeepShare::PerPicture);
        assert_eq!(keep.into_data().try_to_vec::<f32>().unwrap(), [0.0, 1.0, 0.0, 1.0]);
    }
}
