//! A blister pack: eight two-coloured capsules in clear pockets on knurled foil.

use super::{Fault, Product, Structure, Surface, rig_light};
use crate::drawing::canvas::{Canvas, coverage};
use crate::drawing::colour::Colour;
use crate::drawing::geometry::{Bounds, Point, Pose};
use crate::drawing::noise::{fractal_noise, fraction, smooth_step, value_noise};
use crate::drawing::outline::rectangle;
use crate::random::Random;

pub(super) const BLISTER: Product =
    Product { id: "blister", about: "blister pack with eight capsules on knurled foil", draw };

const PACK: Point = Point::new(0.88, 0.92);
const POCKET: Point = Point::new(0.365, 0.165);
const CAPSULE: Point = Point::new(0.30, 0.112);

fn draw(canvas: &mut Canvas, random: &mut Random, fault: Option<Fault>) -> Surface {
    let light = rig_light(random);
    let centre = Point::new(random.around(0.03), random.around(0.03));
    let pose = Pose::new(centre, random.around(0.01), random.range(0.98, 1.02));
    let pack = Pack {
        pose,
        light: pose.local_direction(light),
        knurl: 1.0 / 0.055_f32.max(4.0 * canvas.pixel()),
        foil: random.range(0.95, 1.05),
        cream: Colour::new(0.90, 0.84, 0.68) * random.range(0.96, 1.04),
        blue: Colour::new(0.10, 0.42, 0.52) * random.range(0.93, 1.07),
        seed: random.seed(),
    };
    let table = Colour::new(0.33, 0.36, 0.42) * random.range(0.93, 1.07);
    let mut capsules: [Option<Capsule>; 8] = std::array::from_fn(|_| {
        Some(Capsule {
            slide: Point::new(random.around(0.025), random.around(0.018)),
            turn: random.around(0.008),
            split: random.around(0.02),
            ends: [pack.blue, pack.cream],
            broken: false,
        })
    });
    if let Some(Fault { structure, mut random }) = fault {
        let capsule = &mut capsules[random.below(8)];
        match structure {
            Structure::Missing => *capsule = None,
            Structure::Misplaced => {
                if let Some(capsule) = capsule {
                    match random.below(3) {
                        0 => capsule.ends.reverse(),
                        1 => capsule.turn += if random.chance(0.5) { 0.04 } else { -0.04 },
                        _ => capsule.broken = true,
                    }
                }
            }
        }
    }

    let pixel = canvas.pixel();
    canvas.fill(|p| {
        let q = pack.pose.local(p);
        let cover = coverage(rectangle(q, PACK, 0.1), pixel);
        let below = if cover < 1.0 { pack.table(p, light, table) } else { table };
        let above = if cover > 0.0 { pack.foil(q) } else { table };
        (below.mix(above, cover), cover)
    });
    for (i, capsule) in capsules.iter().enumerate() {
        let column = (i % 2) as f32 - 0.5;
        let row = (i / 2) as f32 - 1.5;
        pack.pocket(canvas, Point::new(column * 0.84, row * 0.445), capsule.as_ref());
    }
    Surface {
        light,
        bare: Colour::new(0.22, 0.23, 0.25),
        stain: Colour::new(0.50, 0.33, 0.10),
        debris: Colour::new(0.17, 0.11, 0.10),
        relief: 0.85,
    }
}

struct Pack {
    pose: Pose,
    light: Point,
    /// Lozenges per unit.
    knurl: f32,
    foil: f32,
    cream: Colour,
    blue: Colour,
    seed: u32,
}

struct Capsule {
    slide: Point,
    turn: f32,
    /// Where the two halves meet, from the middle.
    split: f32,
    ends: [Colour; 2],
    /// The left half has come off and lies askew, the powder spilt.
    broken: bool,
}

impl Pack {
    /// Rolled foil: a lozenge pattern on a sheet that is never quite flat.
    fn foil(&self, q: Point) -> Colour {
        let (u, v) = ((q.x + q.y) * self.knurl, (q.x - q.y) * self.knurl);
        let slope = |t: f32| (fraction(t) - 0.5) * 2.0;
        let facet =
            slope(u) * (self.light.x + self.light.y) + slope(v) * (self.light.x - self.light.y);
        let sheet = fractal_noise(q.x * 1.4, q.y * 1.4, 3, self.seed) - 0.5;
        let crinkle = value_noise(q.x * 5.0, q.y * 5.0, self.seed ^ 1) - 0.5;
        let edge = smooth_step(-0.05, 0.0, rectangle(q, PACK, 0.1));
        let value = 0.62 + 0.06 * facet + 0.26 * sheet + 0.07 * crinkle - 0.12 * edge;
        Colour::new(0.98, 0.99, 1.0) * (value * self.foil)
    }

    fn table(&self, p: Point, light: Point, base: Colour) -> Colour {
        let grain = value_noise(p.x * 26.0, p.y * 26.0, self.seed ^ 2) - 0.5;
        let under = rectangle(self.pose.local(p + light * 0.05), PACK, 0.1);
        base * ((1.0 + 0.12 * grain) * (1.0 - 0.5 * smooth_step(0.07, -0.03, under)))
    }

    /// A clear pocket at `at`, with what is in it.
    fn pocket(&self, canvas: &mut Canvas, at: Point, capsule: Option<&Capsule>) {
        let world = self.pose.world(at);
        let local = |p: Point| self.pose.local(p) - at;
        let bounds = Bounds::around(world, 0.43);
        let shape = |p: Point| rectangle(local(p), POCKET, POCKET.y);
        let light = self.light;
        canvas.shade(bounds, |p| shape(p + light * 0.03), 0.1, 0.25);
        // Flat foil shows through the empty parts of the pocket.
        let bottom = |p: Point, _: f32| {
            let q = self.pose.local(p);
            let sheet = fractal_noise(q.x * 3.0, q.y * 3.0, 2, self.seed ^ 3) - 0.5;
            Colour::new(0.93, 0.97, 1.0) * (0.50 + 0.16 * sheet)
        };
        canvas.lay(bounds, shape, bottom);
        if let Some(capsule) = capsule {
            self.capsule(canvas, at, capsule);
        }
        // The dome: a bright wall towards the light, a dark one away, and a streak on top.
        canvas.paint(bounds, |p, old, _| {
            let q = local(p);
            let distance = rectangle(q, POCKET, POCKET.y);
            if distance > 0.03 {
                return old;
            }
            let spine = Point::new(q.x - q.x.clamp(POCKET.y - POCKET.x, POCKET.x - POCKET.y), q.y);
            let facing = spine.direction().dot(light);
            let wall = smooth_step(-0.07, -0.02, distance) * smooth_step(0.03, 0.0, distance);
            let streak = smooth_step(0.028, 0.01, (q.y - light.y * 0.085).abs())
                * smooth_step(0.28, 0.22, q.x.abs());
            old.lifted(0.26 * wall * facing + 0.30 * streak)
        });
    }

    fn capsule(&self, canvas: &mut Canvas, at: Point, capsule: &Capsule) {
        let centre = self.pose.world(at + capsule.slide);
        let bounds = Bounds::around(centre, 0.43);
        let upright = Pose::new(Point::ORIGIN, capsule.turn, 1.0);
        let light = self.light;
        let seen = |p: Point| upright.local(self.pose.local(p) - at - capsule.slide);
        let outline = |q: Point| rectangle(q, CAPSULE, CAPSULE.y);
        let body = |q: Point| if capsule.broken { outline(q).max(-0.02 - q.x) } else { outline(q) };
        canvas.shade(bounds, |p| body(seen(p + light * 0.035)), 0.07, 0.5);
        canvas.lay(bounds, |p| body(seen(p)), |p, _| shell(seen(p), capsule, light));
        if capsule.broken {
            // Powder where the left half was, and the empty half itself lying on it askew.
            let powder = |p: Point| {
                let q = seen(p) + Point::new(0.13, 0.0);
                let ragged = fractal_noise(q.x * 12.0, q.y * 12.0, 2, self.seed ^ 6) - 0.5;
                Point::new(q.x * 0.7, q.y * 1.1).length() - 0.10 + 0.14 * ragged
            };
            canvas.lay(bounds, powder, |p, _| {
                let q = seen(p);
                let grain = value_noise(q.x * 45.0, q.y * 45.0, self.seed ^ 7) - 0.5;
                self.cream.mix(Colour::WHITE, 0.3) * (0.88 + 0.3 * grain)
            });
        }
    }
}

/// The gelatine shell of a capsule: two colours with a collar, round and glossy.
fn shell(q: Point, capsule: &Capsule, light: Point) -> Colour {
    let colour = capsule.ends[usize::from(q.x > capsule.split)];
    let collar = smooth_step(0.02, 0.005, (q.x - capsule.split - 0.012).abs());
    let spine = Point::new(q.x - q.x.clamp(CAPSULE.y - CAPSULE.x, CAPSULE.x - CAPSULE.y), q.y);
    let height = spine * (1.0 / CAPSULE.y);
    let lit = 0.78 + 0.34 * height.dot(light) - 0.30 * height.dot(height).powi(2);
    let gloss = smooth_step(0.35, 0.05, (height - light * 0.45).length());
    colour * (lit * (1.0 - 0.18 * collar)) + Colour::grey(0.28 * gloss)
}
