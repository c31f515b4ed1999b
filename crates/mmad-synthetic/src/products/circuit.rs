//! A printed circuit board: traces, pads, chips and white print on green solder mask.

mod layout;
mod parts;

use self::layout::{PARTS, TRACES, VIAS};
use super::{Fault, Product, Structure, Surface, rig_light};
use crate::drawing::canvas::{Canvas, coverage};
use crate::drawing::colour::Colour;
use crate::drawing::geometry::{Bounds, Point, Pose};
use crate::drawing::noise::{fractal_noise, smooth_step, value_noise};
use crate::drawing::outline::{disc, path, rectangle};
use crate::random::Random;

pub(super) const CIRCUIT: Product =
    Product { id: "circuit", about: "populated green circuit board on an antistatic mat", draw };

const BOARD: Point = Point::new(0.93, 0.93);

fn draw(canvas: &mut Canvas, random: &mut Random, fault: Option<Fault>) -> Surface {
    let light = rig_light(random);
    let centre = Point::new(random.around(0.02), random.around(0.02));
    let pose = Pose::new(centre, random.around(0.008), random.range(0.985, 1.015));
    let board = Board {
        pose,
        light: pose.local_direction(light),
        mask: Colour::new(0.07, 0.33, 0.19) * random.range(0.93, 1.07)
            + Colour::new(0.0, random.around(0.012), random.around(0.012)),
        shine: random.range(0.85, 1.1),
        seed: random.seed(),
    };
    let mat = Colour::new(0.33, 0.40, 0.50) * random.range(0.94, 1.06);
    // Machines place parts well, never perfectly.
    let mut places: Vec<Option<Place>> = PARTS
        .iter()
        .map(|_| {
            let shift = Point::new(random.around(0.006), random.around(0.006));
            Some(Place { shift, turn: random.around(0.002) })
        })
        .collect();
    if let Some(Fault { structure, mut random }) = fault {
        let chosen = layout::DAMAGEABLE[random.below(layout::DAMAGEABLE.len())];
        match structure {
            Structure::Missing => places[chosen] = None,
            Structure::Misplaced => {
                let turn = random.range(0.03, 0.09);
                places[chosen] = Some(Place {
                    shift: Point::at_turn(random.unit()) * random.range(0.02, 0.07),
                    turn: if random.chance(0.5) { turn } else { -turn },
                });
            }
        }
    }

    board.substrate(canvas, mat, light);
    board.traces(canvas);
    for part in PARTS {
        board.footprint(canvas, part);
    }
    for (part, place) in PARTS.iter().zip(places) {
        if let Some(place) = place {
            board.part(canvas, part, place);
        }
    }
    Surface {
        light,
        bare: Colour::new(0.80, 0.58, 0.36),
        stain: Colour::new(0.72, 0.62, 0.30),
        debris: Colour::new(0.78, 0.74, 0.70),
        relief: 0.8,
    }
}

struct Board {
    pose: Pose,
    light: Point,
    mask: Colour,
    /// Brightness of bare metal.
    shine: f32,
    seed: u32,
}

/// How far a part lies from where it belongs.
#[derive(Clone, Copy)]
struct Place {
    shift: Point,
    turn: f32,
}

impl Board {
    /// The mat, and the bare board on it with its screw holes.
    fn substrate(&self, canvas: &mut Canvas, mat: Colour, light: Point) {
        let pixel = canvas.pixel();
        canvas.fill(|p| {
            let q = self.pose.local(p);
            let screw = Point::new(q.x.abs() - 0.82, q.y.abs() - 0.82).length();
            let distance = rectangle(q, BOARD, 0.07).max(0.045 - screw);
            let cover = coverage(distance, pixel);
            let under =
                rectangle(self.pose.local(p + light * 0.04), BOARD, 0.07).max(0.045 - screw);
            let fleck = value_noise(p.x * 31.0, p.y * 31.0, self.seed ^ 1) - 0.5;
            let cloth = mat * (1.0 + 0.10 * fleck) * (1.0 - 0.5 * smooth_step(0.05, -0.03, under));
            let weave = value_noise(q.x * 24.0, q.y * 24.0, self.seed) - 0.5;
            let cloud = fractal_noise(q.x * 2.0, q.y * 2.0, 2, self.seed ^ 2) - 0.5;
            let edge = smooth_step(-0.03, 0.0, distance);
            let green = self.mask * (1.0 + 0.06 * weave + 0.10 * cloud + 0.25 * edge);
            let metal = Colour::new(0.80, 0.76, 0.66) * (0.8 * self.shine);
            let top = green.mix(metal, coverage(screw - 0.085, pixel));
            (cloth.mix(top, cover), cover)
        });
    }

    /// Copper under the mask shows as a lighter green; vias are small bright rings.
    fn traces(&self, canvas: &mut Canvas) {
        let pixel = canvas.pixel();
        let copper = self.mask * 1.32 + Colour::new(0.05, 0.05, 0.0);
        for points in TRACES {
            let points: Vec<Point> =
                points.iter().map(|&(x, y)| self.pose.world(Point::new(x, y))).collect();
            let flank = self.light;
            canvas.paint(Bounds::holding(&points, 0.05), |p, old, _| {
                let (distance, _) = path(p, &points);
                let (beside, _) = path(p + flank * 0.012, &points);
                let cover = coverage(distance - 0.015, pixel.max(0.012));
                old.mix(copper.lifted(2.0 * (distance - beside)), cover)
            });
        }
        for &(x, y) in VIAS {
            let at = self.pose.world(Point::new(x, y));
            let metal = Colour::new(0.80, 0.74, 0.58) * self.shine;
            canvas.lay(
                Bounds::around(at, 0.06),
                |p| disc(p - at, 0.03),
                |_, d| metal * smooth_step(-0.024, -0.012, d).max(0.25),
            );
        }
    }
}
