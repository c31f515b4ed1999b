//! What can be wrong with a run file, and how to mend it.

use crate::unfit::Unfit;

/// What is wrong with a run file or a `--set`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunFileError {
    /// Not TOML, or a value of the wrong kind.
    #[error("{why}")]
    Invalid {
        /// Place and reason.
        why: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// The key as typed.
        key: String,
        /// The keys that exist there.
        known: Vec<String>,
    },
    /// A method that does not exist.
    #[error("there is no method `{method}`")]
    UnknownMethod {
        /// The name as typed.
        method: String,
        /// The names that exist.
        known: Vec<&'static str>,
    },
    /// A preset that the method has not.
    #[error("method `{method}` has no preset `{preset}`")]
    NoPreset {
        /// Name of the method.
        method: &'static str,
        /// Name of the preset.
        preset: &'static str,
        /// The presets that it has.
        known: Vec<&'static str>,
    },
    /// Not of the form `key=value`.
    #[error("`{0}` is not of the form `key=value`")]
    NotAnAssignment(String),
    /// A value that makes no sense.
    #[error(transparent)]
    Value(#[from] Unfit),
}

impl RunFileError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { .. } => Some("`mmad config` shows every key with its default".into()),
            Self::NotAnAssignment(_) => Some("write for example `--set train.batch=4`".into()),
            Self::Value(unfit) => Some(unfit.hint()),
            Self::UnknownMethod { known, .. } => {
                Some(format!("the methods are: {}", known.join(", ")))
            }
            Self::NoPreset { known, .. } => Some(format!("its presets are: {}", known.join(", "))),
            Self::UnknownKey { key, known } => {
                let near = known.iter().min_by_key(|name| strsim::levenshtein(name, key))?;
                let is_near = strsim::levenshtein(near, key) <= 1 + key.len() / 3;
                Some(match is_near {
                    true => format!("did you mean `{near}`?"),
                    false => format!("the keys there are: {}", known.join(", ")),
                })
            }
        }
    }

    pub(super) fn from_toml(error: toml::de::Error) -> Self {
        let message = error.message();
        let quoted = |text: &str| -> Vec<String> {
            text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        if let Some((key, known)) =
            message.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", expected"))
        {
            let key = quoted(key).into_iter().next().unwrap_or_default();
            return Self::UnknownKey { key, known: quoted(known) };
        }
        Self::Invalid { why: error.to_string().trim_end().to_owned() }
    }
}
