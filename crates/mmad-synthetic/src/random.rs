//! The one source of randomness: a seeded stream of integers, the same on every machine.
//!
//! Source: xoshiro256++ 1.0 (Blackman and Vigna 2021, "Scrambled linear pseudorandom number
//! generators"), its state filled by `SplitMix64` (Steele, Lea and Flood 2014, "Fast splittable
//! pseudorandom number generators").

/// A stream of pseudo-random numbers, decided by its key alone.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of `key`; keys which differ in any word or in length give unrelated streams.
    pub(crate) fn keyed(key: &[u64]) -> Self {
        let mut mixed = key.len() as u64;
        for &word in key {
            mixed = split_mix(mixed ^ word);
        }
        let state = [1, 2, 3, 4].map(|i: u64| split_mix(mixed.wrapping_add(i << 32)));
        Self { state }
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let out = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        out
    }

    /// A seed for the lattice noise.
    pub(crate) fn seed(&mut self) -> u32 {
        (self.bits() >> 32) as u32
    }

    /// Uniform in `0.0..1.0`, in steps of 2⁻²⁴.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform between `low` and `high`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform between `-amplitude` and `amplitude`.
    pub(crate) fn around(&mut self, amplitude: f32) -> f32 {
        self.range(-amplitude, amplitude)
    }

    /// Uniform among `0..n`; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }
}

/// A name as a word of a key (FNV-1a, 64 bits).
pub(crate) fn word_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn split_mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_published_step() {
        // The update of the authors' C code, written out in their order.
        fn reference(s: &mut [u64; 4]) -> u64 {
            let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
            let t = s[1] << 17;
            s[2] ^= s[0];
            s[3] ^= s[1];
            s[1] ^= s[2];
            s[0] ^= s[3];
            s[2] ^= t;
            s[3] = s[3].rotate_left(45);
            result
        }
        let mut random = Random::keyed(&[7, 9]);
        let mut state = random.state;
        for _ in 0..100 {
            assert_eq!(random.bits(), reference(&mut state));
        }
    }

    #[test]
    fn split_mix_equals_the_published_vector() {
        // First output of SplitMix64 started at 0 and at 1234567 (authors' test values).
        assert_eq!(split_mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(split_mix(1_234_567), 6_457_827_717_110_365_317);
    }

    #[test]
    fn every_word_of_the_key_matters() {
        let first = |key: &[u64]| Random::keyed(key).bits();
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
        assert_ne!(first(&[1, 2]), first(&[2, 1]));
        assert_ne!(first(&[1, 2]), first(&[1, 3]));
        assert_ne!(first(&[1]), first(&[1, 0]));
    }

    #[test]
    fn draws_are_uniform_and_in_range() {
        let mut random = Random::keyed(&[3]);
        let mut counts = [0_u32; 5];
        let mut sum = 0.0;
        for _ in 0..10_000 {
            counts[random.below(5)] += 1;
            let unit = random.unit();
            assert!((0.0..1.0).contains(&unit));
            sum += f64::from(unit);
        }
        assert!(counts.iter().all(|&n| (1800..2200).contains(&n)), "{counts:?}");
        assert!((sum / 10_000.0 - 0.5).abs() < 0.02);
        assert_eq!(random.below(0), 0);
    }
}
