//! A comparison of the sample with a second run that does not exist either.

use mmad_report::{
    ChangedPicture, ComparedPicture, ComparedValue, ComparisonReport, Report, Verdict,
};
use serde_json::{Value, json};

use crate::scene::Rng;

/// The sample and a run that is a little better at finding defects.
pub(crate) fn comparison(report: &Report, seed: u64) -> ComparisonReport {
    let mut rng = Rng(seed);
    let pictures: Vec<ComparedPicture> = report
        .scores
        .iter()
        .map(|row| {
            let lift = if row.is_anomalous { 0.03 } else { 0.01 };
            ComparedPicture {
                class: row.class.clone(),
                name: row.name.clone(),
                is_anomalous: row.is_anomalous,
                before01: row.score01,
                after01: (row.score01 + lift + 0.08 * f64::from(rng.normal())).max(0.02),
            }
        })
        .collect();
    let verdict = |score01: f64| if score01 >= 0.5 { Verdict::Defect } else { Verdict::Ok };
    let changed: Vec<ChangedPicture> = pictures
        .iter()
        .enumerate()
        .map(|(picture, row)| ChangedPicture {
            picture,
            before: verdict(row.before01),
            after: verdict(row.after01),
            is_better: (row.after01 > row.before01) == row.is_anomalous,
        })
        .filter(|change| change.before != change.after)
        .collect();
    let mut value = |before: &Option<f64>, has_interval: bool| {
        let change = 0.02 * f64::from(rng.normal());
        ComparedValue {
            before: *before,
            after: before.map(|before| (before + change).min(1.0)),
            interval: before.filter(|_| has_interval).map(|_| [change - 0.02, change + 0.02]),
        }
    };
    let mut values = |row: &[Option<f64>]| -> Vec<ComparedValue> {
        row.iter().enumerate().map(|(i, before)| value(before, i < 3)).collect()
    };
    let n_better = changed.iter().filter(|change| change.is_better).count();
    ComparisonReport {
        before: "monday".into(),
        after: "tuesday".into(),
        metrics: report.table.metrics.clone(),
        rows: report.table.rows.iter().map(|(class, row)| (class.clone(), values(row))).collect(),
        mean: values(&report.table.mean),
        m_ad: ComparedValue { before: report.table.m_ad, after: report.table.m_ad, interval: None },
        mended_broken_chance: (n_better, changed.len() - n_better, 0.5),
        changed,
        pictures,
        notes: vec!["Both runs are invented.".into()],
    }
}

/// What the page must show: changed verdicts per class, all, worse and better.
pub(crate) fn expected(comparison: &ComparisonReport) -> Value {
    let mut classes: Vec<&str> = vec![""];
    classes.extend(comparison.pictures.iter().map(|picture| picture.class.as_str()));
    classes.dedup();
    let count = |class: &str, wanted: &dyn Fn(&ChangedPicture) -> bool| {
        let of_class = |change: &&ChangedPicture| {
            class.is_empty() || comparison.pictures[change.picture].class == class
        };
        comparison.changed.iter().filter(of_class).filter(|change| wanted(change)).count()
    };
    let entry = |class: &&str| {
        let pictures = comparison.pictures.iter();
        json!({
            "class": class,
            "pictures": pictures.filter(|p| class.is_empty() || p.class == *class).count(),
            "all": count(class, &|_| true),
            "worse": count(class, &|change| !change.is_better),
            "better": count(class, &|change| change.is_better),
        })
    };
    Value::Array(classes.iter().map(entry).collect())
}
