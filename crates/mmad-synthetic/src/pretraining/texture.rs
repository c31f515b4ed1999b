//! The texture families: what they are called and how one is laid.

mod lattices;
mod lines;
mod noises;

use crate::drawing::geometry::{Point, Pose};
use crate::random::Random;

/// How many families there are.
pub(super) const COUNT: usize = TEXTURES.len();

/// A family of textures.
pub(super) struct Texture {
    /// Its name.
    pub(super) id: &'static str,
    symmetry: Symmetry,
    /// Whether it has a period to be seen.
    scaled: bool,
    /// The value in `0.0..=1.0` at a position in periods.
    value: fn(f32, f32, &Grain) -> f32,
}

/// Which turns leave a texture as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symmetry {
    /// A half turn: it has a direction.
    Line,
    /// A quarter turn.
    Cross,
    /// It has no direction.
    Round,
}

/// What a family leaves open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grain {
    seed: u32,
    /// Periods per pixel: the width of an anti-aliased edge.
    edge: f32,
    /// Free share in `0.0..1.0`, such as a line's width.
    a: f32,
    /// Another one.
    b: f32,
}

/// A texture with its turn, period and seed: a function of the position.
pub(super) struct Laid {
    pub(super) family: usize,
    /// 0 for none, else 1 to 8 in steps of 1/16 turn.
    pub(super) orientation: u8,
    /// 0 for none, else 1 (finest) to 5.
    pub(super) scale: u8,
    pose: Pose,
    grain: Grain,
}

/// Borders between the scales, as period in units; half the picture is 1.
const PERIODS: [f32; 6] = [0.125, 0.18, 0.26, 0.38, 0.55, 0.8];

impl Laid {
    /// A texture for the whole picture.
    pub(super) fn background(random: &mut Random, family: usize, side: usize) -> Self {
        let scale = random.below(5);
        // Away from the borders between the steps.
        let share = random.range(0.12, 0.88);
        let period = PERIODS[scale] * (PERIODS[scale + 1] / PERIODS[scale]).powf(share);
        Self::lay(random, family, scale as u8 + 1, period, side)
    }

    /// A texture for an object, fine enough to be recognised on it.
    pub(super) fn on_object(random: &mut Random, family: usize, radius: f32, side: usize) -> Self {
        let period = (radius * random.range(0.3, 0.9)).max(PERIODS[0]);
        Self::lay(random, family, 0, period, side)
    }

    fn lay(random: &mut Random, family: usize, scale: u8, period: f32, side: usize) -> Self {
        let texture = &TEXTURES[family];
        let period = if texture.scaled { period } else { 1.0 };
        let eighth = random.below(8);
        let eighth = match texture.symmetry {
            Symmetry::Cross => eighth % 4,
            Symmetry::Line | Symmetry::Round => eighth,
        };
        let turn = (eighth as f32 + random.range(0.1, 0.9)) / 16.0;
        let flipped = if random.chance(0.5) { 0.5 } else { 0.0 };
        let origin = Point::new(random.around(0.7), random.around(0.7));
        Self {
            family,
            orientation: if texture.symmetry == Symmetry::Round { 0 } else { 1 + eighth as u8 },
            scale: if texture.scaled { scale } else { 0 },
            pose: Pose::new(origin, turn + flipped, period),
            grain: Grain {
                seed: random.seed(),
                edge: 2.0 / side as f32 / period,
                a: random.unit(),
                b: random.unit(),
            },
        }
    }

    /// The value at a position, about `0.0..=1.0`.
    #[inline]
    pub(super) fn value(&self, p: Point) -> f32 {
        let q = self.pose.local(p);
        (TEXTURES[self.family].value)(q.x, q.y, &self.grain)
    }
}

/// All families; a label is an index into this list.
pub(super) static TEXTURES: &[Texture] = {
    use Symmetry::{Cross, Line, Round};
    &[
        plain("plain", Round, noises::plain),
        plain("gradient", Line, lines::gradient),
        family("stripes", Line, lines::stripes),
        family("grating", Line, lines::grating),
        family("barcode", Line, lines::barcode),
        family("chevron", Line, lines::chevron),
        family("waves", Line, lines::waves),
        family("crosshatch", Line, lines::crosshatch),
        family("brushed", Line, lines::brushed),
        family("wood", Line, lines::wood),
        family("marble", Line, lines::marble),
        family("fibres", Line, lines::fibres),
        family("text", Line, lines::text),
        family("rings", Round, lines::rings),
        family("rays", Round, lines::rays),
        family("spiral", Round, lines::spiral),
        family("checks", Cross, lattices::checks),
        family("plaid", Cross, lattices::plaid),
        family("basket", Cross, lattices::basket),
        family("tiles", Cross, lattices::tiles),
        family("dots", Cross, lattices::dots),
        family("halftone", Cross, lattices::halftone),
        family("mesh", Cross, lattices::mesh),
        family("twill", Line, lattices::twill),
        family("herringbone", Line, lattices::herringbone),
        family("bricks", Line, lattices::bricks),
        family("scales", Line, lattices::scales),
        family("lozenges", Line, lattices::lozenges),
        family("hexagons", Round, lattices::hexagons),
        family("triangles", Round, lattices::triangles),
        family("arcs", Round, lattices::arcs),
        family("maze", Round, lattices::maze),
        family("blobs", Round, noises::blobs),
        family("speckle", Round, noises::speckle),
        family("smooth", Round, noises::smooth),
        family("clouds", Round, noises::clouds),
        family("veins", Round, noises::veins),
        family("contours", Round, noises::contours),
        family("camouflage", Round, noises::camouflage),
        family("cells", Round, noises::cells),
        family("cracks", Round, noises::cracks),
        family("pebbles", Round, noises::pebbles),
        family("terrazzo", Round, noises::terrazzo),
    ]
};

type Value = fn(f32, f32, &Grain) -> f32;

const fn family(id: &'static str, symmetry: Symmetry, value: Value) -> Texture {
    Texture { id, symmetry, scaled: true, value }
}

const fn plain(id: &'static str, symmetry: Symmetry, value: Value) -> Texture {
    Texture { id, symmetry, scaled: false, value }
}

/// 1 inside a line whose signed distance (in periods) is given, 0 outside, soft over a pixel.
#[inline]
fn inside(distance: f32, grain: &Grain) -> f32 {
    (0.5 - distance / grain.edge).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn values(family: usize, seed: u64, side: usize) -> Vec<f32> {
        let mut random = Random::keyed(&[seed]);
        let laid = Laid::background(&mut random, family, side);
        let at = |i: usize| 2.0 * (i as f32 + 0.5) / side as f32 - 1.0;
        (0..side * side).map(|i| laid.value(Point::new(at(i % side), at(i / side)))).collect()
    }

    #[test]
    fn families_have_distinct_names() {
        let names: BTreeSet<&str> = TEXTURES.iter().map(|texture| texture.id).collect();
        assert_eq!(names.len(), TEXTURES.len());
    }

    #[test]
    fn values_use_their_range() {
        for (family, texture) in TEXTURES.iter().enumerate() {
            let mut spread = 0.0_f32;
            for seed in 0..6 {
                let found = values(family, seed, 48);
                let low = found.iter().copied().fold(f32::MAX, f32::min);
                let high = found.iter().copied().fold(f32::MIN, f32::max);
                assert!(low > -0.3 && high < 1.3, "{}: {low} to {high}", texture.id);
                spread = spread.max(high - low);
            }
            assert!(texture.id == "plain" || spread > 0.5, "{}: {spread}", texture.id);
        }
    }

    #[test]
    fn textures_that_claim_no_direction_have_none() {
        for texture in TEXTURES.iter().filter(|texture| texture.symmetry != Symmetry::Line) {
            let (mut along_u, mut along_v) = (0.0, 0.0);
            for seed in 0..8 {
                let grain = Grain { seed, edge: 0.1, a: 0.4, b: 0.6 };
                for i in 0..4096 {
                    // Steps that share no factor with any period, around the origin.
                    let (u, v) = ((i % 64) as f32 * 0.137 - 4.4, (i / 64) as f32 * 0.137 - 4.4);
                    let here = (texture.value)(u, v, &grain);
                    along_u += ((texture.value)(u + 0.05, v, &grain) - here).abs();
                    along_v += ((texture.value)(u, v + 0.05, &grain) - here).abs();
                }
            }
            // Hexagonal lattices reach 1.155: three edge directions, projected on two axes.
            let ratio = (along_u + 1.0) / (along_v + 1.0);
            assert!((0.8..1.25).contains(&ratio), "{}: {ratio}", texture.id);
        }
    }

    #[test]
    fn orientation_is_the_turn_of_the_lines() {
        // A grating changes most across its lines, which is the direction of the label's turn.
        let grating = TEXTURES.iter().position(|texture| texture.id == "grating").unwrap();
        for seed in 0..40 {
            let laid = Laid::background(&mut Random::keyed(&[seed]), grating, 64);
            let change = |turn: f32| -> f32 {
                let step = Point::at_turn(turn) * 0.02;
                let at = |i: usize| (i as f32 / 15.5) - 1.0;
                let p = |i: usize| Point::new(at(i % 32), at(i / 32));
                (0..1024).map(|i| (laid.value(p(i) + step) - laid.value(p(i))).abs()).sum()
            };
            let middle = |label: u8| (f32::from(label) - 0.5) / 16.0;
            let steepest = (1..=8).max_by(|&a, &b| change(middle(a)).total_cmp(&change(middle(b))));
            assert_eq!(steepest, Some(laid.orientation));
        }
    }
}
