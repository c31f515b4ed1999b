//! Signed distances to outlines: negative inside, positive outside, zero on the line.
//!
//! Source of the exact forms (box, segment): J. Hart 1996, "Sphere tracing", appendix, taken to
//! two dimensions. Where only a bound is given the doc says so; anti-aliasing needs no more.

use super::geometry::Point;

/// A disc of this radius.
#[inline]
pub(crate) fn disc(p: Point, radius: f32) -> f32 {
    p.length() - radius
}

/// A circular line of this radius, `width` thick.
#[inline]
pub(crate) fn ring(p: Point, radius: f32, width: f32) -> f32 {
    (p.length() - radius).abs() - 0.5 * width
}

/// An upright rectangle with these half sides and corners of this radius.
#[inline]
pub(crate) fn rectangle(p: Point, half: Point, corner: f32) -> f32 {
    let q = Point::new(p.x.abs() - half.x + corner, p.y.abs() - half.y + corner);
    Point::new(q.x.max(0.0), q.y.max(0.0)).length() + q.x.max(q.y).min(0.0) - corner
}

/// The distance to the segment from `a` to `b`.
#[inline]
pub(crate) fn segment(p: Point, a: Point, b: Point) -> f32 {
    let along = b - a;
    let t = ((p - a).dot(along) / along.dot(along).max(1e-12)).clamp(0.0, 1.0);
    (p - a - along * t).length()
}

/// The distance to a path, and the share of it (`0.0..=1.0`) at which the nearest point lies.
#[inline]
pub(crate) fn path(p: Point, points: &[Point]) -> (f32, f32) {
    let mut nearest = (f32::MAX, 0.0);
    let steps = points.len().saturating_sub(1).max(1) as f32;
    for (i, ends) in points.windows(2).enumerate() {
        let along = ends[1] - ends[0];
        let t = ((p - ends[0]).dot(along) / along.dot(along).max(1e-12)).clamp(0.0, 1.0);
        let gap = p - ends[0] - along * t;
        let square = gap.dot(gap);
        if square < nearest.0 {
            nearest = (square, (i as f32 + t) / steps);
        }
    }
    (nearest.0.sqrt(), nearest.1)
}

/// A regular polygon with its corners on the circle of this radius (outside: a lower bound).
#[inline]
pub(crate) fn polygon(p: Point, sides: f32, radius: f32) -> f32 {
    let step = std::f32::consts::TAU / sides;
    let sector = super::noise::fraction(p.turn() * sides) - 0.5;
    p.length() * cosine(sector * step) - radius * cosine(0.5 * step)
}

/// A star with straight edges between its tips and its inner corners (a bound).
#[inline]
pub(crate) fn star(p: Point, tips: f32, outer: f32, inner: f32) -> f32 {
    let step = std::f32::consts::TAU / tips;
    // Folded so that a tip lies at angle 0 and the inner corner next to it at half a step.
    let angle = (super::noise::fraction(p.turn() * tips + 0.5) - 0.5).abs() * step;
    let r = p.length();
    let q = Point::new(r * cosine(angle), r * sine(angle));
    let tip = Point::new(outer, 0.0);
    let corner = Point::new(inner * cosine(0.5 * step), inner * sine(0.5 * step));
    let normal = (tip - corner).perpendicular().direction();
    normal.dot(q - tip)
}

/// Cosine for angles within a half turn of 0 (Taylor, error below 3e-5 up to 1.6, 0.03 at 3.1).
#[inline]
pub(crate) fn cosine(angle: f32) -> f32 {
    let s = angle * angle;
    1.0 - s * (0.5 - s * (1.0 / 24.0 - s * (1.0 / 720.0 - s * (1.0 / 40_320.0))))
}

/// Sine for angles within a half turn of 0 (Taylor, error below 2e-4 up to 1.6, 0.1 at 3.1).
#[inline]
pub(crate) fn sine(angle: f32) -> f32 {
    let s = angle * angle;
    angle * (1.0 - s * (1.0 / 6.0 - s * (1.0 / 120.0 - s * (1.0 / 5040.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_at_known_points() {
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-3, "{a} is not {b}");
        near(disc(Point::new(3.0, 4.0), 2.0), 3.0);
        near(ring(Point::new(3.0, 4.0), 5.0, 0.2), -0.1);
        near(rectangle(Point::new(2.0, 0.0), Point::new(1.0, 0.5), 0.1), 1.0);
        near(rectangle(Point::new(0.0, 0.2), Point::new(1.0, 0.5), 0.1), -0.3);
        near(segment(Point::new(0.0, 1.0), Point::new(-1.0, 0.0), Point::new(1.0, 0.0)), 1.0);
        near(polygon(Point::new(1.0, 0.0), 6.0, 1.0), 0.0);
        near(polygon(Point::ORIGIN, 4.0, 1.0), -(0.5_f32.sqrt()));
        near(star(Point::new(1.0, 0.0), 5.0, 1.0, 0.4), 0.0);
    }

    #[test]
    fn star_is_negative_inside_only() {
        assert!(star(Point::ORIGIN, 5.0, 1.0, 0.4) < -0.1);
        let between_tips = Point::at_turn(0.1);
        assert!(star(between_tips * 0.35, 5.0, 1.0, 0.4) < 0.0);
        assert!(star(between_tips * 0.5, 5.0, 1.0, 0.4) > 0.0);
    }

    #[test]
    fn path_gives_distance_and_share() {
        let points = [Point::ORIGIN, Point::new(1.0, 0.0), Point::new(1.0, 1.0)];
        let (distance, share) = path(Point::new(1.5, 0.5), &points);
        assert!((distance - 0.5).abs() < 1e-6 && (share - 0.75).abs() < 1e-6);
    }
}
