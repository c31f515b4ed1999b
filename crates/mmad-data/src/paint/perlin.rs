//! Gradient noise, and turning it.
//!
//! Source: Perlin 1985, "An Image Synthesizer", with the fade of Perlin 2002, "Improving Noise":
//! `6 t^5 - 15 t^4 + 10 t^3`.

use std::f32::consts::{SQRT_2, TAU};

/// Noise over `lattice` cells (rows, columns), about -1 to 1.
///
/// The gradient at a corner points at `turns` full turns; its first component belongs to the rows.
///
/// # Shapes
///
/// - `turns`: `[lattice[0] + 1, lattice[1] + 1]`, each `0..1`; output: `[height, width]`
pub fn perlin(height: usize, width: usize, lattice: [usize; 2], turns: &[f32]) -> Vec<f32> {
    let [rows, columns] = lattice;
    assert_eq!(turns.len(), (rows + 1) * (columns + 1), "perlin: one turn per corner");
    let gradients: Vec<[f32; 2]> = turns
        .iter()
        .map(|turn| {
            let (sin, cos) = (TAU * turn).sin_cos();
            [cos, sin]
        })
        .collect();
    let fade = |t: f32| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let between = |a: f32, b: f32, t: f32| a + t * (b - a);
    // The cell and the place in it, from whole numbers, so that borders are exact.
    let place = |index: usize, cells: usize, side: usize| {
        let cell = index * cells / side;
        (cell, (index * cells - cell * side) as f32 / side as f32)
    };
    let mut noise = Vec::with_capacity(height * width);
    for y in 0..height {
        let (row, v) = place(y, rows, height);
        for x in 0..width {
            let (column, u) = place(x, columns, width);
            let corner = |down: usize, right: usize| {
                let [along_rows, along_columns] =
                    gradients[(row + down) * (columns + 1) + column + right];
                along_rows * (v - down as f32) + along_columns * (u - right as f32)
            };
            let left = between(corner(0, 0), corner(1, 0), fade(v));
            let right = between(corner(0, 1), corner(1, 1), fade(v));
            noise.push(SQRT_2 * between(left, right, fade(u)));
        }
    }
    noise
}

/// Turns a map about its middle, bilinear, with zeros from outside.
///
/// # Shapes
///
/// - `map` and output: `[height, width]`
pub fn rotate(map: &[f32], height: usize, width: usize, angle_deg: f32) -> Vec<f32> {
    let (sin, cos) = angle_deg.to_radians().sin_cos();
    let (middle_y, middle_x) = (0.5 * (height as f32 - 1.0), 0.5 * (width as f32 - 1.0));
    let at = |y: isize, x: isize| {
        let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
        if inside { map[y as usize * width + x as usize] } else { 0.0 }
    };
    let mut turned = Vec::with_capacity(height * width);
    for y in 0..height {
        for x in 0..width {
            let (dy, dx) = (y as f32 - middle_y, x as f32 - middle_x);
            let from_y = cos * dy - sin * dx + middle_y;
            let from_x = sin * dy + cos * dx + middle_x;
            let (top, left) = (from_y.floor(), from_x.floor());
            let (v, u) = (from_y - top, from_x - left);
            let (top, left) = (top as isize, left as isize);
            let above = at(top, left) * (1.0 - u) + at(top, left + 1) * u;
            let below = at(top + 1, left) * (1.0 - u) + at(top + 1, left + 1) * u;
            turned.push(above * (1.0 - v) + below * v);
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At every corner of the lattice gradient noise is zero, whatever the gradients.
    #[test]
    fn noise_is_zero_at_the_corners() {
        let turns: Vec<f32> = (0..15).map(|i| i as f32 * 0.137 % 1.0).collect();
        let noise = perlin(16, 32, [2, 4], &turns);
        for (y, x) in [(0, 0), (0, 8), (8, 24), (8, 0)] {
            assert!(noise[y * 32 + x].abs() < 1e-6);
        }
        assert!(noise.iter().any(|value| value.abs() > 0.1));
    }

    #[test]
    fn a_quarter_turn_moves_rows_to_columns() {
        let map: Vec<f32> = (0..25).map(|i| i as f32).collect();
        assert_eq!(rotate(&map, 5, 5, 0.0), map);
        let turned = rotate(&map, 5, 5, 90.0);
        let back = rotate(&turned, 5, 5, -90.0);
        assert!(back.iter().zip(&map).all(|(a, b)| (a - b).abs() < 1e-3));
        assert!((turned[12] - 12.0).abs() < 1e-4 && (turned[0] - 0.0).abs() > 1.0);
    }
}
