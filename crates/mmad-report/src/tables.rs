//! The paper's table: one row per class, one column per metric, the mean and mAD below.
//!
//! Values are fractions in `0.0..=1.0` and are printed in percent with one decimal. A metric that
//! is undefined for a class is printed `-`, and a note below the table says why.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use unicode_width::UnicodeWidthStr;

use crate::error::ReportError;
use crate::escape;

/// One metric of a [`ResultTable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricColumn {
    /// Key in JSON, e.g. `image_auroc`; unique in the table.
    pub id: String,
    /// Heading for people, e.g. `I-AUROC`.
    pub heading: String,
}

/// Metrics per class, with the mean over classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultTable {
    /// The columns, in the order they are printed.
    pub metrics: Vec<MetricColumn>,
    /// Class name and one value per column, fractions in `0.0..=1.0`, `None` where undefined.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
    /// Mean over the classes per column, under the same rules.
    pub mean: Vec<Option<f64>>,
    /// mAD: the mean of the columns that belong to it, for the whole table.
    pub m_ad: Option<f64>,
    /// Sentences below the table, e.g. why a value is undefined.
    pub notes: Vec<String>,
}

impl ResultTable {
    /// Checks that every row has one value per metric.
    ///
    /// # Errors
    ///
    /// [`ReportError::RowLength`] names the first row that has not.
    pub fn check(&self) -> Result<(), ReportError> {
        let expected = self.metrics.len();
        let classes = self.rows.iter().map(|(class, values)| (class.as_str(), values));
        for (row, values) in classes.chain([("mean", &self.mean)]) {
            if values.len() != expected {
                let row = row.to_owned();
                return Err(ReportError::RowLength { row, got: values.len(), expected });
            }
        }
        Ok(())
    }

    /// Aligned columns for a terminal, without colour.
    pub fn to_text(&self) -> String {
        let grid = self.grid(escape::visible);
        let n_columns = self.metrics.len() + 1;
        let widths: Vec<usize> = (0..n_columns)
            .map(|column| grid.iter().map(|row| row[column].width()).max().unwrap_or(0))
            .collect();
        let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * (n_columns - 1));

        let mut text = String::new();
        for (i, row) in grid.iter().enumerate() {
            let before_mean = i + 1 == grid.len();
            if i == 1 || before_mean {
                let _ = writeln!(text, "{rule}");
            }
            text.push_str(&row[0]);
            text.push_str(&" ".repeat(widths[0] - row[0].width()));
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                let _ = write!(text, "  {}{cell}", " ".repeat(width - cell.width()));
            }
            text.push('\n');
        }
        if let Some(m_ad) = self.m_ad {
            let _ = writeln!(text, "\nmAD {}", percent(Some(m_ad)));
        }
        for note in self.all_notes() {
            let _ = writeln!(text, "note: {}", escape::visible(&note));
        }
        text
    }

    /// A pipe table with the notes as a list below.
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        let grid = self.grid(escape::markdown);
        for (i, row) in grid.iter().enumerate() {
            let is_mean = i + 1 == grid.len();
            let cells: Vec<String> = row
                .iter()
                .map(|cell| if is_mean { format!("**{cell}**") } else { cell.clone() })
                .collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
            if i == 0 {
                let _ = writeln!(text, "| :-- |{}", " --: |".repeat(self.metrics.len()));
            }
        }
        if let Some(m_ad) = self.m_ad {
            let _ = writeln!(text, "\n**mAD {}**", percent(Some(m_ad)));
        }
        for (i, note) in self.all_notes().iter().enumerate() {
            let gap = if i == 0 { "\n" } else { "" };
            let _ = writeln!(text, "{gap}- {}", escape::markdown(note));
        }
        text
    }

    /// Comma-separated values. mAD, where there is one, is a last column filled in the row `mean`.
    pub fn to_csv(&self) -> String {
        let mut text = String::new();
        let grid = self.grid(escape::csv);
        for (i, row) in grid.iter().enumerate() {
            text.push_str(&row.join(","));
            if let Some(m_ad) = self.m_ad {
                text.push(',');
                if i == 0 {
                    text.push_str("mAD");
                } else if i + 1 == grid.len() {
                    text.push_str(&percent(Some(m_ad)));
                }
            }
            text.push('\n');
        }
        text
    }

    /// A `tabular` in the style of the LaTeX package `booktabs`; the notes are comments above it.
    pub fn to_latex(&self) -> String {
        let mut text = String::from("% \\usepackage{booktabs}\n");
        for note in self.all_notes() {
            let _ = writeln!(text, "% {}", escape::visible(&note));
        }
        let n_metrics = self.metrics.len();
        let _ = writeln!(text, "\\begin{{tabular}}{{l{}}}\n\\toprule", "r".repeat(n_metrics));
        let grid = self.grid(escape::latex);
        for (i, row) in grid.iter().enumerate() {
            if i == 1 || i + 1 == grid.len() {
                text.push_str("\\midrule\n");
            }
            let _ = writeln!(text, "{} \\\\", row.join(" & "));
        }
        if let Some(m_ad) = self.m_ad {
            let _ = writeln!(
                text,
                "\\midrule\n\\multicolumn{{{}}}{{r}}{{mAD {}}} \\\\",
                n_metrics + 1,
                percent(Some(m_ad))
            );
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n");
        text
    }

    /// For machines: fractions at full precision, keyed by metric id, `null` where undefined.
    pub fn to_json(&self) -> Value {
        let by_id = |values: &[Option<f64>]| -> Map<String, Value> {
            let ids = self.metrics.iter().map(|metric| metric.id.clone());
            ids.enumerate().map(|(i, id)| (id, json!(defined(values, i)))).collect()
        };
        let classes: Vec<Value> = self
            .rows
            .iter()
            .map(|(class, values)| json!({ "class": class, "values": by_id(values) }))
            .collect();
        json!({
            "metrics": self.metrics,
            "classes": classes,
            "mean": by_id(&self.mean),
            "mAD": self.m_ad,
            "notes": self.all_notes(),
        })
    }

    /// Heading, classes and mean as cells of text; only names need the escape.
    pub(crate) fn grid(&self, escape: fn(&str) -> String) -> Vec<Vec<String>> {
        let n_metrics = self.metrics.len();
        let line = |name: &str, values: &[Option<f64>]| -> Vec<String> {
            let values = (0..n_metrics).map(|i| percent(defined(values, i)));
            std::iter::once(escape(name)).chain(values).collect()
        };
        let heading = self.metrics.iter().map(|metric| escape(&metric.heading));
        let mut grid = vec![std::iter::once("class".to_owned()).chain(heading).collect()];
        grid.extend(self.rows.iter().map(|(class, values)| line(class, values)));
        grid.push(line("mean", &self.mean));
        grid
    }

    /// The notes, plus one that explains `-` when nobody else does.
    pub(crate) fn all_notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        let n_metrics = self.metrics.len();
        let has_gap = |values: &[Option<f64>]| (0..n_metrics).any(|i| defined(values, i).is_none());
        let gap = self.rows.iter().any(|(_, values)| has_gap(values)) || has_gap(&self.mean);
        if gap && notes.is_empty() {
            notes.push(
                "-: undefined, because the test pictures lack good parts, defective parts or masks"
                    .into(),
            );
        }
        notes
    }
}

/// A fraction in percent with one decimal, `-` where undefined.
pub(crate) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".into(), |fraction| format!("{:.1}", 100.0 * fraction))
}

/// The value of column `i`; a number that is no number counts as undefined.
fn defined(values: &[Option<f64>], i: usize) -> Option<f64> {
    values.get(i).copied().flatten().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ResultTable {
        let column =
            |id: &str, heading: &str| MetricColumn { id: id.into(), heading: heading.into() };
        ResultTable {
            metrics: vec![column("image_auroc", "I-AUROC"), column("pixel_ap", "P-AP")],
            rows: vec![
                ("metal_nut".into(), vec![Some(0.9987), Some(0.5)]),
                ("螺丝 🔩|<b>\"x\"".into(), vec![None, Some(1.0)]),
            ],
            mean: vec![Some(0.9987), Some(0.75)],
            m_ad: Some(0.87435),
            notes: vec!["螺丝: no good test pictures, I-AUROC undefined".into()],
        }
    }

    #[test]
    fn text_is_aligned() {
        let expected = "\
class           I-AUROC   P-AP
──────────────────────────────
metal_nut          99.9   50.0
螺丝 🔩|<b>\"x\"        -  100.0
──────────────────────────────
mean               99.9   75.0

mAD 87.4
note: 螺丝: no good test pictures, I-AUROC undefined
";
        assert_eq!(table().to_text(), expected);
    }

    #[test]
    fn markdown_is_escaped() {
        let expected = r#"| class | I-AUROC | P-AP |
| :-- | --: | --: |
| metal\_nut | 99.9 | 50.0 |
| 螺丝 🔩\|&lt;b&gt;"x" | - | 100.0 |
| **mean** | **99.9** | **75.0** |

**mAD 87.4**

- 螺丝: no good test pictures, I-AUROC undefined
"#;
        assert_eq!(table().to_markdown(), expected);
    }

    #[test]
    fn csv_is_rectangular() {
        let expected = r#"class,I-AUROC,P-AP,mAD
metal_nut,99.9,50.0,
"螺丝 🔩|<b>""x""",-,100.0,
mean,99.9,75.0,87.4
"#;
        assert_eq!(table().to_csv(), expected);
    }

    #[test]
    fn latex_uses_booktabs() {
        let expected = r#"% \usepackage{booktabs}
% 螺丝: no good test pictures, I-AUROC undefined
\begin{tabular}{lrr}
\toprule
class & I-AUROC & P-AP \\
\midrule
metal\_nut & 99.9 & 50.0 \\
螺丝 🔩\textbar{}\textless{}b\textgreater{}"x" & - & 100.0 \\
\midrule
mean & 99.9 & 75.0 \\
\midrule
\multicolumn{3}{r}{mAD 87.4} \\
\bottomrule
\end{tabular}
"#;
        assert_eq!(table().to_latex(), expected);
    }

    #[test]
    fn json_keeps_full_precision() {
        let value = table().to_json();
        assert_eq!(value["classes"][0]["values"]["image_auroc"], json!(0.9987));
        assert_eq!(value["classes"][1]["values"]["image_auroc"], Value::Null);
        assert_eq!(value["mean"]["pixel_ap"], json!(0.75));
        assert_eq!(value["mAD"], json!(0.87435));
    }

    #[test]
    fn a_gap_is_always_explained() {
        let mut unexplained = table();
        unexplained.notes.clear();
        assert!(unexplained.to_text().contains("note: -: undefined, because"));
        unexplained.rows[1].1[0] = Some(f64::NAN);
        assert!(unexplained.to_markdown().contains("| - | 100.0 |"));
    }

    #[test]
    fn a_short_row_is_refused_but_still_prints() {
        let mut short = table();
        short.rows[0].1.pop();
        let error = short.check().unwrap_err();
        assert_eq!(error.to_string(), "table row `metal_nut` has 1 values for 2 metric columns");
        assert!(short.to_csv().contains("metal_nut,99.9,-,"));
        assert!(table().check().is_ok());
        assert_eq!(ResultTable::default().to_csv(), "class\nmean\n");
    }
}
