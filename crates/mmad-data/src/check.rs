//! Reads a whole data set once and says what is wrong with it, and how to put it right.

mod facts;
mod labels;
mod pictures;
mod report;

use std::path::Path;

use rayon::prelude::*;

use crate::dataset::{Dataset, OpenOptions};
use crate::decode::DecodeOptions;
use crate::error::DataError;
use crate::finding::Finding;

pub use report::{CheckReport, ClassSummary};

/// How a data set is checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckOptions {
    /// How it is opened.
    pub open: OpenOptions,
    /// How pictures are decoded.
    pub decode: DecodeOptions,
    /// Good training pictures of a class below which a warning is given.
    pub few_pictures: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { open: OpenOptions::default(), decode: DecodeOptions::default(), few_pictures: 20 }
    }
}

/// Opens and checks the data set in `root`.
///
/// # Errors
///
/// As [`Dataset::open_with`]; what is wrong with single files is in the report instead.
pub fn check(root: &Path, options: &CheckOptions) -> Result<CheckReport, DataError> {
    Ok(check_dataset(&Dataset::open_with(root, &options.open)?, options))
}

/// Checks an open data set: every picture and mask is decoded once, on all cores, and only a few
/// facts about each are kept. The report does not depend on the number of cores.
pub fn check_dataset(dataset: &Dataset, options: &CheckOptions) -> CheckReport {
    let facts: Vec<facts::Facts> = dataset
        .samples()
        .par_iter()
        .map(|sample| facts::Facts::gather(sample, dataset.root(), &options.decode))
        .collect();
    let mut findings: Vec<Finding> = dataset.findings().to_vec();
    findings.extend(pictures::findings(dataset, &facts, options));
    findings.extend(labels::findings(dataset, &facts, options));
    findings.sort();
    findings.dedup();
    CheckReport::new(dataset, &facts, findings)
}
