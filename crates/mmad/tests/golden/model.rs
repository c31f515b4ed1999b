//! The scan itself, the optimiser, a training step, the encoder, the map and the whole model.

use burn::tensor::{Device, Tensor, TensorData};
use mmad::encoder::{Arch, Encoder};
use mmad::methods::mmad::model::{Mmad, MmadConfig, reconstruction_loss};
use mmad::mode::{Mode, TrainStep};
use mmad::ops::{SelectiveScan, selective_scan};
use mmad::params::Param;
use mmad::run_file::EncoderConfig;
use mmad::train::adamw::{AdamWConfig, Moments, Update};
use mmad::train::optimiser::Optimiser;

use super::blocks::recipe_hmd;
use super::file::{Golden, anomaly_maps, files, folder, samples, values};
use super::recipe;

/// Values and all seven gradients. Tolerance 1e-5: the reference in f32 is up to 7e-7 away.
#[test]
fn selective_scan_values_and_gradients() {
    let device = Device::flex().autodiff();
    for golden in files("02_selective_scan") {
        for set in 0.. {
            let name = |what: &str| format!("s{set}.{what}");
            if !golden.has(&name("u")) {
                assert!(set > 0, "{}: no set", golden.name);
                break;
            }
            let tracked3 = |what: &str| golden.tensor::<3>(&name(what), &device).require_grad();
            let tracked4 = |what: &str| golden.tensor::<4>(&name(what), &device).require_grad();
            let tracked1 = |what: &str| golden.tensor::<1>(&name(what), &device).require_grad();
            let inputs = SelectiveScan {
                u: tracked3("u"),
                delta: tracked3("delta"),
                a: golden.tensor::<2>(&name("A"), &device).require_grad(),
                b: tracked4("B"),
                c: tracked4("C"),
                d: tracked1("D"),
                delta_bias: tracked1("delta_bias"),
            };
            let y = selective_scan(inputs.clone());
            golden.check(&name("y.f64"), &values(y.clone()), 1e-5);
            let cotangent = golden.tensor::<3>(&name("cotangent"), &device);
            let grads = (y * cotangent).sum().backward();
            let check = |what: &str, ours: Vec<f32>| {
                golden.check(&name(&format!("grad.{what}.f64")), &ours, 1e-5);
            };
            check("u", values(inputs.u.grad(&grads).unwrap()));
            check("delta", values(inputs.delta.grad(&grads).unwrap()));
            check("A", values(inputs.a.grad(&grads).unwrap()));
            check("B", values(inputs.b.grad(&grads).unwrap()));
            check("C", values(inputs.c.grad(&grads).unwrap()));
            check("D", values(inputs.d.grad(&grads).unwrap()));
            check("delta_bias", values(inputs.delta_bias.grad(&grads).unwrap()));
        }
    }
}

#[test]
fn adamw_alone() {
    for golden in files("08_adamw_only") {
        for (kind, decays) in [("decay", true), ("nodecay", false)] {
            let mut param = golden.values(&format!("{kind}.param.0")).to_vec();
            let zeros = vec![0.0; param.len()];
            let mut moments = Moments { first: zeros.clone(), second: zeros };
            for step in 0_u64..3 {
                let grad = golden.values(&format!("{kind}.grad.{step}"));
                let update = Update::new(&AdamWConfig::default(), step + 1, 2.5e-3, 1.0);
                update.apply(&mut param, grad, &mut moments, decays);
                let after = golden.values(&format!("{kind}.param.{}", step + 1));
                let worst = param.iter().zip(after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                eprintln!("golden {} {kind} step {step} error {worst:.1e}", golden.name);
                assert!(worst <= 1e-6, "{kind} step {step}: {worst}");
            }
        }
    }
}

/// Loss, gradients, clipping and the first optimiser step of a small decoder.
#[test]
fn training_step() {
    let device = Device::flex().autodiff();
    for golden in files("08_train_hmd3") {
        let (hmd, params) = recipe_hmd(&golden, "train.");
        params.track(true);
        let targets: Vec<Tensor<4>> = (0..)
            .map(|index| format!("target.{index}"))
            .take_while(|name| golden.has(name))
            .map(|name| golden.map(&name, &device))
            .collect();
        let run = |step: usize| {
            let noise = (0..)
                .map(|index| format!("step{step}.gumbel.{index}"))
                .take_while(|name| golden.has(name))
                .map(|name| golden.values(&name).to_vec());
            let step = TrainStep::replay(noise);
            let rebuilt = hmd.forward(golden.map("input", &device), &Mode::Train(&step));
            (reconstruction_loss(&targets, rebuilt.clone()), rebuilt)
        };
        let (loss, rebuilt) = run(0);
        for (index, output) in rebuilt.into_iter().enumerate() {
            let name = format!("step0.output.{index}");
            if golden.has(&name) {
                golden.check_map(&name, output, 1e-3);
            }
        }
        golden.check("step0.loss", &values(loss.clone()), 1e-4);
        let gradients = loss.backward();
        golden.check_grads("step0.grad.", &params, &gradients, 5e-3);
        let norm = params.grad_norm(&gradients);
        golden.check("step0.grad_norm", &[norm as f32], 1e-3);

        // The stored gradients go into our optimiser, so that its step is checked on its own.
        let gradients = params
            .stand_in_loss(|param| {
                let name = format!("step0.grad.{}", param.name());
                golden.has(&name).then(|| golden.values(&name).to_vec())
            })
            .backward();
        let mut optimiser = Optimiser::adamw(AdamWConfig::default(), &params);
        optimiser.step(&params, &gradients, 0, 2.5e-3);
        for param in params.trained() {
            check_param(&golden, param);
        }
        let (loss, _) = run(1);
        golden.check("step1.loss", &values(loss), 1e-3);
    }
}

/// Tolerance 1e-6 absolute: a step moves a value by up to 2.5e-3, whatever its own size.
fn check_param(golden: &Golden, param: &Param) {
    let name = format!("step0.param.{}", param.name());
    if golden.has(&name) {
        golden.check_floor(&name, &param.values(), 1e-6, 1.0);
    } else if golden.has(&format!("{name}.samples")) {
        let name = format!("{name}.samples");
        let ours = samples(&param.values(), golden.values(&name).len());
        golden.check_floor(&name, &ours, 1e-6, 1.0);
    }
}

#[test]
fn resnet34() {
    for golden in files("09_resnet34") {
        let device = Device::flex();
        let encoder = Encoder::new(Arch::Resnet34, 0, &device);
        recipe::fill(encoder.params(), golden.seed(), "net_t.");
        let maps = encoder.features(golden.map("input", &device));
        for (index, map) in maps.into_iter().enumerate() {
            golden.check_map(&format!("output.{index}"), map, 1e-5);
        }
    }
}

#[test]
fn anomaly_map() {
    for golden in files("10_anomaly_map_") {
        let device = Device::flex();
        let [batch, height, width] = *golden.shape("raw") else { unreachable!() };
        let mut found = (Vec::new(), Vec::new(), Vec::new());
        for picture in 0..batch {
            let levels = |side: &str| {
                [0, 1, 2].map(|level| {
                    golden.map(&format!("{side}.{level}"), &device).narrow(0, picture, 1)
                })
            };
            let [raw, smooth] = anomaly_maps(&levels("teacher"), &levels("student"), height, width);
            found.2.push(smooth.iter().copied().fold(f32::MIN, f32::max));
            found.0.extend(raw);
            found.1.extend(smooth);
        }
        golden.check("raw", &found.0, 1e-5);
        golden.check("smooth", &found.1, 1e-5);
        golden.check("score", &found.2, 1e-5);
    }
}

fn paper_model() -> Mmad {
    Mmad::new(&MmadConfig::default(), &EncoderConfig::default(), 0, &Device::flex()).unwrap()
}

/// The whole model at 256x256, scoring one picture as the product does.
#[test]
fn whole_model() {
    for golden in files("11_mmad_full") {
        let model = paper_model();
        recipe::fill(model.params(), golden.seed(), "");
        let pixels = recipe::input("input.mmad2", 3 * 256 * 256, 2.0, golden.seed());
        let data = TensorData::new(pixels, [1, 3, 256, 256]);
        let images = Tensor::<4>::from_data(data, &Device::flex()).permute([0, 2, 3, 1]);
        let seen = model.observe(images);
        let fused = model.fuse(&seen, &Mode::SCORE);
        let rebuilt = model.rebuild(&seen, &Mode::SCORE);
        golden.check_digest("fuser", fused, 1e-4);
        for level in 0..3 {
            golden.check_digest(&format!("teacher.{level}"), seen[level].clone(), 1e-5);
            golden.check_digest(&format!("student.{level}"), rebuilt[level].clone(), 1e-3);
        }
        let loss = reconstruction_loss(&seen, rebuilt.clone());
        golden.check("loss", &values(loss), 1e-5);
        let [raw, smooth] = anomaly_maps(&seen, &rebuilt, 256, 256);
        let score = smooth.iter().copied().fold(f32::MIN, f32::max);
        golden.check("raw", &raw, 1e-4);
        golden.check("smooth", &smooth, 1e-4);
        golden.check("score", &[score], 1e-5);
    }
}

/// Every name and shape of a published checkpoint, and the counts of the paper.
#[test]
fn names_shapes_and_counts() {
    let Some(folder) = folder() else {
        eprintln!("skipped: no golden folder");
        return;
    };
    let model = paper_model();
    let text = std::fs::read_to_string(folder.join("mmad_param_names.tsv")).unwrap();
    let (mut n_values, mut n_tables, mut n_trained, mut n_params) = (0, 0, 0, 0);
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        let shape: Vec<usize> = fields[1].split('x').map(|side| side.parse().unwrap()).collect();
        let len: usize = shape.iter().product();
        if fields[4] == "index" {
            n_tables += len;
            continue;
        }
        let param = model.params().find(fields[0]).unwrap_or_else(|| panic!("no {}", fields[0]));
        assert_eq!(param.shape(), shape, "{}", fields[0]);
        n_params += 1;
        if fields[4].starts_with("running_") {
            continue;
        }
        n_values += len;
        n_trained += if fields[3] == "1" { len } else { 0 };
        let first: Vec<f32> = fields[5].split(',').map(|value| value.parse().unwrap()).collect();
        let ours = recipe::parameter(fields[0], &shape, 1);
        assert!(ours.iter().zip(&first).all(|(a, b)| (a - b).abs() < 1e-6), "{}", fields[0]);
    }
    assert_eq!(n_params, model.params().iter().count());
    assert_eq!(n_tables, model.n_scan_table_values());
    assert_eq!(n_values + n_tables, 25_060_046);
    assert_eq!(n_trained, 16_727_950);
}
