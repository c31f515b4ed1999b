//! The trained part of UniAD: features in, the same features out.
//!
//! Source: You et al. 2022, "A Unified Model for Multi-class Anomaly Detection", section 3; names
//! are those of the reference.

use burn::tensor::{Tensor, TensorData};

use super::transformer::{DecoderLayer, EncoderLayer, TransformerConfig, neighbour_mask};
use crate::mode::{Mode, TrainStep};
use crate::nn::{LayerNorm, Linear};
use crate::params::{Init, ParamSet, Scope, Weight};

/// How to build a [`Rebuilder`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RebuilderConfig {
    /// Sizes of the layers.
    pub transformer: TransformerConfig,
    /// Channels of the features.
    pub channels: usize,
    /// Rows and columns of the features.
    pub grid: [usize; 2],
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Rows and columns to either side that a token cannot see; `None` blocks nothing.
    pub reach: [Option<usize>; 2],
}

/// Projection, position, encoder, decoder and projection back.
#[derive(Debug, Clone)]
pub struct Rebuilder {
    input: Linear,
    row_position: Weight<2>,
    column_position: Weight<2>,
    encoder: Vec<EncoderLayer>,
    decoder: Vec<DecoderLayer>,
    norm: LayerNorm,
    output: Linear,
    config: RebuilderConfig,
    mask: Option<Tensor<4>>,
}

impl Rebuilder {
    /// Makes the layers in `scope`.
    pub fn new(scope: &Scope<'_>, config: RebuilderConfig) -> Self {
        let RebuilderConfig { transformer, channels, grid, .. } = config;
        let [height, width] = grid;
        let hidden = transformer.hidden;
        let position = |name: &str, side: usize| {
            scope.sub("pos_embed").sub(name).weight("weight", [side, hidden / 2], Init::Unit)
        };
        let layers = |part: &str| scope.sub("transformer").sub(part).sub("layers");
        let (encoder, decoder) = (layers("encoder"), layers("decoder"));
        let mask = match config.reach {
            [Some(rows), Some(columns)] => {
                Some(neighbour_mask(grid, [rows, columns], scope.device()))
            }
            _ => None,
        };
        Self {
            row_position: position("row_embed", height),
            column_position: position("col_embed", width),
            encoder: (0..config.encoder_layers)
                .map(|index| EncoderLayer::new(&encoder.sub(index), transformer))
                .collect(),
            decoder: (0..config.decoder_layers)
                .map(|index| DecoderLayer::new(&decoder.sub(index), height * width, transformer))
                .collect(),
            norm: LayerNorm::new(&scope.sub("transformer.decoder.norm"), hidden, 1e-5),
            input: Linear::new(&scope.sub("input_proj"), channels, hidden, true),
            output: Linear::new(&scope.sub("output_proj"), hidden, channels, true),
            config,
            mask,
        }
    }

    /// Gives all layers of a kind the first one's attention matrices and query, as in the
    /// reference, whose layers are copies. `prefix` is that of the names here.
    pub fn start_alike(&self, params: &ParamSet, prefix: &str) {
        let alike = [
            ("encoder", "self_attn.in_proj_weight", self.encoder.len()),
            ("decoder", "self_attn.in_proj_weight", self.decoder.len()),
            ("decoder", "multihead_attn.in_proj_weight", self.decoder.len()),
            ("decoder", "learned_embed.weight", self.decoder.len()),
        ];
        for (part, name, n_layers) in alike {
            let of = |layer: usize| {
                params.find(&format!("{prefix}transformer.{part}.layers.{layer}.{name}"))
            };
            let first = of(0).map(crate::params::Param::values).unwrap_or_default();
            for layer in (1..n_layers).filter_map(of) {
                layer.set_values(first.clone());
            }
        }
    }

    /// Adds normal noise to the features of a share `probability` of the pictures; its deviation is
    /// `scale / channels` times the length of the feature vector.
    ///
    /// # Shapes
    ///
    /// - `features` and output: `[b, h, w, channels]`
    pub fn jitter(
        &self,
        features: Tensor<4>,
        scale: f64,
        probability: f64,
        step: &TrainStep,
    ) -> Tensor<4> {
        let shape = features.dims();
        let [batch, _, _, channels] = shape;
        let noise = step.normal(shape.iter().product());
        let chosen: Vec<f32> = match probability {
            p if p >= 1.0 => vec![1.0; batch],
            p => step.chosen(batch, p),
        };
        let device = features.device();
        let noise = Tensor::<4>::from_data(TensorData::new(noise, shape), &device);
        let chosen = Tensor::<4>::from_data(TensorData::new(chosen, [batch, 1, 1, 1]), &device);
        let length = features.clone().powi_scalar(2).sum_dim(3).sqrt();
        features + noise * chosen * length * (scale / channels as f64)
    }

    /// What the transformer makes of features.
    ///
    /// # Shapes
    ///
    /// - `features` and output: `[b, h, w, channels]`
    pub fn forward(&self, features: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let shape = features.dims();
        let [batch, height, width, channels] = shape;
        let tokens = features.reshape([batch, height * width, channels]);
        let position = self.position();
        // A mask made on the plain device joins the tokens on theirs.
        let mask = self.mask.clone().map(|mask| {
            if tokens.device().is_autodiff() && !mask.device().is_autodiff() {
                Tensor::from_inner(mask)
            } else {
                mask
            }
        });
        let mask = mask.as_ref();
        let memory = self
            .encoder
            .iter()
            .fold(self.input.forward(tokens), |x, layer| layer.forward(x, &position, mask, mode));
        let decoded = self.decoder.iter().fold(memory.clone(), |previous, layer| {
            layer.forward(previous, memory.clone(), &position, mask, mode)
        });
        self.output.forward(self.norm.forward(decoded)).reshape(shape)
    }

    /// The learned position of every token: that of its column, then that of its row.
    ///
    /// # Shapes
    ///
    /// - output: `[1, h · w, hidden]`
    pub fn position(&self) -> Tensor<3> {
        let [height, width] = self.config.grid;
        let half = self.config.transformer.hidden / 2;
        let columns = self.column_position.get().unsqueeze_dim::<3>(0);
        let rows = self.row_position.get().unsqueeze_dim::<3>(1);
        let shape = [height, width, half];
        let both = Tensor::cat(vec![columns.expand(shape), rows.expand(shape)], 2);
        both.reshape([1, height * width, 2 * half])
    }
}
