//! Measures two classes of tiny maps and prints a table.
//!
//! ```text
//! cargo run --release -p mmad-metrics --example metrics_of_maps
//! ```

#![allow(clippy::print_stdout)]

use mmad_metrics::{Evaluation, METRICS, MetricError, MetricOptions, ScoredImage, class_metrics};

fn main() -> Result<(), MetricError> {
    let options = MetricOptions::default();
    let good = ScoredImage {
        name: "bottle/good/000",
        width: 4,
        map: &[0.10, 0.15, 0.12, 0.11, 0.20, 0.31, 0.22, 0.18],
        mask: None,
        score: 0.31,
        is_anomalous: false,
    };
    let crack = ScoredImage {
        name: "bottle/crack/000",
        map: &[0.11, 0.92, 0.13, 0.12, 0.21, 0.25, 0.88, 0.19],
        mask: Some(&[0, 1, 0, 0, 0, 1, 1, 0]),
        score: 0.92,
        is_anomalous: true,
        ..good
    };
    let bottle = class_metrics(&[good, crack], &options)?;
    // A class without a good picture: some metrics do not exist, and say so.
    let cable = class_metrics(&[crack], &options)?;
    let evaluation =
        Evaluation { options, classes: vec![("bottle".into(), bottle), ("cable".into(), cable)] };

    print!("{:8}", "class");
    for metric in METRICS {
        print!("{:>9}", metric.heading);
    }
    println!();
    for (name, class) in &evaluation.classes {
        print!("{name:8}");
        for metric in METRICS {
            match metric.of(class) {
                Ok(value) => print!("{:9.1}", 100.0 * value),
                Err(_) => print!("{:>9}", "-"),
            }
        }
        println!();
    }
    print!("{:8}", "mean");
    for metric in METRICS {
        let mean = evaluation.mean(metric.id);
        print!("{:>9}", mean.map_or("-".into(), |mean| format!("{:.1}", 100.0 * mean)));
    }
    println!();
    for (class, metric, reason) in evaluation.undefined() {
        println!("{class} has no {}: {reason}", metric.heading);
    }
    Ok(())
}
