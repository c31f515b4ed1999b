//! A woven cloth: yarns in three colours that make a check, in a two-over-two-under twill.

use super::{Fault, Product, Structure, Surface, rig_light};
use crate::drawing::canvas::Canvas;
use crate::drawing::colour::Colour;
use crate::drawing::geometry::{Point, Pose};
use crate::drawing::noise::{floor, fractal_noise, lattice, smooth_step, value_noise};
use crate::random::Random;

pub(super) const FABRIC: Product =
    Product { id: "fabric", about: "checked twill cloth filling the picture", draw };

/// Colours of neighbouring yarns, repeated: 0 ground, 1 stripe, 2 thin line.
const SEQUENCE: [usize; 16] = [0, 0, 0, 0, 0, 0, 2, 0, 0, 1, 1, 1, 1, 0, 0, 2];

fn draw(canvas: &mut Canvas, random: &mut Random, fault: Option<Fault>) -> Surface {
    let light = rig_light(random);
    // At least four pixels per yarn, or the weave would turn into moire.
    let pitch = (2.0 / 26.0_f32).max(4.0 * canvas.pixel());
    let shift = Point::new(random.around(0.2), random.around(0.2));
    let pose = Pose::new(shift, random.around(0.012), pitch * random.range(0.97, 1.03));
    let tint = |c: Colour, random: &mut Random| {
        c * random.range(0.94, 1.06) + Colour::new(random.around(0.01), 0.0, random.around(0.01))
    };
    let mut cloth = Cloth {
        pose,
        light: pose.local_direction(light),
        dyes: [
            tint(Colour::new(0.20, 0.30, 0.47), random),
            tint(Colour::new(0.83, 0.79, 0.69), random),
            tint(Colour::new(0.72, 0.33, 0.22), random),
        ],
        seed: random.seed(),
        damage: None,
    };
    if let Some(Fault { structure, mut random }) = fault {
        let half = canvas.half();
        let at = Point::new(random.around(0.75) * half.x, random.around(0.8) * half.y);
        let centre = pose.local(at);
        let share = (half.x * half.y).sqrt() / pitch;
        let (reach, lines) = match structure {
            Structure::Missing => (random.range(0.35, 0.6) * share, 1 + random.below(2) as i32),
            Structure::Misplaced => (random.range(0.3, 0.5) * share, 2 + random.below(2) as i32),
        };
        let (first, warp) = (Point::new(centre.x, centre.y), random.chance(0.5));
        let (line, along) = if warp { (first.x, first.y) } else { (first.y, first.x) };
        cloth.damage = Some(Damage {
            structure,
            warp,
            lines: floor(line)..floor(line) + lines,
            span: along - reach..along + reach,
            wrong: random.range(0.2, 0.4),
        });
    }
    canvas.fill(|p| (cloth.colour(p), 1.0));
    Surface {
        light,
        bare: Colour::new(0.09, 0.08, 0.09),
        stain: Colour::new(0.38, 0.27, 0.12),
        debris: Colour::new(0.75, 0.80, 0.25),
        relief: 0.5,
    }
}

struct Cloth {
    /// One unit of the pose is one yarn.
    pose: Pose,
    light: Point,
    dyes: [Colour; 3],
    seed: u32,
    damage: Option<Damage>,
}

/// Yarns of one direction that are torn out or of the wrong dye along a span.
struct Damage {
    structure: Structure,
    warp: bool,
    lines: std::ops::Range<i32>,
    span: std::ops::Range<f32>,
    wrong: f32,
}

impl Cloth {
    fn colour(&self, p: Point) -> Colour {
        // Hand-laid cloth: the yarns wander by a fraction of their width.
        let wander = 1.1;
        let drift = Point::new(
            fractal_noise(p.x * 1.3, p.y * 1.3, 2, self.seed) - 0.5,
            fractal_noise(p.x * 1.3, p.y * 1.3, 2, self.seed ^ 1) - 0.5,
        );
        let q = self.pose.local(p) + drift * wander;
        let (column, row) = (floor(q.x), floor(q.y));
        let warp_on_top = (column - row).rem_euclid(4) < 2;
        let warp = self.state(true, column, q.y);
        let weft = self.state(false, row, q.x);
        let fold = 1.0 + 0.16 * (fractal_noise(p.x * 0.9, p.y * 0.9, 2, self.seed ^ 2) - 0.5);

        let order = if warp_on_top { [true, false] } else { [false, true] };
        for is_warp in order {
            let state = if is_warp { warp } else { weft };
            if state != Yarn::Gone {
                let on_top = is_warp == warp_on_top;
                // Over a gap the yarn sags out of the light.
                let below = if is_warp { weft } else { warp };
                let sag = if on_top && below == Yarn::Gone { 0.78 } else { 1.0 };
                return self.yarn(q, is_warp, on_top, state) * (fold * sag);
            }
        }
        Colour::grey(0.05)
    }

    /// What has become of a yarn at a place along it.
    fn state(&self, warp: bool, line: i32, along: f32) -> Yarn {
        match &self.damage {
            Some(damage)
                if damage.warp == warp
                    && damage.lines.contains(&line)
                    && damage.span.contains(&along) =>
            {
                match damage.structure {
                    Structure::Missing => Yarn::Gone,
                    Structure::Misplaced => Yarn::Wrong(damage.wrong),
                }
            }
            _ => Yarn::Right,
        }
    }

    /// A round, twisted yarn seen from above.
    fn yarn(&self, q: Point, is_warp: bool, on_top: bool, state: Yarn) -> Colour {
        let (line, along, light) =
            if is_warp { (floor(q.x), q.y, self.light.x) } else { (floor(q.y), q.x, self.light.y) };
        let across = if is_warp { q.x } else { q.y } - line as f32 - 0.5;
        let own = lattice(line, i32::from(is_warp), self.seed);
        let thick = 0.47 + 0.05 * (value_noise(along * 0.35, line as f32 * 7.1, self.seed) - 0.5);
        let edge = (across.abs() / thick).min(1.2);
        let round = 1.0 - 0.62 * edge * edge;
        let gap = smooth_step(1.15, 0.85, edge);
        let lit = 1.0 - 0.55 * across * -light;
        // Twist: short diagonal fibres along the yarn.
        let fibre = value_noise(along * 2.4 + across * 3.0, line as f32 * 3.3, self.seed ^ 5) - 0.5;
        let depth = if on_top { 1.0 } else { 0.55 };
        let dye = self.dyes[SEQUENCE[line.rem_euclid(SEQUENCE.len() as i32) as usize]];
        let dye = match state {
            Yarn::Wrong(share) => {
                // Another bobbin: lighter where the dye is dark, darker where it is light.
                let luma = 0.3 * dye.r + 0.6 * dye.g + 0.1 * dye.b;
                let other = if luma > 0.5 { self.dyes[2] * 0.8 } else { self.dyes[1] };
                dye.mix(other, 0.4 + share)
            }
            _ => dye,
        };
        let value = round * lit * depth * (0.25 + 0.75 * gap) * (1.0 + 0.34 * fibre);
        dye * (value * (1.0 + 0.14 * (own - 0.5)))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Yarn {
    Right,
    /// Of another dye, by this share.
    Wrong(f32),
    Gone,
}
