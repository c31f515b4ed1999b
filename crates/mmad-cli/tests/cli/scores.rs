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

/// The model file's own picture is one of those held out, so its score is known twice.
#[test]
fn the_self_test_score_is_that_of_a_held_out_picture() {
    let work = Work::with_model();
    let card = work.card("run/model.mmad");
    let held_out = card["calibration"]["classes"][0]["scores"].as_array().unwrap();
    assert_eq!(held_out.len(), 4);
    assert!(held_out.contains(&card["self_test_score"]), "{held_out:?}");
}
