//! Everything that is printed: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// Where and how to print.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

// All printing goes through one value, also where it needs none of its settings.
#[allow(clippy::unused_self)]
impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// True where machines read the result.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A line of the result, for people; nothing under `--json`.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        writeln!(io::stdout().lock(), "{text}")
    }

    /// Text of the result with its own line ends; nothing under `--json`.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        write!(io::stdout().lock(), "{text}")
    }

    /// The result for machines; nothing without `--json`.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string(value)?;
            writeln!(io::stdout().lock(), "{text}")?;
        }
        Ok(())
    }

    /// Text for machines that is not JSON, such as CSV.
    pub(crate) fn raw(&mut self, text: &str) -> io::Result<()> {
        write!(io::stdout().lock(), "{text}")
    }

    /// A remark on standard error.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.quiet {
            // Nobody can be told that standard error is gone.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// A remark that explains the exit code, so it is made even under `--quiet`.
    pub(crate) fn warn(&mut self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// An error and its hint.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        let mut text = String::from("error");
        for message in failure.chain() {
            text.push_str(": ");
            text.push_str(&message);
        }
        if let Some(hint) = failure.hint() {
            text.push_str("\n\nhint: ");
            text.push_str(hint);
        }
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A bar with rate and time left, on a terminal; a line every ten seconds elsewhere.
    pub(crate) fn bar(&self, length: u64, unit: &'static str) -> Bar {
        let is_terminal = io::stderr().is_terminal();
        let bar = ProgressBar::new(length);
        if self.quiet || !is_terminal {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        } else {
            let template = format!(
                "{{prefix:>9}} {{bar:32}} {{pos}}/{{len}} {unit}  {{msg}}  {{per_sec}}  ETA {{eta}}"
            );
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
            }
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Bar {
            bar,
            prints_lines: !self.quiet && !is_terminal,
            last: std::time::Instant::now(),
            unit,
        }
    }
}

/// Progress of something that takes longer than a second.
#[derive(Debug)]
#[allow(clippy::struct_field_names)]
pub(crate) struct Bar {
    bar: ProgressBar,
    prints_lines: bool,
    last: std::time::Instant,
    unit: &'static str,
}

impl Bar {
    pub(crate) fn label(self, label: &'static str) -> Self {
        self.bar.set_prefix(label);
        self
    }

    pub(crate) fn set_length(&mut self, length: u64) {
        self.bar.set_length(length);
    }

    pub(crate) fn set_position(&mut self, position: u64) {
        self.bar.set_position(position);
        self.bar.reset_eta();
    }

    /// Moves on and shows `message`.
    pub(crate) fn advance_to(&mut self, position: u64, message: String) {
        const EVERY: Duration = Duration::from_secs(10);
        self.bar.set_position(position);
        if self.prints_lines && self.last.elapsed() >= EVERY {
            self.last = std::time::Instant::now();
            let left = self.bar.eta().as_secs();
            let (label, unit) = (self.bar.prefix(), self.unit);
            let length = self.bar.length().unwrap_or(0);
            let _ = writeln!(
                io::stderr().lock(),
                "{label} {position}/{length} {unit}  {message}  ETA {left} s"
            );
        }
        self.bar.set_message(message);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Seconds as a person reads them.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s % 3600.0) / 60.0),
    }
}

/// Largest memory of this process so far, in megabytes, where the system tells.
pub(crate) fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}
