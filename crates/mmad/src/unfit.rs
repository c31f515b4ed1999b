//! Values of a configuration that no run can use: one check for the run file and for every method.

use std::fmt::Display;
use std::ops::RangeBounds;

/// A value that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {value}")]
pub struct Unfit {
    /// The key in the run file.
    pub key: &'static str,
    /// The value.
    pub value: String,
    /// What would do.
    pub want: &'static str,
}

impl Unfit {
    /// What to write instead.
    pub fn hint(&self) -> String {
        format!("give {}", self.want)
    }
}

/// Checks one value.
///
/// # Errors
///
/// [`Unfit`] unless it `fits`.
pub fn require(
    fits: bool,
    key: &'static str,
    value: impl Display,
    want: &'static str,
) -> Result<(), Unfit> {
    if fits { Ok(()) } else { Err(Unfit { key, value: value.to_string(), want }) }
}

/// Checks that values lie in a range; what is no number lies in none.
///
/// # Errors
///
/// [`Unfit`] for the first that does not.
pub fn require_in<T: PartialOrd + Display>(
    range: &impl RangeBounds<T>,
    want: &'static str,
    values: &[(&'static str, T)],
) -> Result<(), Unfit> {
    values.iter().try_for_each(|(key, value)| require(range.contains(value), key, value, want))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_outside_is_named() {
        let check = |values: &[(&'static str, f64)]| require_in(&(0.0..1.0), "a share", values);
        assert_eq!(check(&[("a", 0.0), ("b", 0.5)]), Ok(()));
        let error = check(&[("a", 0.0), ("b", 1.0), ("c", 2.0)]).unwrap_err();
        assert_eq!((error.to_string(), error.hint()), ("`b` is 1".into(), "give a share".into()));
        assert_eq!(check(&[("a", f64::NAN)]).unwrap_err().key, "a");
    }
}
