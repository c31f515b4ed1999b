//! The parts on the board, and the pads and print that wait for them.

use super::{Board, Place};
use crate::drawing::canvas::Canvas;
use crate::drawing::colour::Colour;
use crate::drawing::geometry::{Bounds, Point, Pose};
use crate::drawing::letters::letter;
use crate::drawing::noise::{floor, fraction, smooth_step, value_noise};
use crate::drawing::outline::{disc, rectangle};

/// A part of the design.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: Kind,
    /// Where it belongs.
    pub(super) at: Point,
    /// Half its sides, pins included.
    pub(super) half: Point,
    /// The first letter of its marking.
    pub(super) mark: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Controller,
    Driver,
    Electrolytic,
    Crystal,
    Tantalum,
    Coil,
    Header,
    Resistor,
}

/// Distance between pins.
const PITCH: f32 = 0.075;
const TIN: Colour = Colour::new(0.76, 0.77, 0.78);
const GOLD: Colour = Colour::new(0.86, 0.70, 0.34);
const PRINT: Colour = Colour::new(0.86, 0.88, 0.84);
const PLASTIC: Colour = Colour::new(0.11, 0.11, 0.12);

impl Board {
    /// Pads and the printed frame of a part.
    pub(super) fn footprint(&self, canvas: &mut Canvas, part: &Part) {
        let local = |p: Point| self.pose.local(p) - part.at;
        let half = part.half;
        let bounds = Bounds::around(self.pose.world(part.at), half.x.max(half.y) + 0.08);
        let line = 0.011_f32.max(0.5 * canvas.pixel());
        let grown = Point::new(half.x + 0.04, half.y + 0.04);
        canvas.lay(
            bounds,
            |p| {
                let q = local(p);
                let frame = rectangle(q, grown, 0.02).abs() - line;
                // Only the corners are printed.
                frame.max(grown.x.min(0.1) - 0.02 - q.x.abs().min(grown.x) * 1.2 + 0.02)
            },
            |_, _| PRINT * 0.9,
        );
        canvas.lay(
            bounds,
            |p| pads(local(p), part),
            |p, d| {
                let q = local(p);
                let solder = 0.85 + 0.25 * value_noise(q.x * 30.0, q.y * 30.0, self.seed ^ 4);
                let metal = if part.kind == Kind::Header { GOLD } else { TIN };
                metal * (self.shine * (solder - 0.3 * smooth_step(-0.012, 0.0, d)))
            },
        );
    }

    /// The part itself.
    pub(super) fn part(&self, canvas: &mut Canvas, part: &Part, place: Place) {
        let at = part.at + place.shift;
        let upright = Pose::new(Point::ORIGIN, place.turn, 1.0);
        let local = |p: Point| upright.local(self.pose.local(p) - at);
        let reach = part.half.length() + 0.08;
        let bounds = Bounds::around(self.pose.world(at), reach);
        let body = body(part);
        let outline = |q: Point| match part.kind {
            Kind::Electrolytic => disc(q, body.x),
            Kind::Crystal => rectangle(q, body, body.x),
            _ => rectangle(q, body, 0.015),
        };
        let light = upright.local_direction(self.light);
        let rise = if part.kind == Kind::Resistor { 0.012 } else { 0.035 };
        canvas.shade(bounds, |p| outline(local(p + self.light * rise)), 0.06, 0.55);
        if matches!(part.kind, Kind::Controller | Kind::Driver) {
            canvas.lay(
                bounds,
                |p| pins(local(p), part),
                |_, d| TIN * (self.shine * (1.05 - 0.35 * smooth_step(-0.015, 0.0, d))),
            );
        }
        canvas.lay(
            bounds,
            |p| outline(local(p)),
            |p, d| {
                let q = local(p);
                let colour = self.top(q, part, body, light);
                // A bevel all around: lit on one side, dark on the other.
                let bevel = smooth_step(-0.03, -0.004, d);
                let away = Point::new(q.x / body.x, q.y / body.y);
                colour.lifted(0.16 * bevel * away.dot(light))
            },
        );
    }

    /// What is seen on top of a part.
    fn top(&self, q: Point, part: &Part, body: Point, light: Point) -> Colour {
        let r = q.length();
        let out = q.direction();
        match part.kind {
            Kind::Controller | Kind::Driver => {
                let grain = value_noise(q.x * 60.0, q.y * 60.0, self.seed ^ 5) - 0.5;
                let sheen = 0.05 * q.dot(light) / body.x;
                let dot = smooth_step(0.03, 0.018, (q + body * 0.72).length());
                let ink = marking(q, part, body);
                PLASTIC.lifted(0.03 * grain + sheen - 0.05 * dot).mix(Colour::grey(0.62), ink)
            }
            Kind::Electrolytic => {
                let facing = out.dot(light);
                let brushed = 0.72 + 0.18 * facing * facing;
                let sleeve = smooth_step(0.15, 0.16, r);
                let stripe = if q.x > 0.09 { Colour::grey(0.10) } else { Colour::grey(0.45) };
                let vent = smooth_step(0.012, 0.004, q.x.abs().min(q.y.abs()));
                let lid = Colour::grey(brushed * self.shine * (1.0 - 0.25 * vent));
                lid.mix(stripe, sleeve * 0.85)
            }
            Kind::Crystal => {
                let across = q.x / body.x;
                let value = 0.74 - 0.25 * across * across + 0.20 * (across * light.x).max(0.0);
                let letters = letter(Point::new(q.y * 16.0, -q.x * 16.0), 1) - 0.18;
                Colour::new(0.97, 0.98, 1.0)
                    * (value * self.shine * (1.0 - 0.5 * smooth_step(0.15, 0.0, letters)))
            }
            Kind::Tantalum => {
                let band = smooth_step(0.01, -0.01, q.y + body.y - 0.06);
                let letters = letter(Point::new(q.x * 12.0, q.y * 12.0 - 0.3), 0) - 0.2;
                Colour::new(0.86, 0.62, 0.16)
                    .mix(Colour::new(0.42, 0.24, 0.08), band.max(smooth_step(0.15, 0.0, letters)))
            }
            Kind::Coil => {
                let winding = 0.5 + 0.5 * (fraction(r * 26.0) * 2.0 - 1.0).abs();
                let copper =
                    Colour::new(0.74, 0.44, 0.24) * (winding * (0.9 + 0.3 * out.dot(light)));
                let wound = smooth_step(0.055, 0.065, r) * smooth_step(0.125, 0.115, r);
                Colour::grey(0.22).mix(copper, wound)
            }
            Kind::Header => {
                let row =
                    Point::new(fraction(q.x / PITCH) - 0.5, fraction(q.y / PITCH) - 0.5) * PITCH;
                let pin = smooth_step(0.024, 0.014, row.x.abs().max(row.y.abs()));
                PLASTIC.mix(GOLD * self.shine, pin)
            }
            Kind::Resistor => {
                let end = smooth_step(0.62, 0.68, q.x.abs() / body.x);
                Colour::grey(0.10).mix(TIN * self.shine, end)
            }
        }
    }
}

/// Half the sides of the body, without pins.
fn body(part: &Part) -> Point {
    let half = part.half;
    match part.kind {
        Kind::Controller => Point::new(half.x - 0.05, half.y - 0.05),
        Kind::Driver => Point::new(half.x - 0.055, half.y),
        _ => half,
    }
}

/// Distance to the pads of a part.
fn pads(q: Point, part: &Part) -> f32 {
    let half = part.half;
    match part.kind {
        Kind::Controller | Kind::Driver => pins(q, part) - 0.008,
        Kind::Header => rectangle(q, half, 0.02),
        Kind::Resistor => {
            rectangle(Point::new(q.x.abs() - half.x, q.y), Point::new(0.03, half.y), 0.01)
        }
        Kind::Electrolytic | Kind::Coil => {
            let pad = Point::new(0.07, 0.055);
            rectangle(Point::new(q.x.abs() - 0.7 * half.x, q.y), pad, 0.015)
        }
        Kind::Crystal | Kind::Tantalum => {
            let pad = Point::new(0.75 * half.x, 0.05);
            rectangle(Point::new(q.x, q.y.abs() - 0.72 * half.y), pad, 0.015)
        }
    }
}

/// Distance to the pins of a chip: on two sides for a driver, on four for a controller.
fn pins(q: Point, part: &Part) -> f32 {
    let half = part.half;
    let beside = rows_of_pins(q, half.x, half.y);
    if part.kind == Kind::Controller {
        beside.min(rows_of_pins(Point::new(q.y, q.x), half.y, half.x))
    } else {
        beside
    }
}

/// Pins along y at `x = ±edge`, filling `±reach`.
fn rows_of_pins(q: Point, edge: f32, reach: f32) -> f32 {
    let count = ((2.0 * reach - 0.1) / PITCH) as i32 as f32;
    let last = 0.5 * (count - 1.0);
    let slot = (floor(q.y / PITCH + last + 0.5) as f32).clamp(0.0, count - 1.0) - last;
    let pin = Point::new(q.x.abs() - edge + 0.03, q.y - slot * PITCH);
    rectangle(pin, Point::new(0.04, 0.02), 0.005)
}

/// How much marking ink lies on a chip: two lines of letters.
fn marking(q: Point, part: &Part, body: Point) -> f32 {
    let size = 0.32 * body.x;
    let line = (q.y / (1.6 * size)).clamp(-0.5, 0.49);
    let row = floor(line + 0.5);
    let y = (q.y - (row as f32 - 0.5) * 1.5 * size) / (0.55 * size);
    let column = floor(q.x / size + 2.0);
    if !(0..4).contains(&column) || q.y.abs() > 1.5 * size {
        return 0.0;
    }
    let x = (fraction(q.x / size + 2.0) - 0.5) / 0.62;
    let index = part.mark + (column + 4 * row) as usize * 5;
    smooth_step(0.26, 0.08, letter(Point::new(x, y), index))
}
