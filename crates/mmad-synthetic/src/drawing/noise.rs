//! Noise on a lattice of integer hashes: no tables, no state, the same everywhere.

use super::geometry::Point;

/// 32 well-mixed bits of a lattice point.
///
/// Source of the mixing constants: C. Wellons, "hash-prospector" (public domain), `lowbias32`.
#[inline]
pub(crate) fn hash(x: i32, y: i32, seed: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77) ^ seed;
    h ^= h >> 16;
    h = h.wrapping_mul(0x7feb_352d);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}

/// The hash of a lattice point as a number in `0.0..1.0`.
#[inline]
pub(crate) fn lattice(x: i32, y: i32, seed: u32) -> f32 {
    (hash(x, y, seed) >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// The integer below `x`. (`f32::floor` is a library call on the oldest x86-64 machines.)
#[inline]
pub(crate) fn floor(x: f32) -> i32 {
    let toward_zero = x as i32;
    toward_zero - i32::from(x < toward_zero as f32)
}

/// The part of `x` above its floor, in `0.0..=1.0`.
#[inline]
pub(crate) fn fraction(x: f32) -> f32 {
    x - floor(x) as f32
}

/// A cubic step: 0 below `low`, 1 above `high`, smooth between; `low > high` falls instead.
#[inline]
pub(crate) fn smooth_step(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A sine of period 1 made of parabolas, in `-1.0..=1.0` (at most 0.06 off).
#[inline]
pub(crate) fn wave(t: f32) -> f32 {
    let s = 2.0 * fraction(t) - 1.0;
    -4.0 * s * (1.0 - s.abs())
}

/// Value noise with one feature per lattice cell, in `0.0..1.0`.
#[inline]
pub(crate) fn value_noise(x: f32, y: f32, seed: u32) -> f32 {
    let (i, j) = (floor(x), floor(y));
    let (u, v) = (x - i as f32, y - j as f32);
    let (u, v) = (u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v));
    let (right, below) = (i.wrapping_add(1), j.wrapping_add(1));
    let top = lattice(i, j, seed) * (1.0 - u) + lattice(right, j, seed) * u;
    let bottom = lattice(i, below, seed) * (1.0 - u) + lattice(right, below, seed) * u;
    top * (1.0 - v) + bottom * v
}

/// Fractal noise: `octaves` layers of value noise, each half as large and half as strong as the
/// one before; in `0.0..1.0` around 0.5.
#[inline]
pub(crate) fn fractal_noise(x: f32, y: f32, octaves: u32, seed: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut scale) = (0.0, 1.0, 0.0, 1.0);
    for octave in 0..octaves {
        // The shift keeps the lattices of the layers from sharing their nodes.
        let shift = octave as f32 * 17.37;
        let layer = seed.wrapping_add(octave.wrapping_mul(0x9e37_79b9));
        sum += weight * value_noise(x * scale + shift, y * scale - shift, layer);
        total += weight;
        weight *= 0.5;
        scale *= 2.0;
    }
    if total > 0.0 { sum / total } else { 0.5 }
}

/// The two nearest feature points of a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Distance to the nearest point.
    pub(crate) nearest: f32,
    /// Distance to the second nearest point.
    pub(crate) second: f32,
    /// Hash of the nearest point.
    pub(crate) id: u32,
}

/// Cellular noise: one point per lattice cell, moved from its middle by up to `jitter / 2`.
///
/// Source: Worley 1996, "A cellular texture basis function"; `jitter` 1 is the full model.
#[inline]
pub(crate) fn cells(x: f32, y: f32, jitter: f32, seed: u32) -> Cell {
    let (i, j) = (floor(x), floor(y));
    let p = Point::new(x - i as f32, y - j as f32);
    let (mut nearest, mut second, mut id) = (f32::MAX, f32::MAX, 0);
    for dy in -1..=1 {
        for dx in -1..=1 {
            let h = hash(i.wrapping_add(dx), j.wrapping_add(dy), seed);
            let moved = |bits: u32| 0.5 + jitter * ((bits & 0xffff) as f32 / 65_536.0 - 0.5);
            let point = Point::new(dx as f32 + moved(h), dy as f32 + moved(h >> 16));
            let gap = point - p;
            let square = gap.dot(gap);
            if square < nearest {
                (second, nearest, id) = (nearest, square, h);
            } else if square < second {
                second = square;
            }
        }
    }
    Cell { nearest: nearest.sqrt(), second: second.sqrt(), id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_equals_the_library() {
        for x in [-2.0, -1.5, -1.0, -0.1, 0.0, 0.3, 1.0, 7.9_f32] {
            assert_eq!(floor(x) as f32, x.floor());
        }
    }

    #[test]
    fn wave_follows_the_sine() {
        for step in -50..50 {
            let t = step as f32 / 20.0;
            assert!((wave(t) - (t * std::f32::consts::TAU).sin()).abs() < 0.06);
        }
    }

    #[test]
    fn value_noise_meets_its_lattice_and_is_continuous() {
        assert!((value_noise(3.0, -2.0, 5) - lattice(3, -2, 5)).abs() < 1e-6);
        for step in 0..400 {
            let x = step as f32 / 37.0 - 5.0;
            let gap = value_noise(x, 0.3, 1) - value_noise(x + 1e-3, 0.3, 1);
            assert!(gap.abs() < 2e-3);
        }
    }

    #[test]
    fn fractal_noise_stays_in_range_around_the_middle() {
        let values: Vec<f32> =
            (0..4000).map(|i| fractal_noise(i as f32 * 0.37, i as f32 * 0.11, 4, 9)).collect();
        assert!(values.iter().all(|v| (0.0..1.0).contains(v)));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
    }

    #[test]
    fn cells_without_jitter_are_the_square_lattice() {
        let cell = cells(2.5, 3.5, 0.0, 1);
        assert!(cell.nearest < 1e-6 && (cell.second - 1.0).abs() < 1e-6);
        let corner = cells(2.0, 3.0, 0.0, 1);
        assert!((corner.nearest - corner.second).abs() < 1e-6);
    }

    #[test]
    fn smooth_step_rises_and_falls() {
        assert_eq!(smooth_step(0.0, 1.0, 0.5), 0.5);
        assert_eq!(smooth_step(1.0, 0.0, 2.0), 0.0);
        assert_eq!(smooth_step(1.0, 0.0, -1.0), 1.0);
    }
}
