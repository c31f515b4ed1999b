//! Do these tensors fit that model? Names and shapes, told so that a person can act on it.

use std::collections::BTreeMap;
use std::fmt;

use crate::StateDict;
use crate::error::quoted;

/// How many names of each kind a report prints.
const N_SHOWN: usize = 10;

/// What [`compare`] found. Every list is in the order of the expectation, or of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Number of tensors that were expected.
    pub n_expected: usize,
    /// Number of expected tensors that are there with the right shape.
    pub n_matching: usize,
    /// Expected, but not there.
    pub missing: Vec<String>,
    /// There, but not expected.
    pub extra: Vec<String>,
    /// There under the right name with another shape.
    pub wrong_shape: Vec<WrongShape>,
}

/// A tensor whose shape differs from the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongShape {
    /// Name of the tensor.
    pub name: String,
    /// Shape that the model needs.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

/// Compares the names and shapes a model expects with the tensors at hand.
pub fn compare<N: AsRef<str>, S: AsRef<[usize]>>(
    expected: &[(N, S)],
    got: &StateDict,
) -> Comparison {
    let shapes: BTreeMap<&str, &[usize]> =
        expected.iter().map(|(name, shape)| (name.as_ref(), shape.as_ref())).collect();
    let mut comparison = Comparison { n_expected: shapes.len(), ..Comparison::default() };
    for (&name, &shape) in &shapes {
        match got.get(name) {
            None => comparison.missing.push(name.to_owned()),
            Some(tensor) if tensor.shape() != shape => comparison.wrong_shape.push(WrongShape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: tensor.shape().to_vec(),
            }),
            Some(_) => comparison.n_matching += 1,
        }
    }
    comparison.extra =
        got.names().filter(|name| !shapes.contains_key(name)).map(str::to_owned).collect();
    comparison
}

impl Comparison {
    /// True when every expected tensor is there with its shape. Extra tensors do no harm: a
    /// published encoder has a classifier that the detector does not use.
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.wrong_shape.is_empty()
    }

    /// True when names and shapes agree one to one.
    pub fn is_exact(&self) -> bool {
        self.fits() && self.extra.is_empty()
    }

    /// What to do about it; `None` when everything fits.
    pub fn hint(&self) -> Option<String> {
        if self.fits() {
            return None;
        }
        if let Some(prefix) = self.prefix_too_many() {
            return Some(format!(
                "every name in the file begins with {}: remove that prefix",
                quoted(&prefix)
            ));
        }
        if let Some(prefix) = self.prefix_too_few() {
            return Some(format!(
                "the names in the file lack the prefix {}: add it",
                quoted(&prefix)
            ));
        }
        Some(if self.n_matching == 0 && self.wrong_shape.is_empty() {
            "no name agrees: these weights belong to another kind of model".to_owned()
        } else if self.missing.is_empty() {
            "the names agree and the sizes do not: the weights belong to a model of another width \
             or depth"
                .to_owned()
        } else {
            "the weights belong to a different or only partly equal model: check which encoder the \
             run file names"
                .to_owned()
        })
    }

    /// A prefix that, once removed from the extra names, would supply everything missing.
    fn prefix_too_many(&self) -> Option<String> {
        let first = self.missing.first()?;
        let prefix = self.extra.iter().find_map(|name| name.strip_suffix(first.as_str()))?;
        let supplies = |name: &String| self.extra.binary_search(&format!("{prefix}{name}")).is_ok();
        (!prefix.is_empty() && self.missing.iter().all(supplies)).then(|| prefix.to_owned())
    }

    /// A prefix that, once put before the extra names, would supply everything missing.
    fn prefix_too_few(&self) -> Option<String> {
        let first = self.missing.first()?;
        let prefix = self
            .extra
            .iter()
            .filter_map(|name| first.strip_suffix(name.as_str()))
            .find(|prefix| prefix.ends_with('.'))?;
        let supplied = |name: &String| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| self.extra.binary_search(&rest.to_owned()).is_ok())
        };
        self.missing.iter().all(supplied).then(|| prefix.to_owned())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} expected tensors match", self.n_matching, self.n_expected)?;
        let names = |names: &[String]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>();
        list(f, "missing", &names(&self.missing))?;
        let shapes: Vec<String> = self
            .wrong_shape
            .iter()
            .map(|wrong| {
                let WrongShape { name, expected, found } = wrong;
                format!("{} is {found:?}, expected {expected:?}", quoted(name))
            })
            .collect();
        list(f, "wrong shape", &shapes)?;
        list(f, "extra", &names(&self.extra))
    }
}

/// One block of the report: the count, then the first few lines.
fn list(f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    write!(f, "\n{title}: {}", lines.len())?;
    for line in lines.iter().take(N_SHOWN) {
        write!(f, "\n  {line}")?;
    }
    if lines.len() > N_SHOWN {
        write!(f, "\n  … and {} more", lines.len() - N_SHOWN)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostTensor;

    fn dict(shapes: &[(&str, &[usize])]) -> StateDict {
        shapes
            .iter()
            .map(|&(name, shape)| {
                let n = shape.iter().product();
                (name.to_owned(), HostTensor::from_f32(shape.to_vec(), vec![0.0; n]).unwrap())
            })
            .collect()
    }

    #[test]
    fn each_kind_of_difference_is_listed() {
        let got = dict(&[("a", &[2]), ("b", &[3, 1]), ("z", &[1])]);
        let comparison = compare(&[("a", vec![2]), ("b", vec![1, 3]), ("c", vec![1])], &got);
        assert_eq!(
            comparison.to_string(),
            "1 of 3 expected tensors match\n\
             missing: 1\n  `c`\n\
             wrong shape: 1\n  `b` is [3, 1], expected [1, 3]\n\
             extra: 1\n  `z`"
        );
        assert!(!comparison.fits());
        assert!(comparison.hint().is_some());
    }

    #[test]
    fn extras_fit_but_are_not_exact() {
        let comparison = compare(&[("a", [2])], &dict(&[("a", &[2]), ("fc", &[1])]));
        assert!(comparison.fits() && !comparison.is_exact());
        assert_eq!(comparison.hint(), None);
        assert!(compare(&[("a", [2])], &dict(&[("a", &[2])])).is_exact());
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let expected: Vec<(String, [usize; 1])> = (0..13).map(|i| (format!("t{i}"), [1])).collect();
        let report = compare(&expected, &StateDict::new()).to_string();
        assert!(report.starts_with("0 of 13 expected tensors match\nmissing: 13\n"), "{report}");
        assert_eq!(report.lines().count(), 2 + N_SHOWN + 1);
        assert!(report.ends_with("… and 3 more"), "{report}");
    }

    #[test]
    fn hints_name_the_prefix() {
        let expected = [("conv1.weight", [1]), ("bn1.bias", [1])];
        let got = dict(&[("module.conv1.weight", &[1]), ("module.bn1.bias", &[1])]);
        let hint = compare(&expected, &got).hint().unwrap();
        assert_eq!(hint, "every name in the file begins with `module.`: remove that prefix");

        let expected = [("net_t.conv1.weight", [1]), ("net_t.bn1.bias", [1])];
        let got = dict(&[("conv1.weight", &[1]), ("bn1.bias", &[1]), ("fc.bias", &[1])]);
        let hint = compare(&expected, &got).hint().unwrap();
        assert_eq!(hint, "the names in the file lack the prefix `net_t.`: add it");

        let hint = compare(&[("a", [1])], &dict(&[("b", &[1])])).hint().unwrap();
        assert!(hint.contains("another kind of model"), "{hint}");
        let hint = compare(&[("a", [1])], &dict(&[("a", &[2])])).hint().unwrap();
        assert!(hint.contains("another width"), "{hint}");
    }
}
