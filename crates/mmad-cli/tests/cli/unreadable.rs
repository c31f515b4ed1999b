//! Training pictures that cannot be read.

use std::fs;

use super::program::{DATA_PROBLEMS, TINY, Work, names_in};

#[test]
fn one_broken_picture_is_named_and_left_out() {
    let work = Work::with_pictures();
    work.cut_short("pics/gear/train/good/003.png");
    let line = format!("train pics {TINY} --epochs 1 --class gear --class wood");
    let ran = work.run(&format!("{line} -o run")).exits(DATA_PROBLEMS);
    assert!(ran.stderr.contains("skipped: `pics/gear/train/good/003.png`"), "{ran}");
    assert!(ran.stdout.contains("model: run/model.mmad"), "{ran}");
    // The exit code needs its reason, however quiet.
    let quiet = work.run(&format!("{line} -o quiet -q")).exits(DATA_PROBLEMS);
    assert!(quiet.stderr.contains("003.png"), "{quiet}");
    let json = work.run(&format!("{line} -o json --json")).exits(DATA_PROBLEMS).json();
    let unreadable = json["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), 1);
    assert!(unreadable[0].as_str().unwrap().contains("gear/train/good/003.png"));
    work.ok("verify run/model.mmad");
}

fn break_training_pictures(work: &Work, class: &str) {
    for name in names_in(&work.path(&format!("pics/{class}/train/good"))) {
        work.cut_short(&format!("pics/{class}/train/good/{name}"));
    }
}

#[test]
fn pictures_that_are_all_broken_are_an_error() {
    let work = Work::with_pictures();
    break_training_pictures(&work, "gear");
    let message = work.fails(&format!("train pics -o run {TINY} --epochs 1 --class gear"));
    assert!(message.contains("pics/gear/train/good/0"), "{message}");
    assert!(message.contains("damaged or cut short"), "{message}");
    assert!(!work.path("run/model.mmad").exists());
}

#[test]
fn a_class_whose_pictures_are_all_broken_does_not_lose_the_others() {
    let work = Work::with_pictures();
    break_training_pictures(&work, "gear");
    let settings = "--epochs 1 --class gear --class wood --class cap --set train.batch=24";
    let ran = work.run(&format!("train pics -o run {TINY} {settings}")).exits(DATA_PROBLEMS);
    assert!(ran.stderr.contains("pics/gear/train/good/000.png"), "{ran}");
    let predicted = work.ok("predict run/model.mmad pics/wood/train/good --json").json();
    for prediction in predicted["predictions"].as_array().unwrap() {
        assert_eq!(prediction["class"], "wood", "{prediction}");
    }
}

#[test]
fn a_picture_that_vanishes_after_the_listing_is_left_out() {
    let work = Work::with_pictures();
    let path = work.path("pics/gear/train/good/004.png");
    fs::remove_file(&path).unwrap();
    // A link to nowhere is listed and cannot be opened.
    #[cfg(unix)]
    std::os::unix::fs::symlink(work.path("nowhere.png"), &path).unwrap();
    let ran = work.run(&format!("train pics -o run {TINY} --epochs 1 --class gear"));
    assert!(work.path("run/model.mmad").exists(), "{ran}");
}
