//! How many scores lie in each of very many bins, whose borders need not be known before.
//!
//! The bin of a score is the top bits of its [`order_key`](crate::order::order_key): 20 bits are
//! the sign, the exponent and 11 bits behind the point, so that a bin is 0.05 % wide relative to
//! the score, over the whole range of `f32`. Scores of one model touch few exponents: memory is
//! taken for pages of bins as they are touched.

const PAGE_BITS: u32 = 10;
const PAGE: usize = 1 << PAGE_BITS;

/// Counts per bin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyHistogram {
    /// The bits of a key that do not tell its bin.
    shift: u32,
    pages: Vec<Option<Box<[u64; PAGE]>>>,
}

impl KeyHistogram {
    /// `bits` in `1..=32`.
    pub(crate) fn new(bits: u32) -> Self {
        let n_pages = 1_usize << bits.saturating_sub(PAGE_BITS);
        Self { shift: u32::BITS - bits, pages: vec![None; n_pages] }
    }

    pub(crate) fn bin(&self, key: u32) -> u32 {
        // A shift by all bits cannot happen: there is at least one bit.
        key >> self.shift
    }

    pub(crate) fn add(&mut self, key: u32) {
        let bin = self.bin(key) as usize;
        let page = self.pages[bin / PAGE].get_or_insert_with(|| Box::new([0; PAGE]));
        page[bin % PAGE] += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (own, other) in self.pages.iter_mut().zip(&other.pages) {
            let Some(other) = other else { continue };
            let own = own.get_or_insert_with(|| Box::new([0; PAGE]));
            for (own, other) in own.iter_mut().zip(other.iter()) {
                *own += other;
            }
        }
    }

    /// Bins and their counts, from the highest down, without the empty ones.
    pub(crate) fn iter_from_highest(&self) -> impl Iterator<Item = (u32, u64)> {
        self.pages
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(i, page)| Some((i, page.as_ref()?)))
            .flat_map(|(i, page)| {
                let counts = page.iter().enumerate().rev().filter(|(_, count)| **count > 0);
                counts.map(move |(bin, &count)| ((i * PAGE + bin) as u32, count))
            })
    }

    pub(crate) fn total(&self) -> u64 {
        self.pages.iter().flatten().map(|page| page.iter().sum::<u64>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_the_top_bits() {
        for bits in [1, 8, 10, 20, 22] {
            let mut histogram = KeyHistogram::new(bits);
            for key in [0, 5, u32::MAX, u32::MAX, 1 << 31] {
                histogram.add(key);
            }
            let bins: Vec<(u32, u64)> = histogram.iter_from_highest().collect();
            assert_eq!(bins[0].0, histogram.bin(u32::MAX));
            assert!(bins.is_sorted_by(|a, b| a.0 > b.0));
            assert_eq!(histogram.total(), 5);
        }
    }

    #[test]
    fn merged_counts_add_up() {
        let (mut a, mut b) = (KeyHistogram::new(16), KeyHistogram::new(16));
        a.add(7 << 16);
        b.add(7 << 16);
        b.add(60_000 << 16);
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b);
        ba.merge(&a);
        assert_eq!(ab, ba);
        assert_eq!(ab.iter_from_highest().collect::<Vec<_>>(), [(60_000, 1), (7, 2)]);
    }
}
