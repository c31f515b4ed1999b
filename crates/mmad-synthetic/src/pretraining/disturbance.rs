//! One local thing that does not belong: the question closest to finding anomalies.
//!
//! General image operations on a patch or a stroke; nothing here is shared with the defects of the
//! products.

use super::palette::Palette;
use super::texture::{self, Laid};
use crate::drawing::canvas::Canvas;
use crate::drawing::colour::Colour;
use crate::drawing::geometry::{Bounds, Point, Pose};
use crate::drawing::noise::{floor, lattice, smooth_step};
use crate::drawing::outline::{rectangle, segment};
use crate::random::Random;

/// How many kinds there are.
pub(super) const COUNT: usize = KINDS.len();

/// What was done to the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disturbance {
    /// 0 for nothing, else an index into the list of kinds, plus 1.
    pub(super) kind: u8,
    /// Where.
    pub(super) centre: Option<Point>,
}

pub(super) type Apply = fn(&mut Canvas, &Canvas, Patch, &mut Random);

/// All kinds with their names. The last one shows on any picture.
pub(super) static KINDS: [(&str, Apply); 12] = [
    ("stroke", stroke),
    ("bump", bump),
    ("slit", slit),
    ("blur", blur),
    ("shift", shift),
    ("turn", turn),
    ("noise", noise),
    ("flat", flat),
    ("shade", shade),
    ("foreign", foreign),
    ("coarse", coarse),
    ("tint", tint),
];

/// Least mean change (of the full range) within the patch that counts as visible.
const VISIBLE: f32 = 0.035;

impl Disturbance {
    /// Disturbs the picture or leaves it alone.
    pub(super) fn apply(canvas: &mut Canvas, random: &mut Random) -> Self {
        let kind = random.below(COUNT + 1);
        if kind == 0 {
            return Self { kind: 0, centre: None };
        }
        let before = canvas.clone();
        let mut chosen = kind - 1;
        let patch = Patch::new(random);
        for _ in 0..4 {
            KINDS[chosen].1(canvas, &before, patch, random);
            if patch.change(&before, canvas) > VISIBLE {
                return Self { kind: 1 + chosen as u8, centre: Some(patch.centre) };
            }
            // A shifted patch of a plain ground is no disturbance: try another kind there.
            canvas.clone_from(&before);
            chosen = random.below(COUNT);
        }
        KINDS[COUNT - 1].1(canvas, &before, patch, random);
        Self { kind: COUNT as u8, centre: Some(patch.centre) }
    }
}

/// Where a disturbance lies: a soft-edged rectangle or ellipse.
#[derive(Clone, Copy)]
pub(super) struct Patch {
    centre: Point,
    pose: Pose,
    radius: f32,
    half: Point,
    corner: f32,
}

impl Patch {
    fn new(random: &mut Random) -> Self {
        let cell = random.below(9);
        // Well inside its cell, so that the cell can be told.
        let at = |i: usize, random: &mut Random| (i as f32 - 1.0) * 0.66 + random.around(0.26);
        let centre = Point::new(at(cell % 3, random), at(cell / 3, random));
        let radius = random.range(0.16, 0.34);
        let half = Point::new(radius, radius * random.range(0.6, 1.0));
        let corner = if random.chance(0.5) { half.y } else { 0.2 * half.y };
        Self { centre, pose: Pose::new(centre, random.unit(), 1.0), radius, half, corner }
    }

    fn bounds(&self) -> Bounds {
        Bounds::around(self.centre, 1.45 * self.radius)
    }

    /// 1 inside the patch, 0 outside.
    fn cover(&self, p: Point) -> f32 {
        smooth_step(0.02, -0.03, rectangle(self.pose.local(p), self.half, self.corner))
    }

    /// Replaces the patch by `draw`.
    fn replace(&self, canvas: &mut Canvas, draw: impl Fn(Point, Colour) -> Colour) {
        canvas.paint(self.bounds(), |p, old, _| {
            let cover = self.cover(p);
            if cover > 0.0 { old.mix(draw(p, old), cover) } else { old }
        });
    }

    /// Mean change around the centre.
    fn change(&self, before: &Canvas, after: &Canvas) -> f32 {
        let (mut sum, mut count) = (0.0, 0.0);
        for i in 0..36_usize {
            let at = |k: usize| (k as f32 / 2.5 - 1.0) * 0.8;
            let q = Point::new(at(i % 6) * self.half.x, at(i / 6) * self.half.y);
            let p = self.pose.world(q);
            sum += (after.sample(p) + before.sample(p) * -1.0).largest();
            count += 1.0;
        }
        sum / count
    }
}

/// A colour clearly apart from the one given.
fn contrasting(colour: Colour, random: &mut Random) -> Colour {
    let luma = 0.3 * colour.r + 0.6 * colour.g + 0.1 * colour.b;
    let step = random.range(0.3, 0.5);
    let value = if luma > 0.5 { luma - step } else { luma + step };
    Colour::from_hue(random.unit(), random.range(0.0, 0.35), value.clamp(0.0, 1.0))
}

/// A thin bent line.
fn stroke(canvas: &mut Canvas, before: &Canvas, patch: Patch, random: &mut Random) {
    let ink = contrasting(before.sample(patch.centre), random);
    let reach = 1.3 * patch.radius + 0.1;
    let (a, b) =
        (patch.pose.world(Point::new(-reach, 0.0)), patch.pose.world(Point::new(reach, 0.0)));
    let knee = patch.pose.world(Point::new(random.around(0.1), random.around(0.14)));
    let width = random.range(0.02, 0.04);
    canvas.paint(Bounds::around(patch.centre, reach + 0.1), |p, old, _| {
        let distance = segment(p, a, knee).min(segment(p, knee, b));
        old.mix(ink, smooth_step(width + 0.02, width - 0.015, distance))
    });
}

/// A raised spot with a lit and a dark side.
fn bump(canvas: &mut Canvas, before: &Canvas, patch: Patch, random: &mut Random) {
    let light = Point::at_turn(random.unit());
    let depth = random.range(0.4, 1.0);
    patch.replace(canvas, |p, _| {
        let q = (p - patch.centre) * (1.0 / patch.radius);
        let slope = 2.0 * q.length() * (1.0 - 0.8 * q.length()).max(0.0);
        let seen = before.sample(p - q * (0.25 * patch.radius * (1.0 - q.length()).max(0.0)));
        let lit = depth * slope * q.direction().dot(light);
        (seen * (1.0 + lit)).lifted(0.25 * lit)
    });
}

/// A straight gap, wide in the middle.
fn slit(canvas: &mut Canvas, before: &Canvas, patch: Patch, random: &mut Random) {
    let bright = before.sample(patch.centre).largest() < 0.35;
    let fill = Colour::grey(if bright { 0.9 } else { 0.03 });
    let reach = 1.2 * patch.radius + 0.05;
    let wide = random.range(0.06, 0.1);
    canvas.paint(Bounds::around(patch.centre, reach + 0.1), |p, old, _| {
        let q = patch.pose.local(p);
        let opening = wide * (1.0 - (q.x / reach).abs());
        old.mix(fill, smooth_step(0.015, -0.015, q.y.abs() - opening))
    });
}

/// The patch out of focus.
fn blur(canvas: &mut Canvas, before: &Canvas, patch: Patch, random: &mut Random) {
    let reach = random.range(0.09, 0.14);
    let around: [Point; 8] = std::array::from_fn(|i| {
        Point::at_turn(i as f32 / 8.0) * (reach * if i % 2 == 0 { 1.0 } else { 0.5 })
    });
    patch.replace(canvas, |p, old| {
        around.iter().fold(old, |sum, &d| sum + before.sample(p + d)) * (1.0 / 9.0)
    });
}

/// The patch showing what lies elsewhere.
fn shift(canvas: &mut Canvas, before: &Canvas, patch: Patch, random: &mut Random) {
    let way = Point::at_turn(random.unit()) * random.range(0.08, 0.3);
    patch.replace(canvas, |p, _| before.sample(p + way));
}

/// The patch turned about its centre.
fn turn(canvas: &mut Canvas, before: &Canvas, patch: Patch, random: &mut Random) {
    let turn = random.range(0.08, 0.25);
    let turned = Pose::new(Point::ORIGIN, if random.chance(0.5) { turn } else { -turn }, 1.0);
    patch.replace(canvas, |p, _| before.sample(patch.centre + turned.local(p - patch.centre)));
}

/// The patch covered with noise.
fn noise(canvas: &mut Canvas, _: &Canvas, patch: Patch, random: &mut Random) {
    let (seed, strength) = (random.seed(), random.range(0.3, 0.7));
    let grains = 1.0 / (canvas.pixel() * random.range(1.0, 2.0));
    patch.replace(canvas, |p, old| {
        let (i, j) = (floor(p.x * grains), floor(p.y * grains));
        let draw = |k: u32| (lattice(i, j, seed ^ k) - 0.5) * strength;
        old + Colour::new(draw(1), draw(2), draw(3))
    });
}

/// The patch wiped to its mean colour.
fn flat(canvas: &mut Canvas, before: &Canvas, patch: Patch, _: &mut Random) {
    let mean = (0..12).fold(Colour::grey(0.0), |sum, i| {
        let way =
            Point::at_turn(i as f32 / 12.0) * (patch.radius * if i % 2 == 0 { 0.4 } else { 0.8 });
        sum + before.sample(patch.centre + way) * (1.0 / 12.0)
    });
    patch.replace(canvas, |_, _| mean);
}

/// The patch darker or brighter.
fn shade(canvas: &mut Canvas, _: &Canvas, patch: Patch, random: &mut Random) {
    let strength = random.range(0.25, 0.5);
    if random.chance(0.5) {
        patch.replace(canvas, |_, old| old * (1.0 - strength));
    } else {
        patch.replace(canvas, |_, old| old.mix(Colour::WHITE, 0.8 * strength));
    }
}

/// The patch of another texture in other colours.
fn foreign(canvas: &mut Canvas, _: &Canvas, patch: Patch, random: &mut Random) {
    let palette = Palette::new(random);
    let family = random.below(texture::COUNT);
    let laid = Laid::on_object(random, family, patch.radius, canvas.width());
    patch.replace(canvas, |p, _| palette.low.mix(palette.high, laid.value(p)));
}

/// The patch in coarse squares.
fn coarse(canvas: &mut Canvas, before: &Canvas, patch: Patch, random: &mut Random) {
    let block = random.range(0.11, 0.17);
    patch.replace(canvas, |p, _| {
        let middle = |t: f32| (floor(t / block) as f32 + 0.5) * block;
        before.sample(Point::new(middle(p.x), middle(p.y)))
    });
}

/// The patch in another hue.
fn tint(canvas: &mut Canvas, before: &Canvas, patch: Patch, random: &mut Random) {
    let here = before.sample(patch.centre);
    let dye = (0..6).map(|_| Colour::from_hue(random.unit(), 0.9, random.range(0.6, 1.0))).max_by(
        |a, b| {
            let far = |c: &Colour| (*c + here * -1.0).largest();
            far(a).total_cmp(&far(b))
        },
    );
    let strength = random.range(0.4, 0.7);
    patch.replace(canvas, |_, old| old.mix(dye.unwrap_or(Colour::WHITE), strength));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn textured(seed: u64) -> Canvas {
        let mut random = Random::keyed(&[seed]);
        let laid = Laid::background(&mut random, 16, 64);
        let mut canvas = Canvas::new(64, 64);
        canvas.fill(|p| (Colour::grey(0.2).mix(Colour::grey(0.8), laid.value(p)), 1.0));
        canvas
    }

    #[test]
    fn every_kind_changes_its_patch_and_nothing_far_away() {
        for (kind, apply) in &KINDS {
            for seed in 0..4 {
                let before = textured(seed);
                let mut random = Random::keyed(&[seed, 7]);
                let patch = Patch::new(&mut random);
                let mut after = before.clone();
                apply(&mut after, &before, patch, &mut random);
                let mut near = 0;
                for i in 0..64 * 64 {
                    let at = |k: usize| (k as f32 + 0.5) / 32.0 - 1.0;
                    let p = Point::new(at(i % 64), at(i / 64));
                    let gap = (before.pixels()[i] + after.pixels()[i] * -1.0).largest();
                    if gap > 0.05 {
                        near += 1;
                        let far = (p - patch.centre).length() > 1.5 * patch.radius + 0.2;
                        assert!(!far, "kind {kind} reaches {p:?}");
                    }
                }
                assert!(near > 15, "kind {kind}: {near} pixels");
            }
        }
    }

    #[test]
    fn a_disturbance_is_always_visible() {
        for seed in 0..200 {
            let mut canvas = Canvas::new(32, 32);
            canvas.fill(|_| (Colour::grey(0.4), 1.0));
            let before = canvas.clone();
            let found = Disturbance::apply(&mut canvas, &mut Random::keyed(&[seed]));
            let changed = before.pixels() != canvas.pixels();
            assert_eq!(changed, found.kind != 0);
        }
    }
}
