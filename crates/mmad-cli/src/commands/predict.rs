//! `mmad predict`: verdict, score, regions and heat map for pictures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use mmad::calibrate::{ScoreScale, Verdict};
use mmad::detector::Detector;
use mmad_data::decode::decode_file;
use mmad_data::{BitRange, DecodeOptions, Picture};
use mmad_metrics::components::Components;
use mmad_report::{
    Colormap, Pixels, RgbRaster, ScoreMap, contour, encode_jpeg, encode_png, overlay,
};
use serde::Serialize;

use crate::device::DeviceArg;
use crate::failure::{Failure, Status};
use crate::output::Output;

/// Say for each picture whether it is defective, how much, and where
#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Model file written by `mmad train`
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Pictures, or folders that are searched for pictures
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Folder for an overlay (.jpg), a 16-bit map (.png) and a raw map (.npy) of each picture
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Class of the pictures; decides the threshold [default: the class that looks most alike]
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Threshold of the raw score (`score`, not `score01`, on whose scale every threshold is 0.5),
    /// instead of the model's own. Any number: raw scores of SimpleNet can be negative
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Exit with code 3 when a picture is defective, or has no verdict for want of a threshold
    #[arg(long)]
    fail_on_defect: bool,
    /// The same, and when a picture is to review
    #[arg(long)]
    fail_on_review: bool,
    /// Window of pictures with more than 8 bits: `auto`, `full`, or `LOW,HIGH`
    #[arg(long, value_name = "RANGE", default_value = "auto")]
    bit_range: BitRange,
    #[command(flatten)]
    device: DeviceArg,
}

/// What is said about one picture.
#[derive(Debug, Serialize)]
struct Prediction {
    path: PathBuf,
    class: Option<String>,
    class_given: bool,
    verdict: &'static str,
    score: f32,
    score01: Option<f32>,
    threshold: Option<f32>,
    review_threshold: Option<f32>,
    pixel_threshold: Option<f32>,
    regions: Vec<Region>,
    ms: f64,
}

/// A connected part of the map at or above the pixel threshold, in the picture's own pixels.
#[derive(Debug, Serialize)]
struct Region {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    area_px: usize,
    peak: f32,
}

/// A picture that could not be scored.
#[derive(Debug, Serialize)]
struct Unreadable {
    path: PathBuf,
    error: String,
}

pub(crate) fn run(args: &PredictArgs, output: &mut Output) -> Result<Status, Failure> {
    if let Some(threshold) = args.threshold.filter(|threshold| !threshold.is_finite()) {
        return Err(Failure::new(
            format!("`--threshold` is {threshold}"),
            "give a number on the scale of raw scores; `mmad calibrate MODEL` shows the model's",
        ));
    }
    let device = args.device.open(output)?;
    let detector = Detector::load(&args.model, &device)?;
    if let Some(class) = &args.class {
        let card = detector.card();
        let has_threshold = card.calibration.as_ref().is_some_and(|c| c.class(class).is_some());
        if !card.classes.contains(class) && !has_threshold {
            return Err(Failure::new(
                format!("class `{class}` is unknown to this model"),
                format!("the model knows: {}", card.classes.join(", ")),
            ));
        }
    }
    if args.threshold.is_none() && detector.card().calibration.is_none() {
        output.note("note: the model has no thresholds; pictures get scores but no verdict");
    } else if args.class.is_none() && args.threshold.is_none() {
        output.note(
            "note: the threshold of each picture is that of the class whose training pictures look \
             most alike; give `--class` to fix it",
        );
    }
    let files = find_pictures(&args.paths)?;
    if let Some(folder) = &args.out {
        Failure::make_folder(folder)?;
    }
    if args.csv {
        output.raw("path,class,verdict,score,score01,threshold,regions,ms\n")?;
    }
    let mut predictions = Vec::new();
    let mut unreadable = Vec::new();
    let mut names = BTreeSet::new();
    for file in files {
        match predict(&detector, &file, args, &mut names) {
            Ok(prediction) => {
                show(&prediction, args.csv, output)?;
                predictions.push(prediction);
            }
            Err(Skip::Unreadable(error)) => {
                output.warn(&format!("skipped: {error}"));
                unreadable.push(Unreadable { path: file, error });
            }
            Err(Skip::Fatal(failure)) => return Err(failure),
        }
    }
    let count = |verdict: &str| predictions.iter().filter(|p| p.verdict == verdict).count();
    let [n_defective, n_review, n_unknown] = ["defect", "review", "unknown"].map(count);
    if !args.csv {
        let mut counts =
            vec![format!("{} pictures", predictions.len()), format!("{n_defective} defective")];
        for (n, what) in [(n_review, "to review"), (n_unknown, "without a verdict")] {
            if n > 0 {
                counts.push(format!("{n} {what}"));
            }
        }
        counts.push(format!("{} unreadable", unreadable.len()));
        output.line(&counts.join(", "))?;
    }
    output.object(&serde_json::json!({
        "predictions": predictions,
        "unreadable": unreadable,
        "defective": n_defective,
        "review": n_review,
        "unknown": n_unknown,
    }))?;
    // Who asks for a gate does not want it open where nobody knows.
    let n_failed = match (args.fail_on_review, args.fail_on_defect) {
        (true, _) => n_defective + n_unknown + n_review,
        (false, true) => n_defective + n_unknown,
        (false, false) => 0,
    };
    if n_unknown > 0 && detector.card().calibration.is_some() {
        output.warn(
            "pictures of a class without a threshold have no verdict: make one with `mmad calibrate`, or \
             give `--threshold`",
        );
    }
    let is_failure = n_failed > 0;
    Ok(match (unreadable.is_empty(), is_failure) {
        (_, true) => Status::DefectsFound,
        (false, false) => Status::DataProblems,
        (true, false) => Status::Ok,
    })
}

/// Why there is no prediction for a picture.
enum Skip {
    /// The picture's own fault; the others go on.
    Unreadable(String),
    /// Results cannot be written.
    Fatal(Failure),
}

fn predict(
    detector: &Detector,
    path: &Path,
    args: &PredictArgs,
    names: &mut BTreeSet<String>,
) -> Result<Prediction, Skip> {
    let start = Instant::now();
    let options = DecodeOptions { bit_range: args.bit_range, ..DecodeOptions::default() };
    let picture = decode_file(path, &options).map_err(|e| Skip::Unreadable(e.to_string()))?;
    let scored = detector.score(&picture);
    let calibrated = detector.threshold_for(args.class.as_deref(), &scored);
    let good = calibrated.map_or(&[][..], |class| &class.scores);
    let threshold = args.threshold.or_else(|| calibrated.map(|class| class.threshold));
    let scale = threshold.map(|threshold| ScoreScale::new(threshold, good));
    let guessed = scored.nearest_class.map(|index| detector.card().classes[index].clone());
    let map = scored.map_in_picture(picture.height, picture.width);
    // A threshold from the command line is one threshold for pictures and pixels alike.
    let calibrated = calibrated.filter(|_| args.threshold.is_none());
    let verdict = match (calibrated, threshold) {
        (Some(class), _) => Some(class.verdict(scored.score)),
        (None, Some(threshold)) if scored.score >= threshold => Some(Verdict::Defect),
        (None, Some(_)) => Some(Verdict::Ok),
        (None, None) => None,
    };
    let pixel_threshold = calibrated.and_then(|class| class.pixel_threshold);
    let regions = match (verdict, pixel_threshold.or(threshold)) {
        (Some(Verdict::Review | Verdict::Defect), Some(cut)) => {
            regions_of(&map, picture.width, cut)
        }
        _ => Vec::new(),
    };
    let prediction = Prediction {
        path: path.to_owned(),
        class: args.class.clone().or(guessed),
        class_given: args.class.is_some(),
        verdict: verdict.map_or("unknown", Verdict::name),
        score: scored.score,
        score01: scale.map(|scale| scale.of(scored.score)),
        threshold,
        review_threshold: calibrated.and_then(|class| class.review),
        pixel_threshold,
        regions,
        ms: 1000.0 * start.elapsed().as_secs_f64(),
    };
    if let Some(folder) = &args.out {
        let place = folder.join(output_name(path, names));
        write_pictures(&place, &picture, &map, scale).map_err(Skip::Fatal)?;
    }
    Ok(prediction)
}

/// Regions of the map of a picture that does not pass, in its own pixels. Shrinking the map, or a
/// review threshold below the pixel threshold, can leave no pixel above; the pixel of the peak then
/// stands for the region.
fn regions_of(map: &[f32], width: usize, threshold: f32) -> Vec<Region> {
    if map.is_empty() {
        return Vec::new();
    }
    let peak = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let cut = threshold.min(peak);
    let mask: Vec<u8> = map.iter().map(|&value| u8::from(value >= cut)).collect();
    let components = Components::of(&mask, width);
    let mut regions: Vec<Region> = components
        .areas()
        .iter()
        .map(|&area_px| Region {
            x: usize::MAX,
            y: usize::MAX,
            width: 0,
            height: 0,
            area_px,
            peak: f32::NEG_INFINITY,
        })
        .collect();
    // First the far corner in width and height, then the difference to the near one.
    for run in components.runs() {
        let region = &mut regions[run.component];
        let (row, first) = (run.pixels.start / width, run.pixels.start % width);
        let last = first + run.pixels.len();
        region.x = region.x.min(first);
        region.y = region.y.min(row);
        region.width = region.width.max(last);
        region.height = region.height.max(row + 1);
        region.peak = map[run.pixels.clone()].iter().copied().fold(region.peak, f32::max);
    }
    for region in &mut regions {
        region.width -= region.x;
        region.height -= region.y;
    }
    regions.sort_by(|a, b| b.peak.total_cmp(&a.peak));
    regions
}

fn show(prediction: &Prediction, csv: bool, output: &mut Output) -> Result<(), Failure> {
    let Prediction { path, class, verdict, score, score01, threshold, regions, ms, .. } =
        prediction;
    let class = class.as_deref().unwrap_or("-");
    let number = |value: &Option<f32>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    if csv {
        let path = path.display().to_string().replace('"', "\"\"");
        output.raw(&format!(
            "\"{path}\",\"{}\",{verdict},{score},{},{},{},{ms:.1}\n",
            class.replace('"', "\"\""),
            score01.map_or(String::new(), |value| value.to_string()),
            threshold.map_or(String::new(), |value| value.to_string()),
            regions.len(),
        ))?;
        return Ok(());
    }
    let mut line = format!(
        "{}  {class}  {}  {} (raw {score:.4}, threshold {})",
        path.display(),
        verdict.to_uppercase(),
        number(score01),
        number(threshold),
    );
    if let Some(region) = regions.first() {
        let Region { x, y, width, height, .. } = region;
        let many = if regions.len() == 1 { "region" } else { "regions" };
        let n_regions = regions.len();
        line = format!("{line}  {n_regions} {many}, worst {width}x{height} at ({x}, {y})");
    }
    output.line(&format!("{line}  {ms:.0} ms"))?;
    Ok(())
}

/// Writes what `--out` promises to files whose names begin with `place`.
fn write_pictures(
    place: &Path,
    picture: &Picture,
    map: &[f32],
    scale: Option<ScoreScale>,
) -> Result<(), Failure> {
    let (width, height) = (picture.width as u32, picture.height as u32);
    let peak = map.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let scale = scale.unwrap_or_else(|| ScoreScale::new(peak, &[]));
    let values = map.iter().map(|&value| scale.of(value)).collect();
    let map01 = ScoreMap::new(width, height, values)?;
    let rgb = RgbRaster::new(width, height, picture.rgb.clone())?;
    let over = overlay(&rgb, &map01, 0.65, Colormap::Inferno)?;
    let over = contour(&over, &map01, 0.5, [0, 255, 255])?;
    let write = |suffix: &str, bytes: &[u8]| {
        let mut path = place.as_os_str().to_owned();
        path.push(suffix);
        mmad_weights::write_whole(Path::new(&path), |out| out.write_all(bytes))
    };
    write("_overlay.jpg", &encode_jpeg(&over, 90)?)?;
    write("_map.png", &encode_png(width, height, Pixels::Grey16(&map01.levels16()))?)?;
    write("_map.npy", &npy(map, picture.height, picture.width))?;
    Ok(())
}

/// A file name that keeps pictures of one name in different folders apart; one that is in `taken`
/// gets a number. The name is added to `taken`.
fn output_name(path: &Path, taken: &mut BTreeSet<String>) -> String {
    let mut parts: Vec<String> = path
        .with_extension("")
        .components()
        .rev()
        .take(3)
        .filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    parts.reverse();
    let plain = parts.join("_");
    let mut name = plain.clone();
    let mut number = 1;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{plain}_{number}");
    }
    name
}

/// A `[height, width]` map of `f32` as a NumPy file, version 1.0.
fn npy(map: &[f32], height: usize, width: usize) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}), }}");
    // The data starts at a multiple of 64 bytes: 10 before the header, a newline at its end.
    let padding = (64 - (10 + header.len() + 1) % 64) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(map.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp"];

/// The pictures among `paths`, folders searched, in order of name.
fn find_pictures(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            search(path, 0, &mut found)?;
            if found.len() == before {
                return Err(Failure::new(
                    format!("there is no picture in `{}`", path.display()),
                    "pictures are .png, .jpg, .bmp, .tif and .webp files",
                ));
            }
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

/// Deeper folders than this are a loop or a mistake.
const MAX_DEPTH: usize = 16;

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::io("read", folder, error))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        if path.is_dir() && depth < MAX_DEPTH {
            search(&path, depth + 1, found)?;
        } else if extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npy_has_an_aligned_header() {
        let bytes = npy(&[1.0, 2.0, 3.0], 1, 3);
        assert_eq!((bytes.len() - 12) % 64, 0);
        assert!(String::from_utf8_lossy(&bytes).contains("'shape': (1, 3)"));
    }

    #[test]
    fn regions_are_boxed_in_the_picture() {
        let mut map = vec![0.0; 6 * 8];
        (map[8 + 2], map[8 + 3], map[2 * 8 + 3], map[5 * 8 + 7]) = (0.9, 0.6, 0.7, 0.8);
        let regions = regions_of(&map, 8, 0.5);
        assert_eq!(regions.len(), 2);
        let Region { x, y, width, height, area_px, .. } = regions[0];
        assert_eq!((x, y, width, height, area_px), (2, 1, 2, 2, 3));
        let Region { x, y, width, height, .. } = regions[1];
        assert_eq!((x, y, width, height), (7, 5, 1, 1));
        let peak = regions_of(&map, 8, 1.5);
        assert_eq!((peak.len(), peak[0].x, peak[0].area_px), (1, 2, 1));
    }

    #[test]
    fn pictures_of_one_name_stay_apart() {
        let mut taken = BTreeSet::new();
        let mut name = |path| output_name(Path::new(path), &mut taken);
        assert_eq!(name("/a/b/c/001.png"), "b_c_001");
        assert_eq!(name("001.png"), "001");
        assert_eq!(name("001.jpg"), "001_2");
        assert_eq!(name("/z/b/c/001.png"), "b_c_001_2");
    }
}
