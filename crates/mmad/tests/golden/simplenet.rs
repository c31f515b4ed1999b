//! SimpleNet at small widths: features, losses, gradients, statistics, a step, scores.

use burn::tensor::{Device, Tensor};
use mmad::anomaly_map::{SIGMA_PX, blur};
use mmad::methods::simplenet::patches::embed;
use mmad::methods::simplenet::{Judge, hinge};
use mmad::nn::{Corners, resize};
use mmad::params::{Builder, InitRule};
use mmad::train::adamw::AdamWConfig;
use mmad::train::optimiser::{Group, Optimiser, Rule};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::baselines::{check_grads, check_statistics, fill, golden};
use super::file::values;

/// Tolerance 1e-5 of the largest value, 1e-4 for gradients.
///
/// The file's step decays all parameters, and its optimiser sees the file's own gradients.
#[test]
fn simplenet() {
    let Some(golden) = golden("simplenet_small") else { return };
    let device = Device::flex().autodiff();
    let [batch, _, height, width] = *golden.shape("layer2") else { unreachable!() };
    let [_, channels] = *golden.shape("embedding") else { unreachable!() };
    let [hidden] = *golden.shape("w.disc.body.block1.0.bias") else { unreachable!() };
    let builder = Builder::new(&device, ChaCha8Rng::seed_from_u64(0));
    let root = builder.root(InitRule::Fuser);
    let judge = Judge::new(&root.sub("proj"), &root.sub("disc"), channels, hidden);
    let params = builder.finish();
    fill(&golden, "w.", &params);
    params.track(true);

    let plain = Device::flex();
    let map = |name: &str| golden.map(name, &plain);
    let embedded = embed(map("layer2"), map("layer3"), channels);
    golden.check("embedding", &values(embedded.clone()), 1e-6);
    let noise = golden.tensor::<2>("noise", &device).reshape([batch, height, width, channels]);
    let (good, noisy) = judge.train(Tensor::from_inner(embedded.clone()), noise);
    golden.check("true_scores", &values(good.clone()), 1e-5);
    golden.check("fake_scores", &values(noisy.clone()), 1e-5);
    let [on_good, on_noisy] = hinge(good, noisy, 0.5);
    golden.check("true_loss", &values(on_good.clone()), 1e-5);
    golden.check("fake_loss", &values(on_noisy.clone()), 1e-5);
    check_grads(&golden, "g.", &params, &(on_good + on_noisy).backward(), 1e-4);
    check_statistics(&golden, "after.", &params, 1e-5);

    let adam = |weight_decay| AdamWConfig { weight_decay, ..AdamWConfig::default() };
    let projection = Group::named(&["proj."], 0, Rule::AdamW(adam(1e-2)));
    let discriminator = Group::named(&["disc."], 1, Rule::Adam(adam(1e-5)));
    let groups = vec![
        Group { decays_all: true, ..projection },
        Group { decays_all: true, rate_factor: 2.0, ..discriminator },
    ];
    let gradients = params
        .stand_in_loss(|param| Some(golden.values(&format!("g.{}", param.name())).to_vec()))
        .backward();
    Optimiser::new(groups, &params).step(&params, &gradients, 0, 1e-4);
    for param in params.trained() {
        // A step moves a value by up to 2e-4, whatever its own size.
        golden.check_floor(&format!("step.{}", param.name()), &param.values(), 1e-6, 1.0);
    }

    params.track(false);
    let patches = judge.score(embedded);
    golden.check("patch_scores_after_step_eval", &values(patches.clone()), 1e-4);
    let largest = values(patches.clone().max_dim(1).max_dim(2));
    golden.check("image_score_raw_max", &largest, 1e-4);
    let enlarged = values(resize(patches, 32, 32, Corners::HalfPixel));
    golden.check("map32_bilinear_half_pixel", &enlarged, 1e-4);
    let smooth: Vec<Vec<f32>> = enlarged
        .chunks(32 * 32)
        .map(|map| {
            let map = map.iter().map(|&value| f64::from(value)).collect();
            blur(map, 32, 32, SIGMA_PX).into_iter().map(|value| value as f32).collect()
        })
        .collect();
    golden.check("map32_sigma4", &smooth.concat(), 1e-4);
    let scores: Vec<f32> =
        smooth.iter().map(|map| map.iter().copied().fold(f32::MIN, f32::max)).collect();
    golden.check("image_score_ader", &scores, 1e-4);
}
