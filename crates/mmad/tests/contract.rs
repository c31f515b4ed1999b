//! What every entry of `METHODS` must keep, whatever it is inside.

#![allow(missing_docs, clippy::unwrap_used)]

use burn::tensor::{Device, Tensor, TensorData};
use mmad::method::{Method, MethodEntry, Observation, Painted, ScoredMap};
use mmad::methods::METHODS;
use mmad::mode::TrainStep;
use mmad::params::{Param, Role};
use mmad::random;
use mmad::run_file::{PRECISIONS, Precision, Preset, RunConfig};
use mmad::train::optimiser::Optimiser;
use rand::Rng as _;

/// Pixels of the pictures here: not square on purpose.
const SIZE: [usize; 2] = [64, 96];

/// A configuration that builds in a moment.
fn small(entry: &MethodEntry) -> RunConfig {
    let mut config = RunConfig::of(entry.id, Preset::Quick).unwrap();
    [config.data.height_px, config.data.width_px] = SIZE;
    config.mmad.widths = [16, 32, 64];
    config.mmad.directions = 2;
    config.mmad.states = 4;
    config
}

fn build(entry: &MethodEntry, seed: u64) -> Box<dyn Method> {
    let config = RunConfig { seed, ..small(entry) };
    (entry.build)(&config, &Device::flex()).unwrap()
}

/// Pictures that differ from one another, `[n, height, width, 3]`.
fn images(n: usize) -> Tensor<4> {
    let [height, width] = SIZE;
    let mut rng = random::stream(1, "contract", 0);
    let tints: Vec<[f32; 3]> = (0..n).map(|_| rng.random()).collect();
    let values: Vec<f32> = tints
        .iter()
        .flat_map(|tint| (0..height * width).map(move |i| (tint, i)))
        .flat_map(|(tint, i)| tint.map(|tint| tint + ((i % 7) as f32 - 3.0) / 3.0))
        .collect();
    Tensor::from_data(TensorData::new(values, [n, height, width, 3]), &Device::flex())
}

/// The same with a dark square in the middle.
fn painted(n: usize) -> Painted {
    let [height, width] = SIZE;
    let in_square = |i: usize| (16..40).contains(&(i / width)) && (30..60).contains(&(i % width));
    let mask = |i: usize| if in_square(i % (height * width)) { 1.0 } else { 0.0 };
    let values: Vec<f32> = (0..n * height * width).map(mask).collect();
    let masks =
        Tensor::<4>::from_data(TensorData::new(values, [n, height, width, 1]), &Device::flex());
    Painted { images: images(n) - masks.clone() * 2.0, masks }
}

/// What training sees in a phase.
fn seen_in(method: &dyn Method, n: usize, phase: usize) -> Observation {
    match method.wants_painted_defects() {
        true => method.observe_painted(images(n), painted(n), phase),
        false => method.observe(images(n)),
    }
}

fn score(method: &dyn Method, images: Tensor<4>) -> Vec<ScoredMap> {
    method.score(&method.observe(images), SIZE[0], SIZE[1])
}

fn weights(method: &dyn Method) -> Vec<Vec<f32>> {
    method.params().iter().map(Param::values).collect()
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
fn maps_have_the_size_of_the_picture_and_numbers_in_them() {
    for entry in METHODS {
        let scored = score(build(entry, 1).as_ref(), images(2));
        assert_eq!(scored.len(), 2, "{}", entry.id);
        for ScoredMap { map, score } in scored {
            assert_eq!(map.len(), SIZE[0] * SIZE[1], "{}", entry.id);
            assert!(map.iter().all(|value| value.is_finite()) && score.is_finite(), "{}", entry.id);
        }
    }
}

/// Tolerance 1e-4 of the largest value: another batch size may sum in another order.
#[test]
fn a_picture_scores_alike_alone_and_in_company() {
    for entry in METHODS {
        let method = build(entry, 1);
        let together = score(method.as_ref(), images(3)).swap_remove(1);
        let alone = score(method.as_ref(), images(3).narrow(0, 1, 1)).remove(0);
        let largest = alone.map.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
        let apart = together.map.iter().zip(&alone.map).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) <= 1e-4 * largest, "{}", entry.id);
        assert!((together.score - alone.score).abs() <= 1e-4 * largest, "{}", entry.id);
    }
}

#[test]
fn scoring_twice_gives_the_same_bits() {
    for entry in METHODS {
        let method = build(entry, 1);
        let once = score(method.as_ref(), images(1));
        assert_eq!(once, score(method.as_ref(), images(1)), "{}", entry.id);
    }
}

/// Another precision moves the encoder's maps by no more than its rounding can, and nothing else:
/// what is trained starts alike, and says of the same maps the same to the bit.
#[test]
fn a_precision_is_the_encoders_alone() {
    for entry in METHODS {
        let exact = build(entry, 1);
        let maps = exact.observe(images(2));
        for (name, precision) in PRECISIONS {
            let mut config = RunConfig { seed: 1, ..small(entry) };
            config.encoder.precision = precision;
            let rounding = (entry.build)(&config, &Device::flex()).unwrap();
            assert_eq!(weights(exact.as_ref()), weights(rounding.as_ref()), "{} {name}", entry.id);
            let apart = maps.iter().zip(rounding.observe(images(2))).map(|(a, b)| {
                let largest = a.clone().abs().max().into_scalar::<f32>();
                (a.clone() - b).abs().max().into_scalar::<f32>() / largest
            });
            let apart = apart.fold(0.0, f32::max);
            // Some twenty layers, each of which rounds to 8 or 11 bits.
            let bounds = match precision {
                Precision::F32 => 0.0..=0.0,
                Precision::Bf16 => 1e-4..=0.1,
                Precision::F16 => 1e-5..=0.01,
            };
            assert!(bounds.contains(&apart), "{} {name}: {apart}", entry.id);
            let say = |method: &dyn Method| method.score(&maps, SIZE[0], SIZE[1]);
            assert_eq!(say(exact.as_ref()), say(rounding.as_ref()), "{} {name}", entry.id);
        }
    }
}

/// In every phase the loss falls, what the phase does not move stays, and so does the encoder.
#[test]
fn the_loss_falls_on_one_batch_and_frozen_weights_stay() {
    for entry in METHODS {
        let config = small(entry);
        let method = build(entry, 1);
        let some: Vec<Tensor<4>> = (0..4).map(|i| images(4).narrow(0, i, 1)).collect();
        method.prepare(&some);
        let mut optimiser = Optimiser::new(method.groups(&config.train), method.params());
        let shares = method.phase_shares();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}", entry.id);
        for phase in 0..shares.len() {
            let stays = |param: &&Param| match param.role() {
                Role::Frozen => true,
                Role::Trained => !optimiser.moves(param, phase),
                Role::Measured => false,
            };
            let still: Vec<Param> = method.params().iter().filter(stays).cloned().collect();
            let before: Vec<Vec<f32>> = still.iter().map(Param::values).collect();
            assert!(!before.is_empty(), "{}", entry.id);
            method.params().track_only(|param| optimiser.moves(param, phase));
            let mut losses = Vec::new();
            for step in 0..12 {
                let seen = seen_in(method.as_ref(), 4, phase);
                let seen: Observation = seen.into_iter().map(Tensor::from_inner).collect();
                let noise = TrainStep::new(random::stream(1, "step", step)).in_phase(phase);
                let loss = method.loss(&seen, &noise);
                losses.push(loss.clone().detach().into_scalar::<f32>());
                let rate = config.train.learning_rate;
                optimiser.step(method.params(), &loss.backward(), phase, rate);
            }
            assert!(losses[11] < 0.8 * losses[0], "{} {phase}: {losses:?}", entry.id);
            let after: Vec<Vec<f32>> = still.iter().map(Param::values).collect();
            assert_eq!(before, after, "{} {phase}", entry.id);
        }
        method.params().track(false);
    }
}

#[test]
fn every_method_is_described() {
    let readme = include_str!("../../../README.md").to_lowercase();
    for entry in METHODS {
        assert!(readme.contains(entry.id), "README does not name {}", entry.id);
        assert!(!entry.about.is_empty() && !entry.source.is_empty(), "{}", entry.id);
        assert!(!entry.needs.is_empty(), "{}", entry.id);
        let page = format!("{}/../../docs/methods/{}.md", env!("CARGO_MANIFEST_DIR"), entry.id);
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page}: {error}"));
        for part in ["## Recipe", "## Size", "## Differences"] {
            assert!(page.contains(part), "{}: no `{part}`", entry.id);
        }
    }
}

#[test]
fn every_recipe_builds_and_survives_a_round_trip() {
    for entry in METHODS {
        for preset in [Preset::Paper, Preset::Quick] {
            assert!((entry.recipe)(preset).is_some(), "{} {}", entry.id, preset.name());
        }
        for (name, preset) in Preset::ALL {
            let Some(config) = (entry.recipe)(preset) else { continue };
            assert_eq!(config.method, entry.id, "{name}");
            config.validate().unwrap();
            let text = config.to_toml().unwrap();
            // The file names every key, so the preset underneath must not matter.
            for under in [Preset::Paper, Preset::Quick] {
                assert_eq!(RunConfig::parse(&text, under).unwrap(), config, "{} {name}", entry.id);
            }
        }
        let text = small(entry).to_toml().unwrap();
        assert_eq!(RunConfig::parse(&text, Preset::Paper).unwrap(), small(entry), "{}", entry.id);
    }
}
