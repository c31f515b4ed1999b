//! Writes a sample report:
//! `cargo run --release --example sample_report -- OUT.html [--hostile | --large | --compare]`.
//!
//! Beside the page it writes `OUT.expected.json`: counts and colours computed here, which the
//! browser test compares with what the page shows. `--hostile` puts markup into every name and
//! a picture of known colours in the first place. `--large` has 15 classes with 100 pictures each.
//! `--compare` writes a comparison with a second run instead.

#![allow(clippy::print_stdout)]

mod comparison;
mod sample;
mod scene;

use std::error::Error;
use std::path::PathBuf;

use mmad_report::{
    Colormap, Confusion, EncodedImage, Report, RgbRaster, ScoreMap, ScoreRow, overlay,
    write_comparison, write_page,
};
use serde_json::{Value, json};

use crate::sample::{REVIEW01, SampleSize, sample_report};

const EVIL: &str = "</script><script>window.hacked = 1</script><img src=x onerror='hacked = 1'>";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let page = arguments.next().map(PathBuf::from).ok_or("usage: sample_report OUT.html")?;
    let flag = arguments.next().unwrap_or_default();
    let hostile = flag == "--hostile";

    let size = match flag.as_str() {
        "--large" => SampleSize { n_classes: 15, scores_per_class: 100, pictures_per_class: 10 },
        _ => SampleSize { n_classes: 6, scores_per_class: 100, pictures_per_class: 12 },
    };
    let mut report = sample_report(&size, 7)?;
    let mut expected = json!({ "counts": counts(&report.scores), "table": &report.table });
    if hostile {
        expected["overlay"] = known_picture(&mut report)?;
        poison(&mut report);
    }
    if flag == "--compare" {
        let mut both = comparison::comparison(&report, 11);
        expected = json!({ "changes": comparison::expected(&both) });
        // One name of each kind tries to become markup.
        both.after = format!("{EVIL}{}", both.after);
        both.pictures.iter_mut().for_each(|picture| picture.name.insert_str(0, EVIL));
        write_comparison(&both, &page)?;
    } else {
        write_page(&report, &page)?;
    }
    let beside = page.with_extension("expected.json");
    std::fs::write(&beside, serde_json::to_string_pretty(&expected)?)?;
    println!("{}\n{}", page.display(), beside.display());
    Ok(())
}

/// The four counts per class at a few thresholds; the empty name is all classes together.
fn counts(scores: &[ScoreRow]) -> Value {
    let mut names: Vec<&str> = vec![""];
    names.extend(scores.iter().map(|row| row.class.as_str()));
    names.dedup();
    let mut entries = Vec::new();
    for class in names {
        let rows = || scores.iter().filter(|row| class.is_empty() || row.class == class);
        for threshold in [0.25, 0.4, 0.5, 0.613] {
            let counts = Confusion::with_review(rows(), threshold, |_| REVIEW01.min(threshold));
            entries.push(json!({
                "class": class,
                "threshold": threshold,
                "hits": counts.hits,
                "misses": counts.misses,
                "falseRejects": counts.false_rejects,
                "passes": counts.passes,
                "goodReviews": counts.good_reviews,
                "badReviews": counts.defective_reviews,
            }));
        }
    }
    Value::Array(entries)
}

/// Replaces the first picture by one without compression loss, and says which colours its overlay
/// has at some places.
fn known_picture(report: &mut Report) -> Result<Value, Box<dyn Error>> {
    let side = 256_u32;
    let colour_at = |i: u32| [(i % side) as u8, (i / side) as u8, 90];
    let photo = RgbRaster::new(side, side, (0..side * side).flat_map(colour_at).collect())?;
    let heat = |i: u32| (i % side) as f32 / 200.0;
    let map = ScoreMap::new(side, side, (0..side * side).map(heat).collect())?;
    let first = report.pictures.first_mut().ok_or("the sample has no pictures")?;
    first.picture = EncodedImage::png(&photo)?;
    first.map = EncodedImage::map(&map)?;

    let mut samples = Vec::new();
    for opacity in [0.0_f32, 0.35, 1.0] {
        let drawn = overlay(&photo, &map, opacity, Colormap::Inferno)?;
        let (pixels, _) = drawn.pixels().as_chunks::<3>();
        for (x, y) in [(10, 200), (60, 20), (80, 128), (120, 40), (190, 250), (240, 7)] {
            let rgb = pixels[y * side as usize + x];
            samples.push(json!({ "opacity": opacity, "x": x, "y": y, "rgb": rgb }));
        }
    }
    Ok(json!({ "name": first.name, "samples": samples }))
}

/// Gives every text of the report the form of an attack.
fn poison(report: &mut Report) {
    let evil = |text: &mut String| *text = format!("{EVIL}{text}");
    evil(&mut report.title);
    evil(&mut report.subtitle);
    report.scores.iter_mut().for_each(|row| evil(&mut row.class));
    report.scores.iter_mut().for_each(|row| evil(&mut row.name));
    report.pictures.iter_mut().for_each(|picture| evil(&mut picture.class));
    report.pictures.iter_mut().for_each(|picture| evil(&mut picture.name));
    report.pictures.iter_mut().filter_map(|picture| picture.defect.as_mut()).for_each(evil);
    report.table.rows.iter_mut().for_each(|(class, _)| evil(class));
    report.table.notes.iter_mut().for_each(evil);
    report.curves.iter_mut().for_each(|curve| evil(&mut curve.class));
    report.curves.iter_mut().for_each(|curve| evil(&mut curve.title));
    report.curves.iter_mut().for_each(|curve| evil(&mut curve.note));
    report.sheets.iter_mut().for_each(|sheet| evil(&mut sheet.class));
    for class in report.calibration.iter_mut().flat_map(|card| &mut card.classes) {
        evil(&mut class.class);
        evil(&mut class.basis);
    }
    evil(&mut report.configuration);
    report.findings.iter_mut().for_each(evil);
    report.run_card.iter_mut().for_each(|(_, value)| evil(value));
}
