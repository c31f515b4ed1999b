//! The score of a whole picture from its map.

use serde::{Deserialize, Serialize};

/// How a map becomes one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageScore {
    /// The largest value, as most evaluations take it.
    #[default]
    Max,
    /// The mean of all values.
    Mean,
    /// The largest mean of a square of 16x16 pixels, as ADer's base configuration takes it.
    AveragePool16,
}

/// Side of the square of [`ImageScore::AveragePool16`], in pixels.
const POOL_SIDE: usize = 16;
/// Values that are compared side by side.
const LANES: usize = 16;

impl ImageScore {
    /// The score of a map, row-major `[height * width]`.
    ///
    /// `None` for an empty map, and for one that is smaller than the square of the average in
    /// either direction.
    ///
    /// ```
    /// use mmad_metrics::ImageScore;
    /// let map = [0.25, 0.75, 0.5, 0.5];
    /// assert_eq!(ImageScore::Max.of(&map, 2), Some(0.75));
    /// assert_eq!(ImageScore::Mean.of(&map, 2), Some(0.5));
    /// assert_eq!(ImageScore::AveragePool16.of(&map, 2), None);
    /// ```
    pub fn of(self, map: &[f32], width: usize) -> Option<f32> {
        if map.is_empty() {
            return None;
        }
        match self {
            Self::Max => Some(largest(map)),
            Self::Mean => {
                let sum: f64 = map.iter().map(|&value| f64::from(value)).sum();
                Some((sum / map.len() as f64) as f32)
            }
            Self::AveragePool16 => largest_average(map, width),
        }
    }
}

/// The largest value. Several run side by side, so that the loop is as fast as memory.
fn largest(map: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = map.as_chunks::<LANES>();
    for block in blocks {
        for (best, &value) in best.iter_mut().zip(block) {
            *best = if value > *best { value } else { *best };
        }
    }
    best.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

fn largest_average(map: &[f32], width: usize) -> Option<f32> {
    if width < POOL_SIDE || map.len() / width < POOL_SIDE {
        return None;
    }
    let row = |index: usize| &map[index * width..(index + 1) * width];
    let height = map.len() / width;
    let mut best = f64::NEG_INFINITY;
    for top in 0..=height - POOL_SIDE {
        let columns: Vec<f64> = (0..width)
            .map(|x| (top..top + POOL_SIDE).map(|y| f64::from(row(y)[x])).sum())
            .collect();
        for square in columns.windows(POOL_SIDE) {
            best = best.max(square.iter().sum());
        }
    }
    Some((best / (POOL_SIDE * POOL_SIDE) as f64) as f32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_largest_value_is_found_wherever_it_lies(
            map in proptest::collection::vec(-3.0_f32..3.0, 1..100)
        ) {
            let slow = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assert_eq!(ImageScore::Max.of(&map, 1), Some(slow));
        }
    }

    #[test]
    fn squares_lie_anywhere_inside() {
        let (height, width) = (18, 21);
        let mut map = vec![0.0_f32; height * width];
        for y in 2..18 {
            map[y * width + 5..y * width + 21].fill(0.5);
        }
        map[0] = 32.0;
        // The bright square beats the brightest pixel.
        assert_eq!(ImageScore::AveragePool16.of(&map, width), Some(0.5));
        assert_eq!(ImageScore::Max.of(&map, width), Some(32.0));
        assert_eq!(ImageScore::AveragePool16.of(&map[..15 * width], width), None);
        assert_eq!(ImageScore::Mean.of(&[], 0), None);
    }
}
