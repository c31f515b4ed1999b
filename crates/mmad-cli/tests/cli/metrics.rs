//! `mmad metrics`: maps and masks of any tool.

use std::fs;

use serde_json::Value;

use super::program::{DATA_PROBLEMS, USAGE, Work, names_in};

/// A NumPy file of `f32`.
fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let shape = shape.join(", ");
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Two classes of maps of 4x6 pixels: each with two good maps and two defective ones.
fn maps_and_masks() -> Work {
    let work = Work::new();
    for (class, scale) in [("bolt", 1.0), ("nut", 7.0)] {
        for index in 0..4 {
            let map: Vec<f32> =
                (0..24).map(|i| scale * ((i * 7 + index * 5) % 23) as f32).collect();
            let mask: Vec<f32> = (0..24).map(|i| f32::from(u8::from(i % 6 > 3))).collect();
            let folder = if index < 2 { "good" } else { "scratch" };
            work.write(&format!("maps/{class}/{folder}/{index}.npy"), &npy(&[4, 6], &map));
            if index >= 2 {
                let name = format!("masks/{class}/{folder}/{index}_mask.npy");
                work.write(&name, &npy(&[4, 6], &mask));
            }
        }
    }
    work
}

fn value(results: &Value, class: usize, metric: &str) -> f64 {
    results["table"]["classes"][class]["values"][metric].as_f64().unwrap()
}

fn without_clock(mut results: Value) -> Value {
    results["seconds"] = Value::Null;
    results["peak_memory_mb"] = Value::Null;
    results
}

#[test]
fn a_data_set_is_measured_as_it_lies() {
    let work = Work::with_pictures();
    // Masks make perfect maps.
    for defect in names_in(&work.path("pics/gear/ground_truth")) {
        let folder = work.path(&format!("maps/gear/{defect}"));
        fs::create_dir_all(&folder).unwrap();
        for name in names_in(&work.path(&format!("pics/gear/ground_truth/{defect}"))) {
            let mask = work.path(&format!("pics/gear/ground_truth/{defect}/{name}"));
            fs::copy(mask, folder.join(name.replace("_mask", ""))).unwrap();
        }
    }
    for index in 0..2 {
        let name = format!("maps/gear/good/00{index}.npy");
        work.write(&name, &npy(&[1, 64, 64], &[0.0; 64 * 64]));
    }
    let ran = work.ok("metrics maps pics");
    let row = ran.stdout.lines().find(|line| line.starts_with("gear")).unwrap();
    assert_eq!(row.matches("100.0").count(), 7, "{ran}");
    assert!(ran.stderr.contains("classes without maps"), "{ran}");
    let results = work.ok("metrics maps pics --json -q").json();
    assert_eq!(results["classes"][0]["metrics"]["counts"]["images"], 8);
    // The folder of one class is one class too.
    let one = work.ok("metrics maps/gear pics/gear --json -q").json();
    assert_eq!(one["classes"][0]["metrics"], results["classes"][0]["metrics"]);
}

#[test]
fn every_form_has_the_same_numbers() {
    let work = maps_and_masks();
    let results = work.ok("metrics maps masks --json").json();
    let area = value(&results, 1, "pixel_au_roc");
    let percent = format!("{:.1}", 100.0 * area);
    for (form, start) in [("", "class"), ("--csv", "class,I-AUROC"), ("--markdown", "| class |")] {
        let ran = work.ok(&format!("metrics maps masks {form}"));
        assert!(ran.stdout.starts_with(start) && ran.stdout.contains(&percent), "{ran}");
        assert!(!ran.stdout.contains("AUPIMO"), "{ran}");
        let ran = work.ok(&format!("metrics maps masks {form} --extra"));
        assert!(ran.stdout.contains("AUPIMO") && ran.stdout.contains("IoU-max"), "{ran}");
    }
    // The order of scores is the same in both classes.
    for metric in ["pixel_au_roc", "au_pro", "image_ap"] {
        assert_eq!(value(&results, 0, metric), value(&results, 1, metric));
    }
    for threads in [1, 3] {
        let again = work.ok(&format!("metrics maps masks --json --threads {threads}")).json();
        assert_eq!(without_clock(again), without_clock(results.clone()));
    }
    work.run("metrics maps masks --csv --markdown").exits(USAGE);
}

#[test]
fn stacks_and_single_files_are_the_same_class() {
    let work = maps_and_masks();
    let folders = work.ok("metrics maps/bolt masks/bolt --json").json();
    let (mut maps, mut masks) = (Vec::new(), Vec::new());
    for index in 0..4 {
        maps.extend((0..24).map(|i| ((i * 7 + index * 5) % 23) as f32));
        masks.extend((0..24).map(|i| f32::from(u8::from(index >= 2 && i % 6 > 3))));
    }
    work.write("s/maps/bolt.npy", &npy(&[4, 4, 6], &maps));
    work.write("s/masks/bolt.npy", &npy(&[4, 1, 4, 6], &masks));
    let metrics = &folders["classes"][0]["metrics"];
    for line in ["s/maps s/masks", "s/maps/bolt.npy s/masks/bolt.npy"] {
        let stack = work.ok(&format!("metrics {line} --json")).json();
        assert_eq!(&stack["classes"][0]["metrics"], metrics, "{line}");
        assert_eq!(stack["classes"][0]["class"], "bolt");
    }
    work.write("s/masks/bolt.npy", &npy(&[3, 4, 6], &masks[..72]));
    assert!(work.fails("metrics s/maps/bolt.npy s/masks/bolt.npy").contains("has 4 pictures"));
    assert!(work.fails("metrics s/maps s/masks").contains("has 4 pictures"));
}

#[test]
fn streaming_surrounds_the_exact_values() {
    let work = maps_and_masks();
    let exact = work.ok("metrics maps masks --json").json();
    let streamed = work.ok("metrics maps masks --json --streaming").json();
    let bounds = &streamed["classes"][1]["metrics"]["bounds"];
    for metric in ["image_au_roc", "pixel_au_roc", "pixel_ap", "pixel_f1_max", "au_pro", "iou_max"]
    {
        let (low, high) = (&bounds[metric]["low"], &bounds[metric]["high"]);
        let value = value(&exact, 1, metric);
        assert!(low.as_f64().unwrap() <= value && value <= high.as_f64().unwrap(), "{bounds}");
    }
    assert!(work.ok("metrics maps masks --streaming").stdout.contains("streamed:"));
    let again = work.ok("metrics maps masks --json --streaming --threads 1").json();
    assert_eq!(without_clock(again), without_clock(streamed));
    let message = work.fails("metrics maps masks --streaming --protocol ader");
    assert!(message.contains("no protocol `ader`"), "{message}");
}

#[test]
fn protocols_and_limits_change_what_they_should() {
    let work = maps_and_masks();
    let measure = |options: &str| work.ok(&format!("metrics maps masks --json {options}")).json();
    let exact = measure("");
    assert_eq!(value(&measure("--aupro-limit 0.05"), 0, "au_pro"), value(&exact, 0, "au_pro_005"));
    let mvtec = measure("--protocol mvtec");
    assert!((value(&mvtec, 0, "au_pro") - value(&exact, 0, "au_pro")).abs() < 1e-7);
    assert_eq!(mvtec["protocol"], "mvtec");
    for protocol in ["ader", "ader-cuda"] {
        let results = measure(&format!("--protocol {protocol}"));
        assert!(value(&results, 0, "ader_dice_max") > 0.0);
        assert_ne!(value(&results, 0, "pixel_ap"), value(&exact, 0, "pixel_ap"));
    }
    assert_ne!(measure("--image-score mean")["table"]["classes"], exact["table"]["classes"]);
    for limit in ["0", "1.5", "nan"] {
        let message = work.fails(&format!("metrics maps masks --aupro-limit {limit}"));
        assert!(message.contains("--aupro-limit"), "{message}");
    }
}

#[test]
fn what_cannot_be_used_is_named_and_left_out() {
    let work = maps_and_masks();
    let mut broken = vec![0.5; 24];
    broken[7] = f32::NAN;
    work.write("maps/bolt/good/0.npy", &npy(&[4, 6], &broken));
    work.cut_short("maps/nut/scratch/2.npy");
    fs::remove_file(work.path("maps/nut/scratch/3.npy")).unwrap();
    work.write("maps/nut/good/0.txt", b"not a map");
    for options in ["", "--streaming"] {
        let line = format!("metrics maps masks {options}");
        let ran = work.run(&line).exits(DATA_PROBLEMS);
        assert!(ran.stderr.contains("skipped: map `bolt/good/0` holds `NaN` at row 1"), "{ran}");
        assert!(ran.stderr.contains("maps/nut/scratch/2.npy"), "{ran}");
        assert!(ran.stderr.contains("3_mask.npy` has no map"), "{ran}");
        assert!(ran.stderr.contains("files that are no maps, left out: 1"), "{ran}");
        assert!(ran.stdout.contains("nut: no P-AP"), "{ran}");
        let results = work.run(&format!("{line} --json")).exits(DATA_PROBLEMS).json();
        assert_eq!(results["problems"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn sizes_must_fit_unless_masks_are_resized() {
    let work = Work::new();
    let map: Vec<f32> = (0..16).map(|i| i as f32).collect();
    work.write("maps/a/0.npy", &npy(&[4, 4], &map));
    let mask: Vec<f32> = (0..64).map(|i| f32::from(u8::from(i >= 32))).collect();
    work.write("masks/a/0.npy", &npy(&[8, 8], &mask));
    let message = work.fails("metrics maps masks");
    assert!(message.contains("is 4x4, but its mask is 8x8"), "{message}");
    assert!(message.contains("--resize-masks"), "{message}");
    let results = work.ok("metrics maps masks --resize-masks --json").json();
    assert_eq!(value(&results, 0, "pixel_au_roc"), 1.0);
    let message = work.fails("metrics maps masks --resize-masks --image-score avgpool16");
    assert!(message.contains("smaller than the 16x16 pixels"), "{message}");
}

#[test]
fn what_is_missing_is_named() {
    let work = maps_and_masks();
    assert!(work.fails("metrics nowhere masks").contains("`nowhere` is not a folder"));
    assert!(work.fails("metrics maps maps/bolt/good/0.npy").contains("is not a folder"));
    assert!(work.fails("metrics maps/bolt/good/0.npy masks").contains("is not a file"));
    fs::create_dir(work.path("empty")).unwrap();
    assert!(work.fails("metrics empty masks").contains("no map in `empty`"));
    let message = work.fails("metrics maps empty");
    assert!(message.contains("looked for `bolt/good/0_mask`"), "{message}");
}
