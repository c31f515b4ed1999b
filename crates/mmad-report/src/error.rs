//! What can go wrong while a report is made.

use std::path::PathBuf;

/// A report, table or picture that cannot be made, with the values that say why.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A row of the table is shorter or longer than its heading.
    #[error("table row `{row}` has {got} values for {expected} metric columns")]
    RowLength {
        /// The class, or `mean`.
        row: String,
        /// Values in the row.
        got: usize,
        /// Metric columns of the table.
        expected: usize,
    },
    /// A score, threshold or map value is NaN or infinite.
    #[error("{what} is `{value}`, not a finite number")]
    NotFinite {
        /// Which number, with the picture or position it belongs to.
        what: String,
        /// The value found.
        value: f64,
    },
    /// A buffer does not hold `width * height` pixels, or a side is zero.
    #[error("{what} of {width} x {height} pixels cannot have {got} values")]
    RasterSize {
        /// The kind of picture.
        what: &'static str,
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// Values in the buffer, all channels together.
        got: usize,
    },
    /// A map and the picture under it have different sizes.
    #[error(
        "the map has {} x {} pixels and the picture {} x {}",
        map.0, map.1, picture.0, picture.1
    )]
    SizesDiffer {
        /// Width and height of the map.
        map: (u32, u32),
        /// Width and height of the picture.
        picture: (u32, u32),
    },
    /// Bytes that are neither PNG nor JPEG.
    #[error("{what} is neither a PNG nor a JPEG file")]
    UnknownImage {
        /// What the bytes were given as.
        what: String,
    },
    /// The PNG or JPEG encoder refused.
    #[error("a picture could not be encoded")]
    Encode(#[from] image::ImageError),
    /// Data that JSON cannot hold.
    #[error("the report could not be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The file system refused.
    #[error("`{}` could not be written", path.display())]
    Write {
        /// The file asked for.
        path: PathBuf,
        /// The reason of the operating system.
        source: std::io::Error,
    },
}

impl ReportError {
    /// What a person can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::RowLength { expected, .. } => Some(format!(
                "give {expected} values per row; an undefined metric is an empty value, not a \
                 missing one"
            )),
            Self::NotFinite { .. } => {
                Some("scores come from a model run gone wrong; score the picture again".into())
            }
            Self::SizesDiffer { picture, .. } => {
                Some(format!("resize the map to {} x {} first", picture.0, picture.1))
            }
            Self::UnknownImage { .. } => Some("convert it to PNG or JPEG".into()),
            Self::Write { path, .. } => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
                Some(format!("check that the folder `{}` exists and is writable", folder.display()))
            }
            Self::RasterSize { .. } | Self::Encode(_) | Self::Json(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_values_and_hints_say_what_to_do() {
        let error = ReportError::RowLength { row: "gear".into(), got: 6, expected: 7 };
        assert_eq!(error.to_string(), "table row `gear` has 6 values for 7 metric columns");
        assert!(error.hint().unwrap().starts_with("give 7 values per row"));

        let error = ReportError::SizesDiffer { map: (8, 4), picture: (16, 4) };
        assert_eq!(error.to_string(), "the map has 8 x 4 pixels and the picture 16 x 4");
        assert_eq!(error.hint().unwrap(), "resize the map to 16 x 4 first");

        let error = ReportError::Write {
            path: PathBuf::from("out/report.html"),
            source: std::io::ErrorKind::NotFound.into(),
        };
        assert_eq!(error.to_string(), "`out/report.html` could not be written");
        assert_eq!(error.hint().unwrap(), "check that the folder `out` exists and is writable");
    }
}
