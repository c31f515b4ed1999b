//! UniAD: masks, jitter, one layer of each kind, and the whole at small widths.

use burn::tensor::{Device, Tensor};
use mmad::methods::uniad::transformer::{
    DecoderLayer, EncoderLayer, TransformerConfig, neighbour_mask,
};
use mmad::methods::uniad::{Rebuilder, RebuilderConfig, distance};
use mmad::mode::{Mode, TrainStep};
use mmad::nn::{Corners, resize};
use mmad::params::{Builder, InitRule, ParamSet, Scope};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::baselines::{check_grads, fill, golden};
use super::file::{Golden, values};

const SIZES: TransformerConfig =
    TransformerConfig { hidden: 16, heads: 4, feed_forward: 32, dropout: 0.0 };

fn device() -> Device {
    Device::flex().autodiff()
}

fn build<T>(golden: &Golden, make: impl FnOnce(&Scope<'_>) -> T) -> (T, ParamSet) {
    let builder = Builder::new(&device(), ChaCha8Rng::seed_from_u64(0));
    let part = make(&builder.root(InitRule::Xavier));
    let params = builder.finish();
    fill(golden, "w.", &params);
    params.track(true);
    (part, params)
}

/// The file's `[tokens, batch, channels]` as ours, `[batch, tokens, channels]`.
fn tokens(golden: &Golden, name: &str) -> Tensor<3> {
    golden.tensor::<3>(name, &device()).swap_dims(0, 1)
}

fn as_stored(x: Tensor<3>) -> Vec<f32> {
    values(x.swap_dims(0, 1))
}

/// A 4x4 grid where a token does not see the 3x3 places around it.
fn mask() -> Tensor<4> {
    neighbour_mask([4, 4], [1, 1], &device())
}

#[test]
fn neighbour_masks() {
    for (name, side, reach) in [("uniad_mask_16_8", 16, 4), ("uniad_mask_14_7", 14, 3)] {
        let Some(golden) = golden(name) else { return };
        let mask = values(neighbour_mask([side; 2], [reach; 2], &Device::flex()));
        let blocked: Vec<f32> =
            mask.iter().map(|&value| if value < 0.0 { 1.0 } else { 0.0 }).collect();
        golden.check("blocked", &blocked, 0.0);
    }
}

/// Tolerance 1e-5, of the largest value.
#[test]
fn encoder_layer() {
    let Some(golden) = golden("uniad_encoder_layer") else { return };
    let (layer, params) = build(&golden, |scope| EncoderLayer::new(scope, SIZES));
    let x = tokens(&golden, "x").require_grad();
    let position = tokens(&golden, "pos");
    let y = layer.forward(x.clone(), &position, Some(&mask()), &Mode::SCORE);
    golden.check("y", &as_stored(y.clone()), 1e-5);
    let grads = (y * tokens(&golden, "dy")).sum().backward();
    golden.check("dx", &as_stored(x.grad(&grads).unwrap()), 1e-5);
    check_grads(&golden, "g.", &params, &grads, 1e-5);
}

/// Tolerance 1e-5, of the largest value.
#[test]
fn decoder_layer() {
    let Some(golden) = golden("uniad_decoder_layer") else { return };
    let (layer, params) = build(&golden, |scope| DecoderLayer::new(scope, 16, SIZES));
    let previous = tokens(&golden, "out").require_grad();
    let memory = tokens(&golden, "memory").require_grad();
    let position = tokens(&golden, "pos");
    let mask = mask();
    let y = layer.forward(previous.clone(), memory.clone(), &position, Some(&mask), &Mode::SCORE);
    golden.check("y", &as_stored(y.clone()), 1e-5);
    let grads = (y * tokens(&golden, "dy")).sum().backward();
    golden.check("dout", &as_stored(previous.grad(&grads).unwrap()), 1e-5);
    golden.check("dmemory", &as_stored(memory.grad(&grads).unwrap()), 1e-5);
    check_grads(&golden, "g.", &params, &grads, 1e-5);
}

fn config(channels: usize) -> RebuilderConfig {
    RebuilderConfig {
        transformer: SIZES,
        channels,
        grid: [4, 4],
        encoder_layers: 2,
        decoder_layers: 2,
        reach: [Some(1); 2],
    }
}

/// Tolerance 1e-5, of the largest value; 1e-4 for gradients.
#[test]
fn whole_transformer() {
    let Some(golden) = golden("uniad_full_small") else { return };
    let (part, params) = build(&golden, |scope| Rebuilder::new(scope, config(12)));
    golden.check("pos_embed_hw_c", &values(part.position()), 0.0);
    let features = golden.map("feature_align", &device());
    let step = TrainStep::replay([]);
    let rebuilt = part.forward(features.clone(), &Mode::Train(&step));
    golden.check_map("feature_rec", rebuilt.clone(), 1e-5);
    let loss = (rebuilt.clone() - features.clone()).powi_scalar(2).mean();
    golden.check("loss_mse", &values(loss.clone()), 1e-5);
    check_grads(&golden, "g.", &params, &loss.backward(), 1e-4);

    params.track(false);
    let features = golden.map("feature_align", &Device::flex());
    let distance = distance(features.clone(), part.forward(features, &Mode::SCORE));
    golden.check_map("pred", resize(distance, 16, 16, Corners::Aligned), 1e-5);
}

/// The recorded noise in the recorded order of tokens. Tolerance 1e-6.
#[test]
fn feature_jitter() {
    let Some(golden) = golden("uniad_jitter") else { return };
    let builder = Builder::new(&device(), ChaCha8Rng::seed_from_u64(0));
    let part = Rebuilder::new(&builder.root(InitRule::Xavier), config(12));
    let [n, batch, channels] = *golden.shape("tokens") else { unreachable!() };
    let noise = values(tokens(&golden, "noise"));
    let features = tokens(&golden, "tokens").reshape([batch, n, 1, channels]);
    let jittered = part.jitter(features, 20.0, 1.0, &TrainStep::replay([noise]));
    golden.check("jittered", &as_stored(jittered.reshape([batch, n, channels])), 1e-6);
}
