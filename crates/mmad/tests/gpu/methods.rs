//! Whole methods on the GPU: losses, gradients, a training step, and the scores of a detector.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use mmad::detector::Detector;
use mmad::fit::{Fit, fit};
use mmad::method::{Method, MethodEntry, Observation};
use mmad::methods::{METHODS, find};
use mmad::mode::TrainStep;
use mmad::params::Role;
use mmad::random;
use mmad::run_file::{Precision, Preset, RunConfig};
use mmad::train::Watch;
use mmad::train::log::LogLine;
use mmad::train::optimiser::Optimiser;
use mmad::train::plan::Plan;
use mmad_data::{Dataset, LoaderOptions};
use mmad_synthetic::{DatasetPlan, write_dataset};
use rand::Rng as _;

use super::super::{assert_close, gpu, values};

/// Pixels of the pictures here: not square on purpose, and powers of two, as the batches are, because
/// a software driver takes seconds to compile each of Burn's matrix kernels, and has one for every
/// way in which sizes are no multiple of its tiles.
const SIZE: [usize; 2] = [64, 128];

fn small(entry: &MethodEntry) -> RunConfig {
    let mut config = RunConfig::of(entry.id, Preset::Quick).unwrap();
    [config.data.height_px, config.data.width_px] = SIZE;
    config.mmad.widths = [16, 32, 64];
    config.mmad.groups = 1;
    config.mmad.directions = 2;
    config.mmad.states = 4;
    config
}

fn images(n: usize, device: &Device) -> Tensor<4> {
    let [height, width] = SIZE;
    let mut rng = random::stream(1, "gpu pictures", 0);
    let pixels = (0..n * height * width * 3).map(|_| rng.random_range(-2.0_f32..2.0)).collect();
    Tensor::from_data(TensorData::new::<f32, _>(pixels, [n, height, width, 3]), device)
}

/// Maps and scores with fresh weights: 1e-4 of the largest value. A second look gives the same bits,
/// whatever was fused for the first.
#[test]
fn fresh_methods_score_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for entry in METHODS {
        let score = |device: &Device| {
            let method = (entry.build)(&small(entry), device).unwrap();
            let look = || method.score(&method.observe(images(2, device)), SIZE[0], SIZE[1]);
            let scored = look();
            for (again, first) in look().iter().zip(&scored) {
                assert_eq!(again.map, first.map, "{}", entry.id);
                assert_eq!(again.score, first.score, "{}", entry.id);
            }
            scored
        };
        for (found, wanted) in score(&gpu).iter().zip(&score(&Device::flex())) {
            assert_close(entry.id, &found.map, &wanted.map, 1e-4);
            assert_close(entry.id, &[found.score], &[wanted.score], 1e-4);
        }
    }
}

/// An encoder that rounds to 16 bits: the GPU also rounds sums, to 11 bits, layer upon layer, so its
/// maps lie within 1e-2 of the CPU's largest value. What the rounding itself does is smaller or alike,
/// so the test of the type is that something was rounded at all.
#[test]
fn an_encoder_in_16_bits_sees_what_that_of_the_cpu_sees() {
    let Some(gpu) = gpu() else { return };
    let entry = find("mmad").unwrap();
    let see = |precision: Precision, device: &Device| {
        let mut config = small(entry);
        config.encoder.precision = precision;
        let method = (entry.build)(&config, device).unwrap();
        method.observe(images(2, device)).into_iter().map(values).collect::<Vec<_>>()
    };
    let mut config = small(entry);
    config.encoder.precision = Precision::Bf16;
    assert!(config.encoder.fits(&gpu).unwrap_err().to_string().contains("bf16"));
    config.encoder.precision = Precision::F16;
    if let Err(error) = config.encoder.fits(&gpu) {
        assert!(error.to_string().contains("f16"));
        eprintln!("SKIPPED: {error}");
        return;
    }
    let wanted = see(Precision::F16, &Device::flex());
    let (found, exact) = (see(Precision::F16, &gpu), see(Precision::F32, &gpu));
    for ((found, wanted), exact) in found.iter().zip(&wanted).zip(&exact) {
        assert_close("maps of the encoder in f16", found, wanted, 1e-2);
        assert_ne!(found, exact);
    }
}

/// What a training step did: the maps that it saw, loss, gradients and weights by name.
struct Step {
    seen: Vec<Vec<f32>>,
    loss: f32,
    gradients: Vec<(String, Option<Vec<f32>>)>,
    weights: Vec<(String, Vec<f32>)>,
}

fn step(entry: &MethodEntry, device: &Device) -> Step {
    let config = small(entry);
    let method: Box<dyn Method> = (entry.build)(&config, device).unwrap();
    let params = method.params();
    let mut optimiser = Optimiser::new(method.groups(&config.train), params);
    params.track_only(|param| optimiser.moves(param, 0));
    let seen = method.observe(images(2, device));
    let maps = seen.iter().map(|map| values(map.clone())).collect();
    let seen: Observation = seen.into_iter().map(Tensor::from_inner).collect();
    let loss = method.loss(&seen, &TrainStep::new(random::stream(1, "gpu step", 0)));
    let value = loss.clone().detach().into_scalar::<f32>();
    let gradients = loss.backward();
    let of_params =
        params.trained().map(|param| (param.name().to_owned(), param.grad(&gradients))).collect();
    optimiser.step(params, &gradients, 0, RATE);
    let weights = params.iter().filter(|param| param.role() != Role::Frozen);
    let weights = weights.map(|param| (param.name().to_owned(), param.values())).collect();
    Step { seen: maps, loss: value, gradients: of_params, weights }
}

/// Learning rate of the step.
const RATE: f64 = 1e-3;

/// Length of a vector.
fn norm(x: impl Iterator<Item = f32>) -> f64 {
    x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// Loss and maps within 1e-5. All gradients together within 2e-3 of their length, and those of each
/// parameter within 5e-2: where a ReLU meets a zero, rounding decides which side it falls on. A bias
/// before a batch norm has no gradient but rounding, so 1e-6 of the whole length is free. AdamW
/// makes a full step of such noise, so single weights may be two steps apart, but not many.
#[test]
fn a_training_step_of_mmad_is_that_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let entry = find("mmad").unwrap();
    let (found, wanted) = (step(entry, &gpu), step(entry, &Device::flex()));
    for (found, wanted) in found.seen.iter().zip(&wanted.seen) {
        assert_close("maps of the encoder", found, wanted, 1e-5);
    }
    assert_close("loss", &[found.loss], &[wanted.loss], 1e-5);

    let mut squares_apart = 0.0;
    let whole = norm(wanted.gradients.iter().flat_map(|(_, grad)| grad.iter().flatten().copied()));
    for ((name, found), (_, wanted)) in found.gradients.iter().zip(&wanted.gradients) {
        assert_eq!(found.is_some(), wanted.is_some(), "{name}");
        let (Some(found), Some(wanted)) = (found, wanted) else { continue };
        let apart = norm(found.iter().zip(wanted).map(|(a, b)| a - b));
        let own = norm(wanted.iter().copied());
        assert!(apart <= 5e-2 * own + 1e-6 * whole, "{name}: {apart} apart of {own}");
        squares_apart += apart * apart;
    }
    let apart = squares_apart.sqrt();
    assert!(apart <= 2e-3 * whole, "all gradients: {apart} apart of {whole}");

    let (mut sum, mut n_values) = (0.0, 0);
    for ((name, found), (_, wanted)) in found.weights.iter().zip(&wanted.weights) {
        if name.contains("running_") {
            assert_close(name, found, wanted, 1e-4);
            continue;
        }
        for (found, wanted) in found.iter().zip(wanted) {
            let apart = f64::from((found - wanted).abs());
            assert!(apart <= 2.1 * RATE, "{name}: {apart} apart");
            sum += apart;
            n_values += 1;
        }
    }
    assert!(
        sum / f64::from(n_values) <= 0.05 * RATE,
        "{} apart on average",
        sum / f64::from(n_values)
    );
}

struct Silent;

impl Watch for Silent {
    fn begin(&mut self, _: &Plan, _: u64) {}
    fn step(&mut self, _: &LogLine, _: &Plan) {}
    fn checkpoint(&mut self, _: u64) {}
    fn should_stop(&mut self) -> bool {
        false
    }
}

/// Trains `method` for a few steps on `device`: the model file.
fn trained(method: &str, dataset: &Dataset, folder: &Path, device: &Device) -> PathBuf {
    let mut config = small(find(method).unwrap());
    (config.train.minutes, config.train.epochs, config.train.batch) = (0.0, 2, 2);
    let fit_args = Fit {
        config: &config,
        dataset,
        folder,
        resume: false,
        loader: LoaderOptions::default(),
        device: device.clone(),
    };
    fit(&fit_args, &mut Silent).unwrap().model.unwrap()
}

/// A model passes its self-test on both kinds of device and scores alike there, wherever it was
/// trained: maps and scores within 1e-3 of the largest value, the tolerance of the self-test.
#[test]
fn a_model_scores_alike_wherever_it_was_trained() {
    let Some(gpu) = gpu() else { return };
    let cpu = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    let plan = DatasetPlan {
        side_px: 64,
        train_good: 6,
        test_good: 2,
        test_per_defect: 1,
        classes: vec!["gear".to_owned()],
        ..DatasetPlan::default()
    };
    write_dataset(&pictures, &plan).unwrap();
    let dataset = Dataset::open(&pictures).unwrap();
    for (method, name, home) in [
        ("rd4ad", "gpu", &gpu),
        ("rd4ad", "cpu", &cpu),
        ("mmad", "gpu", &gpu),
        ("mmad", "cpu", &cpu),
    ] {
        let what = format!("{method} trained on the {name}");
        let run = folder.path().join(format!("{method}-{name}"));
        let model = trained(method, &dataset, &run, home);
        let detectors = [&gpu, &cpu].map(|device| {
            let (detector, tests) = Detector::verify(&model, device).unwrap();
            assert!(!tests.is_empty(), "{what}");
            detector
        });
        for seed in 0..4 {
            let mut rng = random::stream(seed, "gpu detector", 0);
            let rgb: Vec<u8> = (0..SIZE[0] * SIZE[1] * 3).map(|_| rng.random()).collect();
            let [found, wanted] = detectors.each_ref().map(|detector| detector.score_resized(&rgb));
            assert_close(&what, &found.map, &wanted.map, 1e-3);
            assert_close(&what, &[found.score], &[wanted.score], 1e-3);
        }
    }
}
