//! Contamination: a fibre or crumbs lying on the product, with their shadow.

use super::{place, stretch};
use crate::drawing::canvas::{Canvas, coverage};
use crate::drawing::geometry::{Bounds, Point, Pose};
use crate::drawing::noise::{smooth_step, value_noise};
use crate::drawing::outline::path;
use crate::products::Surface;
use crate::random::Random;

pub(super) fn apply(canvas: &mut Canvas, surface: &Surface, random: &mut Random) {
    if random.chance(0.5) {
        fibre(canvas, surface, random);
    } else {
        crumbs(canvas, surface, random);
    }
}

/// A thread that curls over the product.
fn fibre(canvas: &mut Canvas, surface: &Surface, random: &mut Random) {
    const STEPS: usize = 22;
    let size = stretch(canvas);
    let width = random.range(0.014, 0.021) * size;
    let step = random.range(0.07, 0.09) * size;
    let mut at = place(canvas, 0.2, random);
    let mut turn = random.unit();
    let mut curl = random.around(0.04);
    let mut points = vec![at];
    for _ in 0..STEPS {
        curl = 0.85 * curl + random.around(0.03);
        turn += curl;
        at = at + Point::at_turn(turn) * step;
        points.push(at);
    }
    let pixel = canvas.pixel();
    let shift = surface.light * (-1.5 * width);
    let colour = surface.debris;
    canvas.paint(Bounds::holding(&points, 4.0 * width + pixel), |p, old, _| {
        let (shadow, _) = path(p - shift, &points);
        let (distance, share) = path(p, &points);
        let dark = 0.4 * smooth_step(2.4 * width, 0.4 * width, shadow);
        let thin = width * (0.6 + 0.4 * smooth_step(0.0, 0.1, share.min(1.0 - share)));
        let round = 1.0 - 0.5 * (distance / thin).min(1.0);
        (old * (1.0 - dark)).mix(colour * (0.5 + 0.7 * round), coverage(distance - thin, pixel))
    });
}

/// A few small lumps close together.
fn crumbs(canvas: &mut Canvas, surface: &Surface, random: &mut Random) {
    let size = stretch(canvas);
    let middle = place(canvas, 0.2, random);
    let spread = random.range(0.12, 0.3) * size;
    let pixel = canvas.pixel();
    for _ in 0..4 + random.below(4) {
        let centre = middle + Point::at_turn(random.unit()) * (spread * random.unit());
        let radius = random.range(0.045, 0.09) * size;
        let pose = Pose::new(centre, random.unit(), radius);
        let seed = random.seed();
        let tone = random.range(0.75, 1.2);
        let lump = |p: Point| {
            let q = pose.local(p);
            let ragged = 0.7 * (value_noise(q.x * 1.7 + 5.0, q.y * 1.7, seed) - 0.5);
            (Point::new(q.x, q.y * 1.3).length() - 0.8 + ragged) * radius
        };
        let bounds = Bounds::around(centre, 2.0 * radius);
        canvas.shade(bounds, |p| lump(p + surface.light * (0.35 * radius)), 0.6 * radius, 0.5);
        canvas.paint(bounds, |p, old, _| {
            let q = pose.local(p);
            let lit = (p - centre).dot(surface.light) / radius;
            let rough = value_noise(q.x * 4.0, q.y * 4.0, !seed) - 0.5;
            let colour = surface.debris * (tone * (1.0 + 0.45 * lit + 0.5 * rough));
            old.mix(colour, coverage(lump(p), pixel))
        });
    }
}
