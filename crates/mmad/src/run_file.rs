//! The run file: everything that decides a training run, as typed and as checked.
//!
//! [`RunConfig`] has every value; a TOML file may give any of them, the rest are the preset's.
//! Unknown keys are errors.

mod error;

use burn::tensor::{DType, Device};
use mmad_data::PaintConfig;
use serde::{Deserialize, Serialize};

pub use mmad_kernels::precision::{PRECISIONS, Precision};

pub use self::error::RunFileError;
use crate::encoder::Arch;
use crate::methods::destseg::DestsegConfig;
use crate::methods::mmad::model::MmadConfig;
use crate::methods::rd4ad::Rd4adConfig;
use crate::methods::simplenet::SimplenetConfig;
use crate::methods::uniad::UniadConfig;
use crate::methods::{self, METHODS};
use crate::train::adamw::AdamWConfig;
use crate::unfit::{Unfit, require, require_in};

/// Everything that decides a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Which method; see `mmad methods`.
    pub method: String,
    /// Seed of weights, order and noise. Same seed, same data, same threads: same bits.
    pub seed: u64,
    /// The frozen encoder.
    pub encoder: EncoderConfig,
    /// The pictures.
    pub data: DataConfig,
    /// The optimisation.
    pub train: TrainConfig,
    /// MMAD's own values.
    pub mmad: MmadConfig,
    /// RD4AD's own values.
    pub rd4ad: Rd4adConfig,
    /// SimpleNet's own values.
    pub simplenet: SimplenetConfig,
    /// DeSTSeg's own values.
    pub destseg: DestsegConfig,
    /// How defects are painted, for methods that train on painted defects.
    pub paint: PaintConfig,
    /// UniAD's own values.
    pub uniad: UniadConfig,
}

/// What a run file prints: the tables of other methods only where somebody changed them.
#[derive(Serialize)]
struct Printed<'a> {
    method: &'a str,
    seed: u64,
    encoder: &'a EncoderConfig,
    data: &'a DataConfig,
    train: &'a TrainConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    mmad: Option<&'a MmadConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rd4ad: Option<&'a Rd4adConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    simplenet: Option<&'a SimplenetConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destseg: Option<&'a DestsegConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paint: Option<&'a PaintConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uniad: Option<&'a UniadConfig>,
}

impl<'a> Printed<'a> {
    fn new(config: &'a RunConfig) -> Self {
        let method = config.method.as_str();
        Self {
            method,
            seed: config.seed,
            encoder: &config.encoder,
            data: &config.data,
            train: &config.train,
            mmad: table(method == "mmad", &config.mmad),
            rd4ad: table(method == "rd4ad", &config.rd4ad),
            simplenet: table(method == "simplenet", &config.simplenet),
            destseg: table(method == "destseg", &config.destseg),
            paint: table(method == "destseg", &config.paint),
            uniad: table(method == "uniad", &config.uniad),
        }
    }
}

/// A method's table, where it is the method's own or not the default.
fn table<T: Default + PartialEq>(is_own: bool, table: &T) -> Option<&T> {
    (is_own || *table != T::default()).then_some(table)
}

/// The frozen encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderConfig {
    /// Which network.
    pub arch: Arch,
    /// `embedded`, a path, or an id of `mmad weights list`.
    pub weights: String,
    /// What inputs and weights of its dense convolutions are rounded to, all but the first of the
    /// network. Scores depend on it, so it belongs to the model.
    #[serde(with = "PrecisionName")]
    pub precision: Precision,
}

/// How a [`Precision`] is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", remote = "Precision")]
enum PrecisionName {
    F32,
    Bf16,
    F16,
}

/// The pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Height that pictures are resized to, in pixels; a multiple of 32.
    pub height_px: usize,
    /// Width that pictures are resized to, in pixels; a multiple of 32.
    pub width_px: usize,
    /// Classes to train on; empty means all.
    pub classes: Vec<String>,
    /// Share of the good training pictures of each class that is held out for calibration.
    pub calibration_share: f64,
}

/// The optimisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training pictures. Ignored where `minutes` or `steps` is above zero.
    pub epochs: usize,
    /// Steps of the run; 0 means `epochs`. Ignored where `minutes` is above zero.
    pub steps: u64,
    /// Time to train for; the number of steps is then measured at the start. 0 means `steps` or
    /// `epochs`.
    pub minutes: f64,
    /// Pictures per step.
    pub batch: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// How the rate falls.
    pub schedule: Schedule,
    /// Steps over which the rate rises from zero, as a share of all.
    pub warmup_share: f64,
    /// Seconds between checkpoints.
    pub checkpoint_s: f64,
    /// Memory for the frozen encoder's maps of training pictures, in megabytes; 0 keeps none there.
    pub feature_cache_mb: u64,
    /// Disk for the maps of the pictures after those, in megabytes; 0 keeps none there.
    pub feature_cache_disk_mb: u64,
    /// How the values of these maps are kept.
    pub feature_cache_type: FeatureType,
    /// The optimiser's constants.
    pub adamw: AdamWConfig,
}

/// How the encoder's maps of training pictures are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureType {
    /// Half precision: half the memory, values with 11 bits.
    F16,
    /// As they are.
    F32,
}

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// A tenth after four fifths of the run (the paper).
    Step,
    /// A half cosine down to a hundredth.
    Cosine,
    /// It does not fall.
    Constant,
}

/// Named starting points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The recipe behind the published numbers, one model for all classes.
    Paper,
    /// ADer's benchmark recipe with 100 epochs.
    Ader100,
    /// ADer's benchmark recipe with 300 epochs.
    Ader300,
    /// The recipe of the method's own paper, which trains one model per class.
    Original,
    /// A time budget, for a CPU, with the embedded encoder.
    Quick,
}

impl Preset {
    /// Every preset with its name; no method has all.
    pub const ALL: [(&'static str, Self); 5] = [
        ("quick", Self::Quick),
        ("paper", Self::Paper),
        ("ader-100", Self::Ader100),
        ("ader-300", Self::Ader300),
        ("original", Self::Original),
    ];

    /// Its name in [`Preset::ALL`].
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, preset)| *preset == self).map_or("", |(name, _)| name)
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            method: "mmad".to_owned(),
            seed: 42,
            encoder: EncoderConfig::default(),
            data: DataConfig::default(),
            train: TrainConfig::default(),
            mmad: MmadConfig::default(),
            rd4ad: Rd4adConfig::default(),
            simplenet: SimplenetConfig::default(),
            destseg: DestsegConfig::default(),
            paint: PaintConfig::default(),
            uniad: UniadConfig::default(),
        }
    }
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            arch: Arch::Resnet34,
            weights: "resnet34.bt_in1k".to_owned(),
            precision: Precision::F32,
        }
    }
}

impl EncoderConfig {
    /// Checks that a device computes in this precision. A processor does in all; a GPU may in `f16`.
    ///
    /// # Errors
    ///
    /// [`Unfit`] where it does not.
    pub fn fits(&self, device: &Device) -> Result<(), Unfit> {
        let is_cpu = device.clone().without_autodiff() == Device::flex();
        let (fits, want) = match self.precision {
            Precision::F32 => return Ok(()),
            Precision::Bf16 => {
                (is_cpu, "`f32` or `f16`, or use `--device cpu`: no GPU takes `bf16`")
            }
            Precision::F16 => {
                let fits = is_cpu || device.supports_dtype(DType::F16);
                (fits, "`f32`, or use `--device cpu`: this GPU has no `f16`")
            }
        };
        require(fits, "encoder.precision", self.precision.name(), want)
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { height_px: 256, width_px: 256, classes: Vec::new(), calibration_share: 0.1 }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 500,
            steps: 0,
            minutes: 0.0,
            batch: 8,
            learning_rate: 2.5e-3,
            schedule: Schedule::Step,
            warmup_share: 0.0,
            checkpoint_s: 60.0,
            feature_cache_mb: 1500,
            feature_cache_disk_mb: 0,
            feature_cache_type: FeatureType::F16,
            adamw: AdamWConfig::default(),
        }
    }
}

impl RunConfig {
    /// The values of a preset of a method.
    ///
    /// # Errors
    ///
    /// [`RunFileError`] where there is no such method, or it has no such preset.
    pub fn of(method: &str, preset: Preset) -> Result<Self, RunFileError> {
        let unknown = || RunFileError::UnknownMethod {
            method: method.to_owned(),
            known: METHODS.iter().map(|entry| entry.id).collect(),
        };
        let entry = methods::find(method).ok_or_else(unknown)?;
        (entry.recipe)(preset).ok_or_else(|| RunFileError::NoPreset {
            method: entry.id,
            preset: preset.name(),
            known: Preset::ALL
                .iter()
                .filter(|(_, preset)| (entry.recipe)(*preset).is_some())
                .map(|(name, _)| *name)
                .collect(),
        })
    }

    /// MMAD's values of a preset; those of [`Preset::Paper`] for a preset that MMAD has not.
    ///
    /// # Panics
    ///
    /// Never: MMAD has the preset of its paper.
    pub fn preset(preset: Preset) -> Self {
        let recipe = methods::mmad::ENTRY.recipe;
        recipe(preset).or_else(|| recipe(Preset::Paper)).expect("MMAD has the preset of its paper")
    }

    /// Reads a run file over the values of a preset of the method that it names; MMAD where it
    /// names none.
    ///
    /// # Errors
    ///
    /// [`RunFileError`] with the place and, for a misspelt key, what was probably meant.
    pub fn parse(text: &str, preset: Preset) -> Result<Self, RunFileError> {
        Self::parse_for(None, text, preset)
    }

    /// The same for a method that was asked for, whatever the file names.
    ///
    /// # Errors
    ///
    /// As of [`RunConfig::parse`].
    pub fn parse_for(
        method: Option<&str>,
        text: &str,
        preset: Preset,
    ) -> Result<Self, RunFileError> {
        let mut typed: toml::Table = toml::from_str(text).map_err(RunFileError::from_toml)?;
        if let Some(method) = method {
            typed.insert("method".to_owned(), method.into());
        }
        let method = typed.get("method").and_then(toml::Value::as_str).unwrap_or("mmad");
        let mut all = Self::of(method, preset)?.to_table()?;
        merge(&mut all, typed);
        Self::from_table(all)
    }

    /// Sets one value by its dotted key, as in `train.batch=4`.
    ///
    /// # Errors
    ///
    /// [`RunFileError`] where the key is unknown or the value does not fit.
    pub fn set(&self, assignment: &str) -> Result<Self, RunFileError> {
        let not_assignment = || RunFileError::NotAnAssignment(assignment.to_owned());
        let (key, value) = assignment.split_once('=').ok_or_else(not_assignment)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err(not_assignment());
        }
        // A bare word is a string, so that nobody has to quote quotes in a shell.
        let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let nested = key.rsplit('.').fold(value, |value, part| {
            toml::Value::Table(toml::Table::from_iter([(part.to_owned(), value)]))
        });
        let mut all = self.to_table()?;
        if let toml::Value::Table(nested) = nested {
            merge(&mut all, nested);
        }
        Self::from_table(all)
    }

    /// The whole configuration as TOML.
    ///
    /// # Errors
    ///
    /// [`RunFileError::Invalid`] where a value has no TOML form (a seed beyond `i64`).
    pub fn to_toml(&self) -> Result<String, RunFileError> {
        toml::to_string(&Printed::new(self))
            .map_err(|error| RunFileError::Invalid { why: error.to_string() })
    }

    /// Checks values that no single type can.
    ///
    /// # Errors
    ///
    /// [`RunFileError::Value`] for the first that makes no sense.
    pub fn validate(&self) -> Result<(), RunFileError> {
        let DataConfig { height_px, width_px, calibration_share, .. } = self.data;
        let train = &self.train;
        for (key, side) in [("data.height_px", height_px), ("data.width_px", width_px)] {
            let fits = side.is_multiple_of(32) && (32..=4096).contains(&side);
            require(fits, key, side, "a multiple of 32 from 32 to 4096")?;
        }
        require_in(
            &(0.0..=0.9),
            "a share from 0 to 0.9",
            &[
                ("data.calibration_share", calibration_share),
                ("train.warmup_share", train.warmup_share),
            ],
        )?;
        require_in(&(1..=1024), "a number from 1 to 1024", &[("train.batch", train.batch)])?;
        let ends = train.epochs > 0 || train.steps > 0 || train.minutes > 0.0;
        let want = "at least 1, or `train.steps` or `train.minutes` above 0";
        require(ends, "train.epochs", train.epochs, want)?;
        let a_year = 60.0 * 24.0 * 365.0;
        let want = "a number of minutes, at least 0";
        require_in(&(0.0..=a_year), want, &[("train.minutes", train.minutes)])?;
        let rate = train.learning_rate;
        require(rate > 0.0 && rate < 10.0, "train.learning_rate", rate, "above 0 and below 10")?;
        require_in(&(0.0..), "at least 0", &[("train.checkpoint_s", train.checkpoint_s)])?;
        Ok(())
    }

    fn to_table(&self) -> Result<toml::Table, RunFileError> {
        toml::Table::try_from(Printed::new(self))
            .map_err(|error| RunFileError::Invalid { why: error.to_string() })
    }

    fn from_table(table: toml::Table) -> Result<Self, RunFileError> {
        table.try_into().map_err(RunFileError::from_toml)
    }
}

/// Lays `over` on `base`; tables are merged, everything else is replaced.
fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_survives_a_round_trip() {
        for preset in [Preset::Paper, Preset::Quick] {
            let config = RunConfig::preset(preset);
            config.validate().unwrap();
            config.mmad.validate(config.encoder.arch).unwrap();
            let text = config.to_toml().unwrap();
            // The file names every key, so the preset underneath must not matter.
            assert_eq!(RunConfig::parse(&text, Preset::Paper).unwrap(), config);
        }
    }

    #[test]
    fn a_misspelt_key_gets_a_suggestion() {
        let error = RunConfig::parse("[train]\nepoch = 3", Preset::Paper).unwrap_err();
        assert_eq!(error.to_string(), "unknown key `epoch`");
        assert_eq!(error.hint().unwrap(), "did you mean `epochs`?");
    }

    #[test]
    fn one_value_can_be_set() {
        let config = RunConfig::default().set("train.batch=4").unwrap();
        assert_eq!(config.train.batch, 4);
        let config = config.set("encoder.arch=resnet18").unwrap();
        assert_eq!(config.encoder.arch, Arch::Resnet18);
        let config = config.set("encoder.precision=bf16").unwrap();
        assert_eq!(config.encoder.precision, Precision::Bf16);
        assert!(config.set("encoder.precision=f64").is_err());
        assert!(config.set("train.bach=4").unwrap_err().hint().unwrap().contains("`batch`"));
        assert!(config.set("train.batch=many").is_err());
        assert!(config.set("=4").is_err());
    }

    #[test]
    fn a_precision_has_one_name_everywhere_and_is_single_by_default() {
        let plain = RunConfig::default();
        for (name, precision) in PRECISIONS {
            let config = plain.set(&format!("encoder.precision={name}")).unwrap();
            assert_eq!(config.encoder.precision, precision);
            assert!(config.to_toml().unwrap().contains(&format!("precision = \"{name}\"")));
            config.encoder.fits(&Device::flex()).unwrap();
        }
        // As files say that were written before there was a choice.
        let old = "[encoder]\narch = \"resnet18\"\nweights = \"embedded\"";
        let config = RunConfig::parse(old, Preset::Paper).unwrap();
        assert_eq!(config.encoder.precision, Precision::F32);
    }

    #[test]
    fn senseless_values_are_refused() {
        for assignment in
            ["data.height_px=100", "train.batch=0", "train.learning_rate=nan", "train.minutes=-1"]
        {
            let config = RunConfig::default().set(assignment).unwrap();
            let error = config.validate().unwrap_err();
            assert!(error.hint().is_some(), "{assignment}: {error}");
        }
    }
}
