//! `mmad data`: procedural pictures, and what is wrong with a folder.

use std::fs;

use super::program::{DATA_PROBLEMS, Work, names_in};

#[test]
fn pictures_are_made_and_understood() {
    let work = Work::new();
    let made =
        work.ok("data synthesise pics --size 64 --train 3 --test 2 --defective 1 --json").json();
    let classes = made["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 6);
    let report = work.ok("data check pics --json").json();
    assert_eq!(report["layout"], "mvtec");
    // Per class: 3 to train, 2 good and one of each of six defects to test.
    assert_eq!(report["n_pictures"], 6 * (3 + 2 + 6));
    for class in report["classes"].as_array().unwrap() {
        assert!(classes.contains(&class["class"]), "{class}");
        assert_eq!(class["train_good"], 3);
        assert_eq!((&class["test_good"], &class["masks"]), (&2.into(), &6.into()));
        assert_eq!(class["sizes"]["64x64"], 11);
    }
    let text = work.ok("data check pics").stdout;
    assert!(text.contains("gear") && text.contains("mvtec: 6 classes"), "{text}");
}

#[test]
fn a_seed_decides_the_pictures() {
    let work = Work::new();
    for (folder, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        let size = "--size 64 --train 1 --test 1 --defective 1";
        work.ok(&format!("data synthesise {folder} {size} --seed {seed}"));
    }
    let picture = |folder: &str| fs::read(work.path(folder).join("gear/train/good/000.png"));
    assert_eq!(picture("a").unwrap(), picture("b").unwrap());
    assert_ne!(picture("a").unwrap(), picture("c").unwrap());
}

#[test]
fn nothing_is_written_into_a_folder_with_files() {
    let work = Work::new();
    work.write("mine/notes.txt", b"mine");
    let message = work.fails("data synthesise mine --size 64 --train 1");
    assert!(message.contains("`mine` is not empty"), "{message}");
    assert_eq!(names_in(&work.path("mine")), ["notes.txt"]);
}

#[test]
fn a_broken_picture_is_found_and_named() {
    let work = Work::with_pictures();
    work.cut_short("pics/gear/train/good/003.png");
    work.write("pics/wood/test/stain/000.png", b"");
    let ran = work.run("data check pics --json").exits(DATA_PROBLEMS);
    let report = ran.json();
    let errors: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .map(|finding| finding["file"].as_str().unwrap())
        .collect();
    assert_eq!(errors, ["gear/train/good/003.png", "wood/test/stain/000.png"]);
    let text = work.run("data check pics").exits(DATA_PROBLEMS).stdout;
    assert!(text.contains("gear/train/good/003.png") && text.contains("2 errors"), "{text}");
}

#[test]
fn a_folder_without_pictures_is_an_error() {
    let work = Work::new();
    fs::create_dir(work.path("empty")).unwrap();
    work.write("text/a.txt", b"no picture");
    assert!(work.fails("data check nowhere").contains("`nowhere` is not a folder"));
    for folder in ["empty", "text"] {
        assert!(work.fails(&format!("data check {folder}")).contains(folder));
    }
}
