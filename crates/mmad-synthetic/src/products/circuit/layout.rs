//! The design of the board: what lies where, in units of half the board's picture.

use super::parts::{Kind, Part};
use crate::drawing::geometry::Point;

/// All parts, in the order in which they are drawn.
pub(super) const PARTS: &[Part] = &[
    part(Kind::Controller, -0.16, -0.04, 0.25, 0.25, 0),
    part(Kind::Driver, 0.56, -0.50, 0.15, 0.19, 3),
    part(Kind::Driver, -0.30, -0.62, 0.15, 0.17, 6),
    part(Kind::Electrolytic, 0.60, 0.44, 0.19, 0.19, 0),
    part(Kind::Crystal, -0.70, 0.02, 0.09, 0.20, 0),
    part(Kind::Tantalum, -0.70, -0.55, 0.11, 0.17, 0),
    part(Kind::Coil, 0.60, -0.04, 0.16, 0.16, 0),
    part(Kind::Header, -0.22, 0.74, 0.44, 0.09, 0),
    part(Kind::Resistor, 0.12, -0.52, 0.07, 0.04, 0),
    part(Kind::Resistor, 0.12, -0.64, 0.07, 0.04, 0),
    part(Kind::Resistor, 0.12, -0.76, 0.07, 0.04, 0),
    part(Kind::Resistor, -0.70, 0.36, 0.07, 0.04, 0),
    part(Kind::Resistor, -0.70, 0.48, 0.07, 0.04, 0),
    part(Kind::Resistor, 0.28, 0.40, 0.07, 0.04, 0),
    part(Kind::Resistor, 0.28, 0.52, 0.07, 0.04, 0),
];

/// Indices of the parts large enough that their loss covers a hundredth of the picture, and small
/// enough that it covers less than a sixteenth.
pub(super) const DAMAGEABLE: &[usize] = &[1, 2, 3, 4, 5, 6];

/// Copper lines, corner by corner.
pub(super) const TRACES: &[&[(f32, f32)]] = &[
    &[(0.16, -0.16), (0.30, -0.16), (0.40, -0.26), (0.40, -0.58)],
    &[(0.16, -0.10), (0.34, -0.10), (0.47, 0.03)],
    &[(0.16, -0.04), (0.30, -0.04), (0.40, 0.06), (0.40, 0.30), (0.46, 0.36)],
    &[(0.16, 0.08), (0.28, 0.20), (0.28, 0.36)],
    &[(-0.48, -0.10), (-0.60, -0.10)],
    &[(-0.48, 0.06), (-0.60, 0.14)],
    &[(-0.48, 0.12), (-0.56, 0.20), (-0.56, 0.34), (-0.62, 0.36)],
    &[(-0.26, 0.28), (-0.26, 0.46), (-0.34, 0.54), (-0.34, 0.66)],
    &[(-0.18, 0.28), (-0.18, 0.66)],
    &[(-0.10, 0.28), (-0.10, 0.48), (-0.02, 0.56), (-0.02, 0.66)],
    &[(-0.02, 0.28), (0.10, 0.40), (0.10, 0.66)],
    &[(-0.22, -0.36), (-0.22, -0.42)],
    &[(-0.08, -0.36), (-0.08, -0.44), (0.04, -0.52)],
    &[(-0.02, -0.36), (0.02, -0.40), (0.20, -0.40), (0.26, -0.46), (0.26, -0.84), (0.70, -0.84)],
    &[(-0.70, -0.36), (-0.70, -0.24), (-0.56, -0.10)],
    &[(-0.46, -0.62), (-0.54, -0.62)],
    &[(0.78, -0.40), (0.84, -0.34), (0.84, 0.30), (0.78, 0.36)],
    &[(-0.84, -0.70), (-0.84, 0.66), (-0.70, 0.78)],
    &[(0.34, 0.52), (0.34, 0.72), (0.42, 0.80), (0.70, 0.80)],
    &[(-0.62, 0.48), (-0.50, 0.48), (-0.44, 0.54), (-0.44, 0.66)],
];

/// Plated holes.
pub(super) const VIAS: &[(f32, f32)] = &[
    (0.40, -0.58),
    (-0.84, -0.70),
    (0.70, -0.84),
    (0.70, 0.80),
    (-0.56, 0.20),
    (0.84, 0.00),
    (0.38, -0.40),
    (-0.50, 0.30),
    (0.36, 0.20),
    (-0.54, -0.80),
];

const fn part(kind: Kind, x: f32, y: f32, half_width: f32, half_height: f32, mark: usize) -> Part {
    Part { kind, at: Point::new(x, y), half: Point::new(half_width, half_height), mark }
}
