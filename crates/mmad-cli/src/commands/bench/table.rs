//! The tables of a bench: quality per data set, then size and cost.

use mmad_metrics::METRICS;
use mmad_report::{SideBySideTable, Spread, published_result, published_size};

use super::plan::{BenchData, BenchFile};
use super::row::Row;

/// One table of quality per data set, and one of sizes; each with the name of its files.
pub(super) fn tables(
    plan: &BenchFile,
    rows: &[Row],
    protocol: &str,
) -> Vec<(String, SideBySideTable)> {
    let mut tables: Vec<(String, SideBySideTable)> = plan
        .data
        .iter()
        .enumerate()
        .map(|(index, data)| {
            let name = match plan.data.len() {
                1 => "table1".to_owned(),
                _ => format!("table1-{}", index + 1),
            };
            (name, quality(plan, data, rows, protocol))
        })
        .collect();
    tables.push(("table2".to_owned(), sizes(plan, rows)));
    tables
}

fn quality(plan: &BenchFile, data: &BenchData, rows: &[Row], protocol: &str) -> SideBySideTable {
    let headings = METRICS.iter().map(|metric| metric.heading).chain(["mAD"]);
    let mut heading = vec!["method".to_owned()];
    for name in headings {
        heading.extend([format!("{name} quoted"), format!("{name} here")]);
    }
    let mut table_rows = Vec::new();
    for run in &plan.run {
        let own: Vec<&Row> =
            rows.iter().filter(|row| row.data == data.name && row.label == run.label()).collect();
        let quoted = data.quoted.as_deref().and_then(|name| published_result(&run.method, name));
        let mut cells = vec![run.label().to_owned()];
        for (index, metric) in METRICS.iter().enumerate() {
            let values: Vec<f64> = own
                .iter()
                .filter_map(|row| row.metrics.get(metric.id).copied().flatten())
                .collect();
            cells.push(number(quoted.map(|quoted| quoted.metrics[index])));
            cells.push(measured(&values));
        }
        let values: Vec<f64> = own.iter().filter_map(|row| row.m_ad).collect();
        cells.push(number(quoted.map(|quoted| quoted.m_ad)));
        cells.push(measured(&values));
        table_rows.push(cells);
    }
    let mut notes = vec![format!(
        "here: {} of {}, {protocol} metrics, last epoch; quoted: as published, with the recipe, \
         weights and metrics of the publication",
        if plan.seeds.len() > 1 { "mean and deviation" } else { "one run" },
        match plan.seeds.len() {
            1 => "1 seed".to_owned(),
            n => format!("{n} seeds"),
        },
    )];
    if data.quoted.is_none() {
        notes.push("no published table is named for these pictures".to_owned());
    }
    SideBySideTable { title: format!("Table 1: {}", data.name), heading, rows: table_rows, notes }
}

fn sizes(plan: &BenchFile, rows: &[Row]) -> SideBySideTable {
    let heading = [
        "method",
        "parameters (M) quoted",
        "parameters (M) here",
        "multiply-adds (G) quoted",
        "multiply-adds (G) here",
        "pictures/s here",
        "training (s) here",
        "peak memory (MB) here",
    ];
    let mut table_rows = Vec::new();
    for run in &plan.run {
        let own: Vec<&Row> = rows.iter().filter(|row| row.label == run.label()).collect();
        let quoted = published_size(&run.method);
        let three = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
        let spread = |of: &dyn Fn(&Row) -> Option<f64>| {
            let values: Vec<f64> = own.iter().filter_map(|row| of(row)).collect();
            Spread::of(&values).map_or("-".into(), |spread| spread.show(1.0))
        };
        table_rows.push(vec![
            run.label().to_owned(),
            three(quoted.map(|quoted| quoted.params_m)),
            three(own.first().map(|row| row.params as f64 / 1e6)),
            three(quoted.and_then(|quoted| quoted.macs_g)),
            three(own.first().map(|row| row.macs as f64 / 1e9)),
            spread(&|row| Some(row.pictures_per_s)),
            spread(&|row| Some(row.train_seconds)),
            spread(&|row| row.peak_memory_mb),
        ]);
    }
    let notes = vec![
        "quoted: at 256x256 with the published encoder; here: the configuration that ran".into(),
        "multiply-adds here are those executed to score a picture; recurrences of scans are in, \
         norms and activations are not"
            .into(),
    ];
    SideBySideTable {
        title: "Table 2".into(),
        heading: heading.map(str::to_owned).into(),
        rows: table_rows,
        notes,
    }
}

fn number(percent: Option<f64>) -> String {
    percent.map_or("-".into(), |percent| format!("{percent:.1}"))
}

fn measured(fractions: &[f64]) -> String {
    Spread::of(fractions).map_or("-".into(), |spread| spread.show(100.0))
}
