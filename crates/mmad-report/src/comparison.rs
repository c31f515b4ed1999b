//! Two evaluations side by side, as one page.

use std::fmt::Write as _;
use std::path::Path;

use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use crate::bundle::Entry;
use crate::error::ReportError;
use crate::escape;
use crate::html::{frame, write_whole};
use crate::report::{Verdict, require_finite};
use crate::sections::{theme_button, tile};
use crate::tables::{MetricColumn, percent};

/// What changed from one evaluation to another. Texts are shown as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ComparisonReport {
    /// Name of the first run.
    pub before: String,
    /// Name of the second run.
    pub after: String,
    /// The metrics, in order.
    pub metrics: Vec<MetricColumn>,
    /// Class name and one value per metric.
    pub rows: Vec<(String, Vec<ComparedValue>)>,
    /// The same for the means over the classes.
    pub mean: Vec<ComparedValue>,
    /// The same for mAD.
    pub m_ad: ComparedValue,
    /// Pictures wrong before and right after, right before and wrong after, and the chance of a
    /// split at least as uneven between equally good runs.
    pub mended_broken_chance: (usize, usize, f64),
    /// Pictures whose verdict changed, in the order shown.
    pub changed: Vec<ChangedPicture>,
    /// All pictures that both runs scored.
    pub pictures: Vec<ComparedPicture>,
    /// Sentences about the comparison, e.g. how its intervals were made.
    pub notes: Vec<String>,
}

/// A value in both runs, as fractions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ComparedValue {
    /// In the first run.
    pub before: Option<f64>,
    /// In the second run.
    pub after: Option<f64>,
    /// 95 % interval of the second minus the first.
    pub interval: Option<[f64; 2]>,
}

/// A picture whose verdict changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangedPicture {
    /// Index into [`ComparisonReport::pictures`].
    pub picture: usize,
    /// Verdict of the first run.
    pub before: Verdict,
    /// Verdict of the second run.
    pub after: Verdict,
    /// Whether the second is better.
    pub is_better: bool,
}

/// The score of one picture in both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedPicture {
    /// The product class.
    pub class: String,
    /// The picture's name.
    pub name: String,
    /// The truth.
    pub is_anomalous: bool,
    /// Score of the first run; 0.5 is its threshold.
    pub before01: f64,
    /// Score of the second run; 0.5 is its threshold.
    pub after01: f64,
}

impl ComparedValue {
    fn change(&self) -> Option<f64> {
        Some(self.after? - self.before?)
    }

    fn is_beyond_chance(&self) -> bool {
        self.interval.is_some_and(|[low, high]| low > 0.0 || high < 0.0)
    }
}

/// What the script reads.
#[derive(Serialize)]
struct PageData<'a> {
    before: &'a str,
    after: &'a str,
    pictures: &'a [ComparedPicture],
    changed: &'a [ChangedPicture],
    copies: Vec<(&'static str, String)>,
}

/// The comparison as one HTML page.
///
/// # Errors
///
/// [`ReportError::RowLength`], [`ReportError::NotFinite`], and [`ReportError::Json`].
pub fn render_comparison(comparison: &ComparisonReport) -> Result<String, ReportError> {
    check(comparison)?;
    let data = PageData {
        before: &comparison.before,
        after: &comparison.after,
        pictures: &comparison.pictures,
        changed: &comparison.changed,
        copies: vec![("Copy as Markdown", comparison.to_markdown())],
    };
    let title = format!("{} and {}", comparison.before, comparison.after);
    Ok(frame(&title, &body(comparison), Entry::Compare, &serde_json::to_string(&data)?))
}

/// Writes the page to `path`, whole or not at all.
///
/// # Errors
///
/// What [`render_comparison`] finds; [`ReportError::Write`] when the file cannot be written.
pub fn write_comparison(comparison: &ComparisonReport, path: &Path) -> Result<(), ReportError> {
    write_whole(&render_comparison(comparison)?, path)
}

fn check(comparison: &ComparisonReport) -> Result<(), ReportError> {
    let expected = comparison.metrics.len();
    let classes = comparison.rows.iter().map(|(class, values)| (class.as_str(), values));
    for (row, values) in classes.chain([("mean", &comparison.mean)]) {
        if values.len() != expected {
            let (row, got) = (row.to_owned(), values.len());
            return Err(ReportError::RowLength { row, got, expected });
        }
    }
    for picture in &comparison.pictures {
        let what = || format!("a score of `{}` of class `{}`", picture.name, picture.class);
        require_finite(&[picture.before01, picture.after01], what)?;
    }
    Ok(())
}

impl ComparisonReport {
    /// A pipe table: the second run's values and, behind each, the change in points. `*` marks a
    /// change beyond chance.
    pub fn to_markdown(&self) -> String {
        let cell = |value: &ComparedValue| {
            let mark = if value.is_beyond_chance() { "*" } else { "" };
            match value.change() {
                Some(change) => format!("{} ({}){mark}", percent(value.after), points(change)),
                None => percent(value.after),
            }
        };
        let heading = self.metrics.iter().map(|metric| escape::markdown(&metric.heading));
        let heading: Vec<String> = heading.collect();
        // Writing to a string cannot fail.
        let mut text = String::new();
        let _ = writeln!(text, "| class | {} |", heading.join(" | "));
        let _ = writeln!(text, "| :-- |{}", " --: |".repeat(heading.len()));
        let mean = ("mean".to_owned(), self.mean.clone());
        for (class, values) in self.rows.iter().chain([&mean]) {
            let cells: Vec<String> = values.iter().map(cell).collect();
            let _ = writeln!(text, "| {} | {} |", escape::markdown(class), cells.join(" | "));
        }
        let [before, after] = [self.m_ad.before, self.m_ad.after].map(percent);
        let _ = writeln!(text, "\nmAD {before} to {after}");
        text
    }
}

/// A change of a fraction in points, with its sign.
fn points(change: f64) -> String {
    let text = format!("{:+.1}", 100.0 * change);
    if text == "-0.0" { "+0.0".into() } else { text.replace('-', "\u{2212}") }
}

fn body(comparison: &ComparisonReport) -> Markup {
    let ComparisonReport { before, after, .. } = comparison;
    html! {
        a.skip href="#main" { "Skip to the comparison" }
        header.top {
            div.inner {
                div {
                    h1 { (before) " \u{2192} " (after) }
                    p.quiet { "Two evaluations of " (comparison.pictures.len()) " pictures that both scored" }
                }
                nav aria-label="Sections" {
                    a href="#results" { "Results" }
                    @if has_intervals(comparison) { a href="#differences" { "Differences" } }
                    a href="#scores" { "Scores" }
                    a href="#changed" { "Changed verdicts" }
                }
                (theme_button())
            }
        }
        main #main {
            (headline(comparison))
            section #results aria-labelledby="results-title" {
                div.section-head {
                    h2 #results-title { "Results" }
                    div #copies {}
                }
                (table(comparison))
                p.key.quiet {
                    span { "Value of " strong { (after) } ", change in points; " }
                    span { span.badge.better { "better" } " or " span.badge.worse { "worse" }
                           " beyond chance" }
                }
            }
            (differences(comparison))
            section #scores aria-labelledby="scores-title" {
                div.section-head {
                    h2 #scores-title { "Scores" }
                    div #filter.controls-inline {}
                }
                div.panel {
                    p.key {
                        span { span.swatch.good {} "good" }
                        span { span.swatch.bad {} "defective" }
                        span.quiet { "ringed: the verdict changed. Each picture lies where both \
                                      runs put it; 0.5 is the threshold of either." }
                    }
                    div #scatter {}
                }
            }
            section #changed aria-labelledby="changed-title" {
                div.section-head {
                    h2 #changed-title { "Changed verdicts" }
                    div #kinds {}
                }
                div #changes.panel.scroll tabindex="0" role="region" aria-label="Changed verdicts" {}
            }
            @if !comparison.notes.is_empty() {
                ul.notes { @for note in &comparison.notes { li { (note) } } }
            }
        }
        footer { "One file, no network. Percentages and points have one decimal." }
    }
}

fn headline(comparison: &ComparisonReport) -> Markup {
    let (mended, broken, chance) = comparison.mended_broken_chance;
    let moved = |label: &str, value: &ComparedValue| {
        let change = value.change().map_or_else(|| "-".into(), points);
        let note = format!("{} \u{2192} {} %", percent(value.before), percent(value.after));
        tile(label, &change, &note)
    };
    html! {
        section.tiles aria-label="Headline numbers" {
            (moved("mAD, points", &comparison.m_ad))
            @if let Some((metric, value)) = comparison.metrics.first().zip(comparison.mean.first()) {
                (moved(&format!("{}, points", metric.heading), value))
            }
            (tile("Mended", &mended.to_string(), "pictures wrong before, right now"))
            (tile("Broken", &broken.to_string(), "pictures right before, wrong now"))
            (tile("Chance of such a split", &format!("{chance:.2}"), "between equally good runs"))
        }
    }
}

fn table(comparison: &ComparisonReport) -> Markup {
    let cell = |value: &ComparedValue| {
        let change = value.change();
        let kind = match (value.is_beyond_chance(), change) {
            (true, Some(change)) if change > 0.0 => "badge better",
            (true, Some(_)) => "badge worse",
            _ => "change",
        };
        html! {
            td {
                (percent(value.after))
                span class=(kind) { (change.map_or_else(String::new, points)) }
            }
        }
    };
    let line = |name: &str, values: &[ComparedValue]| {
        html! { tr { th scope="row" { (name) } @for value in values { (cell(value)) } } }
    };
    html! {
        div.panel.scroll tabindex="0" role="region" aria-label="Metrics per class" {
            table #metrics.numbers {
                caption.unseen { "Metrics per class in percent, and their change in points" }
                thead {
                    tr {
                        th scope="col" { "class" }
                        @for metric in &comparison.metrics { th scope="col" { (metric.heading) } }
                    }
                }
                tbody { @for (class, values) in &comparison.rows { (line(class, values)) } }
                tfoot { (line("mean", &comparison.mean)) }
            }
        }
    }
}

fn has_intervals(comparison: &ComparisonReport) -> bool {
    let rows = comparison.rows.iter().map(|(_, values)| values).chain([&comparison.mean]);
    rows.flatten().any(|value| value.interval.is_some())
}

/// Width of a drawing of intervals, and the height of one of its rows.
const PLOT: (f64, f64) = (300.0, 22.0);

/// The intervals of every metric that has any, class by class.
fn differences(comparison: &ComparisonReport) -> Markup {
    let with_interval = |column: usize| {
        let rows = comparison.rows.iter().map(|(class, values)| (class.as_str(), values[column]));
        let all = rows.chain([("mean", comparison.mean[column])]);
        all.filter(|(_, value)| value.interval.is_some()).collect::<Vec<_>>()
    };
    let plots: Vec<_> = comparison
        .metrics
        .iter()
        .enumerate()
        .map(|(column, metric)| (metric, with_interval(column)))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    html! {
        @if !plots.is_empty() {
            section #differences aria-labelledby="differences-title" {
                h2 #differences-title { "Differences" }
                p.quiet { "Change in points with its 95 % interval: to the right of the line the \
                           second run is better." }
                div.columns {
                    @for (metric, rows) in plots {
                        div.panel {
                            h3 { (metric.heading) }
                            (forest(&rows))
                        }
                    }
                }
            }
        }
    }
}

fn forest(rows: &[(&str, ComparedValue)]) -> Markup {
    let ends = rows.iter().filter_map(|(_, value)| value.interval).flatten();
    let reach = ends.map(f64::abs).fold(0.005, f64::max);
    let at = |change: f64| PLOT.0 / 2.0 * (1.0 + 0.94 * change / reach);
    let middle = PLOT.1 / 2.0;
    html! {
        table.forest {
            caption.unseen { "Change per class with its interval, in points" }
            tbody {
                @for (class, value) in rows {
                    @let [low, high] = value.interval.unwrap_or_default();
                    @let change = value.change().unwrap_or_default();
                    tr.mean[*class == "mean"] {
                        th scope="row" { (class) }
                        td.plot {
                            svg width=(PLOT.0) height=(PLOT.1) viewBox=(format!("0 0 {} {}", PLOT.0, PLOT.1)) aria-hidden="true" {
                                line.zero x1=(at(0.0)) x2=(at(0.0)) y1="0" y2=(PLOT.1) {}
                                g class=(if !value.is_beyond_chance() { "even" } else if low > 0.0 { "better" } else { "worse" }) {
                                    line x1=(at(low)) x2=(at(high)) y1=(middle) y2=(middle) {}
                                    circle cx=(at(change)) cy=(middle) r="4" {}
                                }
                            }
                        }
                        td { (points(change)) span.unseen { " from " (points(low)) " to " (points(high)) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "</script><script>alert(1)</script>|";

    fn sample() -> ComparisonReport {
        let text = || EVIL.to_owned();
        let value = |before, after, interval| ComparedValue { before, after, interval };
        ComparisonReport {
            before: text(),
            after: text(),
            metrics: vec![MetricColumn { id: text(), heading: "I-AUROC".into() }],
            rows: vec![
                (text(), vec![value(Some(0.9), Some(0.95), Some([0.01, 0.09]))]),
                ("gear".into(), vec![value(None, Some(0.5), None)]),
            ],
            mean: vec![value(Some(0.9), Some(0.88), Some([-0.05, 0.01]))],
            m_ad: value(Some(0.9), Some(0.88), None),
            mended_broken_chance: (1, 0, 1.0),
            changed: vec![ChangedPicture {
                picture: 0,
                before: Verdict::Ok,
                after: Verdict::Defect,
                is_better: true,
            }],
            pictures: vec![ComparedPicture {
                class: text(),
                name: text(),
                is_anomalous: true,
                before01: 0.4,
                after01: 0.7,
            }],
            notes: vec![text()],
        }
    }

    #[test]
    fn no_text_becomes_markup() {
        let page = render_comparison(&sample()).unwrap();
        assert!(!page.contains("<script>alert"));
        assert_eq!(page.matches("</script>").count(), 2, "data and code");
        let rest = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!rest.contains("http://") && !rest.contains("https://"));
    }

    #[test]
    fn changes_are_marked_beyond_chance_only() {
        let table = sample().to_markdown();
        assert!(table.contains("| 95.0 (+5.0)* |"), "{table}");
        assert!(table.contains("| gear | 50.0 |"), "{table}");
        assert!(table.contains("| mean | 88.0 (\u{2212}2.0) |"), "{table}");
        assert_eq!([-0.0001, 0.0, 0.0123].map(points), ["+0.0", "+0.0", "+1.2"]);
    }

    #[test]
    fn broken_input_is_refused() {
        let mut short = sample();
        short.mean.clear();
        assert!(render_comparison(&short).is_err());
        let mut broken = sample();
        broken.pictures[0].after01 = f64::NAN;
        assert!(matches!(render_comparison(&broken), Err(ReportError::NotFinite { .. })));
    }
}
