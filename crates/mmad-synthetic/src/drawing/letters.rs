//! Capital letters made of straight strokes, for prints and markings.

use super::geometry::Point;
use super::outline::segment;

/// How many letters there are.
pub(crate) const COUNT: usize = LETTERS.len();

/// The distance to the strokes of letter `index` (modulo [`COUNT`]), which spans x in -0.5..0.5
/// and y in -0.8..0.8.
#[inline]
pub(crate) fn letter(p: Point, index: usize) -> f32 {
    LETTERS[index % COUNT]
        .iter()
        .fold(f32::MAX, |nearest, &[a, b]| nearest.min(segment(p, node(a), node(b))))
}

/// Node `10 * row + column` of a grid three wide and five high.
#[inline]
fn node(at: u8) -> Point {
    Point::new(f32::from(at % 10) * 0.5 - 0.5, f32::from(at / 10) * 0.4 - 0.8)
}

const LETTERS: [&[[u8; 2]]; 14] = [
    &[[40, 1], [1, 42], [30, 32]],          // A
    &[[0, 40], [0, 2], [20, 21], [40, 42]], // E
    &[[0, 40], [0, 2], [20, 21]],           // F
    &[[0, 40], [2, 42], [20, 22]],          // H
    &[[0, 40], [20, 2], [20, 42]],          // K
    &[[0, 40], [40, 42]],                   // L
    &[[40, 0], [0, 21], [21, 2], [2, 42]],  // M
    &[[40, 0], [0, 42], [42, 2]],           // N
    &[[0, 40], [0, 2], [2, 22], [22, 20]],  // P
    &[[0, 2], [1, 41]],                     // T
    &[[0, 40], [40, 42], [42, 2]],          // U
    &[[0, 42], [2, 40]],                    // X
    &[[0, 21], [2, 21], [21, 41]],          // Y
    &[[0, 2], [2, 40], [40, 42]],           // Z
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strokes_stay_in_their_box_and_letters_differ() {
        for (i, strokes) in LETTERS.iter().enumerate() {
            for p in strokes.iter().flat_map(|&[a, b]| [node(a), node(b)]) {
                assert!(p.x.abs() <= 0.5 && p.y.abs() <= 0.801);
                assert!(letter(p, i) < 1e-5);
            }
        }
        let corner = Point::new(0.5, -0.8);
        assert!(letter(corner, 1) < 0.01 && letter(corner, 5) > 0.5);
    }
}
