//! Which pictures of a large test set are worth showing.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::report::ScoreRow;

/// How many pictures of each class a report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PicturesPerClass {
    /// Good parts with the highest scores: the false rejects at some threshold.
    pub worst_good: usize,
    /// Defective parts with the lowest scores: the misses at some threshold.
    pub worst_defective: usize,
    /// Drawn from the rest.
    pub random: usize,
}

/// Chooses pictures to show, as sorted indices into `scores`.
///
/// The choice depends on the rows and the seed alone, not on the order of the rows: a draw is the
/// order of a hash of seed, class and name, so one more picture changes at most one choice.
pub fn choose_pictures(scores: &[ScoreRow], per_class: PicturesPerClass, seed: u64) -> Vec<usize> {
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, row) in scores.iter().enumerate() {
        classes.entry(&row.class).or_default().push(i);
    }
    let by_name = |&i: &usize| &scores[i].name;
    let mut chosen = BTreeSet::new();
    for members in classes.values_mut() {
        members.sort_by_key(by_name);
        members.sort_by(|&a, &b| scores[b].score01.total_cmp(&scores[a].score01));
        let good = members.iter().filter(|&&i| !scores[i].is_anomalous);
        chosen.extend(good.take(per_class.worst_good));
        let defective = members.iter().rev().filter(|&&i| scores[i].is_anomalous);
        chosen.extend(defective.take(per_class.worst_defective));

        members.retain(|i| !chosen.contains(i));
        members.sort_by_cached_key(|&i| draw(seed, &scores[i]));
        chosen.extend(members.iter().take(per_class.random));
    }
    chosen.into_iter().collect()
}

fn draw(seed: u64, row: &ScoreRow) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    hash.update((row.class.len() as u64).to_le_bytes());
    hash.update(&row.class);
    hash.update(&row.name);
    hash.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<ScoreRow> {
        (0..40)
            .map(|i| ScoreRow {
                class: ["bolt", "gear"][i % 2].into(),
                name: format!("{i:02}.png"),
                is_anomalous: i % 4 >= 2,
                score01: f64::from((i * 17 % 40) as u32) / 40.0,
                score: 0.0,
            })
            .collect()
    }

    const FEW: PicturesPerClass = PicturesPerClass { worst_good: 2, worst_defective: 1, random: 3 };

    #[test]
    fn the_worst_are_always_there() {
        let rows = rows();
        let chosen = choose_pictures(&rows, FEW, 7);
        assert_eq!(chosen.len(), 2 * (2 + 1 + 3));
        assert!(chosen.is_sorted_by(|a, b| a < b), "sorted and without repeats");
        for class in ["bolt", "gear"] {
            let of_class = |i: &usize| rows[*i].class == class;
            let score = |i: &usize| rows[*i].score01;
            let all: Vec<usize> = (0..rows.len()).filter(of_class).collect();
            let highest_good = all
                .iter()
                .filter(|&&i| !rows[i].is_anomalous)
                .max_by(|a, b| score(a).total_cmp(&score(b)));
            let lowest_defective = all
                .iter()
                .filter(|&&i| rows[i].is_anomalous)
                .min_by(|a, b| score(a).total_cmp(&score(b)));
            assert!(chosen.contains(highest_good.unwrap()));
            assert!(chosen.contains(lowest_defective.unwrap()));
        }
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter_and_the_seed_does() {
        let rows = rows();
        let names = |rows: &[ScoreRow], seed| -> BTreeSet<String> {
            let chosen = choose_pictures(rows, FEW, seed);
            chosen.into_iter().map(|i| rows[i].name.clone()).collect()
        };
        let mut reversed = rows.clone();
        reversed.reverse();
        assert_eq!(names(&rows, 7), names(&reversed, 7));
        assert_ne!(names(&rows, 7), names(&rows, 8));
    }

    #[test]
    fn asking_for_more_than_there_is_gives_all() {
        let rows = rows();
        let many = PicturesPerClass { worst_good: 99, worst_defective: 99, random: 99 };
        assert_eq!(choose_pictures(&rows, many, 0).len(), rows.len());
        assert!(choose_pictures(&[], many, 0).is_empty());
    }
}
