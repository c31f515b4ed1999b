//! What can be read in a report without a script, and the frames that the script fills.

use maud::{Markup, html};

use crate::confusion::Confusion;
use crate::html::classes;
use crate::report::{CalibratedClass, CalibrationCard, Rate, Report};
use crate::tables::{ResultTable, percent};

/// The scale of [`ScoreRow::score01`](crate::ScoreRow::score01) puts the shipped threshold here.
const SHIPPED: f64 = 0.5;

/// More findings than this are folded away.
const FINDINGS_SHOWN: usize = 5;

/// Everything inside the body but the scripts.
pub(crate) fn report(report: &Report) -> Markup {
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
                    @if has_scores { a href="#decision" { "Threshold" } }
                    @if report.calibration.is_some() { a href="#calibration" { "Calibration" } }
                    @if has_scores {
                        a href="#pictures" { "Pictures" }
                        a href="#curves" { "Curves" }
                    }
                    a href="#run" { "Run" }
                }
                (theme_button())
            }
        }
        main #main {
            (headline(report))
            (findings(&report.findings))
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
            @if has_scores { (decision()) }
            @if let Some(card) = &report.calibration { (calibration(card)) }
            @if has_scores { (pictures_and_curves()) }
            section #run aria-labelledby="run-title" {
                h2 #run-title { "Run" }
                div.columns {
                    (facts("How the numbers came about", &report.run_card))
                    (facts("Time and memory", &report.timings))
                }
                @if !report.configuration.is_empty() {
                    details.panel {
                        summary { "Configuration" }
                        pre { (report.configuration) }
                    }
                }
            }
        }
        footer { "One file, no network. Percentages have one decimal; a picture is rejected when \
                  its score is at least the threshold." }
    }
}

/// The button that switches between light and dark.
pub(crate) fn theme_button() -> Markup {
    html! {
        button #theme type="button" aria-label="Switch between light and dark" { "Dark" }
    }
}

fn findings(findings: &[String]) -> Markup {
    let (first, rest) = findings.split_at(findings.len().min(FINDINGS_SHOWN));
    html! {
        @if !findings.is_empty() {
            section.panel.findings aria-labelledby="findings-title" {
                h2 #findings-title { "Please note" }
                ul { @for finding in first { li { (finding) } } }
                @if !rest.is_empty() {
                    details {
                        summary { (rest.len()) " more" }
                        ul { @for finding in rest { li { (finding) } } }
                    }
                }
            }
        }
    }
}

/// The numbers to read first.
fn headline(report: &Report) -> Markup {
    let review_of = |class: &str| {
        let mut all = report.calibration.iter().flat_map(|card| &card.classes);
        all.find(|entry| entry.class == class).and_then(|entry| entry.review01)
    };
    let counts = Confusion::with_review(&report.scores, SHIPPED, |row| {
        review_of(&row.class).unwrap_or(SHIPPED)
    });
    let share = |part: usize, whole: usize, words: &str| {
        let fraction = (whole > 0).then(|| part as f64 / whole as f64);
        format!("{} % of {whole} {words}", percent(fraction))
    };
    let first_mean = report.table.metrics.first().zip(report.table.mean.first());
    let n_classes = classes(report).len();
    let n_reviews = counts.good_reviews + counts.defective_reviews;
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
                @if n_reviews > 0 {
                    (tile(
                        "To review",
                        &n_reviews.to_string(),
                        &share(n_reviews, report.scores.len(), "pictures"),
                    ))
                }
                (tile(
                    "Test pictures",
                    &report.scores.len().to_string(),
                    &format!("in {n_classes} {}", if n_classes == 1 { "class" } else { "classes" }),
                ))
            }
        }
    }
}

pub(crate) fn tile(label: &str, value: &str, note: &str) -> Markup {
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
            table #metrics.numbers {
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
fn decision() -> Markup {
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
                div #raw.raw {}
                p.quiet {
                    "Drag the line, or use the slider. 0.5 is the shipped threshold. A threshold \
                     chosen on these test pictures flatters them; calibrate on pictures held back \
                     for it."
                }
            }
            div.columns.outcome {
                div #confusion.panel {}
                div #mistakes.panel {}
            }
        }
    }
}

fn pictures_and_curves() -> Markup {
    html! {
        section #pictures aria-labelledby="pictures-title" {
            h2 #pictures-title { "Pictures" }
            p.quiet { "The worst and some at random: picture, truth, and map over the picture. One \
                       scale for all: calm below the threshold, hot above." }
            div #gallery {}
        }
        section #curves aria-labelledby="curves-title" {
            div.section-head {
                h2 #curves-title { "Curves" }
                p #curves-note.quiet {}
            }
            div #curve-plots.columns {}
        }
    }
}

fn calibration(card: &CalibrationCard) -> Markup {
    let has = |part: fn(&CalibratedClass) -> bool| card.classes.iter().any(part);
    let (review, pixel) =
        (has(|class| class.review.is_some()), has(|class| class.pixel_threshold.is_some()));
    let defective = has(|class| class.n_defective > 0);
    let rates = || card.classes.iter().flat_map(|class| [class.expected, class.tested]).flatten();
    let highest =
        rates().map(|rate| rate.high).fold(card.max_false_reject_rate.unwrap_or(0.0), f64::max);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), significant);
    html! {
        section #calibration aria-labelledby="calibration-title" {
            h2 #calibration-title { "Calibration" }
            @for note in &card.notes { p.quiet { (note) } }
            div.panel.scroll tabindex="0" role="region" aria-label="Thresholds per class" {
                table #thresholds.numbers {
                    caption.unseen { "Shipped thresholds per class" }
                    thead {
                        tr {
                            th scope="col" { "class" }
                            th scope="col" { "threshold" }
                            @if review { th scope="col" { "review from" } }
                            @if pixel { th scope="col" { "pixel" } }
                            th scope="col" { "good pictures" }
                            @if defective { th scope="col" { "defective" } }
                            th.words scope="col" { "basis" }
                            th scope="col" { "expected rejects" }
                            th scope="col" { "in this test" }
                            th.plot scope="col" { (axis(highest)) }
                        }
                    }
                    tbody {
                        @for class in &card.classes {
                            tr {
                                th scope="row" { (class.class) }
                                td { (significant(class.threshold)) }
                                @if review { td { (number(class.review)) } }
                                @if pixel { td { (number(class.pixel_threshold)) } }
                                td { (class.n_good) }
                                @if defective { td { (class.n_defective) } }
                                td.words { (class.basis) }
                                td { (interval(class.expected)) }
                                td { (interval(class.tested)) }
                                td.plot { (whiskers(class, card.max_false_reject_rate, highest)) }
                            }
                        }
                    }
                }
            }
            p.key.quiet {
                span { span.swatch.expected {} "expected share of good pictures rejected, 95 % interval" }
                span { span.swatch.tested {} "in this test, 95 % interval" }
                @if let Some(rate) = card.max_false_reject_rate {
                    span { "dashed: the " (percent(Some(rate))) " % asked for" }
                }
            }
        }
    }
}

/// Four significant digits without an exponent, as far as that is readable.
fn significant(value: f64) -> String {
    let digits = 3 - value.abs().max(1e-12).log10().floor() as i32;
    match digits {
        0..=8 => format!("{value:.*}", digits as usize),
        ..0 => format!("{value:.0}"),
        9.. => format!("{value:.3e}"),
    }
}

fn interval(rate: Option<Rate>) -> String {
    rate.map_or_else(
        || "-".to_owned(),
        |Rate { share, low, high }| {
            format!("{:.1} % ({:.1} – {:.1})", 100.0 * share, 100.0 * low, 100.0 * high)
        },
    )
}

/// Width and height of a drawing of intervals, and its margin.
const PLOT: (f64, f64, f64) = (188.0, 26.0, 15.0);

/// Where a share lies in it. Square roots give small shares room.
fn place(share: f64, highest: f64) -> f64 {
    let (width, _, margin) = PLOT;
    margin + (width - 2.0 * margin) * (share / highest.max(1e-9)).clamp(0.0, 1.0).sqrt()
}

fn axis(highest: f64) -> Markup {
    let (width, height, _) = PLOT;
    let ticks = [0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0];
    let mut last = f64::NEG_INFINITY;
    let shown: Vec<f64> = ticks
        .into_iter()
        .filter(|&tick| tick <= highest)
        .filter(|&tick| {
            let at = place(tick, highest);
            let is_apart = at - last > 26.0;
            if is_apart {
                last = at;
            }
            is_apart
        })
        .collect();
    html! {
        svg width=(width) height=(height) role="img" aria-label="share of good pictures rejected" {
            @for tick in shown {
                text x=(place(tick, highest)) y="18" text-anchor="middle" {
                    (format!("{:.0} %", 100.0 * tick))
                }
            }
        }
    }
}

fn whiskers(class: &CalibratedClass, asked: Option<f64>, highest: f64) -> Markup {
    let (width, height, margin) = PLOT;
    let at = |share: f64| place(share, highest);
    let lines = [(class.expected, "expected", 8.5), (class.tested, "tested", 17.5)];
    html! {
        svg.whiskers width=(width) height=(height) aria-hidden="true" {
            line.zero x1=(margin) x2=(margin) y1="0" y2=(height) {}
            @if let Some(asked) = asked {
                line.asked x1=(at(asked)) x2=(at(asked)) y1="0" y2=(height) {}
            }
            @for (rate, kind, y) in lines {
                @if let Some(rate) = rate {
                    g class=(kind) {
                        line x1=(at(rate.low)) x2=(at(rate.high)) y1=(y) y2=(y) {}
                        circle cx=(at(rate.share)) cy=(y) r="3.6" {}
                    }
                }
            }
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

    #[test]
    fn numbers_keep_four_digits() {
        let shown = [0.041_234, 12.3456, 1234.56, 99_999.0, 0.5, 1.234e-10, 0.0].map(significant);
        assert_eq!(shown, ["0.04123", "12.35", "1235", "99999", "0.5000", "1.234e-10", "0.000e0"]);
    }

    #[test]
    fn intervals_are_drawn_in_order_and_inside() {
        let at: Vec<f64> = [0.0, 0.01, 0.05, 0.2].map(|share| place(share, 0.2)).into();
        assert!(at.is_sorted() && at[0] == 15.0 && at[3] == 173.0, "{at:?}");
        assert_eq!(place(0.9, 0.2), 173.0);
        assert_eq!(
            interval(Some(Rate { share: 0.01, low: 0.0, high: 0.054 })),
            "1.0 % (0.0 – 5.4)"
        );
    }
}
