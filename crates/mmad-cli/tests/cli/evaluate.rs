//! `mmad eval`: the files it writes and the numbers in them.

use serde_json::Value;

use super::program::{DATA_PROBLEMS, Work, names_in};

const METRICS: [&str; 7] = [
    "image_au_roc",
    "image_ap",
    "image_f1_max",
    "pixel_au_roc",
    "pixel_ap",
    "pixel_f1_max",
    "au_pro",
];

fn metrics_of<'a>(results: &'a Value, class: &str) -> &'a Value {
    let classes = results["table"]["classes"].as_array().unwrap();
    &classes.iter().find(|row| row["class"] == class).unwrap()["values"]
}

/// No table is printed: nothing was scored.
#[test]
fn what_cannot_be_written_is_an_error_before_anything_is_scored() {
    let work = Work::with_model();
    let refused = work.fails("eval run/model.mmad pics --report nowhere/page.html");
    assert!(refused.contains("cannot write") && refused.contains("page.html"), "{refused}");
    work.write("results", b"a file");
    let refused = work.fails("eval run/model.mmad pics -o results");
    assert!(refused.contains("cannot make the folder `results`"), "{refused}");
}

#[test]
fn results_are_written_in_every_form() {
    let work = Work::with_model();
    let line = "eval run/model.mmad pics --class gear --class wood -o results --report r/page.html";
    std::fs::create_dir(work.path("r")).unwrap();
    let ran = work.ok(line);
    assert!(ran.stdout.contains("I-AUROC") && ran.stdout.contains("mAD"), "{ran}");
    assert_eq!(
        names_in(&work.path("results")),
        ["results.csv", "results.json", "results.md", "results.tex"]
    );
    let results: Value = serde_json::from_str(&work.read("results/results.json")).unwrap();
    for class in ["gear", "wood"] {
        for metric in METRICS {
            let value = metrics_of(&results, class)[metric].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&value), "{class} {metric}: {value}");
        }
    }
    for metric in METRICS {
        let values = ["gear", "wood"].map(|class| metrics_of(&results, class)[metric].as_f64());
        let mean = f64::midpoint(values[0].unwrap(), values[1].unwrap());
        let found = results["table"]["mean"][metric].as_f64().unwrap();
        assert!((found - mean).abs() < 1e-12, "{metric}: {found} and {mean}");
    }
    let means = METRICS.map(|metric| results["table"]["mean"][metric].as_f64().unwrap());
    let m_ad = means.iter().sum::<f64>() / 7.0;
    assert!((results["table"]["mAD"].as_f64().unwrap() - m_ad).abs() < 1e-12);
    // 2 good and 6 defective pictures of each class.
    assert_eq!(
        (&results["n_pictures"], results["scores"].as_array().unwrap().len()),
        (&16.into(), 16)
    );

    let csv = work.read("results/results.csv");
    let rows: Vec<&str> = csv.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(rows, ["class", "gear", "wood", "mean"]);
    assert!(csv.lines().all(|line| line.matches(',').count() == 8), "{csv}");
    let percent =
        format!("{:.1}", 100.0 * metrics_of(&results, "gear")["au_pro"].as_f64().unwrap());
    for name in ["results.csv", "results.md", "results.tex"] {
        let text = work.read(&format!("results/{name}"));
        assert!(text.contains(&percent), "{name} has no AU-PRO {percent}: {text}");
    }
    assert!(work.read("results/results.tex").contains("\\begin{tabular}"));

    let page = work.read("r/page.html");
    // The name of a namespace is no address.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("gear/test/"));
    assert!(page.contains(&percent));
}

#[test]
fn json_is_what_is_written() {
    let work = Work::with_model();
    let mut printed = work.ok("eval run/model.mmad pics --class gear -o results --json").json();
    let mut written: Value = serde_json::from_str(&work.read("results/results.json")).unwrap();
    for value in [&mut printed, &mut written] {
        value["peak_memory_mb"] = Value::Null;
    }
    assert_eq!(printed, written);
}

#[test]
fn a_class_without_masks_has_picture_metrics_only() {
    let work = Work::with_model();
    std::fs::remove_dir_all(work.path("pics/wood/ground_truth")).unwrap();
    let line = "eval run/model.mmad pics --class gear --class wood -o results";
    let ran = work.ok(line);
    let results: Value = serde_json::from_str(&work.read("results/results.json")).unwrap();
    for metric in METRICS {
        let (gear, wood) = (metrics_of(&results, "gear"), metrics_of(&results, "wood"));
        assert!(gear[metric].is_number(), "{gear}");
        assert_eq!(wood[metric].is_number(), metric.starts_with("image"), "{metric}: {wood}");
    }
    assert!(ran.stdout.contains("wood: no AU-PRO"), "{ran}");
    let csv = work.read("results/results.csv");
    assert!(csv.lines().any(|line| line.starts_with("wood,") && line.contains(",-")), "{csv}");
}

#[test]
fn a_test_set_without_defects_has_no_metric_and_no_panic() {
    let work = Work::with_model();
    for defect in names_in(&work.path("pics/gear/test")) {
        if defect != "good" {
            std::fs::remove_dir_all(work.path(&format!("pics/gear/test/{defect}"))).unwrap();
        }
    }
    let results = work.ok("eval run/model.mmad pics --class gear --json").json();
    assert!(METRICS.iter().all(|&metric| metrics_of(&results, "gear")[metric].is_null()));
}

#[test]
fn a_broken_test_picture_is_named_and_left_out() {
    let work = Work::with_model();
    work.cut_short("pics/gear/test/stain/000.png");
    let line = "eval run/model.mmad pics --class gear";
    let ran = work.run(&format!("{line} -q")).exits(DATA_PROBLEMS);
    assert!(ran.stderr.contains("pics/gear/test/stain/000.png"), "{ran}");
    let results = work.run(&format!("{line} --json")).exits(DATA_PROBLEMS).json();
    assert_eq!(results["n_pictures"], 7);
    assert_eq!(results["unreadable"].as_array().unwrap().len(), 1);
}

#[test]
fn published_tables_can_be_followed() {
    let work = Work::with_model();
    let line = "eval run/model.mmad pics --class gear --json";
    let au_pro = |options: &str| {
        let results = work.ok(&format!("{line} {options}")).json();
        metrics_of(&results, "gear")["au_pro"].as_f64().unwrap()
    };
    let exact = au_pro("");
    assert_eq!(exact, au_pro("--protocol exact --pro-limit 0.3"));
    assert_ne!(exact, au_pro("--protocol ader"));
    assert_ne!(exact, au_pro("--pro-limit 0.05"));
    for limit in ["0", "1.5", "nan"] {
        assert!(work.fails(&format!("{line} --pro-limit {limit}")).contains("--pro-limit"));
    }
}

#[test]
fn what_is_missing_is_named() {
    let work = Work::with_model();
    assert!(work.fails("eval run/model.mmad nowhere").contains("`nowhere`"));
    assert!(work.fails("eval nowhere.mmad pics -q").contains("`nowhere.mmad`"));
    assert!(work.fails("eval run/model.mmad pics --class gaer -q").contains("gear"));
}
