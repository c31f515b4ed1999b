//! A dent: the surface pushed in, so that the picture is drawn together and one flank is lit.

use super::{place, stretch};
use crate::drawing::canvas::Canvas;
use crate::drawing::geometry::{Bounds, Pose};
use crate::drawing::noise::value_noise;
use crate::products::Surface;
use crate::random::Random;

pub(super) fn apply(canvas: &mut Canvas, surface: &Surface, random: &mut Random) {
    let radius = random.range(0.18, 0.3) * stretch(canvas);
    let centre = place(canvas, 0.7 * radius, random);
    let long = random.range(1.0, 1.35);
    let pose = Pose::new(centre, random.unit(), radius);
    let light = pose.local_direction(surface.light);
    let depth = surface.relief * random.range(0.38, 0.6);
    let pull = random.range(0.12, 0.22) * radius;
    let seed = random.seed();

    let before = canvas.clone();
    canvas.paint(Bounds::around(centre, radius * long * 1.2), |p, old, part| {
        let mut q = pose.local(p);
        q.x /= long;
        // A rim that is not quite an ellipse.
        let r = q.length() * (0.85 + 0.3 * value_noise(q.x * 1.5 + 9.0, q.y * 1.5, seed));
        if r >= 1.0 || part <= 0.0 {
            return old;
        }
        // Height (1 - r^2)^2 below the surface; its slope shades and its bend draws together.
        let slope = 3.0 * r * (1.0 - r * r);
        let outward = (p - centre).direction();
        let seen = before.sample(p + outward * (pull * slope));
        let facing = -q.direction().dot(light);
        let floor = 0.25 * (1.0 - r * r).powi(2);
        let shade = depth * (slope * facing - floor);
        old.mix((seen * (1.0 + shade)).lifted(0.15 * shade), part)
    });
}
