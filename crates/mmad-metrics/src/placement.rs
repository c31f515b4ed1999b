//! Where each normal score falls between the anomalous ones.
//!
//! The curves of this crate change their height only at the scores of positives; of the negatives
//! they need to know no more than how many lie between two neighbouring positives and how many
//! tie with one. So the few positives are sorted, and each negative is placed between two of them:
//! no sort of the negatives, no copy, one pass.
//!
//! ```text
//! positives              p0           p1           p2
//! counts      between 0  tied 0  ..1  tied 1  ..2  tied 2  between 3
//! ```
//!
//! A place is found through two tables over the [`order_key`]s. The first cuts the range of the
//! positives into equal parts, the second cuts each part further into cells, the finer the more
//! positives lie in it, so that any distribution of scores ends with about one positive per cell.
//! Most negatives lie below the first positive of their cell, and counting them there is all they
//! need. The few others are looked up among the positives.

use crate::order::{order_key, score_of_key};

/// Counts of the negatives around each distinct positive score.
pub(crate) struct Placement {
    range: KeyRange,
    parts: Vec<Part>,
    /// The cells of all parts and one more, which closes the last.
    cells: Vec<Cell>,
    positives: DistinctScores,
    /// Per positive; one more for the negatives above all.
    around: Vec<[u32; 2]>,
    /// Number of negatives counted in cells and positives, which have 32 bits for them.
    n_counted: u64,
    /// What was counted before the 32 bits were full. Empty until then.
    spilled: Vec<[u64; 2]>,
}

/// Scores that are worked on together.
const BLOCK: usize = 128;
/// Positives that are compared without a branch.
const WINDOW: usize = 4;
/// Upper limit of the number of parts: 1024 entries of 8 bytes stay in the first-level cache.
const MAX_PARTS_LOG2: u32 = 10;

/// One of the equal parts of the range, cut into a power of two of cells.
#[derive(Clone, Copy)]
struct Part {
    /// The cell of an offset is `(offset >> cell_shift) + cell_base`, wrapping.
    cell_base: u32,
    cell_shift: u32,
}

/// A stretch of offsets.
#[derive(Clone, Copy)]
struct Cell {
    /// The lowest positive in it, `u32::MAX` when there is none.
    first: u32,
    /// Negatives in it that lie below `first`.
    n_negatives: u32,
    /// Positives below the cell.
    n_below: u32,
}

/// The distinct scores of positives in increasing order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DistinctScores {
    /// Followed by [`WINDOW`] that are larger than every score.
    keys: Vec<u32>,
    /// How many positives have each.
    n_equal: Vec<u32>,
}

/// Index of the negatives strictly between the next lower distinct score and this one.
const BELOW: usize = 0;
/// Index of the negatives equal to a distinct score.
const TIED: usize = 1;

impl DistinctScores {
    /// From the strictly increasing [`order_key`](crate::order::order_key)s of finite scores, each
    /// with the number of positives that have it.
    pub(crate) fn new(positives: impl Iterator<Item = (u32, usize)>) -> Self {
        let (mut keys, mut n_equal) = (Vec::new(), Vec::new());
        for (key, n) in positives {
            keys.push(key);
            n_equal.push(u32::try_from(n).expect("a list of 2^32 equal scores fills no memory"));
        }
        keys.extend([u32::MAX; WINDOW]);
        Self { keys, n_equal }
    }

    /// The keys, from the lowest up.
    pub(crate) fn keys(&self) -> &[u32] {
        &self.keys[..self.n_equal.len()]
    }
}

/// Room for one block of scores.
struct Buffers {
    offsets: [u32; BLOCK],
    /// Offset and cell of scores at or above the first positive of their cell, which need a closer
    /// look.
    rest: [(u32, u32); BLOCK],
}

impl Buffers {
    fn new() -> Self {
        Self { offsets: [0; BLOCK], rest: [(0, 0); BLOCK] }
    }
}

impl Placement {
    /// Starts without negatives.
    pub(crate) fn new(positives: DistinctScores) -> Self {
        let mut placement = Self {
            range: KeyRange::around(positives.keys()),
            parts: Vec::with_capacity(1 << MAX_PARTS_LOG2),
            cells: Vec::new(),
            around: vec![[0; 2]; positives.keys().len() + 1],
            positives,
            n_counted: 0,
            spilled: Vec::new(),
        };
        placement.cut_into_parts();
        placement.fill_cells();
        placement
    }

    /// Places every score of `scores`. All are finite.
    pub(crate) fn add_all(&mut self, scores: &[f32]) {
        let mut buffers = Buffers::new();
        for block in scores.chunks(BLOCK) {
            self.add_block(block, &mut buffers);
        }
    }

    /// Places the scores whose mask pixel is 0.
    pub(crate) fn add_background(&mut self, scores: &[f32], mask: &[u8]) {
        let mut buffers = Buffers::new();
        let mut background = [0.0; BLOCK];
        for (block, mask) in scores.chunks(BLOCK).zip(mask.chunks(BLOCK)) {
            if mask.iter().fold(0, |any, &pixel| any | pixel) == 0 {
                self.add_block(block, &mut buffers);
                continue;
            }
            let mut n = 0;
            for (&score, _) in block.iter().zip(mask).filter(|&(_, &pixel)| pixel == 0) {
                background[n] = score;
                n += 1;
            }
            self.add_block(&background[..n], &mut buffers);
        }
    }

    /// Ends the counting, and gives the memory of the tables back.
    pub(crate) fn finish(mut self) -> Placed {
        self.empty_cells();
        Placed { positives: self.positives, around: self.around, spilled: self.spilled }
    }

    /// Lays out the parts, with room for their cells.
    fn cut_into_parts(&mut self) {
        let KeyRange { first_key, part_shift, last_offset, .. } = self.range;
        let mut n_in_part = vec![0_usize; (last_offset >> part_shift) as usize + 1];
        for key in self.positives.keys() {
            n_in_part[((key - first_key) >> part_shift) as usize] += 1;
        }
        let mut n_cells = 0_u32;
        for (part, n_positives) in (0_u32..).zip(n_in_part) {
            let split = n_positives.next_power_of_two().trailing_zeros().min(part_shift);
            let cell_shift = part_shift - split;
            let first_cell_of_part = (part << part_shift) >> cell_shift;
            self.parts
                .push(Part { cell_base: n_cells.wrapping_sub(first_cell_of_part), cell_shift });
            n_cells += 1 << split;
        }
        let empty = Cell { first: u32::MAX, n_negatives: 0, n_below: 0 };
        self.cells = vec![empty; n_cells as usize + 1];
    }

    /// Tells every cell its positives.
    fn fill_cells(&mut self) {
        for key in self.positives.keys() {
            let offset = key - self.range.first_key;
            let cell = self.cell_of(offset) as usize;
            self.cells[cell].first = self.cells[cell].first.min(offset);
            self.cells[cell + 1].n_below += 1;
        }
        let mut n_below = 0;
        for cell in &mut self.cells {
            n_below += cell.n_below;
            cell.n_below = n_below;
        }
    }

    #[inline]
    fn cell_of(&self, offset: u32) -> u32 {
        let part = self.parts[(offset >> self.range.part_shift) as usize];
        (offset >> part.cell_shift).wrapping_add(part.cell_base)
    }

    /// Places up to [`BLOCK`] scores.
    fn add_block(&mut self, scores: &[f32], buffers: &mut Buffers) {
        if self.n_counted + BLOCK as u64 > u64::from(u32::MAX) {
            self.spill();
        }
        self.n_counted += scores.len() as u64;

        let Buffers { offsets, rest } = buffers;
        self.range.offsets(scores, offsets);
        let mut n_rest = 0;
        for &offset in &offsets[..scores.len()] {
            let position = self.cell_of(offset);
            let cell = &mut self.cells[position as usize];
            // Both happen without a branch, which nothing could predict.
            let is_below = offset < cell.first;
            cell.n_negatives += u32::from(is_below);
            rest[n_rest % BLOCK] = (offset, position);
            n_rest += usize::from(!is_below);
        }
        for &(offset, cell) in &rest[..n_rest] {
            self.add_inside(offset, cell as usize);
        }
    }

    /// Places an offset that does not lie below the first positive of its cell.
    #[inline]
    fn add_inside(&mut self, offset: u32, cell: usize) {
        let key = offset + self.range.first_key;
        let keys = &self.positives.keys;
        let start = self.cells[cell].n_below as usize;
        let mut n_below = start;
        // Positives behind the cell are larger, so they never count.
        for &positive in &keys[start..start + WINDOW] {
            n_below += usize::from(positive < key);
        }
        if n_below == start + WINDOW {
            let end = self.cells[cell + 1].n_below as usize;
            n_below += keys[n_below..end.max(n_below)].partition_point(|&positive| positive < key);
        }
        let is_tied = keys[n_below] == key;
        self.around[n_below][usize::from(is_tied)] += 1;
    }

    /// Moves the counts of the cells to the positives above them.
    fn empty_cells(&mut self) {
        for cell in &mut self.cells {
            self.around[cell.n_below as usize][BELOW] += std::mem::take(&mut cell.n_negatives);
        }
    }

    /// Moves all counts to where they have 64 bits.
    fn spill(&mut self) {
        self.empty_cells();
        self.spilled.resize(self.around.len(), [0; 2]);
        for (spilled, around) in self.spilled.iter_mut().zip(&mut self.around) {
            let around = std::mem::take(around);
            spilled[BELOW] += u64::from(around[BELOW]);
            spilled[TIED] += u64::from(around[TIED]);
        }
        self.n_counted = 0;
    }
}

/// The distinct scores of positives, numbered from the lowest up, with the negatives around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    positives: DistinctScores,
    around: Vec<[u32; 2]>,
    /// What is to be added to it. Empty, or as long.
    spilled: Vec<[u64; 2]>,
}

impl Placed {
    /// From negatives that tie with no positive: element `i` of `below` is how many lie strictly
    /// between positive `i` and the next lower one, the last element how many lie above all.
    pub(crate) fn without_ties(positives: DistinctScores, below: &[u64]) -> Self {
        let around = vec![[0; 2]; below.len()];
        let spilled = below.iter().map(|&below| [below, 0]).collect();
        Self { positives, around, spilled }
    }

    /// Number of distinct scores of positives.
    pub(crate) fn len(&self) -> usize {
        self.positives.keys().len()
    }

    /// The score of positive `i`.
    pub(crate) fn score(&self, i: usize) -> f32 {
        score_of_key(self.positives.keys[i])
    }

    /// How many positives have the score of positive `i`.
    pub(crate) fn equal(&self, i: usize) -> u64 {
        u64::from(self.positives.n_equal[i])
    }

    /// Negatives strictly below positive `i` and strictly above the next lower one. With `i` the
    /// number of positives: those above all of them.
    pub(crate) fn below(&self, i: usize) -> u64 {
        u64::from(self.around[i][BELOW]) + self.spilled.get(i).map_or(0, |spilled| spilled[BELOW])
    }

    /// Negatives equal to positive `i`.
    pub(crate) fn tied(&self, i: usize) -> u64 {
        u64::from(self.around[i][TIED]) + self.spilled.get(i).map_or(0, |spilled| spilled[TIED])
    }
}

/// The keys from just below the lowest positive to just above the highest. An offset is the
/// distance from the first of them; scores outside are moved to the ends.
struct KeyRange {
    lowest: f32,
    highest: f32,
    first_key: u32,
    last_offset: u32,
    /// An offset loses this many low bits to become the number of a part.
    part_shift: u32,
}

impl KeyRange {
    fn around(positives: &[u32]) -> Self {
        let lowest = positives.first().map_or(0.0, |&key| score_of_key(key));
        let highest = positives.last().map_or(lowest, |&key| score_of_key(key));
        let (lowest, highest) = (lowest.next_down(), highest.next_up());
        let first_key = order_key(lowest);
        let last_offset = order_key(highest) - first_key;
        let offset_bits = u32::BITS - last_offset.leading_zeros();
        let part_shift = offset_bits.saturating_sub(MAX_PARTS_LOG2);
        Self { lowest, highest, first_key, last_offset, part_shift }
    }

    /// Writes the offsets of finite scores; the loop handles several at a time.
    fn offsets(&self, scores: &[f32], offsets: &mut [u32; BLOCK]) {
        let &Self { lowest, highest, first_key, .. } = self;
        for (offset, &score) in offsets.iter_mut().zip(scores) {
            // Not `clamp`, which cares about NaN and is slower.
            let score = if score > lowest { score } else { lowest };
            let score = if score < highest { score } else { highest };
            *offset = order_key(score).wrapping_sub(first_key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scores over all magnitudes with many ties, or crowded into a few units in the last place.
    fn scores(max_len: usize) -> impl Strategy<Value = Vec<f32>> {
        let wide = prop_oneof![(-4_i32..4).prop_map(|x| x as f32), -1e30_f32..1e30, -1.0_f32..1.0];
        let crowded = (0_u32..40).prop_map(|ulps| f32::from_bits(0x3f80_0000 + ulps));
        proptest::collection::vec(prop_oneof![wide, crowded], 0..max_len)
    }

    fn distinct_keys(positives: &[f32]) -> Vec<u32> {
        let mut keys: Vec<u32> = positives.iter().map(|&score| order_key(score)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn start(keys: &[u32]) -> Placement {
        Placement::new(DistinctScores::new(keys.iter().map(|&key| (key, 1))))
    }

    /// Per positive (below, tied), then (above all, 0).
    fn by_definition(keys: &[u32], negatives: &[f32]) -> Vec<(u64, u64)> {
        let count = |test: &dyn Fn(u32) -> bool| {
            negatives.iter().filter(|&&score| test(order_key(score))).count() as u64
        };
        let between = |i: usize| {
            count(&|key| (i == 0 || key > keys[i - 1]) && keys.get(i).is_none_or(|&own| key < own))
        };
        let tied = |i: usize| count(&|key| keys.get(i) == Some(&key));
        (0..=keys.len()).map(|i| (between(i), tied(i))).collect()
    }

    fn counts(placement: Placement) -> Vec<(u64, u64)> {
        let placed = placement.finish();
        let n = placed.len();
        (0..=n).map(|i| (placed.below(i), if i < n { placed.tied(i) } else { 0 })).collect()
    }

    proptest! {
        #[test]
        fn equals_the_definition(positives in scores(60), negatives in scores(200)) {
            let keys = distinct_keys(&positives);
            let mut placement = start(&keys);
            placement.add_all(&negatives);
            prop_assert_eq!(counts(placement), by_definition(&keys, &negatives));
        }

        #[test]
        fn masked_pixels_are_left_out(
            positives in scores(20),
            pixels in scores(100),
            defect in 0_usize..100,
        ) {
            let keys = distinct_keys(&positives);
            let mask: Vec<u8> = (0..pixels.len()).map(|i| u8::from(i / 5 == defect / 5)).collect();
            let background: Vec<f32> =
                pixels.iter().zip(&mask).filter(|&(_, &mask)| mask == 0).map(|(&s, _)| s).collect();
            let mut placement = start(&keys);
            placement.add_background(&pixels, &mask);
            prop_assert_eq!(counts(placement), by_definition(&keys, &background));
        }
    }

    #[test]
    fn full_counters_spill() {
        let keys = distinct_keys(&[0.25, 0.5]);
        let scores = [0.1, 0.3, 0.3, 0.5, 0.75];
        let mut placement = start(&keys);
        placement.add_all(&scores);
        placement.n_counted = u64::from(u32::MAX);
        placement.add_all(&scores);
        assert_eq!(placement.n_counted, 5);
        assert_eq!(counts(placement), [(2, 0), (4, 2), (2, 0)]);
    }

    #[test]
    fn extreme_keys_have_a_place() {
        let keys = distinct_keys(&[f32::MIN, f32::MAX]);
        let negatives = [f32::MIN, 0.0, f32::MAX, -1.0];
        let mut placement = start(&keys);
        placement.add_all(&negatives);
        assert_eq!(counts(placement), by_definition(&keys, &negatives));
    }
}
