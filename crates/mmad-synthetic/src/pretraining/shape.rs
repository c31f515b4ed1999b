//! Outlines of the objects, each about 1 in radius.

use crate::drawing::geometry::Point;
use crate::drawing::letters;
use crate::drawing::noise::{fraction, value_noise};
use crate::drawing::outline::{disc, polygon, rectangle, ring, segment, star};
use crate::random::Random;

/// How many shapes there are.
pub(super) const COUNT: usize = SHAPES.len();

/// An outline.
pub(super) struct Shape {
    /// Its name.
    pub(super) id: &'static str,
    /// Signed distance, negative inside (a bound for some).
    pub(super) distance: fn(Point, Cut) -> f32,
}

/// What a shape leaves open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    seed: u32,
    /// Free share in `0.0..1.0`.
    a: f32,
}

impl Cut {
    pub(super) fn new(random: &mut Random) -> Self {
        Self { seed: random.seed(), a: random.unit() }
    }
}

/// All shapes; a label is an index into this list, plus 1.
pub(super) static SHAPES: &[Shape] = &[
    shape("disc", |p, _| disc(p, 0.95)),
    shape("ring", |p, cut| ring(p, 0.75, 0.3 + 0.2 * cut.a)),
    shape("square", |p, cut| rectangle(p, Point::new(0.75, 0.75 - 0.15 * cut.a), 0.08)),
    shape("frame", |p, cut| rectangle(p, Point::new(0.65, 0.65), 0.05).abs() - 0.12 - 0.08 * cut.a),
    shape("triangle", |p, _| polygon(p, 3.0, 1.0)),
    shape("pentagon", |p, _| polygon(p, 5.0, 0.98)),
    shape("nut", |p, cut| polygon(p, 6.0, 1.0).max(0.4 + 0.15 * cut.a - p.length())),
    shape("star", |p, cut| star(p, 5.0, 1.05, 0.4 + 0.12 * cut.a)),
    shape("cross", |p, cut| {
        let arm = 0.2 + 0.13 * cut.a;
        let bar = |p| rectangle(p, Point::new(0.95, arm), 0.03);
        bar(p).min(bar(Point::new(p.y, p.x)))
    }),
    shape("cog", cog),
    shape("screw", |p, cut| {
        let slot = rectangle(p, Point::new(0.75, 0.1 + 0.06 * cut.a), 0.02);
        disc(p, 0.92).max(-slot)
    }),
    shape("letter", |p, cut| {
        (letters::letter(p * 1.05, (cut.seed >> 8) as usize) - 0.14 - 0.05 * cut.a) / 1.05
    }),
    shape("crescent", |p, cut| {
        disc(p, 0.95).max(0.75 - (p - Point::new(0.4 + 0.15 * cut.a, 0.0)).length())
    }),
    shape("heart", heart),
    shape("drop", |p, _| {
        let tip = Point::new(0.0, -1.0);
        let body = disc(p - Point::new(0.0, 0.3), 0.62);
        // Two flanks from the tip, tangent to the body.
        let flank = 0.88 * p.x.abs() + 0.475 * (tip.y - p.y);
        body.min(flank.max(p.y))
    }),
    shape("capsule", |p, cut| {
        let end = Point::new(0.6, 0.0);
        segment(p, -end, end) - 0.26 - 0.12 * cut.a
    }),
    shape("arrow", |p, cut| {
        let shaft =
            rectangle(p - Point::new(-0.35, 0.0), Point::new(0.55, 0.13 + 0.1 * cut.a), 0.0);
        let head = (0.75 * p.x + 0.66 * p.y.abs() - 0.7).max(0.05 - p.x);
        shaft.min(head)
    }),
    shape("blob", |p, cut| {
        let ragged = value_noise(p.x * 1.8 + 40.0, p.y * 1.8, cut.seed) - 0.5;
        0.8 * (disc(p, 0.72) + 0.8 * ragged)
    }),
    shape("bracket", |p, cut| {
        let wide = 0.2 + 0.1 * cut.a;
        let leg = rectangle(p - Point::new(-0.55, 0.0), Point::new(wide, 0.85), 0.03);
        leg.min(rectangle(p - Point::new(0.0, 0.85 - wide), Point::new(0.75, wide), 0.03))
    }),
    shape("clover", |p, _| {
        let leaf = |x: f32, y: f32| disc(p - Point::new(x, y), 0.42);
        leaf(0.0, -0.5).min(leaf(0.45, 0.25)).min(leaf(-0.45, 0.25)).min(disc(p, 0.3))
    }),
];

const fn shape(id: &'static str, distance: fn(Point, Cut) -> f32) -> Shape {
    Shape { id, distance }
}

/// A disc with square teeth and a hole.
fn cog(p: Point, cut: Cut) -> f32 {
    let teeth = 7.0 + (4.0 * cut.a).round();
    let r = p.length();
    let arc = ((fraction(p.turn() * teeth) - 0.5).abs() - 0.25) * r * std::f32::consts::TAU / teeth;
    let tooth = arc.max(r - 1.0);
    tooth.min(r - 0.76).max(0.3 - r)
}

/// Two discs over a corner.
fn heart(p: Point, _: Cut) -> f32 {
    let q = Point::new(p.x.abs(), p.y);
    let lobe = disc(q - Point::new(0.42, -0.32), 0.52);
    let wedge = (0.742 * q.x + 0.67 * q.y - 0.63).max(-0.32 - q.y).max(q.x - 0.86);
    lobe.min(wedge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_fill_their_disc_and_stay_near_it() {
        let mut random = Random::keyed(&[8]);
        for shape in SHAPES {
            for _ in 0..5 {
                let cut = Cut::new(&mut random);
                let (mut inside, mut beyond, mut n) = (0, 0, 0);
                for i in 0..60 * 60 {
                    let at = |i: usize| (i as f32 + 0.5) / 20.0 - 1.5;
                    let p = Point::new(at(i % 60), at(i / 60));
                    n += 1;
                    if (shape.distance)(p, cut) < 0.0 {
                        inside += 1;
                        beyond += usize::from(p.length() > 1.12);
                    }
                }
                // The disc of radius 1 is 35 % of the square.
                let share = f64::from(inside) / f64::from(n);
                assert!((0.08..0.36).contains(&share), "{}: {share}", shape.id);
                assert!(beyond < 12, "{} reaches out by {beyond} points", shape.id);
            }
        }
    }
}
