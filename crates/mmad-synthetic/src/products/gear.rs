//! A turned steel gear on dark felt.

use super::{Fault, Product, Structure, Surface, rig_light};
use crate::drawing::canvas::{Canvas, coverage};
use crate::drawing::colour::Colour;
use crate::drawing::geometry::{Point, Pose};
use crate::drawing::noise::{fractal_noise, fraction, smooth_step, value_noise};
use crate::drawing::outline::{disc, rectangle};
use crate::random::Random;

pub(super) const GEAR: Product =
    Product { id: "gear", about: "machined steel gear with twelve teeth on dark felt", draw };

const TEETH: f32 = 12.0;
const ROOT: f32 = 0.61;
const TIP: f32 = 0.83;
const HOLES: usize = 6;

fn draw(canvas: &mut Canvas, random: &mut Random, fault: Option<Fault>) -> Surface {
    let light = rig_light(random);
    let centre = Point::new(random.around(0.04), random.around(0.04));
    let pose = Pose::new(centre, random.around(0.018), random.range(0.97, 1.03));
    let mut gear = Gear {
        pose,
        light: pose.local_direction(light),
        holes: std::array::from_fn(|i| Point::at_turn((i as f32 + 0.5) / HOLES as f32) * 0.435),
        tone: random.range(0.94, 1.06),
        warmth: random.around(0.012),
        grooves: (0.45 / canvas.pixel()).min(60.0),
        seed: random.seed(),
        bite: None,
        bent: None,
    };
    let felt = Colour::new(0.12, 0.13, 0.16) * random.range(0.9, 1.1);
    if let Some(Fault { structure, mut random }) = fault {
        let tooth = random.below(TEETH as usize) as f32;
        let turn = (tooth + 0.5 + random.around(0.12)) / TEETH;
        match structure {
            Structure::Missing => {
                let at = Point::at_turn(turn) * random.range(0.74, 0.8);
                gear.bite = Some((at, random.range(0.14, 0.22)));
            }
            Structure::Misplaced => {
                let lean = random.range(0.24, 0.4);
                gear.bent = Some((tooth, if random.chance(0.5) { lean } else { -lean }));
            }
        }
    }

    let pixel = canvas.pixel();
    canvas.fill(|p| {
        let q = gear.pose.local(p);
        let distance = gear.distance(q);
        let cover = coverage(distance, pixel);
        let cloth = if cover < 1.0 { gear.felt(p, light, felt) } else { felt };
        let metal = if cover > 0.0 { gear.steel(q, distance) } else { felt };
        (cloth.mix(metal, cover), cover)
    });
    Surface {
        light,
        bare: Colour::new(0.16, 0.16, 0.17),
        stain: Colour::new(0.42, 0.24, 0.11),
        debris: Colour::new(0.40, 0.23, 0.15),
        relief: 0.8,
    }
}

struct Gear {
    pose: Pose,
    /// Towards the light, seen from the gear.
    light: Point,
    holes: [Point; HOLES],
    tone: f32,
    warmth: f32,
    /// Tool marks per unit.
    grooves: f32,
    seed: u32,
    /// A piece broken out: where, and its radius.
    bite: Option<(Point, f32)>,
    /// Two teeth bent over: the first of them, and by how many pitches at the tip.
    bent: Option<(f32, f32)>,
}

impl Gear {
    /// Signed distance to the outline of the metal.
    fn distance(&self, q: Point) -> f32 {
        let r = q.length();
        let body = if r < 0.57 { r - ROOT } else { self.teeth(q, r) };
        let bore = disc(q, 0.14).min(rectangle(q - Point::new(0.0, -0.13), KEYWAY, 0.0));
        let nearest =
            self.holes.iter().map(|&h| (q - h).dot(q - h)).fold(f32::MAX, f32::min).sqrt();
        let solid = body.max(-bore).max(0.085 - nearest);
        match self.bite {
            Some((at, radius)) => {
                let ragged = fractal_noise(q.x * 14.0, q.y * 14.0, 2, !self.seed) - 0.5;
                solid.max(radius + 0.12 * ragged - (q - at).length())
            }
            None => solid,
        }
    }

    /// The toothed rim: flat-topped teeth, narrower at the tip, on the root circle.
    fn teeth(&self, q: Point, r: f32) -> f32 {
        let height = (r - ROOT) / (TIP - ROOT);
        let pitches = q.turn() * TEETH;
        let tooth = |at: f32| {
            let half_width = 0.29 - 0.12 * height;
            let arc = (at.abs() - half_width) * r * (std::f32::consts::TAU / TEETH);
            (r - TIP).max(0.93 * arc)
        };
        let straight = fraction(pitches) - 0.5;
        let distance = match self.bent {
            Some((first, lean)) => {
                let from_first = fraction((pitches - first) / TEETH) * TEETH;
                // Seen from one pitch before to one pitch after the two bent teeth.
                let shifted = from_first - lean * height.clamp(0.0, 1.0);
                let near = |n: f32| tooth(shifted - n - 0.5).min(tooth(shifted - n - 0.5 - TEETH));
                let upright = if from_first < 2.0 { f32::MAX } else { tooth(straight) };
                upright.min(near(0.0)).min(near(1.0))
            }
            None => tooth(straight),
        };
        distance.min(r - ROOT)
    }

    /// Turned steel: fine grooves around the axis, so that the light shows as two bright wedges.
    fn steel(&self, q: Point, distance: f32) -> Colour {
        let r = q.length();
        let out = q.direction();
        let along = out.dot(self.light);
        let wedge = along * along;
        let groove = value_noise(r * self.grooves, 0.5, self.seed) - 0.5;
        let recess = smooth_step(0.30, 0.315, r) * smooth_step(0.57, 0.555, r);
        let turned = 0.50 + 0.36 * wedge * wedge * wedge + 0.10 * groove;
        let blasted = 0.40 + 0.10 * (fractal_noise(q.x * 22.0, q.y * 22.0, 2, self.seed) - 0.5);
        let mut value = turned + (blasted + 0.07 * along - turned) * recess;

        // Walls of the recess and the chamfers face the light or turn away from it.
        let wall = |at: f32| smooth_step(0.03, 0.0, (r - at).abs());
        value += 0.22 * along * (wall(0.30) - wall(0.565));
        let chamfer = smooth_step(-0.045, -0.005, distance);
        if chamfer > 0.0 {
            let step = 0.006;
            let slope = Point::new(
                self.distance(q + Point::new(step, 0.0)) - distance,
                self.distance(q + Point::new(0.0, step)) - distance,
            );
            value += chamfer * (0.30 * slope.direction().dot(self.light) - 0.04);
        }
        let grime = fractal_noise(q.x * 3.0, q.y * 3.0, 3, self.seed ^ 7) - 0.5;
        let value = (value + 0.06 * grime) * self.tone;
        Colour::new(0.97 + self.warmth, 0.99, 1.02 - self.warmth) * value
    }

    /// Felt under the gear's soft shadow.
    fn felt(&self, p: Point, light: Point, base: Colour) -> Colour {
        let lump = fractal_noise(p.x * 9.0, p.y * 9.0, 2, self.seed ^ 1) - 0.5;
        let fibre = value_noise(p.x * 30.0 + 14.0 * lump, p.y * 55.0, self.seed ^ 2) - 0.5;
        let under = self.distance(self.pose.local(p + light * 0.06));
        let shadow = 0.65 * smooth_step(0.09, -0.03, under);
        base * ((1.0 + 0.5 * lump + 0.45 * fibre) * (1.0 - shadow))
    }
}

const KEYWAY: Point = Point::new(0.045, 0.06);
