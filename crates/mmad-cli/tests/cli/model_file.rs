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
        ("/format_version", json!(2), "has format version 2; this program reads version 1"),
        ("/format_version", json!("new"), "model card"),
        ("/self_test_score", json!(0.123), "self-test failed"),
        ("/self_test_score", Value::Null, "model card"),
        ("/config/method", json!("future"), "method `future`"),
        ("/config/data/height_px", json!(128), "`self_test` is not 128 x 64"),
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
