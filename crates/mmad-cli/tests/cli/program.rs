//! Runs the program in a folder of its own, and reads what it writes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mmad_weights::{Precision, StateDict};
use serde_json::Value;
use tempfile::TempDir;

/// A model so small that a step takes milliseconds.
pub(super) const TINY: &str = "--size 64 --set mmad.widths=[16,32,64] --set mmad.depths=[3,3,3,3] \
    --set mmad.scans=[\"hilbert\"] --set mmad.directions=2 --set mmad.states=4 \
    --set train.batch=8";

/// Exit codes of the program.
pub(super) const ERROR: i32 = 1;
pub(super) const USAGE: i32 = 2;
pub(super) const DEFECTS: i32 = 3;
pub(super) const DATA_PROBLEMS: i32 = 4;

/// A folder in which the program runs, so that its arguments and messages have short paths.
pub(super) struct Work {
    folder: TempDir,
}

/// What a run left behind.
pub(super) struct Ran {
    line: String,
    code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Work {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Six classes of 64 x 64 pixels in `pics`: 8 good pictures to train with, 2 good and 6
    /// defective ones to test with.
    pub(super) fn with_pictures() -> Self {
        let work = Self::new();
        work.ok("data synthesise pics --size 64 --train 8 --test 2 --defective 1");
        work
    }

    /// Pictures, and in `run/model.mmad` a model of two of their classes, gear and wood, half of
    /// whose training pictures were held out.
    pub(super) fn with_model() -> Self {
        let work = Self::with_pictures();
        let share = "--set data.calibration_share=0.5";
        work.ok(&format!("train pics -o run {TINY} --epochs 2 --class gear --class wood {share}"));
        work
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Keeps the first third of a file, as a broken copy would.
    pub(super) fn cut_short(&self, name: &str) {
        let bytes = fs::read(self.path(name)).unwrap();
        self.write(name, &bytes[..bytes.len() / 3]);
    }

    /// The program with the arguments in `line`, not started yet. They are parted at spaces.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mmad"));
        command.args(line.split_whitespace());
        command.current_dir(self.folder.path()).env("MMAD_CACHE", self.path("cache"));
        command.env_remove("MMAD_THREADS").env_remove("RUST_BACKTRACE");
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program, which must end by itself.
    pub(super) fn run(&self, line: &str) -> Ran {
        let output = self.command(line).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let ran = Ran {
            line: line.to_owned(),
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        assert!(!ran.stderr.contains("panicked at"), "{ran}");
        assert!(ran.code.is_some(), "killed by a signal: {ran}");
        ran
    }

    pub(super) fn ok(&self, line: &str) -> Ran {
        self.run(line).exits(0)
    }

    /// Runs the program, which must fail with a message and a hint; returns both.
    pub(super) fn fails(&self, line: &str) -> String {
        let ran = self.run(line).exits(ERROR);
        assert!(ran.stdout.is_empty(), "{ran}");
        let last = ran.stderr.rfind("error: ").unwrap_or_else(|| panic!("no error: {ran}"));
        let message = ran.stderr[last..].to_owned();
        assert!(message.contains("\n\nhint: "), "no hint: {ran}");
        message
    }

    /// The tensors of a model or checkpoint.
    pub(super) fn tensors(&self, name: &str) -> StateDict {
        mmad_weights::read_all(&self.path(name)).unwrap()
    }

    /// Writes a safetensors file; `card` goes where model files have theirs.
    pub(super) fn write_tensors(&self, name: &str, tensors: &StateDict, card: Option<&Value>) {
        let card = card.map(|card| ("mmad".to_owned(), card.to_string()));
        let metadata: BTreeMap<String, String> = card.into_iter().collect();
        mmad_weights::write_safetensors(&self.path(name), tensors, &metadata, Precision::Full)
            .unwrap();
    }

    /// The card of a model file.
    pub(super) fn card(&self, name: &str) -> Value {
        let metadata = mmad_weights::read_metadata(&self.path(name)).unwrap();
        serde_json::from_str(&metadata["mmad"]).unwrap()
    }
}

impl Ran {
    #[track_caller]
    pub(super) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Standard output, which must be one line with one JSON value.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, code, stdout, stderr } = self;
        write!(f, "mmad {line}\nexit code {code:?}\nstdout:\n{stdout}\nstderr:\n{stderr}")
    }
}

/// The lines of a training log.
pub(super) fn log_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The last line may be being written.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Names of everything in a folder.
pub(super) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A file of the reference data, `None` with a message where it is absent.
pub(super) fn reference_data(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("MMAD_TEST_DATA").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there; set MMAD_TEST_DATA", path.display());
    None
}
