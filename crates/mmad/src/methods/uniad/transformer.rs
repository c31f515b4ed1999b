//! UniAD's transformer: attention that cannot look at its neighbourhood, and a decoder whose layers
//! each have a query of their own.
//!
//! Source: You et al. 2022, "A Unified Model for Multi-class Anomaly Detection", figure 3 and
//! section 3.2; post-norm layers of Vaswani et al. 2017. Names are those of the reference.

use burn::tensor::{Device, Tensor, TensorData, activation};

use crate::mode::Mode;
use crate::nn::{LayerNorm, Linear};
use crate::ops;
use crate::params::{Init, Scope, Weight};

/// Sizes of a transformer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransformerConfig {
    /// Channels of a token.
    pub hidden: usize,
    /// Heads of every attention; divides `hidden`.
    pub heads: usize,
    /// Channels between the two layers of a feed-forward part.
    pub feed_forward: usize,
    /// Share of values that is left out in training.
    pub dropout: f64,
}

/// Which tokens of a grid may not look at which: those within `reach` rows and columns, the token
/// itself included.
///
/// # Shapes
///
/// - output: `[1, 1, n, n]` with `n` tokens, row by row; 0 where allowed, a huge negative number
///   where blocked
pub fn neighbour_mask(
    [height, width]: [usize; 2],
    [rows, columns]: [usize; 2],
    device: &Device,
) -> Tensor<4> {
    // Far below every score, and finite, so that no arithmetic makes a NaN of it.
    const BLOCKED: f32 = -1e9;
    let n = height * width;
    let mut mask = vec![0.0_f32; n * n];
    for from in 0..n {
        for to in 0..n {
            let near_row = (from / width).abs_diff(to / width) <= rows;
            let near_column = (from % width).abs_diff(to % width) <= columns;
            if near_row && near_column {
                mask[from * n + to] = BLOCKED;
            }
        }
    }
    Tensor::from_data(TensorData::new(mask, [1, 1, n, n]), device)
}

/// Attention with several heads and one matrix for queries, keys and values.
#[derive(Debug, Clone)]
struct Attention {
    in_weight: Weight<2>,
    in_bias: Weight<1>,
    out: Linear,
    config: TransformerConfig,
}

impl Attention {
    fn new(scope: &Scope<'_>, config: TransformerConfig) -> Self {
        let d = config.hidden;
        let bound = (6.0 / (4 * d) as f64).sqrt();
        Self {
            in_weight: scope.weight("in_proj_weight", [3 * d, d], Init::Uniform { bound }),
            in_bias: scope.weight("in_proj_bias", [3 * d], Init::Zeros),
            out: Linear::new(&scope.sub("out_proj"), d, d, true),
            config,
        }
    }

    /// Every query looks at the keys that `mask` allows and takes in their values.
    ///
    /// Shapes: `query`, `key`, `value` and output `[b, n, hidden]`.
    fn forward(
        &self,
        query: Tensor<3>,
        key: Tensor<3>,
        value: Tensor<3>,
        mask: Option<&Tensor<4>>,
        mode: &Mode<'_>,
    ) -> Tensor<3> {
        let [batch, n, d] = query.dims();
        let TransformerConfig { heads, dropout, .. } = self.config;
        let head = d / heads;
        let project = |x: Tensor<3>, part: usize| {
            let weight = self.in_weight.get().narrow(0, part * d, d);
            let bias = self.in_bias.get().narrow(0, part * d, d);
            let [_, n, _] = x.dims();
            ops::linear(x, weight, Some(bias)).reshape([batch, n, heads, head]).swap_dims(1, 2)
        };
        ops::macs::add(2 * batch * n * key.dims()[1] * d);
        let query = project(query, 0) * (head as f64).powf(-0.5);
        let scores = query.matmul(project(key, 1).swap_dims(2, 3));
        let scores = match mask {
            Some(mask) => scores + mask.clone(),
            None => scores,
        };
        let shares = mode.dropout(activation::softmax(scores, 3), dropout);
        let seen = shares.matmul(project(value, 2));
        self.out.forward(seen.swap_dims(1, 2).reshape([batch, n, d]))
    }
}

/// Two linear layers with ReLU between them.
#[derive(Debug, Clone)]
struct FeedForward {
    linear1: Linear,
    linear2: Linear,
    dropout: f64,
}

impl FeedForward {
    fn new(scope: &Scope<'_>, config: TransformerConfig) -> Self {
        let TransformerConfig { hidden, feed_forward, dropout, .. } = config;
        Self {
            linear1: Linear::new(&scope.sub("linear1"), hidden, feed_forward, true),
            linear2: Linear::new(&scope.sub("linear2"), feed_forward, hidden, true),
            dropout,
        }
    }

    fn forward(&self, x: Tensor<3>, mode: &Mode<'_>) -> Tensor<3> {
        let x = mode.dropout(activation::relu(self.linear1.forward(x)), self.dropout);
        self.linear2.forward(x)
    }
}

/// Attention of the tokens to one another, then a feed-forward part, each added and normalised.
#[derive(Debug, Clone)]
pub struct EncoderLayer {
    attention: Attention,
    feed_forward: FeedForward,
    norms: [LayerNorm; 2],
    dropout: f64,
}

impl EncoderLayer {
    /// Makes the layer in `scope`.
    pub fn new(scope: &Scope<'_>, config: TransformerConfig) -> Self {
        Self {
            attention: Attention::new(&scope.sub("self_attn"), config),
            feed_forward: FeedForward::new(scope, config),
            norms: norms(scope, config.hidden),
            dropout: config.dropout,
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[b, n, hidden]`; `position`: `[1, n, hidden]`; `mask`: `[1, 1, n, n]`
    pub fn forward(
        &self,
        x: Tensor<3>,
        position: &Tensor<3>,
        mask: Option<&Tensor<4>>,
        mode: &Mode<'_>,
    ) -> Tensor<3> {
        let [norm1, norm2] = &self.norms;
        let placed = x.clone() + position.clone();
        let seen = self.attention.forward(placed.clone(), placed, x.clone(), mask, mode);
        let x = norm1.forward(x + mode.dropout(seen, self.dropout));
        let y = self.feed_forward.forward(x.clone(), mode);
        norm2.forward(x + mode.dropout(y, self.dropout))
    }
}

/// A learned query looks at the encoder's tokens, then at those of the layer before.
#[derive(Debug, Clone)]
pub struct DecoderLayer {
    query: Weight<2>,
    to_memory: Attention,
    to_previous: Attention,
    feed_forward: FeedForward,
    norms: [LayerNorm; 3],
    dropout: f64,
}

impl DecoderLayer {
    /// Makes the layer in `scope` for `n` tokens.
    pub fn new(scope: &Scope<'_>, n: usize, config: TransformerConfig) -> Self {
        let query = scope.sub("learned_embed");
        Self {
            query: query.weight("weight", [n, config.hidden], Init::Normal { std: 1.0 }),
            to_memory: Attention::new(&scope.sub("self_attn"), config),
            to_previous: Attention::new(&scope.sub("multihead_attn"), config),
            feed_forward: FeedForward::new(scope, config),
            norms: norms(scope, config.hidden),
            dropout: config.dropout,
        }
    }

    /// # Shapes
    ///
    /// - `previous`, `memory` and output: `[b, n, hidden]`; `position`: `[1, n, hidden]`;
    ///   `mask`: `[1, 1, n, n]`
    pub fn forward(
        &self,
        previous: Tensor<3>,
        memory: Tensor<3>,
        position: &Tensor<3>,
        mask: Option<&Tensor<4>>,
        mode: &Mode<'_>,
    ) -> Tensor<3> {
        let [norm1, norm2, norm3] = &self.norms;
        let shape = memory.dims();
        let x = self.query.get().unsqueeze::<3>().expand(shape);
        let place = |x: &Tensor<3>| x.clone() + position.clone();
        let seen = self.to_memory.forward(place(&x), place(&memory), memory, mask, mode);
        let x = norm1.forward(x + mode.dropout(seen, self.dropout));
        let seen = self.to_previous.forward(place(&x), place(&previous), previous, mask, mode);
        let x = norm2.forward(x + mode.dropout(seen, self.dropout));
        let y = self.feed_forward.forward(x.clone(), mode);
        norm3.forward(x + mode.dropout(y, self.dropout))
    }
}

fn norms<const N: usize>(scope: &Scope<'_>, hidden: usize) -> [LayerNorm; N] {
    std::array::from_fn(|i| LayerNorm::new(&scope.sub(format_args!("norm{}", i + 1)), hidden, 1e-5))
}
