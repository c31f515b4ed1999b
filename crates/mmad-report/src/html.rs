//! One page with everything, which works from a folder without a network.
//!
//! What can be read without a script (numbers, table, run card) is plain HTML. Scores and pictures
//! travel as JSON and are drawn by the script. The page's own Content-Security-Policy allows that
//! one script and style by their hashes and no request at all, so a file name from a data set can
//! never become code.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

use crate::bundle;
use crate::colour::Colormap;
use crate::confusion::Confusion;
use crate::error::ReportError;
use crate::escape;
use crate::report::{Curve, Report, ReportPicture, ScoreRow};
use crate::tables::{ResultTable, percent};

/// A hot spot on a dark square.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
    viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%23211a3d'/%3E%3Ccircle \
    cx='10' cy='6.5' r='3.2' fill='%23f98e09'/%3E%3C/svg%3E";

/// The scale of [`ScoreRow::score01`] puts the shipped threshold here.
const SHIPPED: f64 = 0.5;

/// What the script reads.
#[derive(Serialize)]
struct PageData<'a> {
    classes: Vec<&'a str>,
    scores: &'a [ScoreRow],
    pictures: &'a [ReportPicture],
    curves: &'a [Curve],
    /// Name of a copy button and the text it copies.
    copies: Vec<(&'static str, String)>,
    /// Name of a colour map and its 256 times three bytes in base64.
    colormaps: Vec<(&'static str, String)>,
}

/// The report as one HTML page.
///
/// # Errors
///
/// What [`Report::check`] finds; [`ReportError::Json`] for data that JSON cannot hold.
pub fn render(report: &Report) -> Result<String, ReportError> {
    report.check()?;
    let style = bundle::style();
    let script = bundle::script();
    let policy = format!(
        "default-src 'none'; img-src data:; script-src {}; style-src {}; base-uri 'none'; \
         form-action 'none'",
        bundle::csp_hash(&script),
        bundle::csp_hash(&style)
    );
    let data = escape::json_in_script(&serde_json::to_string(&page_data(report))?);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.title) }
                link rel="icon" href=(ICON);
                style { (PreEscaped(style)) }
            }
            body {
                (body(report))
                script type="application/json" id="report-data" { (PreEscaped(data)) }
                script type="module" { (PreEscaped(script)) }
            }
        }
    };
    Ok(page.into_string())
}

/// Writes the page to `path`, whole or not at all.
///
/// # Errors
///
/// What [`render`] finds; [`ReportError::Write`] when the file cannot be written.
pub fn write_page(report: &Report, path: &Path) -> Result<(), ReportError> {
    let page = render(report)?;
    let write = || -> std::io::Result<()> {
        // The process number keeps two writers of the same report apart.
        let mut name = OsString::from(".");
        name.push(path.file_name().ok_or(std::io::ErrorKind::IsADirectory)?);
        name.push(format!(".{}", std::process::id()));
        let temporary = path.with_file_name(name);
        let moved = File::create(&temporary)
            .and_then(|mut file| file.write_all(page.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&temporary, path));
        if moved.is_err() {
            // Nothing more can be done when even the rest cannot be removed.
            let _ = std::fs::remove_file(&temporary);
        }
        moved
    };
    write().map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

fn page_data(report: &Report) -> PageData<'_> {
    PageData {
        classes: classes(report),
        scores: &report.scores,
        pictures: &report.pictures,
        curves: &report.curves,
        copies: vec![
            ("Copy as Markdown", report.table.to_markdown()),
            ("Copy as LaTeX", report.table.to_latex()),
            ("Copy as CSV", report.table.to_csv()),
        ],
        colormaps: Colormap::ALL
            .map(|colormap| (colormap.name(), BASE64.encode(colormap.table().as_flattened())))
            .into(),
    }
}

/// The classes with scores, in the order of the table, then in the order of the scores.
fn classes(report: &Report) -> Vec<&str> {
    let scored: BTreeSet<&str> = report.scores.iter().map(|row| row.class.as_str()).collect();
    let in_table = report.table.rows.iter().map(|(class, _)| class.as_str());
    let in_scores = report.scores.iter().map(|row| row.class.as_str());
    let mut seen = BTreeSet::new();
    in_table
        .filter(|class| scored.contains(class))
        .chain(in_scores)
        .filter(|class| seen.insert(*class))
        .collect()
}

fn body(report: &Report) -> Markup {
    let has_scores = !report.scores.is_empty();
    html! {
        a.skip href="#main" { "Skip to the results" }
        header.top {
            div.inner {
                div {
                    h1 { (report.title) }
                    p.quiet { (report.subtitle) }
                }
                nav aria-label="Sections" {
                    a href="#results" { "Results" }
                    @if has_scores {
                        a href="#decision" { "Threshold" }
                        a href="#pictures" { "Pictures" }
                        a href="#curves" { "Curves" }
                    }
                    a href="#run" { "Run" }
                }
                button #theme type="button" aria-label="Switch between light and dark" { "Dark" }
            }
        }
        main #main {
            (headline(report))
            @if !report.findings.is_empty() {
                section.panel.findings aria-labelledby="findings-title" {
                    h2 #findings-title { "Please note" }
                    ul { @for finding in &report.findings { li { (finding) } } }
                }
            }
            section #results aria-labelledby="results-title" {
                div.section-head {
                    h2 #results-title { "Results" }
                    div #copies {}
                }
                (metrics_table(&report.table))
            }
            noscript {
                p.panel { "Threshold, pictures and curves need JavaScript; the page fetches nothing." }
            }
            @if has_scores { (interactive_sections()) }
            section #run aria-labelledby="run-title" {
                h2 #run-title { "Run" }
                div.columns {
                    (facts("How the numbers came about", &report.run_card))
                    (facts("Time and memory", &report.timings))
                }
            }
        }
        footer { "One file, no network. Percentages have one decimal; a picture is rejected when \
                  its score is at least the threshold." }
    }
}

/// The four numbers to read first.
fn headline(report: &Report) -> Markup {
    let counts = Confusion::at(&report.scores, SHIPPED);
    let share = |part: usize, whole: usize, words: &str| {
        let fraction = (whole > 0).then(|| part as f64 / whole as f64);
        format!("{} % of {whole} {words}", percent(fraction))
    };
    let first_mean = report.table.metrics.first().zip(report.table.mean.first());
    let n_classes = classes(report).len();
    html! {
        section.tiles aria-label="Headline numbers" {
            @if report.table.m_ad.is_some() {
                (tile("mAD", &percent(report.table.m_ad), "mean of the metrics, %"))
            }
            @if let Some((metric, &mean)) = first_mean {
                (tile(&metric.heading, &percent(mean), "mean over the classes, %"))
            }
            @if !report.scores.is_empty() {
                (tile(
                    "False rejects",
                    &counts.false_rejects.to_string(),
                    &share(counts.false_rejects, counts.n_good(), "good parts"),
                ))
                (tile(
                    "Missed defects",
                    &counts.misses.to_string(),
                    &share(counts.misses, counts.n_defective(), "defective parts"),
                ))
                (tile(
                    "Test pictures",
                    &report.scores.len().to_string(),
                    &format!("in {n_classes} {}", if n_classes == 1 { "class" } else { "classes" }),
                ))
            }
        }
    }
}

fn tile(label: &str, value: &str, note: &str) -> Markup {
    html! {
        div.tile {
            p.label { (label) }
            p.value { (value) }
            p.quiet { (note) }
        }
    }
}

fn metrics_table(table: &ResultTable) -> Markup {
    let grid = table.grid(str::to_owned);
    let (heading, rows) = grid.split_at(1);
    let (classes, mean) = rows.split_at(rows.len() - 1);
    let line = |cells: &[String]| {
        html! {
            tr {
                @for (i, cell) in cells.iter().enumerate() {
                    @if i == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                }
            }
        }
    };
    html! {
        div.panel.scroll tabindex="0" role="region" aria-label="Metrics per class" {
            table #metrics {
                caption.unseen { "Metrics per class, in percent" }
                thead { tr { @for cell in heading.iter().flatten() { th scope="col" { (cell) } } } }
                tbody { @for row in classes { (line(row)) } }
                tfoot { @for row in mean { (line(row)) } }
            }
        }
        ul.notes { @for note in table.all_notes() { li { (note) } } }
    }
}

/// Empty frames that the script fills.
fn interactive_sections() -> Markup {
    html! {
        div #controls.controls role="group" aria-label="Class and threshold" {}
        section #decision aria-labelledby="decision-title" {
            h2 #decision-title { "Threshold" }
            div.panel {
                div.section-head {
                    p.key {
                        span { span.swatch.good {} "good, above the line" }
                        span { span.swatch.bad {} "defective, below the line" }
                        span.quiet { "strong colour: decided wrongly" }
                    }
                    div #presets.presets role="group" aria-label="Thresholds to choose" {}
                }
                div #histogram {}
                p.quiet {
                    "Drag the line, or use the slider. 0.5 is the shipped threshold. " span #raw {}
                    " A threshold chosen on these test pictures flatters them; calibrate on \
                     pictures held back for it."
                }
            }
            div.columns.outcome {
                div #confusion.panel {}
                div #mistakes.panel aria-live="off" {}
            }
        }
        section #pictures aria-labelledby="pictures-title" {
            h2 #pictures-title { "Pictures" }
            p.quiet { "Picture, truth, and map over the picture. One scale for all: calm below \
                       the threshold, hot above." }
            div #gallery {}
        }
        section #curves aria-labelledby="curves-title" {
            h2 #curves-title { "Curves" }
            div #curve-plots.columns {}
        }
    }
}

fn facts(title: &str, pairs: &[(String, String)]) -> Markup {
    html! {
        @if !pairs.is_empty() {
            div.panel {
                h3 { (title) }
                dl.facts { @for (name, value) in pairs { dt { (name) } dd { (value) } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::EncodedImage;
    use crate::raster::{RgbRaster, ScoreMap};
    use crate::report::Verdict;
    use crate::tables::MetricColumn;

    const EVIL: &str = "</script><script>alert(1)</script><img src=x onerror=\"alert('2')\">&";

    /// A report whose every text tries to become markup.
    fn hostile() -> Report {
        let text = || EVIL.to_owned();
        let picture = RgbRaster::new(2, 1, vec![9; 6]).unwrap();
        let map = ScoreMap::new(2, 1, vec![0.2, 0.9]).unwrap();
        Report {
            title: text(),
            subtitle: text(),
            run_card: vec![(text(), text())],
            table: ResultTable {
                metrics: vec![MetricColumn { id: text(), heading: text() }],
                rows: vec![(text(), vec![None])],
                mean: vec![None],
                m_ad: None,
                notes: vec![text()],
            },
            pictures: vec![ReportPicture {
                name: text(),
                class: text(),
                defect: Some(text()),
                verdict: Verdict::Review,
                score: 3.0,
                score01: 0.9,
                threshold: 2.0,
                picture: EncodedImage::jpeg(&picture, 80).unwrap(),
                map: EncodedImage::map(&map).unwrap(),
                mask: None,
            }],
            scores: vec![ScoreRow {
                class: text(),
                name: text(),
                is_anomalous: true,
                score01: 0.9,
                score: 3.0,
            }],
            curves: vec![Curve {
                class: text(),
                title: text(),
                x_label: text(),
                y_label: text(),
                points: vec![[0.0, 0.0], [1.0, 1.0]],
                shaded_up_to: Some(0.3),
            }],
            findings: vec![text()],
            timings: vec![(text(), text())],
        }
    }

    #[test]
    fn no_text_becomes_markup() {
        let page = render(&hostile()).unwrap();
        assert!(!page.contains("<script>alert"));
        assert!(!page.contains("<img"));
        assert_eq!(page.matches("</script>").count(), 2, "data and code");
        assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(1)"));
    }

    #[test]
    fn the_data_comes_back_from_the_page() {
        let page = render(&hostile()).unwrap();
        let (_, rest) = page.split_once("id=\"report-data\">").unwrap();
        let (json, _) = rest.split_once("</script>").unwrap();
        let data: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(data["classes"], serde_json::json!([EVIL]));
        assert_eq!(data["pictures"][0]["verdict"], "review");
        assert_eq!(data["pictures"][0]["defect"], EVIL);
        let inferno = BASE64.decode(data["colormaps"][0][1].as_str().unwrap()).unwrap();
        assert_eq!(inferno, Colormap::Inferno.table().as_flattened());
    }

    #[test]
    fn a_report_survives_json() {
        let report = hostile();
        let json = serde_json::to_string(&report).unwrap();
        let back: Report = serde_json::from_str(&json).unwrap();
        assert_eq!(render(&back).unwrap(), render(&report).unwrap());
    }

    #[test]
    fn an_empty_report_is_a_page_too() {
        let page = render(&Report::default()).unwrap();
        assert!(page.contains("id=\"results\""));
        assert!(!page.contains("id=\"decision\""));
    }

    #[test]
    fn a_broken_number_makes_no_page() {
        let mut report = hostile();
        report.scores[0].score = f64::INFINITY;
        assert!(matches!(render(&report), Err(ReportError::NotFinite { .. })));
    }

    #[test]
    fn the_file_appears_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        std::fs::write(&path, "older").unwrap();
        write_page(&hostile(), &path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), render(&hostile()).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file");

        let nowhere = folder.path().join("missing").join("report.html");
        let error = write_page(&hostile(), &nowhere).unwrap_err();
        assert!(error.hint().unwrap().contains("exists and is writable"));
        assert!(write_page(&hostile(), Path::new("/")).is_err());
    }
}
