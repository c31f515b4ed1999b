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
    /// Good and to be looked at by a person.
    pub good_reviews: usize,
    /// Defective and to be looked at by a person.
    pub defective_reviews: usize,
}

impl Confusion {
    /// Counts `scores` at `threshold01`, a value of [`ScoreRow::score01`]; 0.5 is the threshold
    /// the model was shipped with.
    pub fn at<'a>(scores: impl IntoIterator<Item = &'a ScoreRow>, threshold01: f64) -> Self {
        Self::with_review(scores, threshold01, |_| threshold01)
    }

    /// The same with a second threshold: below `threshold01`, and from `review01` of the row on, a
    /// person looks at the picture.
    pub fn with_review<'a>(
        scores: impl IntoIterator<Item = &'a ScoreRow>,
        threshold01: f64,
        review01: impl Fn(&ScoreRow) -> f64,
    ) -> Self {
        let mut counts = Self::default();
        for row in scores {
            let is_rejected = row.score01 >= threshold01;
            let is_reviewed = row.score01 >= review01(row);
            *match (row.is_anomalous, is_rejected, is_reviewed) {
                (true, true, _) => &mut counts.hits,
                (true, false, true) => &mut counts.defective_reviews,
                (true, false, false) => &mut counts.misses,
                (false, true, _) => &mut counts.false_rejects,
                (false, false, true) => &mut counts.good_reviews,
                (false, false, false) => &mut counts.passes,
            } += 1;
        }
        counts
    }

    /// Pictures of good parts.
    pub fn n_good(&self) -> usize {
        self.false_rejects + self.passes + self.good_reviews
    }

    /// Pictures of defective parts.
    pub fn n_defective(&self) -> usize {
        self.hits + self.misses + self.defective_reviews
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
        let expected =
            Confusion { hits: 2, misses: 1, false_rejects: 1, passes: 1, ..Confusion::default() };
        assert_eq!(counts, expected);
        let with_review = Confusion::with_review(&rows, 0.5, |_| 0.2);
        let expected = Confusion {
            hits: 2,
            defective_reviews: 1,
            false_rejects: 1,
            good_reviews: 1,
            ..Confusion::default()
        };
        assert_eq!(with_review, expected);
        assert_eq!((counts.n_good(), counts.n_defective()), (2, 3));
        assert_eq!(Confusion::at(&rows, 2.1).n_defective(), 3);
    }
}
