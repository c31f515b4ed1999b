//! `mmad compare`: two evaluations of one test set.

use serde_json::Value;

use super::program::{Work, names_in};

/// A folder with the results of a model and of the same model with thresholds that reject all.
fn with_two_runs() -> Work {
    let work = Work::with_model();
    work.ok("calibrate run/model.mmad --set gear=1e6 --set wood=1e6");
    work.ok("eval run/model.mmad pics --class gear --class wood -o a/results");
    work.ok("calibrate run/model.mmad --set gear=0.000001");
    work.ok("eval run/model.mmad pics --class gear --class wood -o b/results");
    work
}

#[test]
fn verdicts_change_and_metrics_do_not() {
    let work = with_two_runs();
    let json = work.ok("compare a/results b/results/results.json --json").json();
    let pair = &json["comparisons"][0];
    assert_eq!((&pair["before"], &pair["after"]), (&"a/results".into(), &"b/results".into()));
    let comparison = &pair["comparison"];
    // Two good gears are rejected now, and six defective ones found.
    assert_eq!(comparison["changed"].as_array().unwrap().len(), 8);
    assert_eq!((&comparison["n_mended"], &comparison["n_broken"]), (&6.into(), &2.into()));
    let chance = comparison["sign_test_p"].as_f64().unwrap();
    assert!((chance - 2.0 * 37.0 / 256.0).abs() < 1e-12, "{chance}");
    for value in comparison["mean"].as_array().unwrap() {
        assert_eq!(value["before"], value["after"]);
    }
    assert_eq!(comparison["mean"][0]["interval"], serde_json::json!([0.0, 0.0]));
    for metric in 3..7 {
        let value = &comparison["mean"][metric];
        assert_eq!(value["interval"], serde_json::json!([0.0, 0.0]), "{comparison}");
        assert!(value["grid_error"].as_f64().unwrap() < 0.01, "{comparison}");
    }
    let first: &Value = &comparison["changed"][0];
    assert_eq!((&first["is_anomalous"], &first["after"]), (&false.into(), &"defect".into()));

    let text = work.ok("compare a/results b/results").stdout;
    assert!(text.contains("8 verdicts changed of 16 pictures: 6 mended, 2 broken"), "{text}");
    assert!(text.contains("  worse   gear / gear/test/good/000.png: ok -> defect"), "{text}");
    assert_eq!(names_in(&work.path("a")), ["results"], "comparing writes nothing");
}

/// As results were before they held counts.
#[test]
fn results_without_pixel_counts_have_intervals_of_image_metrics_only() {
    let work = with_two_runs();
    let mut old: Value = serde_json::from_str(&work.read("a/results/results.json")).unwrap();
    assert_eq!(old["pixel_counts"].as_array().unwrap().len(), 2);
    old.as_object_mut().unwrap().remove("pixel_counts");
    work.write("old.json", old.to_string().as_bytes());
    let comparison = work.ok("compare old.json b/results --json").json()["comparisons"][0].take();
    let comparison = &comparison["comparison"];
    for value in &comparison["mean"].as_array().unwrap()[3..7] {
        assert!(value["interval"].is_null() && value["after"].is_number(), "{value}");
    }
    assert_eq!(comparison["mean"][0]["interval"], serde_json::json!([0.0, 0.0]));
    let text = work.ok("compare old.json b/results").stdout;
    let note = "no intervals of pixel metrics for gear, wood, nor for the mean: old.json has no";
    assert!(text.contains(note), "{text}");
    work.ok("eval run/model.mmad pics --class gear --protocol ader -o binned");
    let binned: Value = serde_json::from_str(&work.read("binned/results.json")).unwrap();
    assert_eq!(binned["pixel_counts"], serde_json::json!([]));
    let json = work.ok("compare a/results binned --json").json();
    let without = &json["comparisons"][0]["comparison"]["without_pixel_counts"];
    assert_eq!(without, &serde_json::json!([[], ["gear"]]));
}

#[test]
fn the_page_needs_no_network_and_the_order_is_the_readers() {
    let work = with_two_runs();
    let ran = work.ok("compare b/results a/results --report page.html --seed 3 --resamples 50");
    assert!(ran.stdout.contains("2 mended, 6 broken"), "{ran}");
    let page = work.read("page.html").replace("http://www.w3.org/2000/svg", "");
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert!(page.contains("b/results") && page.contains("gear/test/good/000.png"));
    assert!(page.contains("intervals of pixel metrics come from counts at"), "how they are made");
    let three = work.ok("compare a/results b/results a/results --json").json();
    assert_eq!(three["comparisons"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_compared_is_named() {
    let work = with_two_runs();
    work.write("other.json", b"{}");
    work.ok("eval run/model.mmad pics --class gear -o gear");
    work.ok("eval run/model.mmad pics --class wood -o wood");
    for (line, expected) in [
        ("compare a/results nowhere", "cannot read `nowhere`"),
        ("compare a/results run", "cannot read `run/results.json`"),
        ("compare a/results other.json", "`other.json` holds no results"),
        ("compare gear wood", "no picture in common"),
        ("compare a/results b/results gear --report p.html", "a page shows two runs, not 3"),
        ("compare a/results b/results --resamples 0", "`--resamples` is 0"),
    ] {
        let message = work.fails(line);
        assert!(message.contains(expected), "{line}: {message}");
    }
    let text = work.ok("compare a/results gear").stdout;
    assert!(text.contains("note: 8 pictures are in results only"), "{text}");
}
