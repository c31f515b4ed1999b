//! `mmad compare`: evaluations side by side.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use mmad::calibrate::Verdict as Said;
use mmad::compare::{CompareOptions, Comparison, Difference, RunResults, common_pictures, compare};
use mmad_report::{
    ChangedPicture, ComparedPicture, ComparedValue, ComparisonReport, MetricColumn, Verdict,
    write_comparison,
};
use serde_json::json;

use crate::failure::{Failure, Status};
use crate::output::Output;

/// Compare evaluations: changes per class with intervals, changed verdicts
///
/// The first run is what the others are compared with. Pictures are matched by class and name.
///
/// Intervals of image metrics resample the scores. Those of pixel metrics resample counts at up to 64
/// thresholds per class, which `mmad eval` stores with the exact protocols; they are moved by what
/// such counts are off from the exact values, and how much that is at most is said.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Two or more `results.json` of `mmad eval --out`, or the folders that hold them
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    /// One self-contained page; for two runs
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Resamples of the pictures, for the 95 % intervals
    #[arg(long, value_name = "N", default_value_t = 1000)]
    resamples: usize,
    /// Seed of the resamples
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Pictures whose verdict changed that the text names; the page and JSON have all.
const NAMED: usize = 10;

pub(crate) fn run(args: &CompareArgs, output: &mut Output) -> Result<Status, Failure> {
    if args.report.is_some() && args.runs.len() != 2 {
        let message = format!("a page shows two runs, not {}", args.runs.len());
        return Err(Failure::new(message, "give two runs with `--report`"));
    }
    if args.resamples == 0 {
        return Err(Failure::new("`--resamples` is 0", "give a number above 0, such as 1000"));
    }
    let options = CompareOptions { n_resamples: args.resamples, seed: args.seed };
    let names = short_names(&args.runs);
    let runs: Vec<RunResults> =
        args.runs.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let (first, others) = runs.split_first().expect("the parser asks for two runs");
    let mut comparisons = Vec::new();
    for (run, name) in others.iter().zip(&names[1..]) {
        let comparison = compare(first, run, &options)?;
        if !comparisons.is_empty() {
            output.line("")?;
        }
        output.line(&in_words(&comparison, &names[0], name))?;
        if let Some(path) = &args.report {
            let page = page(&comparison, first, run, &names[0], name, &options);
            write_comparison(&page, path)?;
            output.line(&format!("report: {}", path.display()))?;
        }
        comparisons.push(json!({ "before": names[0], "after": name, "comparison": comparison }));
    }
    output.object(
        &json!({ "resamples": args.resamples, "seed": args.seed, "comparisons": comparisons }),
    )?;
    Ok(Status::Ok)
}

fn read(path: &Path) -> Result<RunResults, Failure> {
    let file = if path.is_dir() { path.join("results.json") } else { path.to_owned() };
    let hint =
        "give the `results.json` that `mmad eval MODEL DATA --out DIR` writes, or its folder";
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Failure::new(format!("cannot read `{}`: {error}", file.display()), hint)
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(format!("`{}` holds no results: {error}", file.display()), hint)
    })
}

/// The shortest ends of the paths that tell all of them apart.
fn short_names(runs: &[PathBuf]) -> Vec<String> {
    let folders: Vec<PathBuf> = runs
        .iter()
        .map(|run| match run.file_name().is_some_and(|name| name == "results.json") {
            true => run.parent().unwrap_or(run).to_owned(),
            false => run.clone(),
        })
        .collect();
    let ends = |n: usize| -> Vec<String> {
        let end = |path: &PathBuf| {
            let parts: Vec<_> = path.components().collect();
            let end: PathBuf = parts[parts.len().saturating_sub(n)..].iter().collect();
            end.display().to_string()
        };
        folders.iter().map(end).collect()
    };
    let is_enough = |names: &Vec<String>| {
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        sorted.len() == names.len() && names.iter().all(|name| !name.is_empty())
    };
    (1..=8)
        .map(ends)
        .find(is_enough)
        .unwrap_or_else(|| runs.iter().map(|run| run.display().to_string()).collect())
}

/// A value and its change in points, with `*` where it is beyond chance.
fn cell(difference: &Difference) -> String {
    let value = difference.after.map_or("-".to_owned(), |value| format!("{:.1}", 100.0 * value));
    let mark = if difference.is_beyond_chance() { "*" } else { " " };
    let change = difference.change();
    change.map_or(value.clone(), |change| format!("{value} {:+.1}{mark}", 100.0 * change))
}

fn in_words(comparison: &Comparison, before: &str, after: &str) -> String {
    let mut text = format!("{before} -> {after}: values of the second, change in points\n\n");
    let heading = comparison.metrics.iter().map(|metric| metric.heading.clone());
    let mut grid: Vec<Vec<String>> = vec![std::iter::once("class".into()).chain(heading).collect()];
    let mean = ("mean".to_owned(), comparison.mean.clone());
    for (class, differences) in comparison.classes.iter().chain([&mean]) {
        grid.push(std::iter::once(class.clone()).chain(differences.iter().map(cell)).collect());
    }
    let widths: Vec<usize> = (0..grid[0].len())
        .map(|column| grid.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in &grid {
        let _ = write!(text, "{:width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "\nmAD {}", cell(&comparison.m_ad).trim_end());
    for (metric, difference) in comparison.metrics.iter().zip(&comparison.mean) {
        if let (Some([low, high]), Some(change)) = (difference.interval, difference.change()) {
            let _ = writeln!(
                text,
                "mean {}: {:+.1} points (95 %: {:+.1} to {:+.1})",
                metric.heading,
                100.0 * change,
                100.0 * low,
                100.0 * high
            );
        }
    }
    let _ = write!(
        text,
        "{} verdicts changed of {} pictures: {} mended, {} broken; chance of such a split {:.3}",
        comparison.changed.len(),
        comparison.n_common,
        comparison.n_mended,
        comparison.n_broken,
        comparison.sign_test_p
    );
    for change in comparison.changed.iter().take(NAMED) {
        let _ = write!(
            text,
            "\n  {}  {} / {}: {} -> {} ({:.3} -> {:.3})",
            if change.gain() > 0 { "better" } else { "worse " },
            change.class,
            change.name,
            change.before.name(),
            change.after.name(),
            change.score01_before,
            change.score01_after
        );
    }
    if let Some(more) = comparison.changed.len().checked_sub(NAMED).filter(|&more| more > 0) {
        let _ = write!(text, "\n  and {more} more: see `--report` or `--json`");
    }
    for note in notes(comparison, before, after) {
        let _ = write!(text, "\nnote: {note}");
    }
    text
}

fn notes(comparison: &Comparison, before: &str, after: &str) -> Vec<String> {
    let only = [(comparison.n_only_before, before), (comparison.n_only_after, after)]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, name)| {
            format!("{n} pictures are in {name} only; they count in its metrics, not in intervals")
        });
    let without = comparison.without_pixel_counts.iter().zip([before, after]);
    let without = without.filter(|(classes, _)| !classes.is_empty()).map(|(classes, name)| {
        format!(
            "no intervals of pixel metrics for {}, nor for the mean: {name} has no pixel counts, \
             which `mmad eval --out` writes with `--protocol exact` or `mvtec`",
            classes.join(", ")
        )
    });
    only.chain(without).chain(grid_note(comparison)).chain(undefined_note(comparison)).collect()
}

/// Where the intervals of the pixel metrics come from, and how good they are.
fn grid_note(comparison: &Comparison) -> Option<String> {
    let differences = comparison.classes.iter().flat_map(|(_, differences)| differences);
    let furthest = differences.filter_map(|difference| difference.grid_error).reduce(f64::max)?;
    Some(format!(
        "intervals of pixel metrics come from counts at {} thresholds per class, whose values are \
         {:.2} points off the exact ones at most, and are moved by what they are off",
        comparison.n_thresholds,
        100.0 * furthest
    ))
}

fn undefined_note(comparison: &Comparison) -> Option<String> {
    let most = |(class, differences): &(String, Vec<Difference>)| {
        let n = differences.iter().map(|difference| difference.n_undefined).max()?;
        (n > 0).then(|| format!("{n} for {class}"))
    };
    let undefined: Vec<String> = comparison.classes.iter().filter_map(most).collect();
    (!undefined.is_empty()).then(|| {
        format!(
            "resamples without defective or without defect-free pixels are in no interval of pixel \
             metrics: {}",
            undefined.join(", ")
        )
    })
}

fn page(
    comparison: &Comparison,
    first: &RunResults,
    second: &RunResults,
    before: &str,
    after: &str,
    options: &CompareOptions,
) -> ComparisonReport {
    let value = |difference: &Difference| ComparedValue {
        before: difference.before,
        after: difference.after,
        interval: difference.interval,
    };
    let values = |differences: &[Difference]| differences.iter().map(value).collect::<Vec<_>>();
    let said = |verdict: Said| match verdict {
        Said::Ok => Verdict::Ok,
        Said::Review => Verdict::Review,
        Said::Defect => Verdict::Defect,
    };
    let pictures: Vec<ComparedPicture> = common_pictures(&first.scores, &second.scores)
        .into_iter()
        .map(|(one, two)| ComparedPicture {
            class: two.class.clone(),
            name: two.name.clone(),
            is_anomalous: two.is_anomalous,
            before01: one.score01,
            after01: two.score01,
        })
        .collect();
    let index = |class: &str, name: &str| {
        pictures.iter().position(|picture| picture.class == class && picture.name == name)
    };
    let changed = comparison.changed.iter().filter_map(|change| {
        Some(ChangedPicture {
            picture: index(&change.class, &change.name)?,
            before: said(change.before),
            after: said(change.after),
            is_better: change.gain() > 0,
        })
    });
    let mut all_notes = notes(comparison, before, after);
    all_notes.push(format!(
        "Intervals: {} resamples of the pictures that both runs scored, good and defective apart, \
         seed {}.",
        options.n_resamples, options.seed
    ));
    ComparisonReport {
        before: before.to_owned(),
        after: after.to_owned(),
        metrics: comparison
            .metrics
            .iter()
            .map(|metric| MetricColumn { id: metric.id.clone(), heading: metric.heading.clone() })
            .collect(),
        rows: comparison.classes.iter().map(|(class, d)| (class.clone(), values(d))).collect(),
        mean: values(&comparison.mean),
        m_ad: value(&comparison.m_ad),
        mended_broken_chance: (comparison.n_mended, comparison.n_broken, comparison.sign_test_p),
        changed: changed.collect(),
        pictures,
        notes: all_notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_they_can_be() {
        let names =
            |paths: &[&str]| short_names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["runs/a/results.json", "runs/b"]), ["a", "b"]);
        assert_eq!(names(&["x/a/results", "y/a/results"]), ["x/a/results", "y/a/results"]);
        assert_eq!(names(&["a", "a"]), ["a", "a"]);
        assert_eq!(names(&["old.json", "new.json"]), ["old.json", "new.json"]);
    }
}
