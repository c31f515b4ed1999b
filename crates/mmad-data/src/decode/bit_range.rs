//! Which part of 10, 12, 14 or 16 bits becomes black to white.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How values of more than 8 bits are brought to `0..=255`. Written as `auto`, `full` or `lo,hi`.
///
/// Values in `lo..=hi` become `0..=255`, linearly and rounded to the nearest; what lies outside
/// becomes 0 or 255 and is counted in [`WindowUse`](super::WindowUse). Pictures of 8 bits are
/// never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BitRange {
    /// `0..=2^bits - 1` with the fewest bits, from 8 to 16, that hold the picture's largest
    /// value: a 12-bit camera writes 16-bit files. Nothing lies outside.
    ///
    /// The window hangs on the picture only through its number of bits, because stretching each
    /// picture from its own darkest to its own brightest value would change what is normal with
    /// every bright defect. Pictures of one class can still fall on both sides of a power of two;
    /// the check of a data set warns then and names a window that fits them all.
    ///
    /// Pictures in floating point: `0..1` if all values are in it, else from the smallest to the
    /// largest value.
    #[default]
    Auto,
    /// The whole range of the file's type: `0..=65535`, or `0..1` in floating point.
    Full,
    /// This window.
    Window(Window),
}

/// A range of values, `lo < hi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    lo: u16,
    hi: u16,
}

impl Window {
    /// The window `lo..=hi`, or nothing unless `lo < hi`.
    pub fn new(lo: u16, hi: u16) -> Option<Self> {
        (lo < hi).then_some(Self { lo, hi })
    }

    /// The value that becomes black.
    pub fn lo(self) -> u16 {
        self.lo
    }

    /// The value that becomes white.
    pub fn hi(self) -> u16 {
        self.hi
    }
}

/// A bit range that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bit range `{asked}` is not `auto`, `full` or `lo,hi` with 0 <= lo < hi <= 65535")]
pub struct BitRangeError {
    /// What was written.
    pub asked: String,
}

impl FromStr for BitRange {
    type Err = BitRangeError;

    fn from_str(text: &str) -> Result<Self, BitRangeError> {
        match text {
            "auto" => return Ok(Self::Auto),
            "full" => return Ok(Self::Full),
            _ => {}
        }
        text.split_once(',')
            .and_then(|(lo, hi)| Window::new(lo.trim().parse().ok()?, hi.trim().parse().ok()?))
            .map(Self::Window)
            .ok_or_else(|| BitRangeError { asked: text.to_owned() })
    }
}

impl fmt::Display for BitRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Full => f.write_str("full"),
            Self::Window(Window { lo, hi }) => write!(f, "{lo},{hi}"),
        }
    }
}

impl TryFrom<String> for BitRange {
    type Error = BitRangeError;

    fn try_from(text: String) -> Result<Self, BitRangeError> {
        text.parse()
    }
}

impl From<BitRange> for String {
    fn from(range: BitRange) -> Self {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_round_trip() {
        for text in ["auto", "full", "310,5120"] {
            let range: BitRange = text.parse().unwrap();
            assert_eq!(range.to_string(), text);
            let json = serde_json::to_string(&range).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<BitRange>(&json).unwrap(), range);
        }
    }

    #[test]
    fn an_empty_window_is_refused() {
        for text in ["5,5", "7,2", "0,65536", "-1,4", "auto,full", ""] {
            assert!(text.parse::<BitRange>().is_err(), "{text}");
        }
        let error = "7,2".parse::<BitRange>().unwrap_err();
        assert!(error.to_string().starts_with("bit range `7,2` is not"));
    }
}
