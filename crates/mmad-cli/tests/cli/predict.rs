//! `mmad predict`: verdicts, exit codes, kinds of pictures, and the files beside them.

use std::path::Path;

use mmad_data::decode::decode_file;
use mmad_data::{DecodeOptions, Picture};
use mmad_report::{Pixels, encode_png};
use serde_json::Value;

use super::program::{DATA_PROBLEMS, DEFECTS, ERROR, TINY, Work, names_in};

fn decoded(path: &Path) -> Picture {
    decode_file(path, &DecodeOptions::default()).unwrap()
}

#[test]
fn files_and_folders_are_searched_in_order() {
    let work = Work::with_model();
    let line = "predict run/model.mmad pics/wood/test/good/001.png pics/gear/test --json";
    let ran = work.ok(line);
    assert!(ran.stderr.contains("give `--class` to fix it"), "{ran}");
    let json = ran.json();
    let predictions = json["predictions"].as_array().unwrap();
    let paths: Vec<&str> =
        predictions.iter().map(|prediction| prediction["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), 9);
    assert_eq!(paths[0], "pics/wood/test/good/001.png");
    assert!(paths[1..].is_sorted() && paths[1].starts_with("pics/gear/test/"), "{paths:?}");
    assert_eq!(json["unreadable"].as_array().unwrap().len(), 0);
    for prediction in predictions {
        let class =
            if prediction["path"].as_str().unwrap().contains("gear") { "gear" } else { "wood" };
        assert_eq!(prediction["class"], class, "the class that looks most alike");
        let [score, score01, threshold] =
            ["score", "score01", "threshold"].map(|name| prediction[name].as_f64().unwrap());
        let expected = if score >= threshold { "defect" } else { "ok" };
        assert_eq!(prediction["verdict"], expected);
        assert_eq!(score01 >= 0.5, score >= threshold, "{prediction}");
        let regions = prediction["regions"].as_array().unwrap();
        assert_eq!(regions.is_empty(), expected == "ok", "{prediction}");
        for region in regions {
            let [x, y, width, height] =
                ["x", "y", "width", "height"].map(|name| region[name].as_u64().unwrap());
            assert!(width > 0 && height > 0 && x + width <= 64 && y + height <= 64, "{region}");
            assert!(region["area_px"].as_u64().unwrap() <= width * height);
        }
    }
}

#[test]
fn csv_has_a_row_per_picture() {
    let work = Work::with_model();
    let ran = work.ok("predict run/model.mmad pics/gear/test --csv --class gear -q");
    let rows: Vec<Vec<&str>> = ran.stdout.lines().map(|row| row.split(',').collect()).collect();
    assert_eq!(
        rows[0],
        ["path", "class", "verdict", "score", "score01", "threshold", "regions", "ms"]
    );
    assert_eq!(rows.len(), 9);
    let json = work.ok("predict run/model.mmad pics/gear/test --json --class gear").json();
    for (row, prediction) in rows[1..].iter().zip(json["predictions"].as_array().unwrap()) {
        assert_eq!(row[0].trim_matches('"'), prediction["path"].as_str().unwrap());
        assert_eq!(row[2], prediction["verdict"].as_str().unwrap());
        let score: f32 = row[3].parse().unwrap();
        assert_eq!(f64::from(score), prediction["score"].as_f64().unwrap());
    }
}

#[test]
fn exit_codes_tell_defects_and_data_problems() {
    let work = Work::with_model();
    let line = "predict run/model.mmad pics/gear/test/good";
    work.ok(&format!("{line} --threshold 1e-6"));
    let ran = work.run(&format!("{line} --threshold 1e-6 --fail-on-defect")).exits(DEFECTS);
    assert!(ran.stdout.contains("2 pictures, 2 defective, 0 unreadable"), "{ran}");
    let ran = work.ok(&format!("{line} --threshold 1e6 --fail-on-defect"));
    assert!(ran.stdout.contains("2 pictures, 0 defective"), "{ran}");
    // Raw scores of some methods are negative, and so are their thresholds.
    for threshold in ["0", "-1.5"] {
        let ran = work.run(&format!("{line} --threshold {threshold} --fail-on-defect"));
        assert!(ran.exits(DEFECTS).stdout.contains("2 pictures, 2 defective"), "{threshold}");
    }

    work.write("pics/gear/test/good/zz.png", b"no picture at all");
    work.write("pics/gear/test/good/empty.jpg", b"");
    let ran = work.run(&format!("{line} --threshold 1e6 --json")).exits(DATA_PROBLEMS);
    let unreadable = ran.json()["unreadable"].clone();
    let paths: Vec<&Value> = unreadable.as_array().unwrap().iter().map(|u| &u["path"]).collect();
    assert_eq!(paths, ["pics/gear/test/good/empty.jpg", "pics/gear/test/good/zz.png"]);
    assert!(ran.stderr.contains("zz.png") && ran.stderr.contains("empty.jpg"), "{ran}");
    // A defect is the worse news, and so is a picture that nobody can judge.
    work.run(&format!("{line} --threshold 1e-6 --fail-on-defect")).exits(DEFECTS);
    work.run("predict run/model.mmad nowhere.png -q").exits(DATA_PROBLEMS);
    work.ok(&format!("train pics -o bare {TINY} --epochs 1 --set data.calibration_share=0"));
    let ran = work.run("predict bare/model.mmad pics/wood/test --json --fail-on-defect");
    assert!(ran.exits(DEFECTS).json()["unknown"].as_u64().unwrap() > 0);
}

#[test]
fn wrong_arguments_are_errors() {
    let work = Work::with_model();
    work.write("texts/a.txt", b"text");
    for (line, expected) in [
        ("predict run/model.mmad pics/gear/test --class gaer", "the model knows: gear, wood"),
        ("predict run/model.mmad pics/gear/test --threshold inf", "`--threshold` is inf"),
        ("predict run/model.mmad pics/gear/test --threshold nan", "scale of raw scores"),
        ("predict run/model.mmad texts -q", "there is no picture in `texts`"),
        ("predict nowhere.mmad pics -q", "`nowhere.mmad`"),
    ] {
        assert!(work.fails(line).contains(expected), "{line}");
    }
    let ran = work.run("predict run/model.mmad pics/gear/test -o run/model.mmad").exits(ERROR);
    assert!(ran.stderr.contains("cannot make the folder `run/model.mmad`"), "{ran}");
}

/// A picture with something in it, `channels` values per pixel.
fn values(n_pixels: usize, channels: usize) -> Vec<u8> {
    (0..n_pixels * channels).map(|i| (i * 7 % 251) as u8).collect()
}

fn png(width: u32, height: u32, pixels: Pixels<'_>) -> Vec<u8> {
    encode_png(width, height, pixels).unwrap()
}

#[test]
fn every_kind_of_picture_is_scored_and_mapped_in_its_own_size() {
    let work = Work::with_model();
    let deep: Vec<u16> = (0..50 * 40).map(|i| i * 13).collect();
    work.write("kinds/grey.png", &png(70, 90, Pixels::Grey8(&values(70 * 90, 1))));
    work.write("kinds/deep.png", &png(50, 40, Pixels::Grey16(&deep)));
    work.write("kinds/wide.png", &png(300, 20, Pixels::Rgb8(&values(300 * 20, 3))));
    work.write("kinds/tall.png", &png(1, 130, Pixels::Rgb8(&values(130, 3))));
    work.write("kinds/dot.png", &png(1, 1, Pixels::Rgb8(&[9, 9, 9])));
    let alpha = include_bytes!("../../../mmad-data/tests/fixtures/pictures/rgba.png");
    work.write("kinds/alpha.png", alpha);
    let json = work.ok("predict run/model.mmad kinds -o maps --json").json();
    let predictions = json["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 6, "{json}");
    assert_eq!(names_in(&work.path("maps")).len(), 18);
    for prediction in predictions {
        let path = prediction["path"].as_str().unwrap();
        let picture = decoded(&work.path(path));
        let (width, height) = (picture.width, picture.height);
        let name = path.replace('/', "_").replace(".png", "");
        for suffix in ["_overlay.jpg", "_map.png"] {
            let written = decoded(&work.path(&format!("maps/{name}{suffix}")));
            assert_eq!((written.width, written.height), (width, height), "{name}{suffix}");
        }
        let map = npy(&work.path(&format!("maps/{name}_map.npy")), height, width);
        assert!(map.iter().all(|value| value.is_finite() && *value >= 0.0), "{path}");
        let peak = f64::from(map.iter().copied().fold(0.0, f32::max));
        let score = prediction["score"].as_f64().unwrap();
        // Bringing the map to the picture's size mixes neighbours, which adds nothing.
        assert!(peak > 0.0 && peak <= score * (1.0 + 1e-5), "{path}: {peak} of {score}");
    }
}

/// The values of a `[height, width]` map in a NumPy file.
fn npy(path: &Path, height: usize, width: usize) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    assert!(header.contains(&format!("'shape': ({height}, {width})")), "{header}");
    assert!(header.contains("'descr': '<f4'") && header.contains("'fortran_order': False"));
    assert_eq!((start % 64, bytes.len() - start), (0, 4 * height * width));
    let values = bytes[start..].chunks_exact(4);
    values.map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

#[test]
fn pictures_of_one_name_do_not_overwrite_each_other() {
    let work = Work::with_model();
    work.ok("predict run/model.mmad pics/gear/test -o maps -q");
    assert_eq!(names_in(&work.path("maps")).len(), 3 * 8);
    let picture = std::fs::read(work.path("pics/gear/test/good/000.png")).unwrap();
    for name in ["line1/a/b/1.png", "line2/a/b/1.png", "line2/a/b/1.jpg"] {
        work.write(name, &picture);
    }
    work.ok("predict run/model.mmad line1 line2 -o lines -q");
    assert_eq!(names_in(&work.path("lines")).len(), 3 * 3);
}

#[test]
fn output_can_be_cut_off() {
    let work = Work::with_model();
    let mut child = work
        .command("predict run/model.mmad pics/gear/test -q")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // As in `mmad predict … | true`.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
