//! `mmad calibrate`: thresholds change, weights do not.

use serde_json::Value;

use super::program::{DATA_PROBLEMS, Work};

fn class<'a>(calibration: &'a Value, name: &str) -> &'a Value {
    let classes = calibration["classes"].as_array().unwrap();
    classes.iter().find(|row| row["class"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn threshold(calibration: &Value, name: &str) -> f64 {
    class(calibration, name)["threshold"].as_f64().unwrap()
}

#[test]
fn thresholds_decide_verdicts_without_training() {
    let work = Work::with_model();
    let weights = work.tensors("run/model.mmad");
    let defective = |expected: u64| {
        let json = work.ok("predict run/model.mmad pics/gear/test --class gear --json").json();
        assert_eq!(json["defective"], expected);
    };
    work.ok("calibrate run/model.mmad --set gear=0.000001");
    defective(8);
    let wood = threshold(&work.ok("calibrate run/model.mmad --json").json(), "wood");
    let shown = work.ok("calibrate run/model.mmad --set gear=1e6 --json").json();
    defective(0);
    assert_eq!((threshold(&shown, "gear"), threshold(&shown, "wood")), (1e6, wood));
    assert_eq!(class(&shown, "gear")["basis"], "manual");
    assert!(work.tensors("run/model.mmad") == weights, "the weights changed");
    work.ok("verify run/model.mmad");
}

#[test]
fn another_rate_uses_the_scores_in_the_file() {
    let work = Work::with_model();
    let strict = work.ok("calibrate run/model.mmad --max-fpr 0.01 --json").json();
    let loose = work.ok("calibrate run/model.mmad --max-fpr 0.5 --json").json();
    assert_eq!(loose["max_false_reject_rate"], 0.5);
    for name in ["gear", "wood"] {
        assert!(threshold(&loose, name) < threshold(&strict, name), "{loose} {strict}");
        // Four scores promise a half, and no hundredth.
        assert_eq!(class(&loose, name)["basis"], "conformal");
        assert_eq!(class(&strict, name)["basis"], "beyond-largest");
        assert_eq!(class(&loose, name)["held_out"], 4);
    }
    let text = work.ok("calibrate run/model.mmad --max-fpr 0.01").stdout;
    assert!(text.contains("no guarantee: needs at least 99 held-out pictures"), "{text}");
    assert_eq!(work.ok("calibrate run/model.mmad --json").json(), strict);
}

#[test]
fn looking_changes_nothing() {
    let work = Work::with_model();
    let before = std::fs::read(work.path("run/model.mmad")).unwrap();
    work.ok("calibrate run/model.mmad");
    work.ok("calibrate run/model.mmad --data pics");
    assert_eq!(std::fs::read(work.path("run/model.mmad")).unwrap(), before);
}

#[test]
fn new_good_pictures_give_new_thresholds() {
    let work = Work::with_model();
    let before = work.ok("calibrate run/model.mmad --json").json();
    std::fs::create_dir_all(work.path("new")).unwrap();
    std::fs::rename(work.path("pics/gear"), work.path("new/gear")).unwrap();
    let after = work.ok("calibrate run/model.mmad --good new --json").json();
    assert_eq!(class(&after, "gear")["held_out"], 10, "8 for training and 2 for testing are good");
    assert_eq!(class(&after, "wood"), class(&before, "wood"), "wood had no new pictures");

    work.cut_short("new/gear/train/good/000.png");
    let ran = work.run("calibrate run/model.mmad --good new -q --json").exits(DATA_PROBLEMS);
    assert!(ran.stderr.contains("000.png"), "{ran}");
    assert_eq!(class(&ran.json(), "gear")["held_out"], 9);
}

#[test]
fn a_plain_folder_calibrates_a_model_of_one_class() {
    let work = Work::with_pictures();
    let tiny = super::program::TINY;
    work.ok(&format!("train pics -o run {tiny} --epochs 1 --class gear"));
    let shown = work.ok("calibrate run/model.mmad --good pics/gear/train/good --json").json();
    assert_eq!(class(&shown, "gear")["held_out"], 8);
}

#[test]
fn thresholds_are_never_lost_to_a_mistake() {
    let work = Work::with_model();
    let before = std::fs::read(work.path("run/model.mmad")).unwrap();
    for (arguments, expected) in [
        ("--set gaer=1", "the model knows: gear, wood"),
        ("--set gear", "is not of the form `class=score`"),
        ("--set gear=high", "is not of the form `class=score`"),
        ("--set gear=-1", "the threshold of `gear` is -1"),
        ("--set gear=nan", "give a raw score above 0"),
        ("--max-fpr 0", "above 0 and below 1"),
        ("--max-fpr 1.5", "above 0 and below 1"),
        // Pictures of products that the model never saw.
        ("--good pics/cap", "the model knows: gear, wood"),
        // Read as a plain folder, whose class is called after it.
        ("--good pics/gear/train/good", "the model knows: gear, wood"),
        ("--good nowhere", "`nowhere` is not a folder"),
    ] {
        let message = work.fails(&format!("calibrate run/model.mmad -q {arguments}"));
        assert!(message.contains(expected), "{arguments}: {message}");
        let after = std::fs::read(work.path("run/model.mmad")).unwrap();
        assert!(after == before, "{arguments} changed the model");
    }
}

#[test]
fn a_model_without_held_out_pictures_says_so() {
    let work = Work::with_pictures();
    let tiny = super::program::TINY;
    let share = "--set data.calibration_share=0";
    work.ok(&format!("train pics -o run {tiny} --epochs 1 --class gear {share}"));
    let json = work.ok("predict run/model.mmad pics/gear/test/good --json").json();
    assert_eq!(json["predictions"][0]["verdict"], "unknown");
    assert!(work.fails("calibrate run/model.mmad").contains("--good"));
    let message = work.fails("calibrate run/model.mmad --data pics -q");
    assert!(message.contains("no good picture to calibrate with"), "{message}");
    work.ok("calibrate run/model.mmad --good pics/gear");
    let json = work.ok("predict run/model.mmad pics/gear/test/good --json").json();
    assert_ne!(json["predictions"][0]["verdict"], "unknown");
}
