//! What a threshold does to a test set: rejected and passed, rightly and wrongly.

use crate::report::ScoreRow;

/// Counts of pictures at one threshold. A picture is rejected when its score is at least the
/// threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Confusion {
    /// Defective and rejected.
    pub hits: usize,
    /// Defective and passed.
    pub misses: usize,
    /// Good and rejected.
    pub false_rejects: usize,
    /// Good and passed.
    pub passes: usize,
}

impl Confusion {
    /// Counts `scores` at `threshold01`, a value of [`ScoreRow::score01`]; 0.5 is the threshold
    /// the model was shipped with.
    pub fn at<'a>(scores: impl IntoIterator<Item = &'a ScoreRow>, threshold01: f64) -> Self {
        let mut counts = Self::default();
        for row in scores {
            *match (row.is_anomalous, row.score01 >= threshold01) {
                (true, true) => &mut counts.hits,
                (true, false) => &mut counts.misses,
                (false, true) => &mut counts.false_rejects,
                (false, false) => &mut counts.passes,
            } += 1;
        }
        counts
    }

    /// Pictures of good parts.
    pub fn n_good(&self) -> usize {
        self.false_rejects + self.passes
    }

    /// Pictures of defective parts.
    pub fn n_defective(&self) -> usize {
        self.hits + self.misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_on_the_threshold_is_rejected() {
        let row = |is_anomalous, score01| ScoreRow {
            class: "gear".into(),
            name: "0".into(),
            is_anomalous,
            score01,
            score: score01,
        };
        let rows =
            [row(false, 0.5), row(false, 0.49), row(true, 0.5), row(true, 0.2), row(true, 2.0)];
        let counts = Confusion::at(&rows, 0.5);
        let expected = Confusion { hits: 2, misses: 1, false_rejects: 1, passes: 1 };
        assert_eq!(counts, expected);
        assert_eq!((counts.n_good(), counts.n_defective()), (2, 3));
        assert_eq!(Confusion::at(&rows, 2.1).n_defective(), 3);
    }
}
