//! Tables that put published numbers beside measured ones.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::escape;

/// A table of text: the first column names, the others are numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideBySideTable {
    /// What the table shows.
    pub title: String,
    /// Heads of the columns.
    pub heading: Vec<String>,
    /// Rows with as many cells.
    pub rows: Vec<Vec<String>>,
    /// Sentences below the table.
    pub notes: Vec<String>,
}

/// Mean and, of two or more values, the deviation of the sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Root of the sum of squares around the mean over one less than the number of values.
    pub deviation: Option<f64>,
    /// Number of values.
    pub n: usize,
}

impl Spread {
    /// `None` where there is no value.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        Some(Self { mean, deviation, n })
    }

    /// As `97.3 ± 0.2`, each times `factor` and with one decimal.
    pub fn show(&self, factor: f64) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.1} ± {:.1}", factor * self.mean, factor * deviation),
            None => format!("{:.1}", factor * self.mean),
        }
    }
}

impl SideBySideTable {
    /// A heading, a pipe table, and the notes as a list.
    pub fn to_markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| escape::markdown(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = format!("### {}\n\n", escape::markdown(&self.title));
        text.push_str(&line(&self.heading));
        let n_numbers = self.heading.len().saturating_sub(1);
        let _ = writeln!(text, "| :-- |{}", " --: |".repeat(n_numbers));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        for (i, note) in self.notes.iter().enumerate() {
            let gap = if i == 0 { "\n" } else { "" };
            let _ = writeln!(text, "{gap}- {}", escape::markdown(note));
        }
        text
    }

    /// Comma-separated values, without title and notes.
    pub fn to_csv(&self) -> String {
        let line = |cells: &Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| escape::csv(cell)).collect();
            cells.join(",") + "\n"
        };
        std::iter::once(&self.heading).chain(&self.rows).map(line).collect()
    }

    /// A `tabular` in the style of `booktabs`; title and notes are comments above it.
    pub fn to_latex(&self) -> String {
        let line = |cells: &[String]| {
            let show = |cell: &String| escape::latex(cell).replace('±', "$\\pm$");
            let cells: Vec<String> = cells.iter().map(show).collect();
            cells.join(" & ") + " \\\\\n"
        };
        let mut text = String::from("% \\usepackage{booktabs}\n");
        for comment in std::iter::once(&self.title).chain(&self.notes) {
            let _ = writeln!(text, "% {}", escape::visible(comment));
        }
        let columns = "r".repeat(self.heading.len().saturating_sub(1));
        let _ = writeln!(text, "\\begin{{tabular}}{{l{columns}}}\n\\toprule");
        text.push_str(&line(&self.heading));
        text.push_str("\\midrule\n");
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text.push_str("\\bottomrule\n\\end{tabular}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> SideBySideTable {
        let cells = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect();
        SideBySideTable {
            title: "mvtec_ad".into(),
            heading: cells(&["method", "mAD quoted", "mAD here"]),
            rows: vec![cells(&["uni|ad", "81.7", "80.1 ± 0.3"])],
            notes: vec!["2 seeds".into()],
        }
    }

    #[test]
    fn every_form_is_escaped() {
        let markdown = "### mvtec\\_ad\n\n| method | mAD quoted | mAD here |\n| :-- | --: | --: |\n\
                        | uni\\|ad | 81.7 | 80.1 ± 0.3 |\n\n- 2 seeds\n";
        assert_eq!(table().to_markdown(), markdown);
        assert_eq!(table().to_csv(), "method,mAD quoted,mAD here\nuni|ad,81.7,80.1 ± 0.3\n");
        let latex = table().to_latex();
        assert!(latex.contains("uni\\textbar{}ad & 81.7 & 80.1 $\\pm$ 0.3 \\\\"), "{latex}");
        assert!(latex.starts_with("% \\usepackage{booktabs}\n% mvtec_ad\n% 2 seeds\n"));
    }

    #[test]
    fn one_value_has_no_spread() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[0.5]).unwrap().show(100.0), "50.0");
        assert_eq!(Spread::of(&[0.4, 0.6]).unwrap().show(100.0), "50.0 ± 14.1");
    }
}
