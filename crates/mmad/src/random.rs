//! Seeded generators, one per purpose and index, so that nothing has to be carried along to
//! continue a run: the noise of step 1,000 is the same whether the run was stopped before or not.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

/// The generator for `purpose` number `index` of a run with `seed`.
pub fn stream(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(index.to_le_bytes());
    hash.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng as _;

    #[test]
    fn streams_differ_by_every_part_of_their_name() {
        let mut first = [(1, "a", 0), (2, "a", 0), (1, "b", 0), (1, "a", 1)]
            .map(|(seed, purpose, index)| stream(seed, purpose, index).random::<u64>());
        assert_eq!(first[0], stream(1, "a", 0).random::<u64>());
        first.sort_unstable();
        assert!(first.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
