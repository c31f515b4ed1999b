//! One picture has one score, whoever asks and however.

use std::collections::BTreeMap;

use serde_json::Value;

use super::program::Work;

/// Scores by the picture's path inside `pics`, as bits.
fn scores_of(rows: &Value, path: &str) -> BTreeMap<String, u32> {
    let rows = rows.as_array().unwrap();
    rows.iter()
        .map(|row| {
            let name = row[path].as_str().unwrap().trim_start_matches("pics/").to_owned();
            let score = row["score"].as_f64().unwrap();
            assert_eq!(f64::from(score as f32), score, "the score is an f32");
            (name, (score as f32).to_bits())
        })
        .collect()
}

#[test]
fn a_score_depends_on_the_picture_and_the_weights_alone() {
    let work = Work::with_model();
    let predict = |arguments: &str| {
        let json = work.ok(&format!("predict run/model.mmad {arguments} --json")).json();
        scores_of(&json["predictions"], "path")
    };
    let both = predict("pics/gear/test pics/wood/test");
    assert_eq!(both.len(), 16);
    for threads in [1, 2, 3] {
        let again = predict(&format!("pics/wood/test pics/gear/test --threads {threads}"));
        assert_eq!(again, both, "{threads} threads");
    }
    for (name, score) in both.iter().step_by(5) {
        assert_eq!(predict(&format!("pics/{name}")), BTreeMap::from([(name.clone(), *score)]));
    }
    assert_eq!(predict("pics/gear/test pics/wood/test --class gear"), both);
    assert_eq!(predict("pics/gear/test pics/wood/test --threshold 0.01 -o maps"), both);

    for threads in [1, 2] {
        let line = "eval run/model.mmad pics --class gear --class wood -o results";
        work.ok(&format!("{line} --threads {threads}"));
        let results: Value = serde_json::from_str(&work.read("results/results.json")).unwrap();
        assert_eq!(scores_of(&results["scores"], "name"), both, "eval with {threads} threads");
    }
    let alone = work.ok("eval run/model.mmad pics --class wood --json").json();
    for (name, score) in scores_of(&alone["scores"], "name") {
        assert_eq!(score, both[&name], "{name}");
    }
}

#[test]
fn different_pictures_have_different_scores() {
    let work = Work::with_model();
    let json = work.ok("predict run/model.mmad pics/gear/test pics/wood/test --json").json();
    let scores = scores_of(&json["predictions"], "path");
    let mut values: Vec<u32> = scores.into_values().collect();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 16);
}

/// The model file's own pictures are among those held out, so their scores are known three times:
/// from calibration, from the card, and from `verify`.
#[test]
fn the_self_test_scores_are_those_of_held_out_pictures() {
    let work = Work::with_model();
    let bits = |value: &Value| (value.as_f64().unwrap() as f32).to_bits();
    let card = work.card("run/model.mmad");
    let verified = work.ok("verify run/model.mmad --json").json();
    for (index, class) in ["gear", "wood"].iter().enumerate() {
        let calibrated = &card["calibration"]["classes"][index];
        assert_eq!(calibrated["class"], *class);
        let held_out = calibrated["scores"].as_array().unwrap();
        assert_eq!(held_out.len(), 4);
        let score = &card["self_test_scores"][index];
        assert!(held_out.contains(score), "{class}: {held_out:?}");
        assert_eq!(bits(&verified["self_tests"][index]["found"]), bits(score));
    }
}

#[test]
fn calibration_scores_are_those_of_predict_and_eval() {
    let work = Work::with_model();
    let bits = |value: &Value| (value.as_f64().unwrap() as f32).to_bits();
    let sorted = |mut bits: Vec<u32>| {
        bits.sort_unstable();
        bits
    };
    let json = work.ok("predict run/model.mmad pics/gear/train/good --json").json();
    let rows = json["predictions"].as_array().unwrap();
    let predicted = sorted(rows.iter().map(|row| bits(&row["score"])).collect());

    std::fs::create_dir_all(work.path("new/gear")).unwrap();
    std::fs::rename(work.path("pics/gear/train/good"), work.path("new/gear/good")).unwrap();
    work.ok("calibrate run/model.mmad --good new");
    let card = work.card("run/model.mmad");
    let gear = &card["calibration"]["classes"][0];
    let calibrated = gear["scores"].as_array().unwrap().iter().map(bits).collect();
    assert_eq!(sorted(calibrated), predicted);

    // And with the scores of an evaluation no picture is scored at all.
    work.ok("eval run/model.mmad pics --class wood -o results");
    let results: Value = serde_json::from_str(&work.read("results/results.json")).unwrap();
    work.ok("calibrate run/model.mmad --scores results/results.json");
    let card = work.card("run/model.mmad");
    let wood = &card["calibration"]["classes"][1];
    for (kind, is_anomalous) in [("scores", false), ("defective_scores", true)] {
        let rows = results["scores"].as_array().unwrap().iter();
        let of_kind = rows.filter(|row| row["is_anomalous"] == is_anomalous);
        let evaluated = sorted(of_kind.map(|row| bits(&row["score"])).collect());
        let calibrated = wood[kind].as_array().unwrap().iter().map(bits).collect();
        assert_eq!(sorted(calibrated), evaluated, "{kind}");
    }
}
