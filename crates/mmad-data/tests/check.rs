//! The check of a data set: each mistake is found, at its file, and a clean set stays quiet.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use mmad_data::{BitRange, CheckOptions, CheckReport, DecodeOptions, Kind, Severity, check};

/// A picture that no other number gives.
fn noise(seed: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let hash = (x * 31 + y * 57 + seed * 1013 + 7).wrapping_mul(2_654_435_761);
        Rgb([(hash >> 24) as u8, (hash >> 16) as u8, (hash >> 8) as u8])
    })
}

fn save(root: &Path, name: &str, image: impl Into<DynamicImage>) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

fn mask(marked: impl Fn(u32, u32) -> u8, width: u32, height: u32) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| Luma([marked(x, y)]))
}

/// A clean class: 20 pictures to train, 2 good and 2 defective ones to test.
fn clean(root: &Path, class: &str) {
    for i in 0..20 {
        save(root, &format!("{class}/train/good/{i:02}.png"), noise(i, 12, 10));
    }
    for i in 0..2 {
        save(root, &format!("{class}/test/good/{i}.png"), noise(30 + i, 12, 10));
        save(root, &format!("{class}/test/dent/{i}.png"), noise(40 + i, 12, 10));
        let name = format!("{class}/ground_truth/dent/{i}_mask.png");
        save(root, &name, mask(|x, _| if x < 3 { 255 } else { 0 }, 12, 10));
    }
}

fn report(root: &Path) -> CheckReport {
    check(root, &CheckOptions::default()).unwrap()
}

/// Severity and kind of all findings at a file.
fn at(report: &CheckReport, file: &str) -> Vec<(Severity, Kind)> {
    let here = report.findings.iter().filter(|f| f.file.as_deref() == Some(file));
    here.map(|finding| (finding.severity, finding.kind)).collect()
}

/// The text of the only finding of a kind.
fn only(report: &CheckReport, kind: Kind) -> (Severity, String) {
    let found: Vec<_> = report.findings.iter().filter(|f| f.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind:?}: {found:?}");
    (found[0].severity, found[0].what.clone())
}

#[test]
fn a_clean_data_set_has_no_findings() {
    let root = tempfile::tempdir().unwrap();
    clean(root.path(), "gear");
    let report = report(root.path());
    assert_eq!(report.findings, []);
    assert_eq!(report.n_pictures, 24);
    assert_eq!(report.classes[0].sizes, [("12x10".to_owned(), 24)].into());
    assert!(report.describe().ends_with("0 errors, 0 warnings, 0 notes in 24 pictures\n"));
}

#[test]
fn broken_pictures_and_masks_are_named_and_do_not_stop_the_check() {
    let root = tempfile::tempdir().unwrap();
    clean(root.path(), "gear");
    let path = root.path().join("gear/train/good/03.png");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(root.path().join("gear/test/good/0.png"), "").unwrap();
    std::fs::write(root.path().join("gear/ground_truth/dent/1_mask.png"), "no").unwrap();
    let report = report(root.path());
    let broken = [(Severity::Error, Kind::BrokenPicture)];
    assert_eq!(at(&report, "gear/train/good/03.png"), broken);
    assert_eq!(at(&report, "gear/test/good/0.png"), broken);
    assert_eq!(
        at(&report, "gear/ground_truth/dent/1_mask.png"),
        [(Severity::Error, Kind::BrokenMask)]
    );
    assert_eq!((report.count(Severity::Error), report.classes[0].broken), (3, 2));
    let empty = report.findings.iter().find(|f| f.what == "it is empty").unwrap();
    assert_eq!(empty.to_string(), "error: gear/test/good/0.png: it is empty");
}

#[test]
fn leaks_doubles_and_contradictions_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    clean(root.path(), "gear");
    let copy = |from: &str, to: &str| {
        std::fs::copy(root.path().join(from), root.path().join(to)).unwrap();
    };
    copy("gear/train/good/00.png", "gear/test/good/leak.png");
    copy("gear/train/good/01.png", "gear/train/good/twice.png");
    copy("gear/test/good/0.png", "gear/test/dent/0.png");
    let report = report(root.path());
    assert_eq!(at(&report, "gear/train/good/00.png"), [(Severity::Error, Kind::Leak)]);
    assert_eq!(at(&report, "gear/train/good/01.png"), [(Severity::Warning, Kind::Duplicate)]);
    assert_eq!(at(&report, "gear/test/good/0.png"), [(Severity::Error, Kind::ContradictoryLabel)]);
    assert!(only(&report, Kind::Leak).1.contains("`gear/test/good/leak.png`"));
    assert_eq!(report.findings.len(), 3);
}

#[test]
fn masks_are_compared_with_their_pictures() {
    let root = tempfile::tempdir().unwrap();
    clean(root.path(), "gear");
    let truth = |i: u32| format!("gear/ground_truth/dent/{i}_mask.png");
    for i in 2..6 {
        save(root.path(), &format!("gear/test/dent/{i}.png"), noise(60 + i, 12, 10));
    }
    save(root.path(), &truth(0), mask(|x, _| u8::from(x == 0), 10, 12));
    save(root.path(), &truth(1), mask(|_, _| 0, 12, 10));
    save(root.path(), &truth(2), mask(|_, _| 255, 12, 10));
    save(root.path(), &truth(3), mask(|x, _| x as u8, 12, 10));
    save(root.path(), &truth(4), mask(|x, _| u8::from(x == 0), 12, 10));
    save(root.path(), &truth(9), mask(|x, _| u8::from(x == 0), 12, 10));
    let report = report(root.path());
    assert_eq!(at(&report, &truth(0)), [(Severity::Error, Kind::MaskSize)]);
    let (_, what) = only(&report, Kind::MaskSize);
    assert_eq!(what, "10x12 pixels, but its picture `gear/test/dent/0.png` has 12x10");
    assert_eq!(at(&report, &truth(1)), [(Severity::Error, Kind::EmptyMask)]);
    assert_eq!(at(&report, &truth(2)), [(Severity::Warning, Kind::FullMask)]);
    assert_eq!(at(&report, &truth(3)), [(Severity::Warning, Kind::MaskLevels)]);
    assert_eq!(at(&report, &truth(4)), []);
    assert_eq!(at(&report, "gear/test/dent/5.png"), [(Severity::Error, Kind::MissingMask)]);
    assert_eq!(at(&report, &truth(9)), [(Severity::Warning, Kind::ExtraMask)]);
}

#[test]
fn odd_pictures_are_told() {
    let root = tempfile::tempdir().unwrap();
    clean(root.path(), "gear");
    let good = root.path().join("gear/train/good");
    RgbImage::from_pixel(12, 10, Rgb([9, 8, 7])).save(good.join("flat.png")).unwrap();
    RgbaImage::from_fn(12, 10, |x, y| Rgba([x as u8, y as u8, 3, 4]))
        .save(good.join("a.png"))
        .unwrap();
    noise(90, 14, 10).save(good.join("wide.png")).unwrap();
    noise(91, 12, 10).save_with_format(good.join("lie.jpg"), image::ImageFormat::Png).unwrap();
    noise(92, 12, 10).save(good.join("00 copy.png")).unwrap();
    let report = report(root.path());
    let (_, what) = only(&report, Kind::ConstantPicture);
    assert_eq!(what, "every pixel has the same colour (9, 8, 7)");
    assert_eq!(only(&report, Kind::Alpha).1, "transparency dropped in 1 of 29");
    assert_eq!(only(&report, Kind::MixedModes).1, "colour types differ: rgb8 (28), rgba8 (1)");
    assert_eq!(only(&report, Kind::MixedSizes).1, "2 sizes: 12x10 (28), 14x10 (1)");
    let suspicious = [(Severity::Warning, Kind::SuspiciousName)];
    assert_eq!(at(&report, "gear/train/good/lie.jpg"), suspicious);
    assert_eq!(at(&report, "gear/train/good/00 copy.png"), suspicious);
}

/// Two pictures of one class fall on both sides of 12 bits: automatic windows differ, and a fixed
/// one is named that fits both.
#[test]
fn deep_pictures_tell_their_windows() {
    let root = tempfile::tempdir().unwrap();
    let deep = |name: &str, min: u16, max: u16| {
        let values = ImageBuffer::from_fn(6, 5, |x, y| {
            Luma([if (x, y) == (0, 0) { max } else { min + (x + 6 * y) as u16 }])
        });
        save(root.path(), name, DynamicImage::ImageLuma16(values));
    };
    deep("cap/good/0.png", 310, 4000);
    deep("cap/good/1.png", 400, 5120);
    let report = report(root.path());
    let finding = report.findings.iter().find(|f| f.kind == Kind::DeepPictures).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(
        finding.what,
        "2 pictures with more than 8 bits, values 311 to 5120, read with `--bit-range auto` as \
         0..4095 (1), 0..8191 (1)"
    );
    assert_eq!(
        finding.fix.as_deref(),
        Some("`--bit-range 311,5120` holds all values of the class")
    );

    let check_with = |text: &str| {
        let bit_range: BitRange = text.parse().unwrap();
        let decode = DecodeOptions { bit_range, ..DecodeOptions::default() };
        let options = CheckOptions { decode, ..CheckOptions::default() };
        only(&check(root.path(), &options).unwrap(), Kind::DeepPictures)
    };
    assert_eq!(check_with("311,5120").0, Severity::Note);
    let (severity, what) = check_with("311,5000");
    assert_eq!(severity, Severity::Warning);
    assert!(what.ends_with("; 3 values lie outside and are lost"), "{what}");
}

#[test]
fn small_classes_and_odd_folder_names_are_told() {
    let root = tempfile::tempdir().unwrap();
    for i in 0..4 {
        save(root.path(), &format!("Gear/good/{i}.png"), noise(i, 8, 8));
        save(root.path(), &format!("gear/good/{i}.png"), noise(10 + i, 8, 8));
        save(root.path(), &format!("gear/no_defect/{i}.png"), noise(20 + i, 8, 8));
    }
    let report = report(root.path());
    let of = |kind: Kind| report.findings.iter().filter(move |f| f.kind == kind);
    assert_eq!(of(Kind::TinyClass).count(), 2);
    let suspicious: Vec<&str> = of(Kind::SuspiciousName).map(|f| &*f.what).collect();
    assert_eq!(
        suspicious,
        [
            "`Gear` and `gear` are two classes",
            "`no_defect` is read as a kind of defect, but sounds like good pictures"
        ]
    );
}

#[test]
fn a_class_without_training_pictures_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let mut csv = "object,split,label,image,mask\n".to_owned();
    save(root.path(), "c/0.png", noise(0, 8, 8));
    csv.push_str("c,test,normal,c/0.png,\n");
    std::fs::create_dir(root.path().join("split_csv")).unwrap();
    std::fs::write(root.path().join("split_csv/1cls.csv"), csv).unwrap();
    let (severity, what) = only(&report(root.path()), Kind::TinyClass);
    assert_eq!((severity, &*what), (Severity::Error, "no good picture to train with"));
}

#[test]
fn findings_are_ordered_and_the_report_is_the_same_every_time() {
    let root = tempfile::tempdir().unwrap();
    clean(root.path(), "gear");
    clean(root.path(), "cap");
    std::fs::write(root.path().join("gear/train/good/05.png"), "").unwrap();
    std::fs::write(root.path().join("readme.txt"), "").unwrap();
    let first = report(root.path());
    // The two classes hold the same 24 pictures, of which one was emptied.
    assert_eq!(first.findings.iter().filter(|f| f.kind == Kind::Duplicate).count(), 23);
    assert!(first.findings.windows(2).all(|pair| pair[0].severity <= pair[1].severity));
    let json = |report: &CheckReport| serde_json::to_string(report).unwrap();
    let again = report(root.path());
    assert_eq!(json(&first), json(&again));
    let parsed: serde_json::Value = serde_json::from_str(&json(&first)).unwrap();
    assert_eq!(parsed["findings"][0]["kind"], "broken-picture");
    assert_eq!(parsed["classes"][0]["train_good"], 20);
}
