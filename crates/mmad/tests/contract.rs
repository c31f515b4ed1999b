//! What every entry of `METHODS` must keep, whatever it is inside.

#![allow(missing_docs, clippy::unwrap_used)]

use burn::tensor::{Device, Tensor, TensorData};
use mmad::encoder::Arch;
use mmad::method::{Method, MethodEntry};
use mmad::methods::METHODS;
use mmad::mode::TrainStep;
use mmad::random;
use mmad::run_file::{Preset, RunConfig};
use mmad::train::adamw::{AdamW, AdamWConfig};
use rand::Rng as _;

/// A configuration that builds in a moment.
fn small(entry: &MethodEntry) -> RunConfig {
    let mut config = RunConfig::preset(Preset::Quick);
    entry.id.clone_into(&mut config.method);
    config.encoder.arch = Arch::Resnet10;
    config.mmad.widths = [16, 32, 64];
    config.mmad.directions = 2;
    config.mmad.states = 4;
    config
}

fn build(entry: &MethodEntry, seed: u64) -> Box<dyn Method> {
    let config = RunConfig { seed, ..small(entry) };
    (entry.build)(&config, &Device::flex()).unwrap()
}

/// Pictures that differ from one another, `[n, 64, 96, 3]`: not square on purpose.
fn images(n: usize) -> Tensor<4> {
    let mut rng = random::stream(1, "contract", 0);
    let tints: Vec<[f32; 3]> = (0..n).map(|_| rng.random()).collect();
    let values: Vec<f32> = tints
        .iter()
        .flat_map(|tint| (0..64 * 96).map(move |i| (tint, i)))
        .flat_map(|(tint, i)| tint.map(|tint| tint + ((i % 7) as f32 - 3.0) / 3.0))
        .collect();
    Tensor::from_data(TensorData::new(values, [n, 64, 96, 3]), &Device::flex())
}

fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn weights(method: &dyn Method) -> Vec<Vec<f32>> {
    method.params().iter().map(mmad::params::Param::values).collect()
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    for entry in METHODS {
        let first = weights(build(entry, 1).as_ref());
        assert_eq!(first, weights(build(entry, 1).as_ref()), "{}", entry.id);
        assert_ne!(first, weights(build(entry, 2).as_ref()), "{}", entry.id);
    }
}

#[test]
fn rebuilt_maps_have_the_shapes_of_the_seen_ones() {
    for entry in METHODS {
        let method = build(entry, 1);
        let seen = method.observe(images(2));
        let rebuilt = method.rebuild(&seen);
        for (level, stride) in [4, 8, 16].into_iter().enumerate() {
            let [batch, height, width, _] = seen[level].dims();
            assert_eq!([batch, height, width], [2, 64 / stride, 96 / stride], "{}", entry.id);
            assert_eq!(seen[level].dims(), rebuilt[level].dims(), "{}", entry.id);
        }
    }
}

/// Tolerance 1e-4 of the largest value: another batch size may sum in another order.
#[test]
fn a_picture_is_rebuilt_alike_alone_and_in_company() {
    for entry in METHODS {
        let method = build(entry, 1);
        let together = method.rebuild(&method.observe(images(3)));
        let alone = method.rebuild(&method.observe(images(3).narrow(0, 1, 1)));
        for (together, alone) in together.into_iter().zip(alone) {
            let (together, alone) = (values(together.narrow(0, 1, 1)), values(alone));
            let largest = alone.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
            let apart = together.iter().zip(&alone).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) <= 1e-4 * largest, "{}", entry.id);
        }
    }
}

#[test]
fn scoring_twice_gives_the_same_bits() {
    for entry in METHODS {
        let method = build(entry, 1);
        let once = method.rebuild(&method.observe(images(1))).map(values);
        assert_eq!(once, method.rebuild(&method.observe(images(1))).map(values), "{}", entry.id);
    }
}

#[test]
fn the_loss_falls_on_one_batch_and_frozen_weights_stay() {
    for entry in METHODS {
        let method = build(entry, 1);
        let some: Vec<Tensor<4>> = (0..4).map(|i| images(4).narrow(0, i, 1)).collect();
        method.prepare(&some);
        let frozen = |method: &dyn Method| -> Vec<Vec<f32>> {
            let frozen = method.params().iter().filter(|p| p.role() == mmad::params::Role::Frozen);
            frozen.map(mmad::params::Param::values).collect()
        };
        let before = frozen(method.as_ref());
        assert!(!before.is_empty(), "{}", entry.id);
        method.params().track(true);
        let mut optimiser = AdamW::new(AdamWConfig::default(), method.params());
        let mut losses = Vec::new();
        for step in 0..12 {
            let seen = method.observe(images(4)).map(Tensor::from_inner);
            let noise = TrainStep::new(random::stream(1, "step", step));
            let loss = method.loss(&seen, &noise);
            losses.push(loss.clone().detach().into_scalar::<f32>());
            let gradients = loss.backward();
            let norm = method.params().grad_norm(&gradients);
            optimiser.step(method.params(), &gradients, norm, 2e-3);
        }
        assert!(losses[11] < 0.8 * losses[0], "{}: {losses:?}", entry.id);
        assert_eq!(before, frozen(method.as_ref()), "{}", entry.id);
    }
}

#[test]
fn every_method_is_described() {
    let readme = include_str!("../../../README.md").to_lowercase();
    for entry in METHODS {
        assert!(readme.contains(entry.id), "README does not name {}", entry.id);
        assert!(!entry.about.is_empty() && !entry.source.is_empty(), "{}", entry.id);
        let text = small(entry).to_toml().unwrap();
        assert_eq!(RunConfig::parse(&text, Preset::Paper).unwrap(), small(entry), "{}", entry.id);
    }
}
