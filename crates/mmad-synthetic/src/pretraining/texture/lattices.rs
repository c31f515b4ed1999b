//! Textures that repeat on a lattice.

use super::{Grain, inside};
use crate::drawing::geometry::Point;
use crate::drawing::noise::{floor, fraction, hash, lattice, value_noise};
use crate::drawing::outline::rectangle;

/// Position within the current cell, from -0.5 to 0.5.
#[inline]
fn centred(t: f32) -> f32 {
    fraction(t) - 0.5
}

/// A tone for a cell: between 0.55 and 1.
#[inline]
fn tone(i: i32, j: i32, grain: &Grain) -> f32 {
    0.55 + 0.45 * lattice(i, j, grain.seed)
}

pub(super) fn checks(u: f32, v: f32, grain: &Grain) -> f32 {
    let (x, y) = (0.25 - centred(0.7 * u).abs(), 0.25 - centred(0.7 * v).abs());
    let distance = x.abs().min(y.abs()) / 0.7;
    inside(if x * y > 0.0 { -distance } else { distance }, grain)
}

pub(super) fn plaid(u: f32, v: f32, grain: &Grain) -> f32 {
    let band = |t: f32| {
        let wide = inside(centred(0.6 * t).abs() - 0.12 - 0.14 * grain.a, grain);
        let thin = inside((centred(0.6 * t).abs() - 0.4).abs() - 0.03, grain);
        wide + 0.6 * thin
    };
    (0.5 * (band(u) + band(v))).min(1.0)
}

/// Plain weave: yarns over and under by turns, each round.
pub(super) fn basket(u: f32, v: f32, _: &Grain) -> f32 {
    let (i, j) = (floor(2.0 * u), floor(2.0 * v));
    let (x, y) = (centred(2.0 * u), centred(2.0 * v));
    let (across, along) = if (i + j) & 1 == 0 { (x, y) } else { (y, x) };
    (1.0 - 3.4 * across * across) * (1.0 - 1.6 * along * along)
}

pub(super) fn tiles(u: f32, v: f32, grain: &Grain) -> f32 {
    let cell = Point::new(centred(u), centred(v));
    let half = 0.46 - 0.06 * grain.a;
    inside(rectangle(cell, Point::new(half, half), 0.1), grain) * tone(floor(u), floor(v), grain)
}

pub(super) fn dots(u: f32, v: f32, grain: &Grain) -> f32 {
    let (x, y) = (centred(u), centred(v));
    inside((x * x + y * y).sqrt() - 0.18 - 0.2 * grain.a, grain)
}

/// Dots whose size follows a slow tone.
pub(super) fn halftone(u: f32, v: f32, grain: &Grain) -> f32 {
    let (i, j) = (floor(1.6 * u), floor(1.6 * v));
    let wanted = value_noise(0.4 * i as f32, 0.4 * j as f32, grain.seed);
    let (x, y) = (centred(1.6 * u), centred(1.6 * v));
    inside(((x * x + y * y).sqrt() - 0.08 - 0.5 * wanted) / 1.6, grain)
}

/// Wires along both axes with open squares between.
pub(super) fn mesh(u: f32, v: f32, grain: &Grain) -> f32 {
    let (x, y) = (centred(u).abs(), centred(v).abs());
    let width = 0.07 + 0.07 * grain.a;
    let wire = |t: f32| inside(t - width, grain) * (1.0 - 0.5 * (t / width).min(1.0));
    wire(x).max(wire(y))
}

pub(super) fn twill(u: f32, v: f32, _: &Grain) -> f32 {
    let (i, j) = (floor(2.4 * u), floor(2.4 * v));
    let (x, y) = (centred(2.4 * u), centred(2.4 * v));
    let over = (i + j).rem_euclid(4) < 2;
    let across = if over { x } else { y };
    (1.0 - 2.6 * across * across) * if over { 1.0 } else { 0.5 }
}

/// Columns of slanted strokes that lean left and right by turns.
pub(super) fn herringbone(u: f32, v: f32, grain: &Grain) -> f32 {
    let column = floor(0.8 * u);
    let x = centred(0.8 * u);
    let slant = if column & 1 == 0 { x } else { -x };
    let stroke = inside((centred(1.6 * v + 1.2 * slant).abs() - 0.3) / 1.6, grain);
    stroke * inside((x.abs() - 0.47) / 0.8, grain)
}

pub(super) fn bricks(u: f32, v: f32, grain: &Grain) -> f32 {
    let row = floor(1.3 * v);
    let shifted = 0.6 * u + 0.5 * (row & 1) as f32;
    let cell = Point::new(centred(shifted) / 0.6, centred(1.3 * v) / 1.3);
    let gap = 0.05 + 0.04 * grain.a;
    let half = Point::new(0.5 / 0.6 - gap, 0.5 / 1.3 - gap);
    inside(rectangle(cell, half, 0.04), grain) * tone(floor(shifted), row, grain)
}

/// Overlapping discs, row over row.
pub(super) fn scales(u: f32, v: f32, grain: &Grain) -> f32 {
    let t = 1.8 * v;
    let row = floor(t);
    // The scale that hangs from this row covers the one below it.
    for above in [0, 1] {
        let j = row - above;
        let x = centred(u + 0.5 * (j & 1) as f32);
        let y = (t - j as f32) / 1.8;
        let r = (x * x + y * y).sqrt();
        if r < 0.56 || above == 1 {
            let shade = 0.35 + 0.65 * (r / 0.56).min(1.0);
            return shade * (1.0 - 0.9 * inside((r - 0.53).abs() - 0.03, grain));
        }
    }
    0.0
}

/// A rolled pattern of long lozenges with raised middles.
pub(super) fn lozenges(u: f32, v: f32, grain: &Grain) -> f32 {
    let (x, y) = (centred(u + 0.5 * v).abs(), centred(u - 0.5 * v).abs());
    let rim = x.max(y);
    inside(rim - 0.4, grain) * (0.45 + 0.9 * (0.5 - rim) + 0.2 * grain.a)
}

pub(super) fn hexagons(u: f32, v: f32, grain: &Grain) -> f32 {
    // Two offset rectangular lattices; the nearer centre owns the point.
    const ROOT3: f32 = 1.732_050_8;
    let first = Point::new(centred(u), centred(v / ROOT3) * ROOT3);
    let second = Point::new(centred(u + 0.5), centred(v / ROOT3 + 0.5) * ROOT3);
    let (cell, id) = if first.dot(first) < second.dot(second) {
        (first, hash(floor(u), floor(v / ROOT3), grain.seed))
    } else {
        (second, hash(floor(u + 0.5), floor(v / ROOT3 + 0.5), !grain.seed))
    };
    let (x, y) = (cell.x.abs(), cell.y.abs());
    let edge = x.max(0.5 * x + 0.5 * ROOT3 * y);
    inside(edge - 0.46 + 0.06 * grain.a, grain) * (0.5 + (id >> 9) as f32 / 16_777_216.0)
}

pub(super) fn triangles(u: f32, v: f32, grain: &Grain) -> f32 {
    let (a, b, c) = (0.8 * u, 0.4 * u + 0.693 * v, 0.4 * u - 0.693 * v);
    let parity = (floor(a) + floor(b) + floor(c)) & 1;
    let edge = |t: f32| 0.5 - centred(t).abs();
    let distance = edge(a).min(edge(b)).min(edge(c)) / 0.8;
    inside(if parity == 0 { -distance } else { distance }, grain)
}

/// Truchet tiles of quarter circles.
pub(super) fn arcs(u: f32, v: f32, grain: &Grain) -> f32 {
    let (x, y) = (fraction(u), fraction(v));
    let x = if hash(floor(u), floor(v), grain.seed) & 1 == 0 { x } else { 1.0 - x };
    let near = (x * x + y * y).sqrt() - 0.5;
    let far = ((1.0 - x) * (1.0 - x) + (1.0 - y) * (1.0 - y)).sqrt() - 0.5;
    inside(near.abs().min(far.abs()) - 0.07 - 0.1 * grain.a, grain)
}

/// Diagonal walls that lean either way by chance.
pub(super) fn maze(u: f32, v: f32, grain: &Grain) -> f32 {
    let (x, y) = (fraction(1.2 * u), fraction(1.2 * v));
    let x = if hash(floor(1.2 * u), floor(1.2 * v), grain.seed) & 1 == 0 { x } else { 1.0 - x };
    inside(((x - y).abs() * 0.707 - 0.1 - 0.06 * grain.a) / 1.2, grain)
}
