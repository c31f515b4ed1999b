//! One page with everything, which works from a folder without a network.
//!
//! This file makes the frame and the data of a page; `sections.rs` what can be read in it.
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

use crate::bundle::{self, Entry};
use crate::colour::Colormap;
use crate::error::ReportError;
use crate::escape;
use crate::report::{Curve, Report, ReportPicture, ScoreRow};
use crate::sections;
use crate::sheet::ThumbnailSheet;

/// A hot spot on a dark square.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
    viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%23211a3d'/%3E%3Ccircle \
    cx='10' cy='6.5' r='3.2' fill='%23f98e09'/%3E%3C/svg%3E";

/// What the script reads.
#[derive(Serialize)]
struct PageData<'a> {
    classes: Vec<&'a str>,
    scores: &'a [ScoreRow],
    pictures: &'a [ReportPicture],
    curves: &'a [Curve],
    sheets: &'a [ThumbnailSheet],
    /// Class and shipped review threshold, on the scale of the scores.
    reviews: Vec<(&'a str, f64)>,
    /// Class, a place on the scale of the scores, and the raw score there.
    anchors: Vec<(&'a str, f64, f64)>,
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
    let data = serde_json::to_string(&page_data(report))?;
    Ok(frame(&report.title, &sections::report(report), Entry::Report, &data))
}

/// A page around `body` whose script reads `data`, a JSON text.
pub(crate) fn frame(title: &str, body: &Markup, entry: Entry, data: &str) -> String {
    let style = bundle::style();
    let script = bundle::script(entry);
    let policy = format!(
        "default-src 'none'; img-src data:; script-src {}; style-src {}; base-uri 'none'; \
         form-action 'none'",
        bundle::csp_hash(&script),
        bundle::csp_hash(&style)
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href=(ICON);
                style { (PreEscaped(style)) }
            }
            body {
                (body)
                script type="application/json" id=(entry.data_id()) {
                    (PreEscaped(escape::json_in_script(data)))
                }
                script type="module" { (PreEscaped(script)) }
            }
        }
    };
    page.into_string()
}

/// Writes the page to `path`, whole or not at all.
///
/// # Errors
///
/// What [`render`] finds; [`ReportError::Write`] when the file cannot be written.
pub fn write_page(report: &Report, path: &Path) -> Result<(), ReportError> {
    write_whole(&render(report)?, path)
}

/// Writes a text to `path`, whole or not at all.
pub(crate) fn write_whole(page: &str, path: &Path) -> Result<(), ReportError> {
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
        sheets: &report.sheets,
        reviews: report
            .calibration
            .iter()
            .flat_map(|card| &card.classes)
            .filter_map(|class| Some((class.class.as_str(), class.review01?)))
            .collect(),
        anchors: anchors(report),
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

/// Where the shipped thresholds lie on both scales.
fn anchors(report: &Report) -> Vec<(&str, f64, f64)> {
    let mut anchors = Vec::new();
    for class in report.calibration.iter().flat_map(|card| &card.classes) {
        anchors.push((class.class.as_str(), 0.5, class.threshold));
        if let (Some(review01), Some(review)) = (class.review01, class.review) {
            anchors.push((class.class.as_str(), review01, review));
        }
    }
    anchors
}

/// The classes with scores, in the order of the table, then in the order of the scores.
pub(crate) fn classes(report: &Report) -> Vec<&str> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::EncodedImage;
    use crate::raster::{RgbRaster, ScoreMap};
    use crate::report::{CalibratedClass, CalibrationCard, Rate, Verdict};
    use crate::sheet::SheetBuilder;
    use crate::tables::{MetricColumn, ResultTable};

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
            configuration: text(),
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
                note: text(),
                points: vec![[0.0, 0.0], [1.0, 1.0]],
                thresholds: vec![0.9, 0.1],
                shaded_up_to: Some(0.3),
            }],
            sheets: {
                let mut sheet = SheetBuilder::new();
                sheet.push(&picture, &map);
                sheet.finish(EVIL).unwrap().into_iter().collect()
            },
            calibration: Some(CalibrationCard {
                notes: vec![text()],
                max_false_reject_rate: Some(0.01),
                classes: vec![CalibratedClass {
                    class: text(),
                    basis: text(),
                    threshold: 2.0,
                    review: Some(1.0),
                    review01: Some(0.3),
                    pixel_threshold: Some(1.5),
                    n_good: 24,
                    n_defective: 0,
                    expected: Some(Rate { share: 0.04, low: 0.0, high: 0.14 }),
                    tested: None,
                }],
            }),
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
