//! A stain: a liquid that ran out into an irregular patch and dried with a darker rim.

use super::{place, stretch};
use crate::drawing::canvas::Canvas;
use crate::drawing::geometry::{Bounds, Pose};
use crate::drawing::noise::{fractal_noise, smooth_step};
use crate::products::Surface;
use crate::random::Random;

pub(super) fn apply(canvas: &mut Canvas, surface: &Surface, random: &mut Random) {
    let radius = random.range(0.16, 0.27) * stretch(canvas);
    let centre = place(canvas, 0.7 * radius, random);
    let pose = Pose::new(centre, random.unit(), radius);
    let long = random.range(1.0, 1.5);
    let strength = random.range(0.55, 0.8);
    let seed = random.seed();

    canvas.paint(Bounds::around(centre, radius * 2.0), |p, old, part| {
        let mut q = pose.local(p);
        q.x /= long;
        let ragged = fractal_noise(q.x * 1.6 + 31.0, q.y * 1.6, 3, seed) - 0.5;
        let r = q.length() + 0.9 * ragged;
        let inside = smooth_step(1.0, 0.88, r);
        let rim = smooth_step(0.6, 0.95, r) * inside;
        let mottle = 0.75 + 0.5 * fractal_noise(q.x * 4.0, q.y * 4.0, 2, !seed);
        let share = strength * part * inside * (0.7 * mottle + 0.3 * rim).min(1.0);
        // Half soaked in (the texture shows through), half lying on top.
        let soaked = old * surface.stain * 1.6;
        old.mix(soaked.mix(surface.stain, 0.55), share) * (1.0 - 0.25 * rim * part)
    });
}
