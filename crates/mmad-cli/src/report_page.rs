//! From an evaluation to the page that people look at.

use std::path::Path;

use mmad::calibrate::{RateInterval, ScoreScale, Verdict as Said};
use mmad::detector::Detector;
use mmad::evaluate::{Evaluated, TestPicture};
use mmad::pixel_curves::{CurvePoint, pixel_curves};
use mmad::run_file::EncoderConfig;
use mmad::score_list::PictureScore;
use mmad_data::Dataset;
use mmad_metrics::METRICS;
use mmad_report::{
    CalibratedClass, CalibrationCard, Curve, EncodedImage, PicturesPerClass, Rate, Report,
    ReportError, ReportPicture, RgbRaster, ScoreMap, ScoreRow, SheetBuilder, ThumbnailSheet,
    Verdict, choose_pictures, write_page,
};

use crate::commands::calibrate::{aim, promise};
use crate::commands::eval::EvalResult;
use crate::failure::Failure;
use crate::machine::{machine, now};
use crate::output::{duration, peak_memory_mb};

/// Pictures of each class on the page.
const SHOWN: PicturesPerClass = PicturesPerClass { worst_good: 3, worst_defective: 3, random: 3 };

/// Maps with a longer side are halved on the page.
const LARGE_MAP_PX: usize = 160;

/// What is kept of the pictures of every class while they are in memory.
#[derive(Default)]
pub(crate) struct ReportParts {
    pictures: Vec<ReportPicture>,
    sheets: Vec<ThumbnailSheet>,
    curves: Vec<Curve>,
}

impl ReportParts {
    /// Takes what the page shows of a class; `scores` are those of `pictures`.
    pub(crate) fn add(
        &mut self,
        class: &str,
        pictures: &[TestPicture],
        scores: &[PictureScore],
        scale: ScoreScale,
    ) -> Result<(), Failure> {
        let rows: Vec<ScoreRow> = scores.iter().map(row).collect();
        let chosen = choose_pictures(&rows, SHOWN, 0);
        let mut sheet = SheetBuilder::new();
        for (i, picture) in pictures.iter().enumerate() {
            let (photo, map) = (photo_of(picture)?, map_of(picture, scale)?);
            sheet.push(&photo, &map);
            if chosen.contains(&i) {
                self.pictures.push(shown(picture, &scores[i], scale, &photo, &map)?);
            }
        }
        self.sheets.extend(sheet.finish(class)?);
        let points = pixel_curves(pictures).unwrap_or_default();
        if !points.is_empty() {
            self.curves.extend(curves(class, &points, scale));
        }
        Ok(())
    }
}

fn row(score: &PictureScore) -> ScoreRow {
    ScoreRow {
        class: score.class.clone(),
        name: score.name.clone(),
        is_anomalous: score.is_anomalous,
        score01: score.score01,
        score: f64::from(score.score),
    }
}

fn photo_of(picture: &TestPicture) -> Result<RgbRaster, ReportError> {
    let TestPicture { loaded, scored, .. } = picture;
    RgbRaster::new(scored.width as u32, scored.height as u32, loaded.rgb.clone())
}

fn map_of(picture: &TestPicture, scale: ScoreScale) -> Result<ScoreMap, ReportError> {
    let scored = &picture.scored;
    let values = scored.map.iter().map(|&value| scale.of(value)).collect();
    ScoreMap::new(scored.width as u32, scored.height as u32, values)
}

fn shown(
    picture: &TestPicture,
    score: &PictureScore,
    scale: ScoreScale,
    photo: &RgbRaster,
    map: &ScoreMap,
) -> Result<ReportPicture, Failure> {
    let TestPicture { loaded, scored, .. } = picture;
    let (width, height) = (scored.width as u32, scored.height as u32);
    let mask = match (&loaded.mask, loaded.sample.is_anomalous()) {
        (Some(mask), true) => {
            let mask: Vec<bool> = mask.iter().map(|&value| value > 0).collect();
            Some(EncodedImage::mask(width, height, &mask)?)
        }
        _ => None,
    };
    let is_large = scored.width.max(scored.height) > LARGE_MAP_PX;
    let by_score = if score.score01 >= 0.5 { Said::Defect } else { Said::Ok };
    Ok(ReportPicture {
        name: score.name.clone(),
        class: score.class.clone(),
        defect: loaded.sample.defect.clone(),
        verdict: match score.verdict.unwrap_or(by_score) {
            Said::Ok => Verdict::Ok,
            Said::Review => Verdict::Review,
            Said::Defect => Verdict::Defect,
        },
        score: f64::from(score.score),
        score01: score.score01,
        threshold: f64::from(scale.threshold),
        picture: EncodedImage::jpeg(photo, 82)?,
        map: if is_large { EncodedImage::map(&map.halved())? } else { EncodedImage::map(map)? },
        mask,
    })
}

fn curves(class: &str, points: &[CurvePoint], scale: ScoreScale) -> [Curve; 3] {
    // Five digits are finer than a pixel of the plot.
    let round = |value: f64| (1e5 * value).round() / 1e5;
    let curve =
        |title: &str, x_label: &str, y_label: &str, at: fn(&CurvePoint) -> [f64; 2]| Curve {
            class: class.to_owned(),
            title: title.to_owned(),
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
            note: String::new(),
            points: points.iter().map(|point| at(point).map(round)).collect(),
            thresholds: points.iter().map(|p| round(f64::from(scale.of(p.threshold)))).collect(),
            shaded_up_to: None,
        };
    let alarms = "False positive rate";
    [
        curve("ROC, pixels", alarms, "Recall of defect pixels", |p| {
            [p.false_positive_rate, p.recall]
        }),
        curve("Precision and recall, pixels", "Recall", "Precision", |p| [p.recall, p.precision]),
        curve("Region overlap (PRO)", alarms, "Mean overlap with regions", |p| {
            [p.false_positive_rate, p.region_overlap]
        }),
    ]
}

fn encoder_in_words(EncoderConfig { arch, weights, precision }: &EncoderConfig) -> String {
    format!("{} ({weights}) in {}", arch.name(), precision.name())
}

/// Writes the page.
pub(crate) fn write_report(
    path: &Path,
    detector: &Detector,
    dataset: &Dataset,
    result: &EvalResult,
) -> Result<(), Failure> {
    let card = detector.card();
    let config = &card.config;
    let evaluated = &result.evaluated;
    let text = |name: &str, value: String| (name.to_owned(), value);
    let n_classes = evaluated.evaluation.classes.len();
    let report = Report {
        title: "Defect detection report".to_owned(),
        subtitle: format!(
            "{n_classes} {}, {} test pictures, one {} model",
            if n_classes == 1 { "class" } else { "classes" },
            evaluated.n_pictures,
            config.method
        ),
        run_card: vec![
            text("Data", dataset.root().display().to_string()),
            text("Data digest", dataset.digest()),
            text("Trained on digest", card.training.data_sha256.clone()),
            text("Training pictures", card.training.n_pictures.to_string()),
            text("Encoder", encoder_in_words(&config.encoder)),
            text("Input", format!("{} x {} px", config.data.height_px, config.data.width_px)),
            text("Steps", card.training.n_steps.to_string()),
            text("Seed", config.seed.to_string()),
            text("Model digest", card.tensors_sha256.clone()),
            text("Version", format!("mmad {}", env!("CARGO_PKG_VERSION"))),
            text("Written", now()),
        ],
        configuration: config.to_toml()?,
        table: result.table.clone(),
        pictures: result.parts.pictures.clone(),
        scores: result.scores.iter().map(row).collect(),
        sheets: result.parts.sheets.clone(),
        curves: with_areas(&result.parts.curves, evaluated),
        calibration: calibration_card(detector, evaluated),
        findings: findings(dataset, evaluated),
        timings: timings(detector, result),
    };
    write_page(&report, path)?;
    Ok(())
}

/// The curves with the exact areas of the table.
fn with_areas(curves: &[Curve], evaluated: &Evaluated) -> Vec<Curve> {
    let limit = evaluated.evaluation.options.pro_fpr_limit;
    let area = |class: &str, id: &str| -> Option<f64> {
        let (_, metrics) = evaluated.evaluation.classes.iter().find(|(name, _)| name == class)?;
        METRICS.iter().find(|metric| metric.id == id)?.of(metrics).as_ref().ok().copied()
    };
    let ids = [
        ("ROC, pixels", "pixel_au_roc", "Area"),
        ("Precision and recall, pixels", "pixel_ap", "Average precision"),
        ("Region overlap (PRO)", "au_pro", "AU-PRO"),
    ];
    let noted = |curve: &Curve| {
        let mut curve = curve.clone();
        let known = ids.iter().find(|(title, ..)| *title == curve.title);
        if let Some(&(_, id, words)) = known {
            if let Some(value) = area(&curve.class, id) {
                curve.note = format!("{words} {:.1} %", 100.0 * value);
            }
            curve.shaded_up_to = (id == "au_pro").then_some(limit);
        }
        curve
    };
    curves.iter().map(noted).collect()
}

fn rate(interval: Option<RateInterval>, expected: bool) -> Option<Rate> {
    let RateInterval { observed, expected: mean, low, high } = interval?;
    Some(Rate { share: if expected { mean } else { observed }, low, high })
}

fn calibration_card(detector: &Detector, evaluated: &Evaluated) -> Option<CalibrationCard> {
    let calibration = detector.card().calibration.as_ref()?;
    let plan = &calibration.plan;
    let entry = |class: &mmad::calibrate::ClassCalibration| {
        let decided = evaluated.decisions.iter().find(|(name, _)| *name == class.class);
        CalibratedClass {
            class: class.class.clone(),
            basis: promise(class, plan.max_false_reject_rate),
            threshold: f64::from(class.threshold),
            review: class.review.map(f64::from),
            review01: class.review.map(|review| f64::from(class.scale().of(review))),
            pixel_threshold: class.pixel_threshold.map(f64::from),
            n_good: class.scores.len(),
            n_defective: class.defective_scores.len(),
            expected: rate(class.false_reject_rate(), true),
            tested: rate(decided.and_then(|(_, found)| found.false_reject_rate), false),
        }
    };
    let tested = |class: &str| evaluated.decisions.iter().any(|(name, _)| name == class);
    let mut aim = aim(calibration);
    aim[..1].make_ascii_uppercase();
    Some(CalibrationCard {
        notes: vec![format!("{aim}.")],
        max_false_reject_rate: (!plan.rule.needs_defects()).then_some(plan.max_false_reject_rate),
        classes: calibration.classes.iter().filter(|c| tested(&c.class)).map(entry).collect(),
    })
}

/// The worst first: what could not be read, then what the check of the data found.
fn findings(dataset: &Dataset, evaluated: &Evaluated) -> Vec<String> {
    let unreadable = evaluated.unreadable.iter().map(|error| format!("Left out: {error}"));
    let mut found: Vec<_> = dataset.findings().iter().collect();
    found.sort_by_key(|finding| finding.severity);
    let checked = found.into_iter().map(|finding| {
        let place = [finding.class.as_deref(), finding.file.as_deref()];
        let place: Vec<&str> = place.into_iter().flatten().collect();
        let place =
            if place.is_empty() { String::new() } else { format!("{}: ", place.join(", ")) };
        let fix = finding.fix.as_ref().map_or(String::new(), |fix| format!(" ({fix})"));
        format!("{}: {place}{}{fix}", finding.severity.name(), finding.what)
    });
    unreadable.chain(checked).collect()
}

fn timings(detector: &Detector, result: &EvalResult) -> Vec<(String, String)> {
    let evaluated = &result.evaluated;
    let text = |name: &str, value: String| (name.to_owned(), value);
    let [median, p95, p99] = [0.5, 0.95, 0.99].map(|share| result.score_ms(share));
    let card = detector.card();
    vec![
        text("Scoring a picture", format!("{median:.1} ms (median)")),
        text("95 % of them within", format!("{p95:.1} ms")),
        text("99 % of them within", format!("{p99:.1} ms")),
        text("Whole test set", duration(evaluated.seconds)),
        text("Peak memory", peak_memory_mb().map_or("-".into(), |mb| format!("{mb:.0} MB"))),
        text("Training", duration(card.training.seconds)),
        text("Machine", machine()),
        text("Threads", rayon::current_num_threads().to_string()),
    ]
}
