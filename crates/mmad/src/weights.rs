//! Parameters of a model from and to named tensors, and where an encoder's weights come from.

use std::collections::BTreeSet;
use std::path::Path;

use mmad_weights::{Comparison, HostTensor, StateDict, WeightCache, compare};

use crate::encoder::Arch;
use crate::params::{Param, ParamSet};

/// What keeps weights from being loaded.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file, the cache or a tensor.
    #[error(transparent)]
    File(#[from] mmad_weights::Error),
    /// Names or shapes that do not fit the model.
    #[error("{origin} does not fit {model}: {comparison}")]
    Mismatch {
        /// Where the tensors come from.
        origin: String,
        /// What they were meant for.
        model: String,
        /// What is missing or has another shape.
        comparison: Box<Comparison>,
    },
    /// A file of a residual network with more blocks than the encoder.
    #[error("{origin} is of a deeper network than {model}: it has `{tensor}`")]
    Deeper {
        /// Where the tensors come from.
        origin: String,
        /// What they were meant for.
        model: String,
        /// One that has no place in it.
        tensor: String,
    },
    /// There are embedded weights for one encoder only.
    #[error("there are no embedded weights for encoder `{0}`")]
    NotEmbedded(&'static str),
}

impl WeightsError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Mismatch { comparison, .. } => comparison.hint(),
            Self::Deeper { .. } => Some(
                "name the file's network with `--encoder`, as in `--encoder resnet18`".to_owned(),
            ),
            Self::NotEmbedded(_) => Some(
                "use `--encoder resnet10` for the embedded weights, or give a file with \
                 `--weights`"
                    .to_owned(),
            ),
        }
    }
}

/// Name of the embedded weights in run files.
pub const EMBEDDED: &str = "embedded";

/// The embedded encoder: a ResNet-10 trained on procedural pictures, stored as f16.
static EMBEDDED_RESNET10: &[u8] = include_bytes!("../assets/resnet10.safetensors");

/// Reads the weights of an encoder: the embedded ones, a file, or an entry of the cache.
///
/// A name that is a file on disk is that file; any other is looked up in the cache of the user.
///
/// # Errors
///
/// [`WeightsError`] where there is no such file or entry, or it cannot be read.
pub fn read_encoder(arch: Arch, weights: &str) -> Result<StateDict, WeightsError> {
    if weights == EMBEDDED {
        return match arch {
            Arch::Resnet10 => {
                let which = mmad_weights::Tensors::Model;
                let path = Path::new("the embedded encoder");
                Ok(mmad_weights::parse(EMBEDDED_RESNET10, path, which)?)
            }
            other => Err(WeightsError::NotEmbedded(other.name())),
        };
    }
    let path = Path::new(weights);
    if path.is_file() || weights.contains(['/', '\\']) || path.extension().is_some_and(is_file) {
        return Ok(mmad_weights::read(path)?);
    }
    Ok(WeightCache::of_user()?.load(weights)?)
}

fn is_file(extension: &std::ffi::OsStr) -> bool {
    ["safetensors", "pth", "pt"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Fills the parameters of an encoder, which start with `prefix`, from those of its network.
///
/// # Errors
///
/// As of [`load`]; [`WeightsError::Deeper`] where a layer of the file has further blocks, which a
/// shallower network would silently leave out.
pub fn load_encoder(
    params: &ParamSet,
    prefix: &str,
    tensors: &StateDict,
    origin: &str,
    model: &str,
) -> Result<(), WeightsError> {
    // Names such as `layer2.1.conv1.weight`.
    let layer_of = |name: &str| {
        let layer = name.split('.').next().unwrap_or_default().to_owned();
        layer.starts_with("layer").then_some(layer)
    };
    let block_of = |name: &str| Some((layer_of(name)?, name.split('.').nth(1)?.to_owned()));
    let names = || params.iter().filter_map(|param| param.name().strip_prefix(prefix));
    let layers: BTreeSet<_> = names().filter_map(layer_of).collect();
    let blocks: BTreeSet<_> = names().filter_map(block_of).collect();
    let is_further = |name: &str| {
        block_of(name).is_some_and(|block| layers.contains(&block.0) && !blocks.contains(&block))
    };
    if let Some((tensor, _)) = tensors.iter().find(|(name, _)| is_further(name)) {
        return Err(WeightsError::Deeper {
            origin: origin.to_owned(),
            model: model.to_owned(),
            tensor: tensor.to_owned(),
        });
    }
    load(params, prefix, tensors, origin, model)
}

/// Fills the parameters that start with `prefix` from tensors without it. Other tensors are left.
///
/// # Errors
///
/// [`WeightsError::Mismatch`] where one is missing or has another shape; nothing is changed then.
pub fn load(
    params: &ParamSet,
    prefix: &str,
    tensors: &StateDict,
    origin: &str,
    model: &str,
) -> Result<(), WeightsError> {
    let wanted: Vec<&Param> =
        params.iter().filter(|param| param.name().starts_with(prefix)).collect();
    fits(wanted.iter().copied(), prefix, tensors, origin, model)?;
    for param in wanted {
        let name = &param.name()[prefix.len()..];
        if let Some(values) = tensors.get(name).and_then(|t| t.clone().into_f32()) {
            param.set_values(values);
        }
    }
    Ok(())
}

fn fits<'a>(
    params: impl Iterator<Item = &'a Param>,
    prefix: &str,
    tensors: &StateDict,
    origin: &str,
    model: &str,
) -> Result<(), WeightsError> {
    let expected: Vec<(String, Vec<usize>)> =
        params.map(|param| (param.name()[prefix.len()..].to_owned(), param.shape())).collect();
    let comparison = compare(&expected, tensors);
    if comparison.fits() {
        return Ok(());
    }
    Err(WeightsError::Mismatch {
        origin: origin.to_owned(),
        model: model.to_owned(),
        comparison: Box::new(comparison),
    })
}

/// All parameters as named tensors.
///
/// # Errors
///
/// Never in practice: the shapes are the tensors' own.
pub fn to_state(params: &ParamSet) -> Result<StateDict, WeightsError> {
    let mut state = StateDict::new();
    for param in params.iter() {
        state.insert(param.name(), HostTensor::from_f32(param.shape(), param.values())?);
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::encoder::Encoder;

    /// Every tensor of a ResNet-10 stands in a ResNet-18 with its shape; the reverse is not so.
    #[test]
    fn a_deeper_network_is_not_taken_for_a_shallower_one() {
        let encoder = |arch| Encoder::new(arch, 0, &Device::flex());
        let (deep, shallow) = (encoder(Arch::Resnet18), encoder(Arch::Resnet10));
        let file = to_state(deep.params()).unwrap();
        let error = load_encoder(shallow.params(), "", &file, "`a file`", "resnet10").unwrap_err();
        assert!(
            matches!(&error, WeightsError::Deeper { tensor, .. } if tensor.starts_with("layer1.1."))
        );
        load_encoder(deep.params(), "", &file, "`a file`", "resnet18").unwrap();
        let file = to_state(shallow.params()).unwrap();
        let error = load_encoder(deep.params(), "", &file, "`a file`", "resnet18").unwrap_err();
        assert!(matches!(error, WeightsError::Mismatch { .. }));
    }
}
