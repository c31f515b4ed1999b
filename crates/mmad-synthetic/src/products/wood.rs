//! Oak boards, oiled, with their grain along the picture.

use super::{Fault, Product, Structure, Surface, rig_light};
use crate::drawing::canvas::Canvas;
use crate::drawing::colour::Colour;
use crate::drawing::geometry::{Bounds, Point, Pose};
use crate::drawing::noise::{floor, fractal_noise, fraction, lattice, smooth_step, value_noise};
use crate::random::Random;

pub(super) const WOOD: Product =
    Product { id: "wood", about: "oak boards with joints, filling the picture", draw };

/// Width of a board, in units.
const BOARD: f32 = 0.58;
const PALE: Colour = Colour::new(0.80, 0.60, 0.38);
const DARK: Colour = Colour::new(0.47, 0.28, 0.14);

fn draw(canvas: &mut Canvas, random: &mut Random, fault: Option<Fault>) -> Surface {
    let light = rig_light(random);
    let pixel = canvas.pixel();
    let boards = Boards {
        pose: Pose::new(
            Point::new(random.around(2.0), random.around(0.06)),
            random.around(0.006),
            1.0,
        ),
        tone: random.range(0.92, 1.06),
        fine: (0.6 / pixel).min(70.0),
        pixel,
        seed: random.seed(),
    };
    canvas.fill(|p| (boards.colour(boards.pose.local(p)), 1.0));
    if let Some(Fault { structure, mut random }) = fault {
        let half = canvas.half();
        let at = Point::new(random.around(0.75) * half.x, random.around(0.75) * half.y);
        let size = (half.x * half.y).sqrt();
        match structure {
            Structure::Missing => splinter(canvas, &boards, at, size, light, &mut random),
            Structure::Misplaced => plug(canvas, &boards, at, size, &mut random),
        }
    }
    Surface {
        light,
        bare: Colour::new(0.90, 0.80, 0.62),
        stain: Colour::new(0.13, 0.14, 0.20),
        debris: Colour::new(0.16, 0.22, 0.30),
        relief: 0.55,
    }
}

struct Boards {
    pose: Pose,
    tone: f32,
    /// Fibres per unit.
    fine: f32,
    pixel: f32,
    seed: u32,
}

impl Boards {
    fn colour(&self, q: Point) -> Colour {
        let board = floor(q.y / BOARD + 0.5);
        let across = q.y - board as f32 * BOARD;
        let to_edge = 0.5 * BOARD - across.abs();
        let joint = 0.014_f32.max(0.8 * self.pixel);
        let colour = self.grain(q, board);
        // A dark gap, and a rounded edge beside it.
        let gap = smooth_step(joint, 0.4 * joint, to_edge);
        let edge = smooth_step(0.06, 0.0, to_edge) * across.signum();
        colour.lifted(-0.06 * edge) * (1.0 - 0.78 * gap)
    }

    /// Year rings cut lengthwise, fibres, and pores as short dark lines.
    fn grain(&self, q: Point, board: i32) -> Colour {
        let own = lattice(board, 3, self.seed);
        let seed = self.seed.wrapping_add(board as u32);
        let (x, y) = (q.x + own * 40.0, q.y);
        let arch = fractal_noise(x * 0.55, y * 1.4, 2, seed);
        let sway = value_noise(x * 2.0, y * 3.0, seed ^ 3);
        let rings = fraction(y * 3.2 + 4.6 * arch + 0.22 * sway);
        // Early wood is pale and wide, late wood dark with a sharp end.
        let late = smooth_step(0.25, 0.88, rings) * smooth_step(1.0, 0.93, rings);
        let fibre = value_noise(x * 5.0, y * self.fine, seed ^ 5) - 0.5;
        let pore = smooth_step(0.72, 0.9, value_noise(x * 7.0, y * self.fine * 0.8, seed ^ 9));
        let share = 0.12 + 0.5 * late + 0.26 * fibre + 0.35 * pore * (1.0 - 0.5 * late);
        let cloud = fractal_noise(x * 0.8, y * 2.0, 2, seed ^ 8) - 0.5;
        PALE.mix(DARK, share) * (self.tone * (0.93 + 0.14 * own + 0.14 * cloud))
    }
}

/// A splinter torn out along the grain: raw wood below, its upper wall in shadow.
fn splinter(
    canvas: &mut Canvas,
    boards: &Boards,
    at: Point,
    size: f32,
    light: Point,
    random: &mut Random,
) {
    let (long, wide) = (random.range(0.28, 0.5) * size, random.range(0.07, 0.12) * size);
    let pose = Pose::new(at, random.around(0.02), 1.0);
    let seed = random.seed();
    let distance = |p: Point| {
        let q = pose.local(p);
        let ragged = value_noise(q.x * 3.0, q.y * 26.0, seed) - 0.5;
        (Point::new(q.x / long, q.y / wide).length() - 1.0 + 0.7 * ragged) * wide
    };
    let pixel = canvas.pixel();
    canvas.paint(Bounds::around(at, 1.5 * long), |p, old, _| {
        let depth = smooth_step(0.6 * pixel, -1.2 * pixel - 0.01, distance(p));
        let q = boards.pose.local(p);
        let raw = value_noise(q.x * 8.0, q.y * boards.fine * 0.6, seed ^ 1);
        let floor = Colour::new(0.80, 0.64, 0.42) * (0.62 + 0.45 * raw);
        let shadow = smooth_step(-0.03, 0.02, distance(p + light * 0.035));
        old.mix(floor * (1.0 - 0.7 * shadow), depth)
    });
}

/// A plug let into the board with its grain running across.
fn plug(canvas: &mut Canvas, boards: &Boards, at: Point, size: f32, random: &mut Random) {
    let (long, wide) = (random.range(0.17, 0.26) * size, random.range(0.15, 0.2) * size);
    let pose = Pose::new(at, random.around(0.02), 1.0);
    let turned = Pose::new(Point::new(random.around(9.0), 0.0), 0.25 + random.around(0.03), 1.0);
    let tone = random.range(0.8, 0.92);
    let line = 0.012_f32.max(canvas.pixel());
    let distance = |p: Point| {
        let q = pose.local(p);
        (Point::new(q.x / long, q.y / wide).length() - 1.0) * wide
    };
    canvas.lay(Bounds::around(at, 1.2 * long.max(wide)), distance, |p, d| {
        let seam = smooth_step(-2.0 * line, -0.5 * line, d);
        boards.grain(turned.local(p), 90) * (tone * (1.0 - 0.55 * seam))
    });
}
