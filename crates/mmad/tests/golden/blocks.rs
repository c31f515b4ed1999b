//! The parts of the model, one by one, values and gradients.

use burn::tensor::{Device, Tensor};
use mmad::methods::mmad::dmf::{ChannelAttention, ChannelAttentionUse, Dmf, DmfConfig};
use mmad::methods::mmad::hmd::{Hmd, HmdConfig, PatchExpand};
use mmad::methods::mmad::hss::{GatedFeedForward, HssBlock};
use mmad::methods::mmad::mixer::{Mixer, MixerConfig};
use mmad::methods::mmad::router::Router;
use mmad::methods::mmad::ss2d::{Ss2d, Ss2dConfig, VssBlock};
use mmad::mode::{KeepShare, Mode, TrainStep};
use mmad::nn::LayerNorm;
use mmad::params::{Builder, InitRule, ParamSet, Scope};
use mmad_kernels::orders::ScanOrder;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::file::{Golden, files, values};
use super::recipe;

/// The reference scores golden files with the share of kept tokens averaged over the batch.
const SCORE: Mode<'static> = Mode::Score(KeepShare::PerBatch);

fn device() -> Device {
    Device::flex().autodiff()
}

/// Builds a part on the autodiff device, with tracked parameters.
fn build<T>(make: impl FnOnce(&Scope<'_>) -> T) -> (T, ParamSet) {
    let builder = Builder::new(&device(), ChaCha8Rng::seed_from_u64(0));
    let part = make(&builder.root(InitRule::Decoder));
    (part, builder.finish())
}

/// Runs `forward` on `input`, compares `output` and every gradient of `sum(output · cotangent)`.
///
/// `is_channels_first` says whether the file has `[b, c, h, w]` where ours have `[b, h, w, c]`.
fn check_part(
    golden: &Golden,
    params: &ParamSet,
    is_channels_first: bool,
    [tolerance, grad_tolerance]: [f64; 2],
    forward: impl Fn(Tensor<4>) -> Tensor<4>,
) {
    let device = device();
    params.track(true);
    let load = |name: &str| match is_channels_first {
        true => golden.map(name, &device),
        false => golden.tensor(name, &device),
    };
    let as_stored = |x: Tensor<4>| match is_channels_first {
        true => values(x.permute([0, 3, 1, 2])),
        false => values(x),
    };
    let input = load("input").require_grad();
    let output = forward(input.clone());
    golden.check("output", &as_stored(output.clone()), tolerance);
    if golden.has("cotangent") {
        let grads = (output * load("cotangent")).sum().backward();
        golden.check("grad.input", &as_stored(input.grad(&grads).unwrap()), grad_tolerance);
        golden.check_grads("grad.", params, &grads, grad_tolerance);
    }
}

fn ss2d_config(channels: usize, order: ScanOrder, directions: usize) -> Ss2dConfig {
    Ss2dConfig { channels, order, directions, states: 16, dropout: 0.0 }
}

/// Tolerance 1e-5: the reference itself, in f32, is up to 2e-6 away.
#[test]
fn ss2d() {
    for golden in files("03_ss2d_") {
        let number = |key| golden.meta(key).parse::<usize>().unwrap();
        let order = golden.meta("scan_type").parse().unwrap();
        let config = ss2d_config(number("d_model"), order, number("num_direction"));
        let (part, params) = build(|scope| Ss2d::new(scope, config));
        golden.fill(&params);
        check_part(&golden, &params, false, [1e-5; 2], |x| part.forward(x, &Mode::SCORE));
    }
}

#[test]
fn vss_block() {
    for golden in files("04_vssblock") {
        let channels = golden.shape("input")[3];
        let config = ss2d_config(channels, ScanOrder::Hilbert, 8);
        let (part, params) = build(|scope| VssBlock::new(scope, config, 0.0));
        golden.fill(&params);
        check_part(&golden, &params, false, [1e-5; 2], |x| part.forward(x, &Mode::SCORE));
    }
}

#[test]
fn patch_expand() {
    for golden in files("04_patch_expand") {
        let channels = golden.shape("input")[3] / 2;
        let (part, params) = build(|scope| PatchExpand::new(scope, channels));
        golden.fill(&params);
        check_part(&golden, &params, false, [1e-5; 2], |x| part.forward(x));
    }
}

#[test]
fn gated_feed_forward() {
    for golden in files("04_gated_ffn") {
        let channels = golden.shape("input")[1];
        let (part, params) = build(|scope| GatedFeedForward::new(scope, channels));
        golden.fill(&params);
        check_part(&golden, &params, true, [1e-5; 2], |x| part.forward(x));
    }
}

#[test]
fn channel_attention() {
    for golden in files("04_channel_attention") {
        let channels = golden.shape("input")[1];
        let (part, params) = build(|scope| ChannelAttention::new(scope, channels));
        golden.fill(&params);
        check_part(&golden, &params, true, [1e-5; 2], |x| part.forward(x));
    }
}

#[test]
fn layer_norm() {
    for golden in files("04_layernorm_channels_first") {
        let channels = golden.shape("input")[1];
        let (part, params) = build(|scope| LayerNorm::new(scope, channels, 1e-6));
        golden.fill(&params);
        check_part(&golden, &params, true, [1e-5; 2], |x| part.forward(x));
    }
}

#[test]
fn fuser_attention_branch() {
    use mmad::nn::{Conv2d, ConvConfig};
    for golden in files("04_fuser_cab") {
        let [narrow, wide, _, _] = *golden.shape("weight.0.weight") else { unreachable!() };
        let ((first, second, attention), params) = build(|scope| {
            let first = Conv2d::new(&scope.sub(0), ConvConfig::new(wide, narrow, 3));
            let second = Conv2d::new(&scope.sub(2), ConvConfig::new(narrow, wide, 3));
            (first, second, ChannelAttention::new(&scope.sub(3), wide))
        });
        golden.fill(&params);
        check_part(&golden, &params, true, [1e-5; 2], |x| {
            let x = burn::tensor::activation::gelu(first.forward(x));
            attention.forward(second.forward(x))
        });
    }
}

#[test]
fn local_branch_of_the_mixer() {
    use mmad::nn::DepthwiseConv2d;
    for golden in files("04_conv_spatial") {
        let channels = golden.shape("input")[1];
        let (convs, params) = build(|scope| {
            [(0, 3), (3, 5), (6, 7)]
                .map(|(index, k)| DepthwiseConv2d::new(&scope.sub(index), channels, k, false))
        });
        golden.fill(&params);
        check_part(&golden, &params, true, [1e-5; 2], |x| {
            convs.iter().fold(x, |x, conv| mmad::ops::instance_norm_silu(conv.forward(x), 1e-5))
        });
    }
}

#[test]
fn router_scoring() {
    for golden in files("04_predictor_eval") {
        let device = device();
        let channels = golden.shape("channel_attention")[1];
        let (router, params) = build(|scope| Router::new(scope, channels));
        golden.fill(&params);
        params.track(true);
        let routing = router.forward_placed(golden.map("input", &device), &SCORE);
        golden.check_map("offsets", router.offsets(golden.map("input", &device)), 1e-5);
        golden.check_map("channel_attention", routing.channel_gate, 1e-5);
        golden.check_map("spatial_attention", routing.spatial_gate, 1e-5);
        let n_kept = golden.values("K")[0] as usize;
        let [_, n_tokens] = *golden.shape("order") else { unreachable!() };
        let kept = values(routing.keep);
        for (kept, order) in kept.chunks(n_tokens).zip(golden.values("order").chunks(n_tokens)) {
            for (place, &token) in order.iter().enumerate() {
                let expected = if place < n_kept { 1.0 } else { 0.0 };
                assert_eq!(kept[token as usize], expected, "{}: place {place}", golden.name);
            }
        }
    }
}

#[test]
fn router_training() {
    for golden in files("04_predictor_train") {
        let device = device();
        let channels = golden.shape("output.2")[1];
        let (router, params) = build(|scope| Router::new(scope, channels));
        golden.fill(&params);
        params.track(true);
        let step = TrainStep::replay([golden.values("gumbel").to_vec()]);
        let input = golden.map("input", &device).require_grad();
        let routing = router.forward_placed(input.clone(), &Mode::Train(&step));
        let offsets = router.offsets(input.clone());
        golden.check("output.0", &values(routing.keep.clone()), 0.0);
        golden.check_map("output.1", offsets.clone(), 1e-5);
        golden.check_map("output.2", routing.channel_gate.clone(), 1e-5);
        golden.check_map("output.3", routing.spatial_gate.clone(), 1e-5);
        let keep = routing.keep.reshape(<[usize; 3]>::try_from(golden.shape("output.0")).unwrap());
        let loss = (keep * golden.tensor::<3>("cotangent.0", &device)).sum()
            + (offsets * golden.map("cotangent.1", &device)).sum()
            + (routing.channel_gate * golden.map("cotangent.2", &device)).sum()
            + (routing.spatial_gate * golden.map("cotangent.3", &device)).sum();
        let grads = loss.backward();
        golden.check_map("grad.input", input.grad(&grads).unwrap(), 1e-5);
        golden.check_grads("grad.", &params, &grads, 1e-5);
    }
}

/// The warp has no effect on the model; its twin shows what the offsets mean.
#[test]
fn flow_warp() {
    for golden in files("04_flow_warp") {
        let device = device();
        let map = golden.map("input.0", &device).require_grad();
        let offsets = golden.map("input.1", &device).require_grad();
        let warped = mmad::ops::reference::flow_warp(map.clone(), offsets.clone());
        golden.check_map("output", warped.clone(), 1e-5);
        let grads = (warped * golden.map("cotangent", &device)).sum().backward();
        golden.check_map("grad.input.0", map.grad(&grads).unwrap(), 1e-5);
        golden.check_map("grad.input.1", offsets.grad(&grads).unwrap(), 1e-5);
    }
}

fn mixer_config(channels: usize) -> MixerConfig {
    MixerConfig {
        channels,
        groups: 4,
        orders: vec![ScanOrder::Hilbert, ScanOrder::Zorder, ScanOrder::Zigzag],
        directions: 8,
        states: 16,
        drop_path: 0.0,
    }
}

/// Runs a part in scoring on its own file and in training on the file's twin.
fn check_both_modes(
    prefix: &str,
    is_channels_first: bool,
    make: impl Fn(&Scope<'_>, &MixerConfig) -> Box<dyn Fn(Tensor<4>, &Mode<'_>) -> Tensor<4>>,
) {
    let scoring = files(&format!("{prefix}_eval"));
    let training = files(&format!("{prefix}_train"));
    for (scoring, training) in scoring.iter().zip(&training) {
        let channels = scoring.shape("input")[if is_channels_first { 1 } else { 3 }];
        let (part, params) = build(|scope| make(scope, &mixer_config(channels)));
        scoring.fill(&params);
        check_part(scoring, &params, is_channels_first, [1e-5, 1e-4], |x| part(x, &SCORE));
        check_part(training, &params, is_channels_first, [1e-5, 1e-4], |x| {
            let step = TrainStep::replay([training.values("gumbel").to_vec()]);
            part(x, &Mode::Train(&step))
        });
    }
}

/// Tolerance 1e-5 for values and 1e-4 for gradients: the reference in f32 is up to 6e-6 away.
#[test]
fn mixer() {
    check_both_modes("05_mixer", true, |scope, config| {
        let mixer = Mixer::new(scope, config);
        Box::new(move |x, mode| mixer.forward(x, mode))
    });
}

#[test]
fn hss_block() {
    check_both_modes("05_hybridblock", false, |scope, config| {
        let block = HssBlock::new(scope, config);
        Box::new(move |x, mode| block.forward(x, mode))
    });
}

fn hmd_config(channels: Vec<usize>, blocks: Vec<usize>) -> HmdConfig {
    let drop_path = blocks.iter().map(|&n_blocks| vec![0.0; n_blocks]).collect();
    HmdConfig {
        channels,
        blocks,
        drop_path,
        groups: 4,
        orders: vec![ScanOrder::Hilbert, ScanOrder::Zorder, ScanOrder::Zigzag],
        directions: 8,
        states: 16,
    }
}

/// Builds a decoder with the recipe's weights.
pub fn recipe_hmd(golden: &Golden, prefix: &str) -> (Hmd, ParamSet) {
    let depths = golden.meta_list("depths");
    let (blocks, _) = HmdConfig::schedule(&depths, 0.0).unwrap();
    assert_eq!(blocks, golden.meta_list("blocks"));
    let config = hmd_config(golden.meta_list("dims"), blocks);
    let (hmd, params) = build(|scope| Hmd::new(scope, &config));
    recipe::fill(&params, golden.seed(), prefix);
    (hmd, params)
}

#[test]
fn one_stage() {
    for golden in files("05_hss_eval") {
        let channels = golden.shape("output")[3];
        let n_blocks = golden.meta("blocks").parse().unwrap();
        let ((expand, blocks), params) = build(|scope| {
            let scope = scope.sub("layer");
            let block =
                |index| HssBlock::new(&scope.sub("blocks").sub(index), &mixer_config(channels));
            let blocks: Vec<HssBlock> = (0..n_blocks).map(block).collect();
            (PatchExpand::new(&scope.sub("upsample"), channels), blocks)
        });
        for param in params.iter() {
            let name = param.name().replacen("layer.", "hss.", 1);
            param.set_values(recipe::parameter(&name, &param.shape(), golden.seed()));
        }
        check_part(&golden, &params, false, [1e-4; 2], |x| {
            blocks.iter().fold(expand.forward(x), |x, block| block.forward(x, &SCORE))
        });
    }
}

/// Tolerance 2e-3: differences grow through the stack; the reference in f32 is up to 5e-4 away.
#[test]
fn decoder() {
    for (prefix, file) in [("hmd3.", "07_hmd3_eval"), ("hmd4.", "07_hmd4_eval")] {
        for golden in files(file) {
            let (hmd, _params) = recipe_hmd(&golden, prefix);
            let outputs = hmd.forward(golden.map("input", &device()), &SCORE);
            for (index, output) in outputs.into_iter().enumerate() {
                golden.check_map(&format!("output.{index}"), output, 2e-3);
            }
        }
    }
}

fn recipe_dmf(golden: &Golden, prefix: &str) -> (Dmf, ParamSet) {
    let [c0, c1, c2] = [0, 1, 2].map(|index| golden.shape(&format!("input.{index}"))[1]);
    let expansion: usize = golden.meta("expansion").parse().unwrap();
    let config = DmfConfig {
        channels: [c0, c1, c2],
        bottleneck_channels: 128,
        out_channels: 128 * expansion,
        directions: 8,
        states: 16,
        channel_attention: ChannelAttentionUse::GateOnly,
    };
    let (dmf, params) = build(|scope| Dmf::new(scope, &config));
    recipe::fill(&params, golden.seed(), prefix);
    (dmf, params)
}

#[test]
fn fuser_scoring() {
    for (prefix, file) in [("fuser1.", "06_fuser_e1_eval"), ("fuser4.", "06_fuser_e4_eval")] {
        for golden in files(file) {
            let (dmf, _params) = recipe_dmf(&golden, prefix);
            let inputs = [0, 1, 2].map(|i| golden.map(&format!("input.{i}"), &device()));
            golden.check_map("output", dmf.forward(&inputs, &SCORE), 1e-5);
        }
    }
}

/// Batch statistics, gradients as digests, running statistics after the step.
#[test]
fn fuser_training() {
    use super::file::{samples, stats};
    for golden in files("06_fuser_e1_train") {
        let (dmf, params) = recipe_dmf(&golden, "fuser1.");
        params.track(true);
        let device = device();
        let inputs = [0, 1, 2].map(|i| golden.map(&format!("input.{i}"), &device).require_grad());
        let step = TrainStep::replay([]);
        let output = dmf.forward(&inputs, &Mode::Train(&step));
        golden.check_map("output", output.clone(), 1e-4);
        let grads = (output * golden.map("cotangent", &device)).sum().backward();
        for (index, input) in inputs.iter().enumerate() {
            let ours = values(input.grad(&grads).unwrap().permute([0, 3, 1, 2]));
            check_digest(&golden, &format!("grad.input.{index}"), &ours, 0.0);
        }
        let largest = golden
            .names()
            .filter(|name| name.starts_with("grad.") && name.ends_with(".stats"))
            .map(|name| golden.values(name)[3].abs().max(golden.values(name)[2].abs()))
            .fold(0.0_f32, f32::max);
        for param in params.trained() {
            let name = format!("grad.{}", param.name());
            check_digest(&golden, &name, &param.grad(&grads).unwrap(), largest);
        }
        for param in params.iter().filter(|param| param.name().contains("running_")) {
            golden.check(&format!("after.{}", param.name()), &param.values(), 1e-4);
        }
        // A digest of one known vector, so that the digests themselves are pinned.
        assert_eq!(samples(&[1.0, 2.0, 3.0, 4.0, 5.0], 3), [1.0, 3.0, 5.0]);
        assert_eq!(stats(&[3.0, -4.0]), [-1.0, 5.0, -4.0, 3.0]);
    }
}

/// Compares the samples of a tensor, on the scale of its largest value, or of the largest in the
/// file where its own is less than a millionth of that (biases in front of a batch norm).
fn check_digest(golden: &Golden, name: &str, ours: &[f32], largest_in_file: f32) {
    use super::file::samples;
    if golden.has(name) {
        return golden.check(name, ours, 1e-4);
    }
    let theirs = golden.values(&format!("{name}.samples"));
    let stats = golden.values(&format!("{name}.stats"));
    let scale = stats[2].abs().max(stats[3].abs());
    let scale = if scale < 1e-6 * largest_in_file { largest_in_file * 0.1 } else { scale };
    let ours = samples(ours, theirs.len());
    assert_eq!(ours.len(), theirs.len(), "{}: {name}", golden.name);
    let error = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / scale;
    eprintln!("golden {} {name} error {error:.2e} tolerance 1e-4", golden.name);
    assert!(error <= 1e-4, "{}: {name}: error {error:.2e}", golden.name);
}
