//! A crown cap seen from above on a pale belt.

use super::{Fault, Product, Structure, Surface, rig_light};
use crate::drawing::canvas::{Canvas, coverage};
use crate::drawing::colour::Colour;
use crate::drawing::geometry::{Point, Pose};
use crate::drawing::letters::letter;
use crate::drawing::noise::{floor, fractal_noise, fraction, smooth_step, value_noise, wave};
use crate::drawing::outline::{ring, star};
use crate::random::Random;

pub(super) const CAP: Product =
    Product { id: "cap", about: "red crown cap with a white print on a pale belt", draw };

const FLUTES: f32 = 21.0;
const FACE: f32 = 0.66;
const RIM: f32 = 0.84;
/// The letters printed around the star, from [`crate::drawing::letters`].
const TEXT: [usize; 16] = [6, 0, 7, 1, 11, 9, 3, 12, 6, 0, 7, 1, 11, 9, 3, 12];

fn draw(canvas: &mut Canvas, random: &mut Random, fault: Option<Fault>) -> Surface {
    let light = rig_light(random);
    let centre = Point::new(random.around(0.05), random.around(0.05));
    let pose = Pose::new(centre, random.around(0.03), random.range(0.97, 1.03));
    let mut cap = Cap {
        pose,
        light: pose.local_direction(light),
        paint: Colour::new(0.70, 0.10, 0.12) * random.range(0.93, 1.07)
            + Colour::grey(random.around(0.01)),
        print: Pose::new(Point::new(random.around(0.01), random.around(0.01)), 0.0, 1.0),
        emblem: Pose::new(Point::ORIGIN, 0.0, 1.0),
        ink: random.range(0.90, 0.98),
        seed: random.seed(),
        pixel: canvas.pixel(),
        unprinted: None,
    };
    let belt = Colour::new(0.70, 0.71, 0.70) * random.range(0.95, 1.05);
    if let Some(Fault { structure, mut random }) = fault {
        match structure {
            Structure::Missing => {
                let at = Point::at_turn(random.unit()) * random.range(0.1, 0.4);
                cap.unprinted = Some((at, random.range(0.2, 0.34)));
            }
            Structure::Misplaced => {
                let shift = Point::at_turn(random.unit()) * random.range(0.06, 0.12);
                cap.emblem = Pose::new(shift, random.around(0.05), 1.0);
            }
        }
    }

    let pixel = canvas.pixel();
    canvas.fill(|p| {
        let q = cap.pose.local(p);
        let (r, turn) = (q.length(), q.turn());
        let cover = coverage(rim(r, turn), pixel);
        let below = if cover < 1.0 { cap.belt(p, light, belt) } else { belt };
        let above = if cover > 0.0 { cap.metal(q, r, turn) } else { belt };
        (below.mix(above, cover), cover)
    });
    Surface {
        light,
        bare: Colour::new(0.80, 0.78, 0.74),
        stain: Colour::new(0.20, 0.15, 0.07),
        debris: Colour::new(0.13, 0.19, 0.15),
        relief: 0.75,
    }
}

struct Cap {
    pose: Pose,
    light: Point,
    paint: Colour,
    print: Pose,
    /// The star, seen from the print.
    emblem: Pose,
    ink: f32,
    seed: u32,
    pixel: f32,
    /// Where the print failed to transfer: centre and radius.
    unprinted: Option<(Point, f32)>,
}

impl Cap {
    fn metal(&self, q: Point, r: f32, turn: f32) -> Colour {
        let out = q.direction();
        let facing = out.dot(self.light);
        let face = smooth_step(FACE + 0.03, FACE - 0.01, r);
        // The face is slightly domed and glossy: a broad highlight on the side of the light.
        let gloss = smooth_step(0.55, 0.0, (q - self.light * 0.42).length());
        let window = smooth_step(0.05, 0.02, (r - 0.61).abs()) * smooth_step(0.55, 0.95, facing);
        let mottle = fractal_noise(q.x * 6.0, q.y * 6.0, 2, self.seed) - 0.5;
        let ink = self.ink(q);
        let top = self.paint.mix(Colour::new(0.95, 0.94, 0.90), ink * self.ink)
            * (0.92 + 0.10 * facing * r + 0.08 * mottle);
        let top = top.lifted(0.13 * gloss * gloss + 0.35 * window);

        // The skirt falls away in flutes; each has a lit and a shaded flank.
        let flank = wave(turn * FLUTES + 0.25) * out.perpendicular().dot(self.light);
        let ridge = wave(turn * FLUTES);
        let fall = smooth_step(FACE - 0.02, RIM, r);
        let skirt_light =
            0.80 + 0.30 * facing - 0.42 * fall + 0.34 * flank * fall + 0.20 * ridge * fall;
        let edge = smooth_step(RIM - 0.05, RIM, r - 0.02 * ridge);
        let skirt = self.paint.mix(Colour::grey(0.55), 0.45 * edge) * skirt_light.max(0.15);
        skirt.mix(top, face)
    }

    /// How much white ink lies here.
    fn ink(&self, q: Point) -> f32 {
        let p = self.print.local(q);
        let r = p.length();
        if r > 0.62 {
            return 0.0;
        }
        let text = p.turn() * TEXT.len() as f32;
        let slot = floor(text);
        let arc = (fraction(text) - 0.5) * r * (std::f32::consts::TAU / TEXT.len() as f32);
        let height = 0.12;
        let glyph = Point::new(arc / (0.55 * height), (0.425 - r) / (0.62 * height));
        let strokes = letter(glyph, TEXT[slot.rem_euclid(TEXT.len() as i32) as usize]);
        let text = strokes * 0.58 * height - 0.014;
        let e = self.emblem.local(p);
        let emblem = star(Point::new(-e.y, e.x), 5.0, 0.31, 0.13);
        let print = ring(p, 0.545, 0.035).min(text).min(emblem);
        let ink = coverage(print, self.pixel);
        match self.unprinted {
            Some((at, radius)) => {
                let ragged = fractal_noise(q.x * 9.0, q.y * 9.0, 2, self.seed ^ 4) - 0.5;
                let failed = (q - at).length() - radius + 0.16 * ragged;
                ink * smooth_step(-0.03, 0.03, failed)
            }
            None => ink,
        }
    }

    /// A belt with fine cross lines, under the cap's shadow.
    fn belt(&self, p: Point, light: Point, base: Colour) -> Colour {
        let lines = wave(p.y * 9.0 + 0.3 * value_noise(p.x * 2.0, p.y * 2.0, self.seed));
        let dirt = fractal_noise(p.x * 4.0, p.y * 10.0, 3, self.seed ^ 2) - 0.5;
        let q = self.pose.local(p + light * 0.09);
        let shadow = 0.5 * smooth_step(0.12, -0.04, q.length() - RIM);
        base * ((1.0 + 0.035 * lines + 0.10 * dirt) * (1.0 - shadow))
    }
}

/// Signed distance to the fluted rim.
fn rim(r: f32, turn: f32) -> f32 {
    r - RIM - 0.028 * wave(turn * FLUTES)
}
