//! What every method is to the rest of the program.

use std::fmt::Debug;

use burn::tensor::{Device, Tensor};

use crate::methods::mmad::model::ConfigError;
use crate::mode::TrainStep;
use crate::params::ParamSet;
use crate::run_file::RunConfig;

/// What a method's frozen part sees in a batch: feature maps, finest first, `[b, h, w, c]`.
///
/// Nothing in it depends on what is trained, so it can be computed once per picture and kept.
pub type Observation = [Tensor<4>; 3];

/// A method that learns what good pictures look like.
pub trait Method: Debug + Send + Sync {
    /// All parameters, frozen ones included, under the names of checkpoints.
    fn params(&self) -> &ParamSet;

    /// Values of fixed tables that published checkpoints count and store as parameters.
    fn n_table_values(&self) -> usize {
        0
    }

    /// Fits what is frozen but depends on the data, before training: `images` are some training
    /// pictures, each `[1, h, w, 3]` and normalised.
    fn prepare(&self, images: &[Tensor<4>]);

    /// What the frozen part sees.
    ///
    /// # Shapes
    ///
    /// - `images`: `[b, h, w, 3]`, normalised
    fn observe(&self, images: Tensor<4>) -> Observation;

    /// The loss of a batch, a single number.
    fn loss(&self, seen: &Observation, step: &TrainStep) -> Tensor<1>;

    /// What the trained part makes of it when scoring, to be compared level by level.
    fn rebuild(&self, seen: &Observation) -> Observation;
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
    /// Builds it with fresh weights; the encoder's are loaded afterwards.
    pub build: BuildMethod,
}

/// Builds a method for a configuration on a device.
pub type BuildMethod = fn(&RunConfig, &Device) -> Result<Box<dyn Method>, ConfigError>;
