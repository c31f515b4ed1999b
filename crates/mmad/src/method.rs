//! What every method is to the rest of the program.

use std::fmt::Debug;

use burn::tensor::{Device, Tensor};

use crate::methods::mmad::model::ConfigError;
use crate::mode::TrainStep;
use crate::ops::count_macs;
use crate::params::{Param, ParamSet, Role};
use crate::run_file::{Preset, RunConfig, TrainConfig};
use crate::train::optimiser::{Group, Rule};
use crate::unfit::Unfit;

/// What a method's frozen part sees in a batch: maps `[b, h, w, c]`.
///
/// Nothing in it depends on what is trained, so it can be computed once per picture and kept. The
/// mean of the last map over its pixels says what a picture looks like as a whole.
pub type Observation = Vec<Tensor<4>>;

/// Pictures with painted defects.
#[derive(Debug, Clone)]
pub struct Painted {
    /// `[b, h, w, 3]`, normalised.
    pub images: Tensor<4>,
    /// `[b, h, w, 1]`, 1 where a defect was painted, else 0.
    pub masks: Tensor<4>,
}

/// What a method says about one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredMap {
    /// Anomaly map `[height, width]`, row-major; higher is worse.
    pub map: Vec<f32>,
    /// Score of the whole picture; higher is worse.
    pub score: f32,
}

/// A method that learns what good pictures look like.
pub trait Method: Debug + Send + Sync {
    /// All parameters, frozen ones included, under the names of checkpoints; those of the encoder
    /// begin with [`ENCODER_PREFIX`].
    fn params(&self) -> &ParamSet;

    /// Values of fixed tables that published checkpoints count and store as parameters.
    fn n_table_values(&self) -> usize {
        0
    }

    /// Values of parameters that the published implementation holds and never uses. Here they do
    /// not exist, but tables of sizes count them.
    fn n_dead_values(&self) -> usize {
        0
    }

    /// Fits what is frozen but depends on the data, before training: `images` are some training
    /// pictures, each `[1, h, w, 3]` and normalised.
    fn prepare(&self, _images: &[Tensor<4>]) {}

    /// What the frozen part sees.
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`, normalised
    fn observe(&self, images: Tensor<4>) -> Observation;

    /// True where training needs pictures with painted defects; nothing is kept between epochs
    /// then, because every look is another.
    fn wants_painted_defects(&self) -> bool {
        false
    }

    /// What the frozen part sees of good pictures and of the same with painted defects, in a phase
    /// of the training. Called instead of [`Method::observe`] where painted defects are wanted.
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`, normalised, as good as they were
    fn observe_painted(&self, images: Tensor<4>, _painted: Painted, _phase: usize) -> Observation {
        self.observe(images)
    }

    /// How the steps of a run are shared out among its phases; the sum is 1.
    fn phase_shares(&self) -> Vec<f64> {
        vec![1.0]
    }

    /// Which parameters are moved, in which phase, by which rule.
    fn groups(&self, train: &TrainConfig) -> Vec<Group> {
        vec![Group::everything(Rule::AdamW(train.adamw))]
    }

    /// The loss of a batch, a single number.
    fn loss(&self, seen: &Observation, step: &TrainStep) -> Tensor<1>;

    /// What the method says about every picture of a batch, in maps of `height` and `width`.
    ///
    /// # Shapes
    ///
    /// - `seen`: as of [`Method::observe`], recording no gradients
    fn score(&self, seen: &Observation, height: usize, width: usize) -> Vec<ScoredMap>;
}

/// Prefix of the names of the encoder's parameters.
pub const ENCODER_PREFIX: &str = "net_t.";

/// Number of parameters as published tables count them: with tables and dead parts, without
/// running statistics and without what is fitted to the data before training.
pub fn n_params(method: &dyn Method) -> usize {
    let counts = |param: &&Param| {
        let is_encoder = param.name().starts_with(ENCODER_PREFIX);
        let is_statistic = param.leaf_name().starts_with("running_");
        !is_statistic && (param.role() == Role::Trained || is_encoder)
    };
    let held: usize = method.params().iter().filter(counts).map(Param::len).sum();
    held + method.n_table_values() + method.n_dead_values()
}

/// Multiply-accumulate operations of scoring one picture.
pub fn n_macs(method: &dyn Method, height: usize, width: usize, device: &Device) -> u64 {
    let picture = Tensor::zeros([1, height, width, 3], device);
    count_macs(|| method.score(&method.observe(picture), height, width)).1
}

/// One line of the list of methods.
#[derive(Debug, Clone, Copy)]
pub struct MethodEntry {
    /// Name on the command line, in run files and in model files.
    pub id: &'static str,
    /// One line for `mmad methods`.
    pub about: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// What it needs besides good pictures.
    pub needs: &'static str,
    /// The values of a preset; `None` where the method has none of this name.
    pub recipe: fn(Preset) -> Option<RunConfig>,
    /// Builds it with fresh weights; the encoder's are loaded afterwards.
    pub build: BuildMethod,
}

/// Builds a method for a configuration on a device.
pub type BuildMethod = fn(&RunConfig, &Device) -> Result<Box<dyn Method>, BuildError>;

/// A configuration that a method cannot be built from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A value of MMAD.
    #[error(transparent)]
    Mmad(#[from] ConfigError),
    /// A value of another method.
    #[error(transparent)]
    Value(#[from] Unfit),
}

impl BuildError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Mmad(error) => error.hint(),
            Self::Value(unfit) => unfit.hint(),
        }
    }
}
