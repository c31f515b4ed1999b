//! A report about products that do not exist, with numbers computed from what it shows.

use mmad_report::{
    Curve, EncodedImage, MetricColumn, PicturesPerClass, Report, ReportError, ReportPicture,
    ResultTable, ScoreMap, ScoreRow, Verdict, choose_pictures,
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
    let mut pictures = Vec::new();
    let mut pixels: Vec<Vec<(f64, bool)>> = vec![Vec::new(); classes.len()];
    for i in choose_pictures(&scores, shown, seed) {
        let kind = classes.iter().position(|class| *class == scores[i].class).unwrap_or(0);
        pictures.push(picture(&scores[i], kind, &mut pixels[kind], &mut rng)?);
    }

    let images = |class: &str| -> Vec<(f64, bool)> {
        let rows = scores.iter().filter(|row| row.class == class);
        rows.map(|row| (row.score01, row.is_anomalous)).collect()
    };
    let rows: Vec<(String, Vec<Option<f64>>)> = classes
        .iter()
        .zip(&pixels)
        .map(|(class, pixels)| {
            let values = [ranking(images(class)), ranking(pixels.clone())].concat();
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
        curves: classes.iter().zip(&pixels).filter_map(|(class, p)| pixel_roc(class, p)).collect(),
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

fn picture(
    row: &ScoreRow,
    kind: usize,
    pixels: &mut Vec<(f64, bool)>,
    rng: &mut Rng,
) -> Result<ReportPicture, ReportError> {
    let defect_kind = (rng.uniform() * DEFECTS.len() as f32) as usize;
    let defect = row.is_anomalous.then(|| Defect::draw(defect_kind, rng));
    let photo = photograph(kind, defect.as_ref(), rng)?;

    let seed = (rng.uniform() * 1e6) as u64;
    let n_pixels = (SIDE_PX * SIDE_PX) as usize;
    let (mut heat, mut mask) = (Vec::with_capacity(n_pixels), Vec::with_capacity(n_pixels));
    for i in 0..n_pixels as u32 {
        let (x, y) = ((i % SIDE_PX) as f32, (i / SIDE_PX) as f32);
        let calm = 0.34 * noise(seed, x / 44.0, y / 44.0) * noise(seed + 1, x / 26.0, y / 26.0);
        let distance = defect.as_ref().map_or(1e3, |defect| defect.distance(x, y));
        heat.push(calm + (-((distance + 4.0).max(0.0) / 15.0).powi(2)).exp());
        mask.push(defect.as_ref().is_some_and(|defect| defect.covers(x, y)));
    }
    let highest = heat.iter().copied().fold(f32::MIN, f32::max);
    let values: Vec<f32> = heat.iter().map(|v| v / highest * row.score01 as f32).collect();
    let map = ScoreMap::new(SIDE_PX, SIDE_PX, values)?;
    pixels.extend(map.levels().iter().map(|&level| f64::from(level)).zip(mask.iter().copied()));

    Ok(ReportPicture {
        name: row.name.clone(),
        class: row.class.clone(),
        defect: row.is_anomalous.then(|| DEFECTS[defect_kind].to_owned()),
        verdict: match row.score01 {
            score if score >= 0.5 => Verdict::Defect,
            score if score >= 0.45 => Verdict::Review,
            _ => Verdict::Ok,
        },
        score: row.score,
        score01: row.score01,
        threshold: raw(kind, 0.5),
        picture: EncodedImage::jpeg(&photo, 80)?,
        map: EncodedImage::map(&map)?,
        mask: row.is_anomalous.then(|| EncodedImage::mask(SIDE_PX, SIDE_PX, &mask)).transpose()?,
    })
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

/// One point per grey level, from the highest down.
fn pixel_roc(class: &str, pixels: &[(f64, bool)]) -> Option<Curve> {
    let mut counts = [[0_usize; 2]; 256];
    for &(level, positive) in pixels {
        counts[level as usize][usize::from(positive)] += 1;
    }
    let [negatives, positives] =
        counts.iter().fold([0, 0], |sum, count| [sum[0] + count[0], sum[1] + count[1]]);
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut below = [0, 0];
    let mut points = vec![[0.0, 0.0]];
    for [negative, positive] in counts.iter().rev() {
        below = [below[0] + negative, below[1] + positive];
        points.push([below[0] as f64 / negatives as f64, below[1] as f64 / positives as f64]);
    }
    Some(Curve {
        class: class.into(),
        title: "ROC, pixels".into(),
        x_label: "False positive rate".into(),
        y_label: "Recall of defect pixels".into(),
        points,
        shaded_up_to: Some(0.3),
    })
}
