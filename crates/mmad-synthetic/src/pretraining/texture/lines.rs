//! Textures made of lines: straight, bent, broken or around a point. Lines run along v.

use super::{Grain, inside};
use crate::drawing::geometry::Point;
use crate::drawing::letters;
use crate::drawing::noise::{floor, fractal_noise, fraction, hash, lattice, value_noise, wave};

/// Distance from the middle of the current period, 0 to 0.5.
#[inline]
fn off_middle(t: f32) -> f32 {
    (fraction(t) - 0.5).abs()
}

pub(super) fn gradient(u: f32, _: f32, grain: &Grain) -> f32 {
    (0.5 + (0.15 + 0.45 * grain.a) * u).clamp(0.0, 1.0)
}

pub(super) fn stripes(u: f32, _: f32, grain: &Grain) -> f32 {
    inside(off_middle(u) - 0.12 - 0.26 * grain.a, grain)
}

pub(super) fn grating(u: f32, _: f32, _: &Grain) -> f32 {
    0.5 + 0.5 * wave(u)
}

pub(super) fn barcode(u: f32, _: f32, grain: &Grain) -> f32 {
    let t = 2.5 * u;
    let (left, here) = (lattice(floor(t) - 1, 0, grain.seed), lattice(floor(t), 0, grain.seed));
    let soft = (fraction(t) / (2.5 * grain.edge)).min(1.0);
    left + (here - left) * soft
}

pub(super) fn chevron(u: f32, v: f32, grain: &Grain) -> f32 {
    let zigzag = 2.0 * off_middle(0.6 * v);
    inside(off_middle(u + zigzag) - 0.25, grain)
}

pub(super) fn waves(u: f32, v: f32, grain: &Grain) -> f32 {
    let bent = u + (0.2 + 0.25 * grain.a) * wave(0.45 * v);
    inside(off_middle(bent) - 0.15 - 0.2 * grain.b, grain)
}

pub(super) fn crosshatch(u: f32, v: f32, grain: &Grain) -> f32 {
    let width = 0.05 + 0.09 * grain.a;
    let one = inside(off_middle(0.94 * u + 0.34 * v) - width, grain);
    let other = inside(off_middle(0.94 * u - 0.34 * v) - width, grain);
    0.5 * (one + other)
}

pub(super) fn brushed(u: f32, v: f32, grain: &Grain) -> f32 {
    let coarse = value_noise(3.0 * u, 0.14 * v, grain.seed);
    let fine = value_noise(7.0 * u, 0.3 * v, grain.seed ^ 1);
    0.6 * coarse + 0.4 * fine
}

pub(super) fn wood(u: f32, v: f32, grain: &Grain) -> f32 {
    let arch = value_noise(0.35 * u, 0.16 * v, grain.seed);
    let ring = fraction(0.8 * u + 2.2 * arch);
    let fibre = value_noise(6.0 * u, 0.5 * v, grain.seed ^ 1);
    0.7 * ring * (1.0 - inside(0.95 - ring, grain)) + 0.3 * fibre
}

pub(super) fn marble(u: f32, v: f32, grain: &Grain) -> f32 {
    let turbulence = fractal_noise(0.5 * u, 0.5 * v, 3, grain.seed) - 0.5;
    let vein = wave(0.45 * u + (1.0 + grain.a) * turbulence).abs();
    1.0 - (1.0 - vein) * (1.0 - vein)
}

/// Short thin strokes along v, each with its own lean.
pub(super) fn fibres(u: f32, v: f32, grain: &Grain) -> f32 {
    let mut most = 0.0_f32;
    let (i, j) = (floor(1.5 * u), floor(0.5 * v));
    for dx in -1..=1 {
        let h = hash(i + dx, j, grain.seed);
        let part = |shift: u32| ((h >> shift) & 0xff) as f32 / 256.0;
        let lean = (part(0) - 0.5) * 0.5;
        let (x, y) = (1.5 * u - (i + dx) as f32 - 0.3 - 0.4 * part(8), fraction(0.5 * v) - 0.5);
        let beyond = (y.abs() - 0.25 - 0.2 * part(16)).max(0.0) * 2.0;
        let distance = ((x + lean * y).abs()).max(beyond) - 0.07;
        most = most.max(inside(distance / 1.5, grain) * (0.5 + 0.5 * part(24)));
    }
    most
}

/// Lines of letters running along u.
pub(super) fn text(u: f32, v: f32, grain: &Grain) -> f32 {
    let (column, row) = (floor(1.4 * u), floor(v));
    let h = hash(column, row, grain.seed);
    if h.is_multiple_of(7) {
        return 0.0;
    }
    let p = Point::new((fraction(1.4 * u) - 0.5) * 1.5, (fraction(v) - 0.5) * 2.3);
    if p.y.abs() > 1.0 {
        return 0.0;
    }
    inside((letters::letter(p, (h >> 8) as usize) - 0.14) / 2.2, grain)
}

pub(super) fn rings(u: f32, v: f32, grain: &Grain) -> f32 {
    let r = (u * u + v * v).sqrt();
    inside(off_middle(r) - 0.15 - 0.2 * grain.a, grain)
}

pub(super) fn rays(u: f32, v: f32, grain: &Grain) -> f32 {
    let p = Point::new(u, v);
    // More rays where the period is short, as it would be for rings.
    let count = 8.0 + (floor(8.0 * grain.b)) as f32;
    let arc = (off_middle(p.turn() * count) - 0.25) * p.length() * 6.3 / count;
    inside(arc, grain)
}

pub(super) fn spiral(u: f32, v: f32, grain: &Grain) -> f32 {
    let p = Point::new(u, v);
    let arms = 1.0 + floor(2.0 * grain.b) as f32;
    inside(off_middle(p.length() + p.turn() * arms) - 0.2 - 0.1 * grain.a, grain)
}
