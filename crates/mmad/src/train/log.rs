//! The log of a run: one JSON object per line and step.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Number of the step, from 1.
    pub step: u64,
    /// Number of the epoch, from 1.
    pub epoch: u64,
    /// Loss of the batch.
    pub loss: f64,
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Seconds of training so far.
    pub seconds: f64,
}

/// Appends lines to a log file.
#[derive(Debug)]
pub struct Log {
    file: File,
}

impl Log {
    /// The log of the run in `folder`.
    pub fn path_in(folder: &Path) -> PathBuf {
        folder.join("log.jsonl")
    }

    /// Opens the log at `path`, keeping the lines of the first `n_steps` steps: what a killed run
    /// wrote after its last checkpoint will be written again. Returns the kept lines too.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn open(path: &Path, n_steps: u64) -> io::Result<(Self, Vec<LogLine>)> {
        let mut kept = read(path)?;
        kept.retain(|line| line.step <= n_steps);
        let mut text = String::new();
        for line in &kept {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        mmad_weights::write_whole(path, |out| out.write_all(text.as_bytes()))
            .map_err(io::Error::other)?;
        Ok((Self { file: OpenOptions::new().append(true).open(path)? }, kept))
    }

    /// Appends one line.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn append(&mut self, line: &LogLine) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

/// The lines of a log; none where there is no file. A last line that was cut off is left out.
///
/// # Errors
///
/// When the file cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<LogLine>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let mut lines = Vec::new();
    for line in BufReader::new(file).lines() {
        if let Ok(line) = serde_json::from_str(&line?) {
            lines.push(line);
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_the_checkpoint_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = Log::path_in(folder.path());
        let line = |step| LogLine {
            step,
            epoch: 1,
            loss: 0.1,
            grad_norm: 1.0,
            learning_rate: 1e-3,
            seconds: 0.5,
        };
        let (mut log, _) = Log::open(&path, 0).unwrap();
        (1..=5).for_each(|step| log.append(&line(step)).unwrap());
        log.file.write_all(b"{\"step\":6,\"ep").unwrap();
        drop(log);
        let (mut log, kept) = Log::open(&path, 3).unwrap();
        assert_eq!(kept.len(), 3);
        log.append(&line(4)).unwrap();
        let steps: Vec<u64> = read(&path).unwrap().iter().map(|line| line.step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }
}
