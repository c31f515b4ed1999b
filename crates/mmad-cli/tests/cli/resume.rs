//! Runs that are killed, stopped and gone on with.

#![cfg(unix)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::program::{TINY, Work, log_lines, names_in};

/// 8 pictures, one held out; 3 steps per epoch.
const RUN: &str = "--class gear --set train.batch=2 --set train.checkpoint_s=0";
const N_STEPS: usize = 24;

fn start(work: &Work, line: &str) -> Child {
    let mut command = work.command(line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the log has `n` lines, or the run has ended.
fn wait_for_steps(work: &Work, run: &mut Child, log: &str, n: usize) {
    while log_lines(&work.path(log)).len() < n && run.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a step did, without the time it took.
fn steps(work: &Work, log: &str) -> Vec<(Value, Value, Value, Value)> {
    let fields = |line: &Value| {
        let field = |name: &str| line[name].clone();
        (field("step"), field("loss"), field("grad_norm"), field("learning_rate"))
    };
    log_lines(&work.path(log)).iter().map(fields).collect()
}

/// Kills the run at many moments; what is gone on with ends like one that was left alone.
#[test]
fn a_run_that_was_killed_again_and_again_ends_with_the_same_bits() {
    let work = Work::with_pictures();
    let epochs = N_STEPS / 3;
    let line = format!("{TINY} {RUN} --epochs {epochs} -q");
    work.ok(&format!("train pics -o whole {line}"));

    for n in [1, 2, 7, 12, 13] {
        let resume = if n == 1 { "" } else { "--resume" };
        let mut run = start(&work, &format!("train pics -o killed {line} {resume}"));
        wait_for_steps(&work, &mut run, "killed/log.jsonl", n);
        run.kill().unwrap();
        run.wait().unwrap();
        assert!(!work.path("killed/model.mmad").exists(), "the run ended before it was killed");
    }
    // What was saved is a step that the log has; at most the step being saved is lost.
    let ran = work.ok("train pics -o killed --resume");
    assert!(ran.stderr.contains("going on after step"), "{ran}");

    assert_eq!(steps(&work, "killed/log.jsonl"), steps(&work, "whole/log.jsonl"));
    let numbers: Vec<Value> = steps(&work, "killed/log.jsonl").into_iter().map(|s| s.0).collect();
    assert_eq!(numbers, (1..=N_STEPS).map(Value::from).collect::<Vec<_>>());
    assert!(work.tensors("killed/model.mmad") == work.tensors("whole/model.mmad"));
    let card = |name: &str| {
        let mut card = work.card(name);
        card["training"]["seconds"] = Value::Null;
        card
    };
    assert_eq!(card("killed/model.mmad"), card("whole/model.mmad"));
}

/// Groups of parameters, phases and painted defects are part of what a run goes on with.
#[test]
fn every_method_goes_on_with_the_same_bits() {
    let work = Work::with_pictures();
    let line = format!("{RUN} --size 64 --epochs 4 -q --set destseg.width=16");
    for method in ["rd4ad", "simplenet", "uniad", "destseg"] {
        let (whole, killed) = (format!("whole_{method}"), format!("killed_{method}"));
        let line = format!("{line} --method {method}");
        work.ok(&format!("train pics -o {whole} {line}"));
        let mut run = start(&work, &format!("train pics -o {killed} {line}"));
        wait_for_steps(&work, &mut run, &format!("{killed}/log.jsonl"), 2);
        run.kill().unwrap();
        run.wait().unwrap();
        work.ok(&format!("train pics -o {killed} --resume"));
        let log = |folder: &str| steps(&work, &format!("{folder}/log.jsonl"));
        assert_eq!(log(&killed), log(&whole), "{method}");
        let tensors = |folder: &str| work.tensors(&format!("{folder}/model.mmad"));
        assert!(tensors(&killed) == tensors(&whole), "{method}");
    }
}

#[test]
fn there_must_be_a_run_to_go_on_with() {
    let work = Work::with_pictures();
    let refused = work.fails(&format!("train pics -o nowhere {TINY} --resume"));
    assert!(refused.contains("there is no run in `nowhere` to go on with"), "{refused}");
    assert!(!work.path("nowhere").exists());
}

/// The line that began a run may be given again, and parts of it; another may not.
#[test]
fn options_beside_resume_must_be_those_of_the_run() {
    let work = Work::with_pictures();
    let line = format!("{TINY} {RUN} --epochs 1");
    work.ok(&format!("train pics -o run -q {line}"));
    for same in [line.as_str(), "--epochs 1", "--class gear", "--set train.batch=2 --method mmad"] {
        work.ok(&format!("train pics -o run --resume -q {same}"));
    }
    for (other, key) in [
        ("--epochs 2", "`train.epochs` = 2"),
        ("--seed 77", "`seed` = 77"),
        ("--set train.batch=4", "`train.batch` = 4"),
        ("--method rd4ad", "every one that the run began with"),
        ("--preset paper", "every one that the run began with"),
    ] {
        let refused = work.fails(&format!("train pics -o run --resume -q {other}"));
        assert!(refused.contains("the options ask for"), "{other}: {refused}");
        assert!(refused.contains(key), "{other}: {refused}");
    }
}

/// A run that is killed while it saves leaves half a checkpoint, as large as a model or larger.
#[test]
fn the_next_start_removes_half_a_checkpoint() {
    let work = Work::with_pictures();
    work.ok(&format!("train pics -o run {TINY} {RUN} --epochs 1 -q"));
    work.write("run/.incomplete-f3xY1z", b"half a checkpoint");
    work.ok("train pics -o run --resume -q");
    assert_eq!(
        names_in(&work.path("run")),
        ["checkpoint.safetensors", "config.toml", "log.jsonl", "model.mmad"]
    );
}

#[test]
fn a_run_that_was_killed_before_its_first_step_goes_on() {
    let work = Work::with_pictures();
    let line = format!("{TINY} {RUN} --epochs 1 -q");
    let mut run = start(&work, &format!("train pics -o run {line}"));
    while !work.path("run/config.toml").exists() && run.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    work.ok("train pics -o run --resume -q");
    work.ok(&format!("train pics -o whole {line}"));
    assert!(work.tensors("run/model.mmad") == work.tensors("whole/model.mmad"));
}

#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let work = Work::with_pictures();
    let line = format!("{TINY} {RUN} --epochs 10").replace("checkpoint_s=0", "checkpoint_s=999");
    let mut run = start(&work, &format!("train pics -o run {line}"));
    wait_for_steps(&work, &mut run, "run/log.jsonl", 3);
    let interrupt = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let output = run.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stdout}");
    assert!(stdout.contains("stopped after step"), "{stdout}");
    assert!(stdout.contains("--resume --out run"), "{stdout}");
    // Nothing that was trained is trained again.
    let done = log_lines(&work.path("run/log.jsonl")).len();
    assert!((3..30).contains(&done), "{done}");
    let ran = work.ok("train pics --resume --out run");
    assert!(ran.stderr.contains(&format!("going on after step {done}\n")), "{ran}");
    work.ok(&format!("train pics -o whole {line} -q"));
    assert!(work.tensors("run/model.mmad") == work.tensors("whole/model.mmad"));
}

#[test]
fn a_run_goes_on_only_with_its_own_pictures_and_settings() {
    let work = Work::with_pictures();
    work.ok(&format!("train pics -o run {TINY} {RUN} --epochs 1 -q"));
    let whole = std::fs::read(work.path("run/checkpoint.safetensors")).unwrap();
    let config = work.read("run/config.toml");

    work.write("run/config.toml", config.replace("seed = 42", "seed = 43").as_bytes());
    let message = work.fails("train pics -o run --resume -q");
    assert!(message.contains("belongs to a run with another configuration"), "{message}");
    work.write("run/config.toml", config.as_bytes());

    let picture = work.path("pics/gear/train/good/000.png");
    let bytes = std::fs::read(&picture).unwrap();
    std::fs::remove_file(&picture).unwrap();
    let message = work.fails("train pics -o run --resume -q");
    assert!(message.contains("other pictures"), "{message}");
    std::fs::write(&picture, bytes).unwrap();

    work.cut_short("run/checkpoint.safetensors");
    let message = work.fails("train pics -o run --resume -q");
    assert!(message.contains("checkpoint.safetensors"), "{message}");
    work.write("run/checkpoint.safetensors", &whole);
    work.ok("train pics -o run --resume -q");
}

#[test]
fn going_on_with_a_finished_run_changes_nothing() {
    let work = Work::with_pictures();
    work.ok(&format!("train pics -o run {TINY} {RUN} --epochs 1 -q"));
    let before = (work.card("run/model.mmad"), work.read("run/log.jsonl"));
    let result = work.ok("train pics -o run --resume --json").json();
    assert_eq!(result["complete"], true);
    assert_eq!((work.card("run/model.mmad"), work.read("run/log.jsonl")), before);
}
