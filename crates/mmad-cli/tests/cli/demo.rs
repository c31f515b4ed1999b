//! `mmad demo`: everything, with nothing given.

use super::program::{Work, names_in};

const SMALL: &str = "--size 64 --train 8";

#[test]
fn the_demo_trains_evaluates_and_reports() {
    let work = Work::new();
    let result = work.ok(&format!("demo {SMALL} --minutes 0.05 --json")).json();
    for metric in [
        "image_au_roc",
        "image_ap",
        "image_f1_max",
        "pixel_au_roc",
        "pixel_ap",
        "pixel_f1_max",
        "au_pro",
    ] {
        let value = result[metric].as_f64().unwrap_or_else(|| panic!("no {metric}: {result}"));
        assert!((0.0..=1.0).contains(&value), "{metric}: {value}");
    }
    assert!(result["steps"].as_u64().unwrap() >= 1);
    assert_eq!(result["report"], "demo/report.html");
    assert!(work.read("demo/report.html").starts_with("<!DOCTYPE html>"));
    assert!(work.read("demo/results.csv").contains("gear"));
    work.ok("verify demo/run/model.mmad");
    work.ok("predict demo/run/model.mmad demo/pictures/gear/test/good -q");
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let work = Work::new();
    work.write("mine/notes.txt", b"mine");
    let message = work.fails(&format!("demo --out mine {SMALL}"));
    assert!(message.contains("`mine` is not empty"), "{message}");
    assert_eq!(names_in(&work.path("mine")), ["notes.txt"]);
    assert!(work.fails("demo --size 100").contains("a multiple of 32"));
    assert!(work.fails("demo --minutes 0").contains("give a number above 0"));
    assert!(!work.path("demo").exists());
}

/// Stopped as soon as it has begun, because only the beginning matters here.
#[test]
#[cfg(unix)]
fn an_earlier_demo_is_replaced() {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    let work = Work::new();
    let interrupted = || {
        let mut command = work.command(&format!("demo {SMALL} --minutes 5 --json"));
        let mut demo = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while super::program::log_lines(&work.path("demo/run/log.jsonl")).is_empty()
            && demo.try_wait().unwrap().is_none()
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        let id = demo.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let output = demo.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["complete"], false);
    };
    interrupted();
    work.write("demo/run/log.jsonl", b"");
    work.write("demo/left_over.txt", b"from the first");
    interrupted();
    assert!(!work.path("demo/left_over.txt").exists());
    assert!(work.path("demo/pictures/gear/train/good/000.png").exists());
}
