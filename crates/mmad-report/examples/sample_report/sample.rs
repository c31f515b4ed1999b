//! A report about products that do not exist, with numbers computed from what it shows.

use mmad_report::{
    CalibratedClass, CalibrationCard, Confusion, Curve, EncodedImage, MetricColumn,
    PicturesPerClass, Rate, Report, ReportError, ReportPicture, ResultTable, RgbRaster, ScoreMap,
    ScoreRow, SheetBuilder, Verdict, choose_pictures,
};

use crate::scene::{DEFECTS, Defect, Rng, SIDE_PX, noise, photograph};

const CLASSES: [&str; 15] = [
    "bottle cap",
    "hex nut",
    "woven cloth",
    "circuit board",
    "terrazzo tile",
    "jar lid",
    "bolt head",
    "denim",
    "sensor board",
    "floor tile",
    "coin blank",
    "steel nut",
    "canvas",
    "led board",
    "countertop",
];

/// The shares of correct ranking that the table shows: AU-ROC, average precision, best F1.
type Ranking = [Option<f64>; 3];

/// How large the sample is. The last class has no defective parts, as happens in a factory.
pub(crate) struct SampleSize {
    /// Product classes, at most 15.
    pub(crate) n_classes: usize,
    /// Test pictures of each class.
    pub(crate) scores_per_class: usize,
    /// Pictures shown of each class.
    pub(crate) pictures_per_class: usize,
}

/// Makes the report; the same size and seed make the same report.
pub(crate) fn sample_report(size: &SampleSize, seed: u64) -> Result<Report, ReportError> {
    let mut rng = Rng(seed);
    let classes = &CLASSES[..size.n_classes.min(CLASSES.len())];
    let scores: Vec<ScoreRow> = classes
        .iter()
        .enumerate()
        .flat_map(|(kind, class)| {
            let only_good = kind + 1 == classes.len();
            class_scores(class, kind, only_good, size.scores_per_class, &mut rng)
        })
        .collect();

    let third = size.pictures_per_class / 3;
    let shown = PicturesPerClass {
        worst_good: third,
        worst_defective: third,
        random: size.pictures_per_class - 2 * third,
    };
    let kind_of = |class: &str| classes.iter().position(|name| *name == class).unwrap_or(0);
    let mut pictures = Vec::new();
    let mut pixels: Vec<Vec<Pixels>> = classes.iter().map(|_| Vec::new()).collect();
    for i in choose_pictures(&scores, shown, seed) {
        let kind = kind_of(&scores[i].class);
        let scene = Scene::new(&scores[i], kind, SIDE_PX, seed + i as u64)?;
        pictures.push(picture(&scores[i], kind, &scene)?);
        pixels[kind].push(Pixels { levels: scene.map.levels(), mask: scene.mask });
    }
    let mut sheets = Vec::new();
    for class in classes {
        let mut sheet = SheetBuilder::new();
        for (i, row) in scores.iter().enumerate().filter(|(_, row)| row.class == *class) {
            let scene = Scene::new(row, kind_of(class), 56, seed + i as u64)?;
            sheet.push(&scene.photo, &scene.map);
        }
        sheets.extend(sheet.finish(class)?);
    }

    let images = |class: &str| -> Vec<(f64, bool)> {
        let rows = scores.iter().filter(|row| row.class == class);
        rows.map(|row| (row.score01, row.is_anomalous)).collect()
    };
    let rows: Vec<(String, Vec<Option<f64>>)> = classes
        .iter()
        .zip(&pixels)
        .map(|(class, pixels)| {
            let flat = pixels.iter().flat_map(Pixels::pairs).collect();
            let values = [ranking(images(class)), ranking(flat)].concat();
            ((*class).to_owned(), values)
        })
        .collect();
    let mean: Vec<Option<f64>> = (0..6).map(|column| mean_of(&rows, column)).collect();
    let m_ad = mean.iter().copied().sum::<Option<f64>>().map(|sum| sum / mean.len() as f64);
    let last = classes.last().copied().unwrap_or_default();

    let bytes: usize = pictures.iter().map(|p| p.picture.bytes().len() + p.map.bytes().len()).sum();
    let pair = |name: &str, value: String| (name.to_owned(), value);
    Ok(Report {
        title: "Defect report, sample parts".into(),
        subtitle: format!("Generated pictures of {} products, seed {seed}", classes.len()),
        run_card: vec![
            pair("Data", format!("procedural, {SIDE_PX} x {SIDE_PX} pixels")),
            pair("Model", "none: maps are drawn around the known defects".into()),
            pair("Seed", seed.to_string()),
            pair("Program", format!("mmad-report {}", env!("CARGO_PKG_VERSION"))),
        ],
        table: ResultTable {
            metrics: [
                ("image_auroc", "I-AUROC"),
                ("image_ap", "I-AP"),
                ("image_f1_max", "I-F1"),
                ("pixel_auroc", "P-AUROC"),
                ("pixel_ap", "P-AP"),
                ("pixel_f1_max", "P-F1"),
            ]
            .map(|(id, heading)| MetricColumn { id: id.into(), heading: heading.into() })
            .into(),
            rows,
            mean,
            m_ad,
            notes: vec![
                format!(
                    "-: undefined for {last}, which has no defective test pictures; it is \
                         left out of the means."
                ),
                "Pixel columns are computed over the pictures shown.".into(),
            ],
        },
        configuration: "# What a real run would print here\nseed = 7\n\n[data]\nheight_px = 256\n\
                        width_px = 256\n"
            .into(),
        curves: classes.iter().zip(&pixels).flat_map(|(class, p)| pixel_curves(class, p)).collect(),
        calibration: Some(calibration(classes, &scores)),
        sheets,
        findings: vec![format!(
            "Class {last} has no defective test pictures: misses cannot be \
                                counted there."
        )],
        timings: vec![
            pair("Pictures in this page", pictures.len().to_string()),
            pair("Their size", format!("{:.2} MB", bytes as f64 / 1e6)),
        ],
        pictures,
        scores,
    })
}

fn class_scores(
    class: &str,
    kind: usize,
    only_good: bool,
    n: usize,
    rng: &mut Rng,
) -> Vec<ScoreRow> {
    let quality = 0.72 + 0.06 * (kind % 4) as f32;
    (0..n)
        .map(|i| {
            let is_anomalous = !only_good && i % 5 >= 3;
            let score01 = if is_anomalous {
                (quality + 0.17 * rng.normal()).max(0.2)
            } else {
                (0.33 + 0.075 * rng.normal()).max(0.05)
            };
            let score01 = f64::from(score01);
            let name = format!("{i:03}.png");
            ScoreRow { class: class.into(), name, is_anomalous, score01, score: raw(kind, score01) }
        })
        .collect()
}

/// Every class has its own raw scale, as real models have.
fn raw(kind: usize, score01: f64) -> f64 {
    0.011 + 0.002 * kind as f64 + 0.06 * score01
}

/// One generated picture with its map.
struct Scene {
    photo: RgbRaster,
    map: ScoreMap,
    mask: Vec<bool>,
    defect_kind: Option<usize>,
}

/// What the pixel curves need of a picture.
struct Pixels {
    levels: Vec<u8>,
    mask: Vec<bool>,
}

impl Pixels {
    fn pairs(&self) -> impl Iterator<Item = (f64, bool)> {
        self.levels.iter().map(|&level| f64::from(level)).zip(self.mask.iter().copied())
    }
}

impl Scene {
    fn new(row: &ScoreRow, kind: usize, side: u32, seed: u64) -> Result<Self, ReportError> {
        let rng = &mut Rng(seed ^ 0x5eed);
        let defect_kind = row.is_anomalous.then(|| (rng.uniform() * DEFECTS.len() as f32) as usize);
        let defect = defect_kind.map(|kind| Defect::draw(kind, rng));
        let noise_seed = (rng.uniform() * 1e6) as u64;
        let photo = photograph(kind, defect.as_ref(), side, rng)?;
        let (mut heat, mut mask) = (Vec::new(), Vec::new());
        let step = SIDE_PX as f32 / side as f32;
        for i in 0..side * side {
            let (x, y) = (step * (i % side) as f32, step * (i / side) as f32);
            let waves =
                noise(noise_seed, x / 44.0, y / 44.0) * noise(noise_seed + 1, x / 26.0, y / 26.0);
            let distance = defect.as_ref().map_or(1e3, |defect| defect.distance(x, y));
            heat.push(0.34 * waves + (-((distance + 4.0).max(0.0) / 15.0).powi(2)).exp());
            mask.push(defect.as_ref().is_some_and(|defect| defect.covers(x, y)));
        }
        let highest = heat.iter().copied().fold(f32::MIN, f32::max);
        let values = heat.iter().map(|v| v / highest * row.score01 as f32).collect();
        Ok(Self { photo, map: ScoreMap::new(side, side, values)?, mask, defect_kind })
    }
}

fn picture(row: &ScoreRow, kind: usize, scene: &Scene) -> Result<ReportPicture, ReportError> {
    Ok(ReportPicture {
        name: row.name.clone(),
        class: row.class.clone(),
        defect: scene.defect_kind.map(|kind| DEFECTS[kind].to_owned()),
        verdict: match row.score01 {
            score if score >= 0.5 => Verdict::Defect,
            score if score >= REVIEW01 => Verdict::Review,
            _ => Verdict::Ok,
        },
        score: row.score,
        score01: row.score01,
        threshold: raw(kind, 0.5),
        picture: EncodedImage::jpeg(&scene.photo, 78)?,
        map: EncodedImage::map(&scene.map.halved())?,
        mask: match scene.defect_kind {
            Some(_) => Some(EncodedImage::mask(SIDE_PX, SIDE_PX, &scene.mask)?),
            None => None,
        },
    })
}

/// Where the sample's review band begins.
pub(crate) const REVIEW01: f64 = 0.45;

fn calibration(classes: &[&str], scores: &[ScoreRow]) -> CalibrationCard {
    let entry = |(kind, class): (usize, &&str)| {
        let rows = scores.iter().filter(|row| row.class == *class);
        let counts = Confusion::at(rows, 0.5);
        let n_good = 24 + 9 * kind;
        let (n, half) = (counts.n_good() as f64, 1.0 / (counts.n_good() as f64).sqrt());
        let share = counts.false_rejects as f64 / n;
        CalibratedClass {
            class: (*class).to_owned(),
            basis: if n_good >= 49 { "guaranteed on average" } else { "too few for a guarantee" }
                .into(),
            threshold: raw(kind, 0.5),
            review: Some(raw(kind, REVIEW01)),
            review01: Some(REVIEW01),
            pixel_threshold: Some(raw(kind, 0.47)),
            n_good,
            n_defective: 0,
            expected: Some(Rate {
                share: 1.0 / (n_good + 1) as f64,
                low: 0.0,
                high: 1.0 - 0.025_f64.powf(1.0 / n_good as f64),
            }),
            tested: Some(Rate {
                share,
                low: (share - half * 0.3).max(0.0),
                high: share + half * 0.6,
            }),
        }
    };
    CalibrationCard {
        notes: vec![
            "Thresholds for at most 2 % of good parts rejected. These are invented.".into(),
        ],
        max_false_reject_rate: Some(0.02),
        classes: classes.iter().enumerate().map(entry).collect(),
    }
}

/// AU-ROC (ties one half), average precision and best F1; undefined without both kinds.
fn ranking(mut scored: Vec<(f64, bool)>) -> Ranking {
    let positives = scored.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = scored.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return [None; 3];
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut hits, mut alarms, mut area, mut precision, mut f1) = (0.0, 0.0, 0.0, 0.0, 0.0_f64);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let new_hits = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        let new_alarms = tied.len() as f64 - new_hits;
        area += new_alarms * (hits + new_hits / 2.0);
        (hits, alarms) = (hits + new_hits, alarms + new_alarms);
        precision += new_hits * hits / (hits + alarms);
        f1 = f1.max(2.0 * hits / (positives + hits + alarms));
    }
    [Some(area / (positives * negatives)), Some(precision / positives), Some(f1)]
}

fn mean_of(rows: &[(String, Vec<Option<f64>>)], column: usize) -> Option<f64> {
    let values: Vec<f64> = rows.iter().filter_map(|(_, values)| values[column]).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// ROC, precision-recall and region overlap over pixels, one point per grey level from the highest
/// down. A picture has one region at most.
fn pixel_curves(class: &str, pictures: &[Pixels]) -> Vec<Curve> {
    let mut counts = [[0.0_f64; 2]; 256];
    let mut overlap = [0.0_f64; 256];
    let n_regions = pictures.iter().filter(|picture| picture.mask.contains(&true)).count() as f64;
    for Pixels { levels, mask } in pictures {
        let area = mask.iter().filter(|&&defect| defect).count() as f64;
        for (&level, &defect) in levels.iter().zip(mask) {
            counts[usize::from(level)][usize::from(defect)] += 1.0;
            if defect {
                overlap[usize::from(level)] += 1.0 / (area * n_regions);
            }
        }
    }
    let [negatives, positives] =
        counts.iter().fold([0.0, 0.0], |sum, count| [sum[0] + count[0], sum[1] + count[1]]);
    if positives == 0.0 || negatives == 0.0 {
        return Vec::new();
    }
    let (mut alarms, mut hits, mut pro) = (0.0, 0.0, 0.0);
    let (mut roc, mut recall, mut regions, mut thresholds) = (vec![], vec![], vec![], vec![]);
    for level in (0..256).rev() {
        alarms += counts[level][0];
        hits += counts[level][1];
        pro += overlap[level];
        if hits + alarms > 0.0 {
            roc.push([alarms / negatives, hits / positives]);
            recall.push([hits / positives, hits / (hits + alarms)]);
            regions.push([alarms / negatives, pro]);
            thresholds.push(level as f64 / 255.0);
        }
    }
    let round = |value: f64| (1e5 * value).round() / 1e5;
    let curve = |title: &str, x: &str, y: &str, points: Vec<[f64; 2]>, limit: Option<f64>| Curve {
        class: class.into(),
        title: title.into(),
        x_label: x.into(),
        y_label: y.into(),
        note: String::new(),
        points: points.into_iter().map(|point| point.map(round)).collect(),
        thresholds: thresholds.iter().copied().map(round).collect(),
        shaded_up_to: limit,
    };
    let alarm = "False positive rate";
    vec![
        curve("ROC, pixels", alarm, "Recall of defect pixels", roc, None),
        curve("Precision and recall, pixels", "Recall", "Precision", recall, None),
        curve("Region overlap (PRO)", alarm, "Mean overlap with regions", regions, Some(0.3)),
    ]
}
