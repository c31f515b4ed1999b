//! Which good pictures are set aside. A picture's place in the split hangs on its own name and
//! the seed: not on the order of files, the machine, or a generator's state.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::dataset::{Sample, Split};
use crate::error::DataError;

/// Training pictures, parted into those that train and those that calibrate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOut {
    /// Pictures to train with, in the order given.
    pub train: Vec<Sample>,
    /// Pictures set aside, in the order given: thresholds are found on them.
    pub calibration: Vec<Sample>,
}

/// Sets `fraction` of the good training pictures of every class aside.
///
/// Of the `n` good training pictures of a class, `round(fraction * n)` are set aside, at least
/// one and never all when `n >= 2`; none with a fraction of zero or a single picture. The same
/// pictures are chosen whatever their order, and one new picture moves at most one other.
/// Samples of the test split and defective ones are left out of both parts.
///
/// # Errors
///
/// [`DataError::OutOfRange`] when `fraction` is not in `0..1`.
pub fn hold_out(samples: &[Sample], fraction: f64, seed: u64) -> Result<HoldOut, DataError> {
    require_fraction("calibration fraction", fraction)?;
    let good: Vec<&Sample> =
        samples.iter().filter(|s| s.split == Split::Train && s.defect.is_none()).collect();
    let names: Vec<(&str, &str)> = good.iter().map(|s| (&*s.class, &*s.name)).collect();
    let mut parts = HoldOut { train: Vec::new(), calibration: Vec::new() };
    for (sample, aside) in good.into_iter().zip(choose(&names, fraction, seed, "calibration")) {
        let part = if aside { &mut parts.calibration } else { &mut parts.train };
        part.push(sample.clone());
    }
    Ok(parts)
}

/// For each `(class, name)`, whether it is set aside. `purpose` makes two choices from the same
/// names independent of each other.
pub(crate) fn choose(names: &[(&str, &str)], fraction: f64, seed: u64, purpose: &str) -> Vec<bool> {
    let mut by_class = BTreeMap::<&str, Vec<([u8; 32], usize)>>::new();
    for (i, (class, name)) in names.iter().enumerate() {
        let rank = rank(purpose, seed, class, name);
        by_class.entry(class).or_default().push((rank, i));
    }
    let mut aside = vec![false; names.len()];
    for ranked in by_class.values_mut() {
        ranked.sort_unstable();
        for &(_, i) in &ranked[..share(ranked.len(), fraction)] {
            aside[i] = true;
        }
    }
    aside
}

/// Checks that a fraction leaves something to train with.
pub(crate) fn require_fraction(name: &'static str, fraction: f64) -> Result<(), DataError> {
    if (0.0..1.0).contains(&fraction) {
        return Ok(());
    }
    let range = "at least 0 and below 1";
    Err(DataError::OutOfRange { name, value: fraction.to_string(), range })
}

fn share(n: usize, fraction: f64) -> usize {
    if fraction <= 0.0 || n < 2 {
        return 0;
    }
    ((fraction * n as f64).round() as usize).clamp(1, n - 1)
}

fn rank(purpose: &str, seed: u64, class: &str, name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [purpose, class, name] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(seed.to_le_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(n: usize) -> Vec<Sample> {
        (0..n).map(|i| Sample::good(&format!("gear/good/{i:03}.png"), "gear")).collect()
    }

    fn names(samples: &[Sample]) -> Vec<&str> {
        let mut names: Vec<&str> = samples.iter().map(|s| &*s.name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_share_is_exact_and_leaves_both_parts_filled() {
        for (n, fraction, expected) in
            [(100, 0.1, 10), (3, 0.1, 1), (2, 0.9, 1), (1, 0.5, 0), (10, 0.0, 0)]
        {
            let parts = hold_out(&samples(n), fraction, 0).unwrap();
            assert_eq!(parts.calibration.len(), expected, "{n} {fraction}");
            assert_eq!(parts.train.len(), n - expected);
        }
    }

    #[test]
    fn order_does_not_matter_and_the_seed_does() {
        let forward = samples(50);
        let backward: Vec<Sample> = forward.iter().rev().cloned().collect();
        let one = hold_out(&forward, 0.2, 7).unwrap();
        let two = hold_out(&backward, 0.2, 7).unwrap();
        assert_eq!(names(&one.calibration), names(&two.calibration));
        let other = hold_out(&forward, 0.2, 8).unwrap();
        assert_ne!(names(&one.calibration), names(&other.calibration));
    }

    #[test]
    fn one_new_picture_moves_at_most_one_other() {
        let before = hold_out(&samples(40), 0.25, 0).unwrap();
        let after = hold_out(&samples(41), 0.25, 0).unwrap();
        let kept = names(&before.calibration);
        let left = kept.iter().filter(|name| !names(&after.calibration).contains(name)).count();
        assert!(left <= 1, "{left}");
    }

    /// The choice is part of published numbers, so it must never change. Expected names: the two
    /// smallest SHA-256 of `calibration\0gear\0<name>\0` and the seed, by another implementation.
    #[test]
    fn the_choice_is_fixed_for_ever() {
        let parts = hold_out(&samples(10), 0.2, 42).unwrap();
        assert_eq!(names(&parts.calibration), ["gear/good/000.png", "gear/good/002.png"]);
    }

    #[test]
    fn a_fraction_that_leaves_nothing_is_refused() {
        for fraction in [1.0, -0.1, f64::NAN] {
            assert!(hold_out(&samples(4), fraction, 0).is_err());
        }
    }
}
