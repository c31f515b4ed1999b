//! Published numbers to stand beside measured ones.
//!
//! Source: tables 1 and 2 of Ma et al., "A Unified Model for Multi-class Unsupervised Anomaly
//! Detection with State Space Model". Its numbers of the baselines are those of earlier papers, not
//! runs of its own; runs with other seeds and recipes differ by points.

/// Means over the classes of a data set, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedResult {
    /// Id of the method.
    pub method: &'static str,
    /// Name of the data set.
    pub data: &'static str,
    /// Image AU-ROC, AP, F1-max; pixel AU-ROC, AP, F1-max, AU-PRO.
    pub metrics: [f64; 7],
    /// Their mean as printed.
    pub m_ad: f64,
}

/// Size and cost of a method at 256x256.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedSize {
    /// Id of the method.
    pub method: &'static str,
    /// Parameters in millions.
    pub params_m: f64,
    /// Multiply-adds in billions, where they are on record.
    pub macs_g: Option<f64>,
}

/// Names of data sets in [`PUBLISHED_RESULTS`].
pub const PUBLISHED_DATA: [&str; 2] = ["mvtec-ad", "visa"];

const fn result(
    data: &'static str,
    method: &'static str,
    metrics: [f64; 7],
    m_ad: f64,
) -> PublishedResult {
    PublishedResult { method, data, metrics, m_ad }
}

/// Table 1.
pub const PUBLISHED_RESULTS: &[PublishedResult] = &[
    result("mvtec-ad", "rd4ad", [94.6, 96.5, 95.2, 96.1, 48.6, 53.8, 91.1], 82.3),
    result("mvtec-ad", "simplenet", [95.3, 98.4, 95.8, 96.9, 45.9, 49.7, 86.5], 81.2),
    result("mvtec-ad", "destseg", [89.2, 95.5, 91.6, 93.1, 54.3, 50.9, 64.8], 77.1),
    result("mvtec-ad", "uniad", [96.5, 98.8, 96.2, 96.8, 43.4, 49.5, 90.7], 81.7),
    result("mvtec-ad", "mmad", [97.3, 99.0, 96.8, 97.2, 54.4, 57.5, 93.2], 85.0),
    result("visa", "rd4ad", [92.4, 92.4, 89.6, 98.1, 38.0, 42.6, 91.8], 77.8),
    result("visa", "simplenet", [87.2, 87.0, 81.8, 96.8, 34.7, 37.8, 81.4], 72.4),
    result("visa", "destseg", [88.9, 89.0, 85.2, 96.1, 39.6, 43.4, 67.4], 72.8),
    result("visa", "uniad", [88.8, 90.8, 85.8, 98.3, 33.7, 39.0, 85.5], 74.6),
    result("visa", "mmad", [93.1, 92.9, 89.1, 98.4, 38.0, 42.4, 91.0], 77.8),
];

/// Table 2; of the baselines with the third decimal of the published classes. The cost of MMAD leaves
/// out its scans.
pub const PUBLISHED_SIZES: &[PublishedSize] = &[
    PublishedSize { method: "rd4ad", params_m: 80.610, macs_g: Some(28.435) },
    PublishedSize { method: "simplenet", params_m: 72.821, macs_g: Some(17.715) },
    PublishedSize { method: "destseg", params_m: 35.154, macs_g: Some(30.673) },
    PublishedSize { method: "uniad", params_m: 24.522, macs_g: Some(3.364) },
    PublishedSize { method: "mmad", params_m: 25.0, macs_g: Some(8.0) },
];

/// The published means of a method on a data set of [`PUBLISHED_DATA`].
pub fn published_result(method: &str, data: &str) -> Option<&'static PublishedResult> {
    PUBLISHED_RESULTS.iter().find(|result| result.method == method && result.data == data)
}

/// The published size of a method.
pub fn published_size(method: &str) -> Option<&'static PublishedSize> {
    PUBLISHED_SIZES.iter().find(|size| size.method == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every printed mean is that of the seven numbers beside it, as far as they are rounded.
    #[test]
    fn printed_means_are_the_means() {
        for result in PUBLISHED_RESULTS {
            let mean = result.metrics.iter().sum::<f64>() / 7.0;
            assert!((mean - result.m_ad).abs() < 0.11, "{} {}", result.data, result.method);
            assert!(PUBLISHED_DATA.contains(&result.data));
        }
    }
}
