//! `mmad verify`, and model files that are damaged or of another kind.

use std::fs;

use serde_json::{Value, json};

use super::program::Work;

/// Where the tensors begin in a safetensors file.
fn data_start(bytes: &[u8]) -> usize {
    8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}

#[test]
fn a_sound_model_shows_its_card() {
    let work = Work::with_model();
    let text = work.ok("verify run/model.mmad").stdout;
    assert!(text.starts_with("ok: ") && text.contains("gear, wood"), "{text}");
    let json = work.ok("verify run/model.mmad --json").json();
    assert_eq!(json["ok"], true);
    let card = work.card("run/model.mmad");
    for part in ["config", "classes", "training", "format_version"] {
        assert_eq!(json["card"][part], card[part]);
    }
    assert_eq!(json["card"]["training"]["n_pictures"], 8);
}

#[test]
fn a_flipped_bit_is_found() {
    let work = Work::with_model();
    let sound = fs::read(work.path("run/model.mmad")).unwrap();
    let start = data_start(&sound);
    for part in 0..12 {
        let mut bytes = sound.clone();
        let at = start + (bytes.len() - start) * part / 12 + 2;
        bytes[at] ^= 1 << (part % 8);
        work.write("flipped.mmad", &bytes);
        let message = work.fails("verify flipped.mmad");
        assert!(message.contains("damaged") || message.contains("self-test"), "{message}");
        assert!(work.fails("predict flipped.mmad pics/gear/test -q").contains("hint"));
    }
}

#[test]
fn files_that_are_no_model_are_refused() {
    let work = Work::with_model();
    let sound = fs::read(work.path("run/model.mmad")).unwrap();
    let start = data_start(&sound);
    work.write("empty.mmad", b"");
    work.write("short.mmad", &sound[..5]);
    work.write("header.mmad", &sound[..start / 2]);
    work.write("half.mmad", &sound[..sound.len() / 2]);
    work.write("longer.mmad", &[sound.as_slice(), b"more"].concat());
    work.write("huge.mmad", &[&u64::MAX.to_le_bytes(), &sound[8..]].concat());
    work.write("text.mmad", b"this is not a model, however long the text may be");
    work.write_tensors("plain.safetensors", &work.tensors("run/model.mmad"), None);
    for name in ["empty", "short", "header", "half", "longer", "huge", "text"] {
        let message = work.fails(&format!("verify {name}.mmad"));
        assert!(message.contains(&format!("`{name}.mmad`")), "{message}");
        work.fails(&format!("eval {name}.mmad pics -q"));
        work.fails(&format!("calibrate {name}.mmad --max-fpr 0.1"));
    }
    assert!(work.fails("verify plain.safetensors").contains("has no model card"));
    assert!(work.fails("verify run/checkpoint.safetensors").contains("has no model card"));
    assert!(work.fails("verify nowhere.mmad").contains("`nowhere.mmad`"));
    assert!(work.fails("verify run").contains("`run` is not a file"));
}

/// Writes the model again with one value of its card changed.
fn with_card(work: &Work, name: &str, pointer: &str, value: Value) {
    let mut card = work.card("run/model.mmad");
    *card.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    work.write_tensors(name, &work.tensors("run/model.mmad"), Some(&card));
}

#[test]
fn a_card_that_does_not_fit_is_refused() {
    let work = Work::with_model();
    for (pointer, value, expected) in [
        ("/format_version", json!(3), "has format version 3; this program reads versions 1 to 2"),
        ("/format_version", json!(0), "has format version 0"),
        ("/format_version", json!("new"), "model card"),
        ("/self_test_scores/0", json!(0.123), "self-test failed"),
        ("/self_test_scores", Value::Null, "model card"),
        ("/self_test_scores", json!([]), "is not 0 pictures"),
        ("/self_test_scores", json!([0.1]), "is not 1 pictures"),
        ("/config/method", json!("future"), "method `future`"),
        ("/config/data/height_px", json!(128), "`self_test` is not 2 pictures of 128 x 64"),
        ("/config/data/height_px", json!(u64::MAX), "model card"),
        ("/config/mmad/states", json!(8), "does not fit mmad"),
        ("/config/mmad/widths", json!([0, 0, 0]), "`mmad.widths` is [0, 0, 0]"),
        ("/config/mmad/depths", json!([3_000_000_000_u64, 3, 3, 3]), "`mmad.depths`"),
        ("/config/encoder/arch", json!("resnet18"), "does not fit mmad"),
        ("/classes", json!(["gear"]), "model card"),
        ("/classes", json!([]), "model card"),
    ] {
        with_card(&work, "changed.mmad", pointer, value.clone());
        let message = work.fails("verify changed.mmad");
        assert!(message.contains(expected), "{pointer} {value}: {message}");
        work.fails("predict changed.mmad pics/gear/test -q");
    }
}

/// Every picture inside is scored again, not only the first, which loading looks at.
#[test]
fn every_self_test_picture_counts() {
    let work = Work::with_model();
    let json = work.ok("verify run/model.mmad --json").json();
    let tests = json["self_tests"].as_array().unwrap();
    assert_eq!(tests.len(), 2, "one per class");
    for (test, score) in tests.iter().zip(json["card"]["self_test_scores"].as_array().unwrap()) {
        let bits = |value: &Value| (value.as_f64().unwrap() as f32).to_bits();
        assert_eq!((bits(&test["expected"]), bits(&test["found"])), (bits(score), bits(score)));
    }
    with_card(&work, "changed.mmad", "/self_test_scores/1", json!(0.123));
    work.ok("predict changed.mmad pics/gear/test/good -q");
    assert!(work.fails("verify changed.mmad").contains("self-test failed"));
}

/// A file of the first version: one self-test picture, one threshold per class.
#[test]
fn files_of_the_first_version_are_read() {
    let work = Work::with_model();
    let mut card = work.card("run/model.mmad");
    let object = card.as_object_mut().unwrap();
    object.insert("format_version".into(), json!(1));
    let scores = object.remove("self_test_scores").unwrap();
    object.insert("self_test_score".into(), scores[0].clone());
    let calibration = object["calibration"].as_object_mut().unwrap();
    for new in ["rule", "review_rate", "source"] {
        calibration.remove(new);
    }
    for class in calibration["classes"].as_array_mut().unwrap() {
        for new in ["review", "pixel_threshold", "pixel_scores", "defective_scores"] {
            class.as_object_mut().unwrap().remove(new);
        }
    }
    let mut tensors = work.tensors("run/model.mmad");
    let picture = tensors.take("self_test").and_then(mmad_weights::HostTensor::into_f32).unwrap();
    let first = picture[..3 * 64 * 64].to_vec();
    let shaped = mmad_weights::HostTensor::from_f32(vec![64, 64, 3], first).unwrap();
    tensors.insert("self_test", shaped);
    card["tensors_sha256"] = json!(tensors.sha256());
    work.write_tensors("old.mmad", &tensors, Some(&card));

    work.ok("verify old.mmad");
    let predict = |model: &str| {
        let json = work.ok(&format!("predict {model} pics/gear/test --json")).json();
        let rows = json["predictions"].as_array().unwrap().clone();
        rows.into_iter()
            .map(|row| (row["score"].clone(), row["verdict"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(predict("old.mmad"), predict("run/model.mmad"));
    // Written again, it is of this version.
    work.ok("calibrate old.mmad --review-fpr 0.5 --max-fpr 0.3");
    assert_eq!(work.card("old.mmad")["format_version"], 2);
    work.ok("verify old.mmad");
}

/// Written before the encoder's precision could be chosen.
#[test]
fn a_card_without_a_precision_means_single() {
    let work = Work::with_model();
    let mut card = work.card("run/model.mmad");
    let encoder = card["config"]["encoder"].as_object_mut().unwrap();
    assert_eq!(encoder.remove("precision"), Some(json!("f32")));
    work.write_tensors("old.mmad", &work.tensors("run/model.mmad"), Some(&card));
    let verified = work.ok("verify old.mmad --json").json();
    assert_eq!(verified["card"]["config"]["encoder"]["precision"], "f32");
    for test in verified["self_tests"].as_array().unwrap() {
        assert_eq!(test["expected"], test["found"]);
    }
}

#[test]
fn a_missing_tensor_is_found() {
    let work = Work::with_model();
    for name in ["self_test", "net_t.conv1.weight"] {
        let mut tensors = work.tensors("run/model.mmad");
        tensors.take(name).unwrap();
        work.write_tensors("less.mmad", &tensors, Some(&work.card("run/model.mmad")));
        let message = work.fails("verify less.mmad");
        assert!(message.contains("are damaged: their digest"), "{name}: {message}");
    }
}
