//! Help, usage errors, the configuration, and what can be trained.

use serde_json::Value;

use super::program::{ERROR, TINY, USAGE, Work, names_in};

const COMMANDS: [&str; 15] = [
    "demo",
    "train",
    "calibrate",
    "eval",
    "compare",
    "metrics",
    "predict",
    "verify",
    "import",
    "data",
    "weights",
    "config",
    "methods",
    "bench",
    "encoder",
];

const SUBCOMMANDS: [&str; 6] = [
    "data check",
    "data synthesise",
    "weights import",
    "weights list",
    "weights pull",
    "encoder train",
];

#[test]
fn every_command_is_listed_and_has_help() {
    let work = Work::new();
    let help = work.ok("--help").stdout;
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    let listed: Vec<&str> = listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|&name| name != "help")
        .collect();
    assert_eq!(listed, COMMANDS);
    for command in COMMANDS.into_iter().chain(SUBCOMMANDS) {
        let help = work.ok(&format!("{command} --help")).stdout;
        assert!(help.contains(&format!("Usage: mmad {command}")), "{command}: {help}");
        // What a person reads first says what the command is for.
        assert!(help.lines().next().is_some_and(|line| line.len() > 15), "{command}: {help}");
        work.ok(&format!("{command} -h"));
    }
    assert!(work.ok("--version").stdout.starts_with("mmad "));
    assert!(names_in(&work.path("")).is_empty(), "asking for help writes nothing");
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let work = Work::new();
    for line in [
        "",
        "trian pics",
        "train",
        "train pics --epochs many",
        "train pics --epochs 1 --minutes 1",
        "train pics --preset fast",
        "predict model.mmad",
        "predict model.mmad a.png --csv --json",
        "predict model.mmad a.png --bit-range 9,3",
        "eval model.mmad",
        "eval model.mmad pics --protocol best",
        "calibrate model.mmad --data a --good b",
        "verify",
        "compare results",
        "weights",
        "data",
        "--threads many methods",
        "--threads 1025 methods",
        "calibrate model.mmad --encoder-precision bf16 --scores results.json",
    ] {
        let ran = work.run(line).exits(USAGE);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("--help"), "{ran}");
    }
    let typo = work.run("train pics --epoch 3").exits(USAGE);
    assert!(typo.stderr.contains("--epochs"), "{typo}");
}

#[test]
fn the_printed_configuration_reads_back() {
    let work = Work::new();
    for settings in ["", "--preset paper", TINY, "--epochs 7 --seed 9 --class a --class b"] {
        let printed = work.ok(&format!("config {settings}")).stdout;
        work.write("run.toml", printed.as_bytes());
        // The file names every value, so the preset under it does not matter.
        for preset in ["quick", "paper"] {
            let again = work.ok(&format!("config --config run.toml --preset {preset}")).stdout;
            assert_eq!(again, printed);
        }
    }
    let json = work.ok("config --json --epochs 7 --set train.batch=3").json();
    assert_eq!((&json["train"]["epochs"], &json["train"]["batch"]), (&7.into(), &3.into()));
    assert_eq!(json["train"]["minutes"], 0.0, "epochs replace the time budget");
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_the_preset() {
    let work = Work::new();
    work.write("run.toml", b"seed = 5\n[train]\nbatch = 2\nlearning_rate = 0.5\n");
    let line = "config --json --config run.toml --set train.batch=6";
    let json = work.ok(line).json();
    assert_eq!(json["seed"], 5);
    assert_eq!(json["train"]["batch"], 6);
    assert_eq!(json["train"]["learning_rate"], 0.5);
    assert_eq!(json["encoder"]["arch"], "resnet10");
    assert_eq!(work.ok(&format!("{line} --preset paper")).json()["encoder"]["arch"], "resnet34");
}

#[test]
fn a_wrong_configuration_says_what_was_meant() {
    let work = Work::new();
    work.write("typo.toml", b"[train]\nepoch = 3\n");
    work.write("damaged.toml", b"[train\n");
    for (line, expected) in [
        ("--set train.epoch=3", "unknown key `epoch`\n\nhint: did you mean `epochs`?"),
        ("--config typo.toml", "unknown key `epoch`\n\nhint: did you mean `epochs`?"),
        ("--set mmad.width=3", "did you mean `widths`?"),
        ("--set nonsense=3", "the keys there are: method, seed"),
        ("--set train.batch", "is not of the form `key=value`"),
        ("--set train.batch=many", "in `train.batch`"),
        ("--config damaged.toml", "line 1"),
        ("--size 100", "a multiple of 32"),
        ("--set train.learning_rate=nan", "above 0 and below 10"),
        ("--epochs 0", "at least 1"),
        ("--encoder resnet99", "`resnet18`"),
    ] {
        let message = work.fails(&format!("config {line}"));
        assert!(message.contains(expected), "{line}: {message}");
    }
    let missing = work.run("config --config missing.toml").exits(ERROR);
    assert!(missing.stderr.contains("cannot read `missing.toml`"), "{missing}");
}

#[test]
fn printing_the_configuration_of_a_run_starts_none() {
    let work = Work::new();
    let printed = work.ok(&format!("train nowhere -o run {TINY} --print-config")).stdout;
    assert_eq!(printed, work.ok(&format!("config {TINY}")).stdout);
    assert!(names_in(&work.path("")).is_empty());
}

/// The number of parameters that the reference code counts, frozen tables included.
#[test]
fn methods_have_the_published_size() {
    let work = Work::new();
    let methods = work.ok("methods --json").json();
    let rows = methods.as_array().unwrap();
    let mmad = rows.iter().find(|row| row["id"] == "mmad").unwrap();
    assert_eq!(mmad["params"], 25_060_046);
    assert!(rows.iter().all(|row| row["macs"].as_u64().unwrap() > 1_000_000_000));
    let text = work.ok("methods").stdout;
    assert!(text.contains("25.060 M parameters"), "{text}");
    assert!(rows.iter().all(|row| row["about"].as_str() != Some("") && row["id"] != Value::Null));
}

#[test]
fn latency_says_where_the_time_goes() {
    let work = Work::new();
    let score = work.ok(&format!("bench --latency {TINY} --runs 3 --json")).json();
    assert_eq!(score["what"], "score");
    assert_eq!(score["runs_ms"].as_array().unwrap().len(), 3);
    let (min, p50) = (score["min_ms"].as_f64().unwrap(), score["p50_ms"].as_f64().unwrap());
    assert!(min > 0.0 && min <= p50, "{score}");
    let step = work.ok(&format!("bench --latency {TINY} --train --batch 2 --runs 2 --json")).json();
    assert_eq!(step["batch"], 2);
    assert!(step["parts_ms"]["backward"].as_f64().unwrap() > 0.0);
    let operations = step["operations"].as_array().unwrap();
    assert!(operations.iter().any(|op| op["name"] == "Ss2dFeatures" && op["pass"] == "backward"));
    let text = work.ok(&format!("bench --latency {TINY} --runs 1"));
    assert!(text.stdout.contains("median"), "{text}");
}

#[test]
fn latency_over_sizes_is_drawn() {
    let work = Work::new();
    let line = "bench --latency --runs 1 --sides 32,64 --plot time.svg --json";
    let sizes: Vec<Value> =
        work.ok(line).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(sizes.len(), 2);
    assert_eq!((&sizes[0]["height_px"], &sizes[1]["width_px"]), (&32.into(), &64.into()));
    let drawn = work.read("time.svg");
    assert!(drawn.contains("64²") && drawn.trim_end().ends_with("</svg>"), "{drawn}");
}

#[test]
fn bench_takes_a_file_or_times() {
    let work = Work::new();
    for line in
        ["bench", "bench a.toml --latency", "bench a.toml --size 64", "bench a.toml --runs 3"]
    {
        let ran = work.run(line).exits(USAGE);
        assert!(ran.stderr.contains("Usage: mmad bench"), "{ran}");
    }
}
