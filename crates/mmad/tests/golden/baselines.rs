//! Helpers for the golden files of the other methods.

use burn::tensor::Gradients;
use mmad::params::{ParamSet, Role};

use super::file::Golden;

/// The file of this name among those of the baselines; `None`, said aloud, where it is absent.
pub fn golden(name: &str) -> Option<Golden> {
    super::file::files(&format!("baselines/{name}")).into_iter().next()
}

/// Fills every parameter from `<prefix><name>`, running statistics included where the file has
/// them.
pub fn fill(golden: &Golden, prefix: &str, params: &ParamSet) {
    for param in params.iter() {
        let name = format!("{prefix}{}", param.name());
        if param.role() == Role::Measured && !golden.has(&name) {
            continue;
        }
        assert_eq!(golden.shape(&name), param.shape(), "{name}");
        param.set_values(golden.values(&name).to_vec());
    }
}

/// Compares the gradients of all trained parameters of a file that has one for each.
pub fn check_grads(
    golden: &Golden,
    prefix: &str,
    params: &ParamSet,
    grads: &Gradients,
    tolerance: f64,
) {
    let n_checked =
        params.trained().filter(|param| golden.has(&format!("{prefix}{}", param.name()))).count();
    assert!(n_checked > 0, "{}: no gradient {prefix}*", golden.name);
    golden.check_grads(prefix, params, grads, tolerance);
}

/// Compares running statistics with `<prefix><name>`.
pub fn check_statistics(golden: &Golden, prefix: &str, params: &ParamSet, tolerance: f64) {
    let mut n_checked = 0;
    for param in params.iter().filter(|param| param.role() == Role::Measured) {
        let name = format!("{prefix}{}", param.name());
        if golden.has(&name) {
            golden.check(&name, &param.values(), tolerance);
            n_checked += 1;
        }
    }
    assert!(n_checked > 0, "{}: no statistic {prefix}*", golden.name);
}
