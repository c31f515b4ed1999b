//! DeSTSeg at a thirty-second of the widths, both stages and scoring; the painted defects.

use burn::tensor::{Device, Tensor};
use mmad::methods::destseg::{
    SegmentationHead, StudentDecoder, cosine_loss, differences, mean_of_highest,
    segmentation_losses, small_mask, unit,
};
use mmad::nn::{Corners, resize};
use mmad::params::{Builder, InitRule};
use mmad_data::paint::{blend, perlin};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::baselines::{check_grads, check_statistics, fill, golden};
use super::file::{Golden, values};

fn taught(golden: &Golden, device: &Device) -> [Tensor<4>; 3] {
    [1, 2, 3].map(|level| unit(golden.map(&format!("t{level}"), device)))
}

/// Tolerance 1e-4 of the largest value for maps and losses, 1e-3 for gradients: each stage has a
/// dozen norms with the statistics of two pictures, some of 2x2 pixels.
#[test]
fn destseg() {
    let Some(golden) = golden("destseg_small") else { return };
    let device = Device::flex().autodiff();
    let builder = Builder::new(&device, ChaCha8Rng::seed_from_u64(0));
    let root = builder.root(InitRule::Fuser);
    let student = StudentDecoder::new(&root.sub("student_net"), 16, [2, 4, 8]);
    let head = SegmentationHead::new(&root.sub("segmentation_net"), 14, 16);
    let params = builder.finish();
    fill(&golden, "w.", &params);

    // Stage 1: the student trains, the head scores.
    params.track_only(|param| param.name().starts_with("student_net"));
    let teacher = taught(&golden, &device);
    let answered = student.forward(golden.map("s4", &device), true).map(unit);
    let seen = differences(&teacher, &answered);
    golden.check_map("seg_stage1", head.forward(seen, false), 1e-4);
    for (level, (taught, answered)) in teacher.iter().zip(&answered).enumerate() {
        let distance = -(taught.clone() * answered.clone()).sum_dim(3) + 1.0;
        golden.check_map(&format!("amap{level}_stage1"), distance, 1e-4);
    }
    let loss = cosine_loss(&teacher, &answered);
    golden.check("loss_cos_stage1", &values(loss.clone()), 1e-4);
    check_grads(&golden, "g1.", &params, &loss.backward(), 1e-3);
    check_statistics(&golden, "after1.", &params, 1e-4);

    // Stage 2: the student scores, with the statistics it has now, and the head trains.
    params.track_only(|param| param.name().starts_with("segmentation_net"));
    let answered = student.forward(golden.map("s4", &device), false).map(|map| unit(map.detach()));
    let probability = head.forward(differences(&teacher, &answered), true);
    golden.check_map("seg_stage2", probability.clone(), 1e-4);
    let mask = small_mask(golden.map("mask64", &device), 16, 16);
    golden.check_map("mask16", mask.clone(), 0.0);
    let [absolute, focal] = segmentation_losses(probability, mask, 4.0);
    golden.check("l1_stage2", &values(absolute.clone()), 1e-4);
    golden.check("focal_stage2", &values(focal.clone()), 1e-4);
    check_grads(&golden, "g2.", &params, &(absolute + focal).backward(), 1e-3);
    check_statistics(&golden, "after2.", &params, 1e-4);

    // Scoring, on the device without gradients.
    params.track(false);
    let plain = Device::flex();
    let teacher = taught(&golden, &plain);
    let answered = student.forward(golden.map("s4", &plain), false).map(unit);
    let small = head.forward(differences(&teacher, &answered), false);
    golden.check_map("seg_eval", small.clone(), 1e-4);
    let map = resize(small.clone(), 64, 64, Corners::HalfPixel);
    golden.check_map("map64_eval", map.clone(), 1e-4);
    golden.check("image_score_max", &values(map.max_dim(1).max_dim(2)), 1e-4);
    let product = teacher.iter().zip(&answered).map(|(taught, answered)| {
        let distance = -(taught.clone() * answered.clone()).sum_dim(3) + 1.0;
        resize(distance, 16, 16, Corners::HalfPixel)
    });
    golden.check_map("de_st_eval", product.reduce(|a, b| a * b).unwrap(), 1e-4);
    check_highest(&golden, &values(small));
}

/// The file takes 100 of its 256 values, ours the share that 100 is of 4,096.
fn check_highest(golden: &Golden, small: &[f32]) {
    let of_all = |map: &[f32]| {
        let mut map = map.to_vec();
        map.sort_unstable_by(|a, b| b.total_cmp(a));
        // 100 copies of the file's values among 4,096 are what ours is defined on.
        map.extend(vec![f32::MIN; 4096 - map.len()]);
        mean_of_highest(&map)
    };
    let scores: Vec<f32> = small.chunks(16 * 16).map(of_all).collect();
    golden.check("image_score_top100", &scores, 1e-4);
}

/// Noise from given uniform numbers for four lattices, the mask, and the blended picture. Tolerance
/// 1e-5; the reference computes in double precision.
#[test]
fn painted_defects() {
    let Some(golden) = golden("destseg_perlin") else { return };
    for (name, lattice) in [("1x4", [1, 4]), ("8x2", [8, 2]), ("32x32", [32, 32]), ("1x1", [1, 1])]
    {
        let noise = perlin(64, 64, lattice, golden.values(&format!("u01_{name}")));
        golden.check(&format!("noise_{name}"), &noise, 1e-5);
    }
    let noise = perlin(64, 64, [8, 2], golden.values("u01_8x2"));
    let mask: Vec<u8> = noise.iter().map(|&value| u8::from(value > 0.5)).collect();
    let as_numbers: Vec<f32> = mask.iter().copied().map(f32::from).collect();
    golden.check("mask_8x2_thr0.5", &as_numbers, 0.0);
    let texture: Vec<f32> = golden.values("dtd255").iter().map(|level| level / 255.0).collect();
    let picture = golden.values("img");
    let blended = blend(picture, &texture, &mask, golden.values("beta")[0]);
    golden.check("augmented", &blended, 1e-5);
}
