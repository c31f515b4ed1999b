//! Every published encoder against timm's network of the same name and weights.
//!
//! `fixtures/make.py` wrote the files; weights and pictures are those of `recipe`, so that these
//! tests need no other folder.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use mmad::encoder::{ARCHS, Arch, Backbone};
use mmad::params::{Builder, InitRule, ParamSet};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::file::{Golden, fixture};
use super::recipe;

fn build(arch: Arch) -> (Backbone, ParamSet) {
    let builder = Builder::new(&Device::flex(), ChaCha8Rng::seed_from_u64(0));
    let backbone = Backbone::new(&builder.root(InitRule::Fuser).frozen(), arch);
    (backbone, builder.finish())
}

/// Architectures that timm has, in the order of [`ARCHS`].
fn published() -> impl Iterator<Item = (&'static str, Arch)> {
    ARCHS.into_iter().filter(|(_, arch)| !matches!(arch, Arch::Resnet10 | Arch::Resnet50V1))
}

/// All maps, pictures with even and with odd sides. Tolerance 1e-5 of a map's largest value: it is
/// `f32` through up to 50 layers, and another epsilon of the norms is 1e-3 away.
#[test]
fn maps_are_those_of_timm() {
    let golden = Golden::read(&fixture("encoders.safetensors"));
    for (name, arch) in published() {
        let (backbone, params) = build(arch);
        recipe::fill(&params, golden.seed(), "");
        for [height, width] in [[64, 96], [45, 70]] {
            let stream = format!("input.{height}x{width}");
            let pixels = recipe::input(&stream, 3 * height * width, 2.0, golden.seed());
            let data = TensorData::new(pixels, [1, 3, height, width]);
            let images = Tensor::<4>::from_data(data, &Device::flex()).permute([0, 2, 3, 1]);
            let maps = backbone.all_maps(images);
            assert_eq!(maps.len(), arch.all_channels().len(), "{name}");
            for (index, map) in maps.into_iter().enumerate() {
                golden.check_digest(&format!("{name}.{height}x{width}.{index}"), map, 1e-5);
            }
        }
    }
}

/// Names and shapes of the parameters of every network, as timm has them.
fn listed() -> BTreeMap<String, BTreeMap<String, Vec<usize>>> {
    let text = std::fs::read_to_string(fixture("encoder_params.txt")).unwrap();
    let mut networks: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    let mut network = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut network);
            continue;
        }
        let (name, shape) = line.split_once(' ').unwrap();
        if shape != "scalar" {
            let shape = shape.split('x').map(|side| side.parse().unwrap()).collect();
            networks.entry(network.clone()).or_default().insert(name.to_owned(), shape);
        }
    }
    networks
}

/// Stages of timm's networks that serve no map. The reference holds those of the first list; the
/// last layers of the EfficientNet it does not.
fn is_dead(arch: Arch, name: &str) -> bool {
    let dead: &[&str] = match arch {
        Arch::EfficientnetB4 => &["blocks.5.", "blocks.6."],
        _ => &["layer4.", "fc."],
    };
    dead.iter().any(|prefix| name.starts_with(prefix))
}

fn is_head(arch: Arch, name: &str) -> bool {
    let heads = ["conv_head.", "bn2.", "classifier."];
    arch == Arch::EfficientnetB4 && heads.iter().any(|prefix| name.starts_with(prefix))
}

/// Every name and shape, none missing and none more, and the count of what is not built.
#[test]
fn names_and_shapes_are_those_of_timm() {
    let listed = listed();
    assert_eq!(listed.len(), published().count());
    for (name, arch) in published() {
        let (dead, wanted): (BTreeMap<_, _>, BTreeMap<_, _>) = listed[name]
            .iter()
            .filter(|(name, _)| !is_head(arch, name))
            .partition(|(name, _)| is_dead(arch, name));
        let (_, params) = build(arch);
        let ours: Vec<(String, Vec<usize>)> =
            params.iter().map(|param| (param.name().to_owned(), param.shape())).collect();
        let ours: BTreeMap<_, _> = ours.iter().map(|(name, shape)| (name, shape)).collect();
        assert_eq!(ours, wanted, "{name}");
        let n_dead: usize = dead
            .iter()
            .filter(|(name, _)| !name.contains(".running_"))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        assert_eq!(arch.n_dead_values(), n_dead, "{name}");
    }
}
