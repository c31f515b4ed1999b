//! A scratch: a narrow groove along a bent path, with the lit flank bright.

use super::{place, stretch};
use crate::drawing::canvas::Canvas;
use crate::drawing::geometry::{Bounds, Point};
use crate::drawing::noise::{smooth_step, value_noise};
use crate::drawing::outline::path;
use crate::products::Surface;
use crate::random::Random;

pub(super) fn apply(canvas: &mut Canvas, surface: &Surface, random: &mut Random) {
    let size = stretch(canvas);
    let direction = Point::at_turn(random.unit());
    let middle = place(canvas, 0.15, random);
    let length = random.range(0.8, 1.5) * size;
    let bend = random.around(0.16);
    let strands = 1 + random.below(2);
    for strand in 0..strands {
        let aside = strand as f32 * random.range(0.07, 0.13);
        let shift = direction.perpendicular() * aside + direction * random.around(0.15);
        let reach = length * if strand == 0 { 1.0 } else { random.range(0.35, 0.7) };
        let points = curve(middle + shift, direction * reach, bend);
        let groove = Groove {
            half_width: random.range(0.016, 0.028) * size,
            strength: random.range(0.65, 0.95),
            seed: random.seed(),
        };
        groove.cut(canvas, &points, surface);
    }
}

struct Groove {
    half_width: f32,
    strength: f32,
    seed: u32,
}

impl Groove {
    fn cut(&self, canvas: &mut Canvas, points: &[Point], surface: &Surface) {
        let soft = canvas.pixel();
        let bounds = Bounds::holding(points, 2.0 * self.half_width + soft);
        let along = (points[points.len() - 1] - points[0]).direction();
        let lit_side = along.perpendicular().dot(surface.light);
        canvas.paint(bounds, |p, old, part| {
            let (distance, share) = path(p, points);
            // The tool sets in and lifts off, and jumps a little on the way.
            let taper = smooth_step(0.0, 0.12, share) * smooth_step(1.0, 0.8, share);
            let jump = 0.65 + 0.35 * value_noise(share * 12.0, 0.5, self.seed);
            let pressure = taper * jump * self.strength * part;
            let width = self.half_width * (0.5 + 0.5 * taper);
            let core = smooth_step(width + soft, width - soft, distance);
            let side = (p - points[0]).dot(along.perpendicular());
            let lip = smooth_step(2.2 * width + soft, width, distance) * (1.0 - core);
            let glint = surface.relief * 0.5 * lip * lit_side * side.signum();
            old.mix(surface.bare, core * pressure).lifted(glint * pressure)
        });
    }
}

/// A quadratic arc around `middle` along `span`, as points.
fn curve(middle: Point, span: Point, bend: f32) -> Vec<Point> {
    const STEPS: usize = 14;
    let at = |i: usize| {
        let t = i as f32 / STEPS as f32 - 0.5;
        middle + span * t + span.perpendicular() * (bend * (0.25 - t * t))
    };
    (0..=STEPS).map(at).collect()
}
