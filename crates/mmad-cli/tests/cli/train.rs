//! `mmad train`: what it writes, and that a seed decides the weights.

use super::program::{ERROR, TINY, Work, log_lines, names_in};

#[test]
fn a_run_leaves_a_model_its_configuration_and_a_log() {
    let work = Work::with_pictures();
    let line = format!("train pics -o run {TINY} --epochs 1");
    let result = work.ok(&format!("{line} --json")).json();
    assert_eq!(
        names_in(&work.path("run")),
        ["checkpoint.safetensors", "config.toml", "log.jsonl", "model.mmad"]
    );
    assert_eq!(result["complete"], true);
    assert_eq!(result["model"], "run/model.mmad");
    assert_eq!(result["unreadable"].as_array().unwrap().len(), 0);
    // 6 classes of 8 pictures, one of each held out, in batches of 8.
    assert_eq!((&result["steps"], &result["planned_steps"]), (&5.into(), &5.into()));
    let calibration = result["calibration"].as_array().unwrap();
    assert_eq!(calibration.len(), 6);
    assert!(calibration.iter().all(|class| class["threshold"].as_f64().unwrap() > 0.0));

    assert_eq!(work.read("run/config.toml"), work.ok(&format!("config {TINY} --epochs 1")).stdout);
    let log = log_lines(&work.path("run/log.jsonl"));
    let steps: Vec<u64> = log.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5]);
    let losses: Vec<f64> = log.iter().map(|line| line["loss"].as_f64().unwrap()).collect();
    let mean = losses.iter().sum::<f64>() / 5.0;
    assert!((result["final_loss"].as_f64().unwrap() - mean).abs() < 1e-9 * mean, "{losses:?}");
    work.ok("verify run/model.mmad");
}

#[test]
fn the_seed_decides_every_weight() {
    let work = Work::with_pictures();
    let train = |folder: &str, seed: u64| {
        let classes = "--class gear --class wood";
        work.ok(&format!("train pics -o {folder} {TINY} --epochs 2 {classes} --seed {seed} -q"));
        work.tensors(&format!("{folder}/model.mmad"))
    };
    let first = train("first", 1);
    assert!(first == train("again", 1), "the same seed gave other weights");
    let other = train("other", 2);
    let differing = first.iter().filter(|(name, tensor)| other.get(name) != Some(tensor));
    let differing: Vec<&String> = differing.map(|(name, _)| name).collect();
    // The encoder is given; the decoder's weights are drawn and trained.
    assert!(differing.iter().any(|name| name.starts_with("net_s.")));
    assert!(differing.iter().all(|name| !name.starts_with("net_t.")), "{differing:?}");
}

#[test]
fn training_does_not_depend_on_the_number_of_threads() {
    let work = Work::with_pictures();
    let train = |threads: u64| {
        let settings = format!("{TINY} --epochs 2 --class gear --class wood -q");
        work.ok(&format!("train pics -o run{threads} {settings} --threads {threads}"));
        work.tensors(&format!("run{threads}/model.mmad"))
    };
    assert!(train(1) == train(3), "another number of threads gave other weights");
}

#[test]
fn a_run_is_never_overwritten() {
    let work = Work::with_model();
    let before = std::fs::read(work.path("run/model.mmad")).unwrap();
    let message = work.fails(&format!("train pics -o run {TINY} --epochs 1 --seed 3"));
    assert!(message.contains("`run` already holds a run"), "{message}");
    assert!(message.contains("--resume"), "{message}");
    assert_eq!(std::fs::read(work.path("run/model.mmad")).unwrap(), before);
}

#[test]
fn what_cannot_be_trained_leaves_no_model() {
    let work = Work::with_pictures();
    for (settings, expected) in [
        ("--class gaer", "the data set has: blister, cap"),
        ("--weights missing", "`missing` are not in the cache"),
        ("--encoder resnet18", "no embedded weights for encoder `resnet18`"),
        ("--set mmad.directions=3", "use 2, 4 or 8"),
        ("--set mmad.widths=[128,256,512]", "lower the widths"),
        ("--set method=none", "`mmad methods` lists"),
    ] {
        let message = work.fails(&format!("train pics -o run {TINY} --epochs 1 -q {settings}"));
        assert!(message.contains(expected), "{settings}: {message}");
        assert!(!work.path("run/model.mmad").exists());
    }
    assert!(work.fails("train nowhere -o run").contains("`nowhere` is not a folder"));
    // A run that never began is in nobody's way.
    work.ok(&format!("train pics -o run {TINY} --epochs 1 --class gear"));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let work = Work::with_pictures();
    work.write("taken", b"a file");
    let ran = work.run(&format!("train pics -o taken {TINY} --epochs 1")).exits(ERROR);
    assert!(ran.stderr.contains("error: cannot make the folder `taken`"), "{ran}");
}

/// Decoded pictures that are kept give the same model to the bit, and survive the next run.
#[test]
fn a_picture_cache_changes_nothing_but_the_time() {
    let work = Work::with_pictures();
    let train = |out: &str, more: &str| {
        let line = format!("train pics -o {out} {TINY} --epochs 1 --class gear {more}");
        let ran = work.ok(&line);
        (ran.stderr.clone(), work.card(&format!("{out}/model.mmad"))["tensors_sha256"].clone())
    };
    let (_, plain) = train("plain", "");
    let (told, first) = train("first", "--picture-cache kept");
    assert!(told.contains("decoded 8 pictures into `kept`"), "{told}");
    let (told, second) = train("second", "--picture-cache kept");
    assert!(told.contains("8 pictures are in `kept`"), "{told}");
    assert_eq!([&first, &second], [&plain, &plain]);
    let line = format!("train pics -o full {TINY} --epochs 1 --class gear --picture-cache kept");
    let message = work.fails(&format!("{line} --picture-cache-gb 0.00001"));
    assert!(message.contains("allow the cache more space"), "{message}");
    assert!(work.fails(&format!("{line} --picture-cache-gb 0")).contains("above 0"));
}
