//! What went wrong, how to mend it, and the exit code.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// All is well.
    Ok,
    /// An error.
    Error,
    /// Defects were found and `--fail-on-defect` was given.
    DefectsFound,
    /// Some pictures could not be used; everything else was done.
    DataProblems,
    /// Stopped by Ctrl-C before it was done; what there is was saved.
    Interrupted,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Ok => 0,
            Status::Error => 1,
            Status::DefectsFound => 3,
            Status::DataProblems => 4,
            // As shells say of a program that this signal ended.
            Status::Interrupted => 130,
        })
    }
}

/// An error on its way to the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure {
    source: Box<dyn Error + Send + Sync>,
    hint: Option<String>,
    status: Status,
}

impl Failure {
    /// An error of the command itself.
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { source: message.into().into(), hint: Some(hint.into()), status: Status::Error }
    }

    /// Cannot read or write `path`.
    pub(crate) fn io(verb: &str, path: &std::path::Path, error: io::Error) -> Self {
        let message = format!("cannot {verb} `{}`: {error}", path.display());
        Self { source: message.into(), hint: None, status: Status::Error }
    }

    /// Makes a folder for results, and those above it.
    pub(crate) fn make_folder(path: &std::path::Path) -> Result<(), Self> {
        std::fs::create_dir_all(path).map_err(|error| {
            let message = format!("cannot make the folder `{}`: {error}", path.display());
            Self::new(message, "choose another folder")
        })
    }

    /// The messages of the error and its causes, outermost first.
    pub(crate) fn chain(&self) -> Vec<String> {
        let mut messages = vec![self.source.to_string()];
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let message = error.to_string();
            // Transparent wrappers repeat their cause.
            if messages.last() != Some(&message) {
                messages.push(message);
            }
            cause = error.source();
        }
        messages
    }

    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        let io = self.source.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { source: error.into(), hint: None, status: Status::Error }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self { source: error.into(), hint: None, status: Status::Error }
    }
}

macro_rules! with_hint {
    ($($error:ty => $status:expr),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let hint = error.hint();
                Self { source: Box::new(error), hint, status: $status }
            }
        })+
    };
}

with_hint! {
    mmad::calibrate::CalibrationError => Status::Error,
    mmad::compare::CompareError => Status::Error,
    mmad::detector::DetectorError => Status::Error,
    mmad::device::DeviceError => Status::Error,
    mmad::evaluate::EvaluateError => Status::Error,
    mmad::fit::FitError => Status::Error,
    mmad::import::ImportError => Status::Error,
    mmad::pretrain::PretrainError => Status::Error,
    mmad::model_file::ModelFileError => Status::Error,
    mmad::run_file::RunFileError => Status::Error,
    mmad::weights::WeightsError => Status::Error,
    mmad_data::DataError => Status::Error,
    mmad_data::MapError => Status::Error,
    mmad_metrics::MetricError => Status::Error,
    mmad_report::ReportError => Status::Error,
    mmad_synthetic::SyntheticError => Status::Error,
    mmad_weights::Error => Status::Error,
}
