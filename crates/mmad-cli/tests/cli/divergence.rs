//! Learning rates that no training survives.

use super::program::{ERROR, TINY, Work, log_lines};

/// A weight decay that throws every weight far away in a single step.
const EXPLODE: &str = "--set train.learning_rate=9.9 --set train.adamw.weight_decay=1e6";

#[test]
fn a_large_learning_rate_trains_or_says_that_it_diverged() {
    let work = Work::with_pictures();
    let settings = "--epochs 12 --class gear --set train.batch=4 --set train.learning_rate=5";
    let ran = work.run(&format!("train pics -o run {TINY} {settings}"));
    if ran.stderr.contains("training diverged") {
        ran.exits(ERROR);
    } else {
        ran.exits(0);
        work.ok("verify run/model.mmad");
    }
}

#[test]
fn a_diverged_run_stops_and_its_checkpoint_can_be_read() {
    let work = Work::with_pictures();
    let settings = format!("{TINY} {EXPLODE} --epochs 4 --class gear --set train.batch=4");
    let message =
        work.fails(&format!("train pics -o run {settings} -q --set train.checkpoint_s=0"));
    assert!(message.contains("training diverged at step 2"), "{message}");
    assert!(message.contains("train.learning_rate"), "{message}");
    assert!(!work.path("run/model.mmad").exists());
    assert_eq!(log_lines(&work.path("run/log.jsonl")).len(), 1);
    let checkpoint = work.tensors("run/checkpoint.safetensors");
    assert_eq!(checkpoint.first_non_finite(), None);
}

/// The last step is followed by no loss that would show what it did.
#[test]
fn a_model_that_diverged_in_its_last_step_is_not_written() {
    let work = Work::with_pictures();
    for share in ["0", "0.5"] {
        let settings = format!("{TINY} {EXPLODE} --epochs 1 --class gear");
        let share = format!("-o run{share} --set data.calibration_share={share}");
        let message = work.fails(&format!("train pics {settings} {share} -q"));
        assert!(message.contains("diverged"), "{message}");
    }
    assert!(!work.path("run0/model.mmad").exists());
}
