//! Something worth telling about a data set: what, where, how bad, and what to do.

use serde::Serialize;

/// How bad a [`Finding`] is. Ordered from worst to mildest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Results would be wrong, or a file cannot be used.
    Error,
    /// Results may be worse than they need to be.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word for it: `error`, `warning` or `note`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What a [`Finding`] is about; programs may rely on these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A picture cannot be decoded.
    BrokenPicture,
    /// An index file names a picture that is not there.
    MissingPicture,
    /// A picture is used for training and for testing.
    Leak,
    /// The same file more than once.
    Duplicate,
    /// A picture is labelled both good and defective.
    ContradictoryLabel,
    /// A defective picture without a mask, in a class that has masks.
    MissingMask,
    /// A mask cannot be decoded.
    BrokenMask,
    /// A mask without a picture.
    ExtraMask,
    /// A mask of another size than its picture.
    MaskSize,
    /// A mask that marks nothing.
    EmptyMask,
    /// A mask that marks everything.
    FullMask,
    /// A mask with more than two levels.
    MaskLevels,
    /// An index file pairs a picture with a mask of another name.
    MaskName,
    /// A class has picture labels only.
    NoMasks,
    /// The pictures of a class differ in size.
    MixedSizes,
    /// The pictures of a class differ in colour type.
    MixedModes,
    /// Pictures with more than 8 bits per channel.
    DeepPictures,
    /// Pictures turned by their EXIF entry.
    Rotated,
    /// Pictures whose transparency is dropped.
    Alpha,
    /// A picture with one single colour.
    ConstantPicture,
    /// Too few pictures.
    TinyClass,
    /// Good pictures were kept for testing, because the folders name no test split.
    HeldOut,
    /// Something lies in the folder that is not read.
    NotRead,
    /// A name that suggests a mistake.
    SuspiciousName,
}

/// One thing worth telling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The class concerned, or nothing when it is about the whole data set.
    pub class: Option<String>,
    /// What it is about.
    pub kind: Kind,
    /// The file or folder, relative to the root of the data set.
    pub file: Option<String>,
    /// What was found; a sentence without full stop.
    pub what: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    /// A finding of `kind` about nothing in particular; add where with the methods below.
    pub(crate) fn new(severity: Severity, kind: Kind, what: impl Into<String>) -> Self {
        Self { severity, class: None, kind, file: None, what: what.into(), fix: None }
    }

    pub(crate) fn in_class(mut self, class: &str) -> Self {
        self.class = Some(class.to_owned());
        self
    }

    pub(crate) fn at(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.severity.name())?;
        match (&self.file, &self.class) {
            (Some(file), _) => write!(f, "{file}: ")?,
            (None, Some(class)) => write!(f, "{class}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.what)
    }
}
