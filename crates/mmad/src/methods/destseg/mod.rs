//! DeSTSeg: a student sees a painted defect and must answer as the teacher does without it; a head
//! then learns to segment from where the two differ.
//!
//! Source: Zhang, Li, Li, Huang, Shan, Chen 2023, "DeSTSeg: Segmentation Guided Denoising
//! Student-Teacher for Anomaly Detection"; the multi-class recipe is ADer's.
//!
//! ```text
//! painted picture ─┬─ teacher (frozen) ─ t ─┐
//!                  └─ student ───────── s ──┴─ -(t · s) per level, joined ─ head ─ probability
//!
//! first fifth of the steps: student(painted) against teacher(clean); then the head against masks
//! ```

mod parts;

use burn::tensor::{Device, Tensor, TensorData};
use mmad_data::Preprocess;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use self::parts::{SegmentationHead, StudentDecoder};
use crate::encoder::{Arch, Backbone, Resnet, resnet_channels};
use crate::method::{BuildError, Method, MethodEntry, Observation, Painted, ScoredMap};
use crate::mode::TrainStep;
use crate::nn::{Corners, resize};
use crate::params::{Builder, InitRule, ParamSet};
use crate::recipe::Recipe;
use crate::run_file::{EncoderConfig, Preset, RunConfig, Schedule, TrainConfig};
use crate::train::optimiser::{Group, Rule};
use crate::unfit::{require, require_in};

/// DeSTSeg in the list of methods.
pub const ENTRY: MethodEntry = MethodEntry {
    id: "destseg",
    about: "frozen teacher, denoising student, segmentation head, trained on painted defects",
    source: "Zhang et al., \"DeSTSeg: Segmentation Guided Denoising Student-Teacher for Anomaly \
             Detection\", CVPR 2023",
    needs: "any encoder as teacher, resnet18 in its paper; textures are drawn, or from a folder",
    recipe,
    build,
};

/// What a run file says about DeSTSeg; the defaults are ADer's, but for the picture's score.
/// `train.learning_rate` is the student's rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DestsegConfig {
    /// The student's encoder, trained from scratch: a ResNet.
    pub student: Arch,
    /// Channels of the segmentation head.
    pub width: usize,
    /// Share of the steps that train the student; the rest train the head.
    pub student_share: f64,
    /// Rate of the head's residual blocks over the student's.
    pub residual_rate: f64,
    /// Rate of the rest of the head over the student's.
    pub head_rate: f64,
    /// Momentum of all three.
    pub momentum: f64,
    /// Decay of all three, added to the gradient.
    pub weight_decay: f64,
    /// Whether decay reaches the student's biases and norms too, as in the original; those of the
    /// head it always reaches.
    pub decays_all: bool,
    /// Power of the focal loss.
    pub focal_power: f64,
    /// What the score of a picture is.
    pub picture_score: PictureScore,
    /// Swap red and blue before the networks see a picture, as ADer's loader does by mistake.
    pub bgr_compat: bool,
}

/// What the score of a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureScore {
    /// Mean of the 100 largest of the head's 64x64 values, or the same share of another size.
    Highest100,
    /// The largest value of the map (ADer).
    Largest,
}

impl Default for DestsegConfig {
    fn default() -> Self {
        Self {
            student: Arch::Resnet18,
            width: 256,
            student_share: 0.2,
            residual_rate: 0.25,
            head_rate: 0.025,
            momentum: 0.9,
            weight_decay: 1e-4,
            decays_all: false,
            focal_power: 4.0,
            picture_score: PictureScore::Highest100,
            bgr_compat: false,
        }
    }
}

fn recipe(preset: Preset) -> Option<RunConfig> {
    Recipe {
        method: ENTRY.id,
        encoder: (Arch::Resnet18, "resnet18.tv_old"),
        train: TrainConfig {
            epochs: 100,
            batch: 32,
            learning_rate: 0.4,
            schedule: Schedule::Constant,
            ..TrainConfig::default()
        },
        ader: Some(|config| config.destseg.picture_score = PictureScore::Largest),
        // One class per run.
        original: Some(|config| {
            config.train.steps = 5000;
            config.destseg.decays_all = true;
        }),
        quick: |config| {
            config.train.learning_rate = 0.3;
            config.destseg.student = Arch::Resnet10;
            config.destseg.width = 64;
            // Few steps leave no time for the published ratio of 40.
            config.destseg.head_rate = 0.25;
        },
    }
    .of(preset)
}

fn build(config: &RunConfig, device: &Device) -> Result<Box<dyn Method>, BuildError> {
    let own = &config.destseg;
    let fits = own.student != Arch::EfficientnetB4;
    require(fits, "destseg.student", own.student.name(), "a ResNet, such as `resnet18`")?;
    require_in(&(1..=4096), "a number from 1 to 4096", &[("destseg.width", own.width)])?;
    require_in(
        &(0.0..1.0),
        "a number from 0 up to, not including, 1",
        &[
            ("destseg.student_share", own.student_share),
            ("destseg.momentum", own.momentum),
            ("destseg.weight_decay", own.weight_decay),
        ],
    )?;
    require_in(
        &(0.0..=100.0),
        "a number from 0 to 100",
        &[
            ("destseg.residual_rate", own.residual_rate),
            ("destseg.head_rate", own.head_rate),
            ("destseg.focal_power", own.focal_power),
        ],
    )?;
    let painted = config.paint.validate();
    let error = painted.as_ref().err().map(ToString::to_string).unwrap_or_default();
    require(painted.is_ok(), "paint", error, "values in their ranges")?;
    config.encoder.fits(device)?;
    Ok(Box::new(Destseg::new(*own, &config.encoder, config.seed, device)))
}

/// Teacher, student and head.
#[derive(Debug)]
pub struct Destseg {
    config: DestsegConfig,
    teacher: Backbone,
    student_encoder: Resnet<4>,
    student_decoder: StudentDecoder,
    head: SegmentationHead,
    params: ParamSet,
}

const STUDENT: &str = "student_net";
const RESIDUAL: &str = "segmentation_net.res";
const HEAD: &str = "segmentation_net.head";
/// The phases of the training.
const STUDENT_PHASE: usize = 0;
const HEAD_PHASE: usize = 1;

impl Destseg {
    /// Builds it with fresh weights; the teacher's are to be loaded before use.
    pub fn new(config: DestsegConfig, teacher: &EncoderConfig, seed: u64, device: &Device) -> Self {
        let EncoderConfig { arch, precision, .. } = *teacher;
        let builder = Builder::new(device, ChaCha8Rng::seed_from_u64(seed));
        let root = builder.root(InitRule::Fuser);
        let channels = arch.channels();
        let frozen = root.sub("net_t").frozen().with_precision(precision);
        let n_in = resnet_channels(config.student)[3];
        let (student, segmentation) = (root.sub(STUDENT), root.sub("segmentation_net"));
        let made = Self {
            teacher: Backbone::new(&frozen, arch),
            student_encoder: Resnet::new(&student.sub("encoder"), config.student),
            student_decoder: StudentDecoder::new(&student, n_in, channels),
            head: SegmentationHead::new(&segmentation, channels.iter().sum(), config.width),
            params: ParamSet::default(),
            config,
        };
        let params = builder.finish();
        // Every residual block of the student's encoder begins as its shortcut, as in timm.
        let last_norm = match config.student {
            Arch::Resnet10 | Arch::Resnet18 | Arch::Resnet34 => ".bn2.weight",
            _ => ".bn3.weight",
        };
        let encoder = format!("{STUDENT}.encoder.");
        for param in params.iter().filter(|param| param.name().starts_with(&encoder)) {
            if param.name().ends_with(last_norm) {
                param.set_values(vec![0.0; param.len()]);
            }
        }
        Self { params, ..made }
    }

    fn student(&self, images: Tensor<4>, is_training: bool) -> [Tensor<4>; 3] {
        let [.., last] = self.student_encoder.forward(images, is_training);
        self.student_decoder.forward(last, is_training)
    }

    fn in_order(&self, images: Tensor<4>) -> Tensor<4> {
        if self.config.bgr_compat { swap_red_and_blue(images) } else { images }
    }

    fn see(&self, images: Tensor<4>, taught: Tensor<4>) -> Observation {
        let mut seen = vec![images];
        seen.extend(self.teacher.forward(taught));
        seen
    }
}

impl Method for Destseg {
    fn params(&self) -> &ParamSet {
        &self.params
    }

    /// The picture, then the teacher's maps.
    fn observe(&self, images: Tensor<4>) -> Observation {
        let images = self.in_order(images);
        self.see(images.clone(), images)
    }

    fn wants_painted_defects(&self) -> bool {
        true
    }

    /// The painted picture, the teacher's maps, and for the head the mask.
    fn observe_painted(&self, images: Tensor<4>, painted: Painted, phase: usize) -> Observation {
        let (images, on_top) = (self.in_order(images), self.in_order(painted.images));
        if phase == STUDENT_PHASE {
            return self.see(on_top, images);
        }
        let mut seen = self.see(on_top.clone(), on_top);
        seen.push(painted.masks);
        seen
    }

    fn phase_shares(&self) -> Vec<f64> {
        vec![self.config.student_share, 1.0 - self.config.student_share]
    }

    fn groups(&self, train: &TrainConfig) -> Vec<Group> {
        let DestsegConfig { momentum, weight_decay, residual_rate, head_rate, .. } = self.config;
        let rule = Rule::Sgd { momentum, weight_decay };
        let group = |prefix, phase: usize, rate_factor, decays_all| Group {
            rate_factor,
            decays_all,
            clip_norm: train.adamw.clip_norm,
            phase: Some(phase),
            ..Group::named(&[prefix], phase, rule)
        };
        vec![
            group(STUDENT, STUDENT_PHASE, 1.0, self.config.decays_all),
            group(RESIDUAL, HEAD_PHASE, residual_rate, true),
            group(HEAD, HEAD_PHASE, head_rate, true),
        ]
    }

    fn loss(&self, seen: &Observation, step: &TrainStep) -> Tensor<1> {
        let taught = [1, 2, 3].map(|level| unit(seen[level].clone()));
        if step.phase() == STUDENT_PHASE {
            let answered = self.student(seen[0].clone(), true).map(unit);
            return cosine_loss(&taught, &answered);
        }
        let answered = self.student(seen[0].clone(), false).map(|map| unit(map.detach()));
        let probability = self.head.forward(differences(&taught, &answered), true);
        let [_, height, width, _] = probability.dims();
        let mask = small_mask(seen[4].clone(), height, width);
        let [absolute, focal] = segmentation_losses(probability, mask, self.config.focal_power);
        absolute + focal
    }

    fn score(&self, seen: &Observation, height: usize, width: usize) -> Vec<ScoredMap> {
        let taught = [1, 2, 3].map(|level| unit(seen[level].clone()));
        let answered = self.student(seen[0].clone(), false).map(unit);
        let small = self.head.forward(differences(&taught, &answered), false);
        let [_, small_height, small_width, _] = small.dims();
        let values = |x: Tensor<4>| x.into_data().try_to_vec::<f32>().expect("maps are f32");
        let maps = values(resize(small.clone(), height, width, Corners::HalfPixel));
        let small = values(small);
        maps.chunks(height * width)
            .zip(small.chunks(small_height * small_width))
            .map(|(map, small)| {
                let score = match self.config.picture_score {
                    PictureScore::Highest100 => mean_of_highest(small),
                    PictureScore::Largest => map.iter().copied().fold(f32::MIN, f32::max),
                };
                ScoredMap { map: map.to_vec(), score }
            })
            .collect()
    }
}

/// Every vector divided by its length.
///
/// # Shapes
///
/// - `map` and output: `[b, h, w, c]`
pub fn unit(map: Tensor<4>) -> Tensor<4> {
    const EPS: f64 = 1e-12;
    let length = map.clone().powi_scalar(2).sum_dim(3).sqrt();
    map / (length + EPS)
}

/// Sum over levels and pictures of the mean over places of `1 - cos`.
///
/// # Shapes
///
/// - `taught` and `answered`: equal, level by level, `[b, h, w, c]`, vectors of length 1; output:
///   one number
pub fn cosine_loss(taught: &[Tensor<4>; 3], answered: &[Tensor<4>; 3]) -> Tensor<1> {
    let losses = taught.iter().zip(answered).map(|(taught, answered)| {
        let [_, height, width, _] = taught.dims();
        let cosine = (taught.clone() * answered.clone()).sum_dim(3);
        (-cosine + 1.0).sum() / (height * width) as f64
    });
    losses.reduce(|a, b| a + b).expect("there are three levels")
}

/// `-(t · s)`, element by element, of every level at the size of the finest.
///
/// # Shapes
///
/// - `taught` and `answered`: equal, level by level, `[b, h, w, c]`; output: `[b, h1, w1, sum of c]`
pub fn differences(taught: &[Tensor<4>; 3], answered: &[Tensor<4>; 3]) -> Tensor<4> {
    let [_, height, width, _] = taught[0].dims();
    let levels = taught.iter().zip(answered).map(|(taught, answered)| {
        let product = -(taught.clone() * answered.clone());
        resize(product, height, width, Corners::HalfPixel)
    });
    Tensor::cat(levels.collect(), 3)
}

/// A mask at another size, 1 from one half on.
///
/// # Shapes
///
/// - `mask`: `[b, h, w, 1]`; output: `[b, height, width, 1]`
pub fn small_mask(mask: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    resize(mask, height, width, Corners::HalfPixel).greater_equal_elem(0.5).float()
}

/// Mean absolute error, and focal loss without class weights.
///
/// Source of the second: Lin et al. 2017, "Focal Loss for Dense Object Detection".
///
/// # Shapes
///
/// - `probability` and `mask`: `[b, h, w, 1]`; output: one number each
pub fn segmentation_losses(
    probability: Tensor<4>,
    mask: Tensor<4>,
    focal_power: f64,
) -> [Tensor<1>; 2] {
    // The logarithm of anything smaller is cut at -100 in the reference.
    const SMALLEST: f64 = 1e-38;
    let absolute = (probability.clone() - mask.clone()).abs().mean();
    let is_good = -mask.clone() + 1.0;
    let right = probability.clone() * mask + (-probability + 1.0) * is_good;
    let cross_entropy = -right.clone().clamp_min(SMALLEST).log();
    let weight = (-right + 1.0).powf_scalar(focal_power);
    [absolute, (cross_entropy * weight).mean()]
}

/// Mean of the highest 100 of 4,096 values, or of the same share of another number.
pub fn mean_of_highest(values: &[f32]) -> f32 {
    let n = (values.len() * 100).div_ceil(4096).clamp(1, values.len());
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    (sorted[..n].iter().map(|&value| f64::from(value)).sum::<f64>() / n as f64) as f32
}

/// Pictures as if their colours had been read in the other order and normalised after that.
fn swap_red_and_blue(images: Tensor<4>) -> Tensor<4> {
    let preprocess = Preprocess::imagenet(1, 1).expect("one pixel is a size");
    let device = images.device();
    let colours = |values: [f32; 3]| {
        Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, 1, 3]), &device)
    };
    let (mean, std) = (colours(preprocess.mean()), colours(preprocess.std()));
    (images * std.clone() + mean.clone()).flip([3]).sub(mean).div(std)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::n_params;

    /// 35.154 M of the paper's table.
    #[test]
    fn the_published_numbers_of_parameters() {
        let config = recipe(Preset::Paper).unwrap();
        let method = build(&config, &Device::flex()).unwrap();
        assert_eq!(n_params(method.as_ref()), 35_154_177);
    }

    #[test]
    fn swapping_colours_twice_changes_nothing() {
        let values: Vec<f32> = (0..12).map(|i| i as f32 * 0.1).collect();
        let data = TensorData::new(values.clone(), [1, 2, 2, 3]);
        let images = Tensor::<4>::from_data(data, &Device::flex());
        let once = swap_red_and_blue(images.clone());
        let blue: Vec<f32> = once.clone().into_data().try_to_vec().unwrap();
        assert!((blue[0] - ((0.2 * 0.225 + 0.406) - 0.485) / 0.229).abs() < 1e-5);
        let twice: Vec<f32> = swap_red_and_blue(once).into_data().try_to_vec().unwrap();
        assert!(twice.iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn the_score_is_the_mean_of_the_highest() {
        let mut values = vec![0.0; 4096];
        values[..100].fill(1.0);
        assert_eq!(mean_of_highest(&values), 1.0);
        assert_eq!(mean_of_highest(&[0.1, 0.9]), 0.9);
    }
}
