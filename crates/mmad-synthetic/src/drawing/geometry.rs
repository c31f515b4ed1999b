//! Points, poses and bounds in the plane.

use std::ops::{Add, Mul, Neg, Sub};

/// A position or a direction, in units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f32,
    pub(crate) y: f32,
}

impl Point {
    pub(crate) const ORIGIN: Self = Self::new(0.0, 0.0);

    pub(crate) const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    /// The unit direction at `turn` (1 is a full circle) from the x axis towards y.
    pub(crate) fn at_turn(turn: f32) -> Self {
        let (sin, cos) = (turn * std::f32::consts::TAU).sin_cos();
        Self::new(cos, sin)
    }

    #[inline]
    pub(crate) fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y
    }

    #[inline]
    pub(crate) fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// The direction of this point from the origin; zero at the origin.
    #[inline]
    pub(crate) fn direction(self) -> Self {
        self * (1.0 / self.length().max(1e-6))
    }

    /// This direction turned by a quarter.
    #[inline]
    pub(crate) fn perpendicular(self) -> Self {
        Self::new(-self.y, self.x)
    }

    /// The angle as a share of a full turn, in `0.0..=1.0`, to about 1e-5.
    ///
    /// Source: Abramowitz and Stegun, formula 4.4.47 (arc tangent on 0..1, error below 1e-5).
    #[inline]
    pub(crate) fn turn(self) -> f32 {
        let (ax, ay) = (self.x.abs(), self.y.abs());
        let ratio = ax.min(ay) / ax.max(ay).max(1e-12);
        let s = ratio * ratio;
        let atan = ratio
            * (0.999_866
                + s * (-0.330_299_5 + s * (0.180_141 + s * (-0.085_133 + s * 0.020_835_1))));
        let mut turn = atan * (1.0 / std::f32::consts::TAU);
        if ay > ax {
            turn = 0.25 - turn;
        }
        if self.x < 0.0 {
            turn = 0.5 - turn;
        }
        if self.y < 0.0 { 1.0 - turn } else { turn }
    }
}

impl Add for Point {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Self::new(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Point {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        Self::new(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f32> for Point {
    type Output = Self;
    #[inline]
    fn mul(self, factor: f32) -> Self {
        Self::new(self.x * factor, self.y * factor)
    }
}

impl Neg for Point {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self::new(-self.x, -self.y)
    }
}

/// Where a thing lies: its centre, its turn and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pose {
    centre: Point,
    axis: Point,
    scale: f32,
}

impl Pose {
    pub(crate) fn new(centre: Point, turn: f32, scale: f32) -> Self {
        Self { centre, axis: Point::at_turn(turn), scale }
    }

    /// A position in the picture, seen from the thing.
    #[inline]
    pub(crate) fn local(&self, p: Point) -> Point {
        self.local_direction(p - self.centre) * (1.0 / self.scale)
    }

    /// A direction in the picture, seen from the thing.
    #[inline]
    pub(crate) fn local_direction(&self, v: Point) -> Point {
        Point::new(v.dot(self.axis), v.dot(self.axis.perpendicular()))
    }

    /// A position on the thing, seen in the picture.
    #[inline]
    pub(crate) fn world(&self, q: Point) -> Point {
        self.centre + (self.axis * q.x + self.axis.perpendicular() * q.y) * self.scale
    }
}

/// An upright rectangle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) low: Point,
    pub(crate) high: Point,
}

impl Bounds {
    /// The square which holds the disc around `centre`.
    pub(crate) fn around(centre: Point, radius: f32) -> Self {
        let corner = Point::new(radius, radius);
        Self { low: centre - corner, high: centre + corner }
    }

    /// The smallest rectangle that holds all points, grown by `margin`.
    pub(crate) fn holding(points: &[Point], margin: f32) -> Self {
        let far = f32::MAX;
        let start = Self { low: Point::new(far, far), high: Point::new(-far, -far) };
        let grown = points.iter().fold(start, |b, p| Self {
            low: Point::new(b.low.x.min(p.x - margin), b.low.y.min(p.y - margin)),
            high: Point::new(b.high.x.max(p.x + margin), b.high.y.max(p.y + margin)),
        });
        if points.is_empty() { Self::around(Point::ORIGIN, 0.0) } else { grown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_equals_the_arc_tangent() {
        for step in 0..720 {
            let turn = step as f32 / 720.0;
            let found = (Point::at_turn(turn) * 0.7).turn();
            let gap = (found - turn).abs();
            assert!(gap.min(1.0 - gap) < 1e-5, "{turn} became {found}");
        }
        assert_eq!(Point::ORIGIN.turn(), 0.0);
    }

    #[test]
    fn local_undoes_world() {
        let pose = Pose::new(Point::new(0.3, -0.2), 0.13, 1.7);
        let q = Point::new(-0.4, 0.9);
        assert!((pose.local(pose.world(q)) - q).length() < 1e-6);
        let v = pose.world(q) - pose.world(Point::ORIGIN);
        assert!((pose.local_direction(v) - q * 1.7).length() < 1e-6);
    }

    #[test]
    fn bounds_hold_their_points() {
        let b = Bounds::holding(&[Point::new(1.0, -2.0), Point::new(-3.0, 0.5)], 0.5);
        assert_eq!((b.low, b.high), (Point::new(-3.5, -2.5), Point::new(1.5, 1.0)));
    }
}
