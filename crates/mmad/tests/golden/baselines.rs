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

/// Compares the gradients of those trained parameters that the file has one for.
///
/// A bias in front of a norm has no effect on it; its gradient is zero but for rounding. Where a
/// gradient of the file is below a hundred-thousandth of the largest, ours must be so too.
pub fn check_grads(
    golden: &Golden,
    prefix: &str,
    params: &ParamSet,
    grads: &Gradients,
    tolerance: f64,
) {
    let largest = |values: &[f32]| values.iter().fold(0.0_f32, |max, &x| max.max(x.abs()));
    let names = golden.names().filter(|name| name.starts_with(prefix));
    let zero = 1e-5 * names.map(|name| largest(golden.values(name))).fold(0.0, f32::max);
    let mut n_checked = 0;
    for param in params.trained() {
        let name = format!("{prefix}{}", param.name());
        if !golden.has(&name) {
            continue;
        }
        n_checked += 1;
        let ours = param.grad(grads).unwrap_or_else(|| vec![0.0; param.len()]);
        if largest(golden.values(&name)) < zero {
            assert!(largest(&ours) < zero, "{}: {name} is not zero", golden.name);
        } else {
            golden.check(&name, &ours, tolerance);
        }
    }
    assert!(n_checked > 0, "{}: no gradient {prefix}*", golden.name);
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
