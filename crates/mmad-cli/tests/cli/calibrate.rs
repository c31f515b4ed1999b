//! `mmad calibrate`: thresholds change, weights do not.

use serde_json::Value;

use super::program::{DATA_PROBLEMS, USAGE, Work};

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
fn a_review_threshold_makes_a_third_verdict() {
    let work = Work::with_model();
    let verdicts = |expected: &str| {
        let json = work.ok("predict run/model.mmad pics/gear/test --class gear --json").json();
        let rows = json["predictions"].as_array().unwrap();
        assert!(rows.iter().all(|row| row["verdict"] == expected), "{expected}: {json}");
        json
    };
    work.ok("calibrate run/model.mmad --set gear=1e6 --set-review gear=0.000001");
    let json = verdicts("review");
    assert_eq!((&json["review"], &json["defective"]), (&8.into(), &0.into()));
    let predictions = json["predictions"].as_array().unwrap();
    assert!(predictions.iter().all(|row| !row["regions"].as_array().unwrap().is_empty()));
    work.ok("predict run/model.mmad pics/gear/test --class gear --fail-on-defect");
    work.run("predict run/model.mmad pics/gear/test --class gear --fail-on-review").exits(3);

    let eval = work.ok("eval run/model.mmad pics --class gear --json").json();
    let decided = &eval["decisions"][0];
    assert_eq!((&decided["good_reviews"], &decided["defective_reviews"]), (&2.into(), &6.into()));
    assert!(eval["scores"].as_array().unwrap().iter().all(|row| row["verdict"] == "review"));

    work.ok("calibrate run/model.mmad --set gear=0.000001");
    verdicts("defect");
    let shown = work.ok("calibrate run/model.mmad --max-fpr 0.3 --review-fpr 0.6 --json").json();
    for name in ["gear", "wood"] {
        let review = class(&shown, name)["review"].as_f64().unwrap();
        assert!(review < threshold(&shown, name), "{shown}");
    }
    let shown = work.ok("calibrate run/model.mmad --review-fpr 0 --json").json();
    assert!(class(&shown, "gear")["review"].is_null());
}

#[test]
fn a_pixel_threshold_lies_at_most_at_the_threshold() {
    let work = Work::with_model();
    let shown = work.ok("calibrate run/model.mmad --max-fpr 0.5 --json").json();
    for name in ["gear", "wood"] {
        let pixel = class(&shown, name)["pixel_threshold"].as_f64().unwrap();
        assert!(pixel > 0.0 && pixel <= threshold(&shown, name), "{shown}");
    }
    let eval = work.ok("eval run/model.mmad pics --class gear --json").json();
    let pixels = &eval["decisions"][0]["pixels"];
    for number in ["recall", "f1", "good_area"] {
        assert!((0.0..=1.0).contains(&pixels[number].as_f64().unwrap()), "{pixels}");
    }
}

#[test]
fn labelled_pictures_allow_other_rules() {
    let work = Work::with_model();
    let weights = work.tensors("run/model.mmad");
    let message = work.fails("calibrate run/model.mmad --f1");
    assert!(message.contains("--labelled DIR"), "{message}");
    assert!(message.contains("--scores DIR/results.json"), "{message}");
    work.ok("eval run/model.mmad pics --class gear --class wood -o results");
    let line = "calibrate run/model.mmad --json --scores results/results.json";
    let best = work.ok(&format!("{line} --f1")).json();
    assert_eq!((&best["rule"]["kind"], &best["source"]), (&"f1".into(), &"scores-file".into()));
    let gear = class(&best, "gear");
    assert_eq!(
        (&gear["basis"], &gear["held_out"], &gear["defective"]),
        (&"f1".into(), &2.into(), &6.into())
    );
    // A costly miss lowers the threshold; the scores are in the model now.
    let at = |rule: &str| {
        threshold(&work.ok(&format!("calibrate run/model.mmad --json {rule}")).json(), "gear")
    };
    assert!(at("--cost 1,1000") < at("--cost 1000,1"));
    assert_eq!(
        class(&work.ok("calibrate run/model.mmad --cost 1,1000 --json").json(), "gear")["miss_rate"]
            ["observed"],
        0.0
    );
    let text = work.ok("calibrate run/model.mmad --quantile 0.9").stdout;
    assert!(
        text.contains("above 90.00 % of the good scores") && text.contains("no guarantee"),
        "{text}"
    );
    let text = work.ok("eval run/model.mmad pics --class gear --report page.html").stdout;
    assert!(text.contains("at the thresholds of the model:\n  gear: "), "{text}");
    assert!(
        work.read("page.html").contains("from the scores of an evaluation, which they flatter")
    );
    assert!(work.tensors("run/model.mmad") == weights, "the weights changed");

    // Scores of another model are no scores of this one.
    let tiny = super::program::TINY;
    work.ok(&format!("train pics -o other {tiny} --epochs 1 --class gear"));
    let message = work.fails("calibrate other/model.mmad --scores results/results.json");
    assert!(message.contains("another model"), "{message}");
}

#[test]
fn a_labelled_folder_needs_no_evaluation() {
    let work = Work::with_model();
    work.ok("eval run/model.mmad pics --class gear --class wood -o results");
    let copy = std::fs::read(work.path("run/model.mmad")).unwrap();
    let from_scores = "calibrate run/model.mmad --json --scores results/results.json --cost 1,20";
    let from_scores = work.ok(from_scores).json();
    std::fs::write(work.path("run/model.mmad"), copy).unwrap();

    let message = work.fails("calibrate run/model.mmad --labelled pics --cost 1,20");
    assert!(message.contains("is unknown to this model"), "{message}");
    for entry in std::fs::read_dir(work.path("pics")).unwrap().map(Result::unwrap) {
        let is_known = ["gear", "wood"].iter().any(|class| entry.file_name() == *class);
        if !is_known && entry.path().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let labelled = work.ok("calibrate run/model.mmad --json --labelled pics --cost 1,20").json();
    assert_eq!(labelled["source"], "labelled-pictures");
    assert_eq!(labelled["classes"], from_scores["classes"]);
    let text = work.ok("calibrate run/model.mmad").stdout;
    assert!(text.contains("from labelled pictures, defects among them"), "{text}");
    let ran = work.ok("calibrate run/model.mmad --labelled pics --f1");
    assert!(ran.stderr.contains("good and ") && ran.stderr.contains("defective pictures"));

    std::fs::remove_dir_all(work.path("pics/gear/test/good")).unwrap();
    let message = work.fails("calibrate run/model.mmad --labelled pics --f1 -q");
    assert!(message.contains("no good picture of class `gear`"), "{message}");
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
        ("--review-fpr 0.001", "is not above the rate of false rejects"),
        ("--quantile 1", "above 0 and below 1"),
        ("--cost 1,0", "give two numbers above 0"),
        ("--f1", "needs scores of defective pictures"),
        ("--set-review gear=-1", "the threshold of `gear` is -1"),
        ("--scores nowhere.json", "cannot read `nowhere.json`"),
        ("--scores pics/gear/test/good/000.png", "`pics/gear/test/good/000.png`"),
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

/// Scores, thresholds and self-test follow the precision; weights stay, and so does the way back.
#[test]
fn another_precision_makes_everything_that_depends_on_it_anew() {
    let work = Work::with_model();
    work.run("calibrate run/model.mmad --encoder-precision bf16").exits(USAGE);
    work.ok("calibrate run/model.mmad --max-fpr 0.5");
    let (weights, before) = (work.tensors("run/model.mmad"), work.card("run/model.mmad"));
    assert_eq!(before["config"]["encoder"]["precision"], "f32");
    for name in ["bf16", "f16"] {
        let line =
            format!("calibrate run/model.mmad --data pics --encoder-precision {name} --json");
        let shown = work.ok(&line).json();
        assert_eq!(shown["max_false_reject_rate"], 0.5, "the plan stays");
        let card = work.card("run/model.mmad");
        assert_eq!(card["config"]["encoder"]["precision"], name);
        assert_ne!(card["self_test_scores"], before["self_test_scores"]);
        for class in ["gear", "wood"] {
            let moved = (threshold(&shown, class) / threshold(&before["calibration"], class)).ln();
            assert!(moved != 0.0 && moved.abs() < 0.1, "{name} {class}: {moved}");
        }
        assert!(work.tensors("run/model.mmad") == weights, "the weights changed");
        let verified = work.ok("verify run/model.mmad").stdout;
        assert!(verified.contains(&format!("resnet10 in {name}")), "{verified}");
    }
    work.ok("calibrate run/model.mmad --data pics --encoder-precision f32");
    assert_eq!(work.card("run/model.mmad"), before);
}

/// Scores of one precision say nothing about a model in another, and a rule that needs defects cannot
/// be followed with good pictures alone.
#[test]
fn scores_and_rules_that_another_precision_cannot_use_are_named() {
    let work = Work::with_model();
    work.ok("eval run/model.mmad pics --out scored");
    work.ok("calibrate run/model.mmad --scores scored/results.json --f1");
    let said = work.ok("calibrate run/model.mmad --data pics --encoder-precision bf16").stderr;
    assert!(said.contains("calibrate again with `--labelled`"), "{said}");
    let refused = work.fails("calibrate run/model.mmad --scores scored/results.json");
    assert!(refused.contains("were made with the encoder in f32"), "{refused}");
}

/// A class without held-out pictures would be left without a threshold.
#[test]
fn another_precision_takes_no_threshold_away() {
    let work = Work::with_pictures();
    std::fs::create_dir(work.path("two")).unwrap();
    for class in ["gear", "wood"] {
        std::fs::rename(work.path(&format!("pics/{class}")), work.path(&format!("two/{class}")))
            .unwrap();
    }
    work.ok(&format!("train two -o run {} --epochs 1", super::program::TINY));
    let before = std::fs::read(work.path("run/model.mmad")).unwrap();
    std::fs::rename(work.path("two/wood"), work.path("wood")).unwrap();
    let refused = work.fails("calibrate run/model.mmad --data two --encoder-precision bf16");
    assert!(refused.contains("class `wood` would lose its threshold"), "{refused}");
    assert!(std::fs::read(work.path("run/model.mmad")).unwrap() == before);
}
