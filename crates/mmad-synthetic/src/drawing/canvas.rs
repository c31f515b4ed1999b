//! A picture being drawn: colours in floating point, and which pixels belong to the product.

use super::colour::Colour;
use super::geometry::{Bounds, Point};

/// A picture of floating-point colours, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    height: usize,
    width: usize,
    pixels: Vec<Colour>,
    part: Vec<f32>,
}

impl Canvas {
    pub(crate) fn new(height: usize, width: usize) -> Self {
        let n = height * width;
        Self { height, width, pixels: vec![Colour::grey(0.0); n], part: vec![1.0; n] }
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// All colours, row by row.
    pub(crate) fn pixels(&self) -> &[Colour] {
        &self.pixels
    }

    /// The side of a pixel, in units.
    pub(crate) fn pixel(&self) -> f32 {
        2.0 / self.height.min(self.width) as f32
    }

    /// Half the width and half the height, in units.
    pub(crate) fn half(&self) -> Point {
        Point::new(self.width as f32, self.height as f32) * (0.5 * self.pixel())
    }

    /// Draws every pixel: its colour and its share of the product.
    pub(crate) fn fill(&mut self, draw: impl Fn(Point) -> (Colour, f32)) {
        let (pixel, half) = (self.pixel(), self.half());
        for y in 0..self.height {
            let py = (y as f32 + 0.5) * pixel - half.y;
            for x in 0..self.width {
                let p = Point::new((x as f32 + 0.5) * pixel - half.x, py);
                let (colour, part) = draw(p);
                self.pixels[y * self.width + x] = colour;
                self.part[y * self.width + x] = part;
            }
        }
    }

    /// Redraws the pixels within the bounds from their position, colour and share of the product.
    pub(crate) fn paint(&mut self, within: Bounds, draw: impl Fn(Point, Colour, f32) -> Colour) {
        let (pixel, half) = (self.pixel(), self.half());
        let first = |at: f32, n: usize| ((at / pixel).max(0.0) as usize).min(n);
        let last = |at: f32, n: usize| ((at / pixel + 1.0).max(0.0) as usize).min(n);
        let columns =
            first(within.low.x + half.x, self.width)..last(within.high.x + half.x, self.width);
        let rows =
            first(within.low.y + half.y, self.height)..last(within.high.y + half.y, self.height);
        for y in rows {
            let py = (y as f32 + 0.5) * pixel - half.y;
            for x in columns.clone() {
                let p = Point::new((x as f32 + 0.5) * pixel - half.x, py);
                let i = y * self.width + x;
                self.pixels[i] = draw(p, self.pixels[i], self.part[i]);
            }
        }
    }

    /// Lays a shape over the picture: `distance` decides where (edges are anti-aliased), `colour`
    /// (of position and distance) what is seen there.
    pub(crate) fn lay(
        &mut self,
        within: Bounds,
        distance: impl Fn(Point) -> f32,
        colour: impl Fn(Point, f32) -> Colour,
    ) {
        let pixel = self.pixel();
        self.paint(within, |p, old, _| {
            let d = distance(p);
            let cover = coverage(d, pixel);
            if cover > 0.0 { old.mix(colour(p, d), cover) } else { old }
        });
    }

    /// Darkens the picture under a shape by up to `strength`, fading over `softness` units.
    pub(crate) fn shade(
        &mut self,
        within: Bounds,
        distance: impl Fn(Point) -> f32,
        softness: f32,
        strength: f32,
    ) {
        self.paint(within, |p, old, _| {
            old * (1.0 - strength * (0.5 - distance(p) / softness).clamp(0.0, 1.0))
        });
    }

    /// The colour at a position, interpolated between pixels; the border continues outwards.
    pub(crate) fn sample(&self, p: Point) -> Colour {
        let (pixel, half) = (self.pixel(), self.half());
        let along = |at: f32, n: usize| {
            let at = (at / pixel - 0.5).clamp(0.0, (n - 1) as f32);
            let low = at as usize;
            (low, (low + 1).min(n - 1), at - low as f32)
        };
        let (x0, x1, u) = along(p.x + half.x, self.width);
        let (y0, y1, v) = along(p.y + half.y, self.height);
        let at = |y: usize, x: usize| self.pixels[y * self.width + x];
        at(y0, x0).mix(at(y0, x1), u).mix(at(y1, x0).mix(at(y1, x1), u), v)
    }

    /// The product's share of the pixel at a position; 0 outside the picture.
    pub(crate) fn part_at(&self, p: Point) -> f32 {
        let (pixel, half) = (self.pixel(), self.half());
        let (x, y) = ((p.x + half.x) / pixel, (p.y + half.y) / pixel);
        if x < 0.0 || y < 0.0 || x >= self.width as f32 || y >= self.height as f32 {
            return 0.0;
        }
        let (x, y) = ((x as usize).min(self.width - 1), (y as usize).min(self.height - 1));
        self.part[y * self.width + x]
    }
}

/// The share of a pixel inside an outline whose distance from the pixel's middle is given.
#[inline]
pub(crate) fn coverage(distance: f32, pixel: f32) -> f32 {
    (0.5 - distance / pixel).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawing::outline::disc;

    #[test]
    fn a_disc_covers_its_area() {
        let mut canvas = Canvas::new(40, 60);
        let everywhere = Bounds::around(Point::ORIGIN, 2.0);
        canvas.lay(everywhere, |p| disc(p, 0.5), |_, _| Colour::WHITE);
        let area: f32 = canvas.pixels().iter().map(|c| c.r).sum();
        // Radius 0.5 units is 10 pixels.
        assert!((area - std::f32::consts::PI * 100.0).abs() < 2.0, "{area}");
    }

    #[test]
    fn paint_stays_within_its_bounds_even_outside_the_picture() {
        let mut canvas = Canvas::new(20, 30);
        canvas.paint(Bounds::around(Point::new(9.0, 9.0), 1.0), |_, _, _| Colour::WHITE);
        canvas.paint(Bounds::around(Point::new(-9.0, 0.0), 1.0), |_, _, _| Colour::WHITE);
        assert!(canvas.pixels().iter().all(|c| c.r == 0.0));
        canvas.paint(Bounds::around(Point::new(1.5, 1.0), 0.2), |_, _, _| Colour::WHITE);
        let painted = canvas.pixels().iter().filter(|c| c.r == 1.0).count();
        assert_eq!(painted, 4);
    }

    #[test]
    fn sample_meets_pixel_centres() {
        let mut canvas = Canvas::new(8, 6);
        canvas.fill(|p| (Colour::new(p.x, p.y, 0.0), 1.0));
        let p = Point::new(0.2, -0.35);
        let found = canvas.sample(p);
        assert!((found.r - p.x).abs() < 1e-5 && (found.g - p.y).abs() < 1e-5);
    }

    #[test]
    fn the_product_ends_at_the_border() {
        let canvas = Canvas::new(8, 8);
        assert_eq!(canvas.part_at(Point::ORIGIN), 1.0);
        assert_eq!(canvas.part_at(Point::new(1.1, 0.0)), 0.0);
    }
}
