//! One picture of the stream: background, objects, disturbance, camera, and the labels of it all.

use super::N_HEADS;
use super::disturbance::Disturbance;
use super::palette::Palette;
use super::shape::{self, SHAPES, Shape};
use super::texture::{Laid, TEXTURES};
use crate::drawing::camera::Camera;
use crate::drawing::canvas::{Canvas, coverage};
use crate::drawing::colour::Colour;
use crate::drawing::geometry::{Bounds, Point, Pose};
use crate::drawing::noise::smooth_step;
use crate::random::Random;

/// Borders between the sizes of objects, as radius in units.
const SIZES: [f32; 5] = [0.17, 0.26, 0.38, 0.55, 0.78];

/// Everything that was decided before the first pixel is drawn.
pub(super) struct Scene {
    side: usize,
    background: Laid,
    background_palette: Palette,
    objects: Objects,
    camera: Camera,
    sharpness: u8,
}

struct Objects {
    shape: usize,
    cut: shape::Cut,
    texture: Laid,
    palette: Palette,
    size: u8,
    finish: Finish,
    /// Centre, turn and radius of each.
    places: Vec<(Point, f32, f32)>,
}

/// How the surface of the objects meets the light.
struct Finish {
    light: Point,
    bevel: f32,
    dome: f32,
    shadow: f32,
    rim: f32,
}

impl Scene {
    pub(super) fn new(random: &mut Random, side: usize) -> Self {
        let background_palette = Palette::new(random);
        let texture = random.below(TEXTURES.len());
        let background = Laid::background(random, texture, side);
        let objects = Objects::new(random, &background_palette, side);
        let sharpness = random.below(3) as u8;
        let blur = match sharpness {
            0 => random.range(0.0, 0.05),
            1 => random.range(0.13, 0.19),
            _ => random.range(0.29, 0.33),
        };
        let camera = Camera {
            gain: Colour::new(
                1.0 + random.around(0.05),
                1.0 + random.around(0.03),
                1.0 + random.around(0.05),
            ) * random.range(0.75, 1.15),
            gradient: Point::new(random.around(0.22), random.around(0.22)),
            vignette: random.range(0.0, 0.3),
            blur,
            noise: 0.09 * random.unit() * random.unit(),
            seed: random.seed(),
        };
        Self { side, background, background_palette, objects, camera, sharpness }
    }

    pub(super) fn draw(self, random: &mut Random) -> (Canvas, Camera, [u8; N_HEADS]) {
        let mut canvas = Canvas::new(self.side, self.side);
        let Palette { low, high, hue } = self.background_palette;
        canvas.fill(|p| (low.mix(high, self.background.value(p)), 1.0));
        for &place in &self.objects.places {
            self.objects.draw(&mut canvas, place);
        }
        let disturbance = Disturbance::apply(&mut canvas, random);

        let objects = &self.objects;
        let (shape, object_texture, object_hue, size, object_cell) = match objects.places.first() {
            Some((centre, _, _)) => (
                1 + objects.shape as u8,
                1 + objects.texture.family as u8,
                1 + objects.palette.hue,
                1 + objects.size,
                cell(*centre),
            ),
            None => (0, 0, 0, 0, 0),
        };
        let labels = [
            self.background.family as u8,
            self.background.orientation,
            self.background.scale,
            hue,
            objects.places.len() as u8,
            shape,
            object_texture,
            object_hue,
            size,
            object_cell,
            disturbance.kind,
            disturbance.centre.map_or(0, cell),
            self.sharpness,
        ];
        (canvas, self.camera, labels)
    }
}

impl Objects {
    fn new(random: &mut Random, behind: &Palette, side: usize) -> Self {
        let count = random.below(5);
        let largest_size = [4, 4, 3, 2, 2][count];
        let size = random.below(largest_size);
        let mut palette = Palette::new(random);
        // Objects must stand out, or their outline would be a matter of luck.
        for _ in 0..8 {
            if palette.distance(behind) > 0.22 {
                break;
            }
            palette = Palette::new(random);
        }
        let mut places: Vec<(Point, f32, f32)> = Vec::with_capacity(count);
        while places.len() < count {
            places.push(place(random, &places, SIZES[size], SIZES[size + 1]));
        }
        places.sort_by(|a, b| b.2.total_cmp(&a.2));
        let radius = places.first().map_or(0.4, |place| place.2);
        let texture = random.below(TEXTURES.len());
        Self {
            shape: random.below(SHAPES.len()),
            cut: shape::Cut::new(random),
            texture: Laid::on_object(random, texture, radius, side),
            palette,
            size: size as u8,
            finish: Finish::new(random),
            places,
        }
    }

    fn draw(&self, canvas: &mut Canvas, (centre, turn, radius): (Point, f32, f32)) {
        let pose = Pose::new(centre, turn, radius);
        let Shape { distance, .. } = &SHAPES[self.shape];
        let finish = &self.finish;
        let outline = |p: Point| distance(pose.local(p), self.cut);
        let bounds = Bounds::around(centre, radius * 1.12);
        if finish.shadow > 0.0 {
            let shift = finish.light * (0.14 * radius);
            let under = Bounds::around(centre, radius * 1.4);
            canvas.shade(under, |p| outline(p + shift), 0.35, finish.shadow);
        }
        let light = pose.local_direction(finish.light);
        let pixel = canvas.pixel() / radius;
        let Palette { low, high, .. } = self.palette;
        canvas.paint(bounds, |p, old, _| {
            let q = pose.local(p);
            let d = distance(q, self.cut);
            let cover = coverage(d, pixel);
            if cover <= 0.0 {
                return old;
            }
            let mut light_here = 1.0 + finish.dome * (q.dot(light) - 0.4 * q.dot(q));
            if finish.bevel > 0.0 && d > -0.16 {
                let step = 0.03;
                let slope = Point::new(
                    distance(q + Point::new(step, 0.0), self.cut) - d,
                    distance(q + Point::new(0.0, step), self.cut) - d,
                );
                let rise = smooth_step(-0.16, -0.02, d);
                light_here += finish.bevel * rise * slope.direction().dot(light);
            }
            light_here *= 1.0 - finish.rim * smooth_step(-0.1, -0.04, d);
            old.mix(low.mix(high, self.texture.value(p - centre)) * light_here, cover)
        });
    }
}

impl Finish {
    fn new(random: &mut Random) -> Self {
        let some = |amount: f32, random: &mut Random| {
            if random.chance(0.5) { random.range(0.3, 1.0) * amount } else { 0.0 }
        };
        Self {
            light: Point::at_turn(random.unit()),
            bevel: some(0.6, random),
            dome: some(0.6, random),
            shadow: some(0.7, random),
            rim: some(0.6, random),
        }
    }
}

/// A place that keeps clear of the others where one is found.
fn place(
    random: &mut Random,
    others: &[(Point, f32, f32)],
    smallest: f32,
    largest: f32,
) -> (Point, f32, f32) {
    let mut best = (f32::MIN, (Point::ORIGIN, 0.0, smallest));
    for _ in 0..16 {
        let radius = random.range(smallest, largest);
        let reach = 1.0 - 0.75 * radius;
        let centre = Point::new(random.around(reach), random.around(reach));
        let gap = |&(at, _, r): &(Point, f32, f32)| (at - centre).length() - r - radius;
        let room = others.iter().map(gap).fold(f32::MAX, f32::min);
        if room > best.0 {
            best = (room, (centre, random.unit(), radius));
        }
        if room > 0.0 {
            break;
        }
    }
    best.1
}

/// The cell of a 3x3 grid, 1 to 9, row by row.
fn cell(p: Point) -> u8 {
    let third = |at: f32| (((at + 1.0) * 1.5).max(0.0) as u8).min(2);
    1 + third(p.x) + 3 * third(p.y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_row_by_row() {
        assert_eq!(cell(Point::new(-0.9, -0.9)), 1);
        assert_eq!(cell(Point::new(0.9, -0.9)), 3);
        assert_eq!(cell(Point::ORIGIN), 5);
        assert_eq!(cell(Point::new(0.0, 0.9)), 8);
    }

    #[test]
    fn objects_rarely_overlap() {
        let mut random = Random::keyed(&[4]);
        let behind = Palette::new(&mut random);
        let mut overlaps = 0;
        for _ in 0..500 {
            let places = Objects::new(&mut random, &behind, 64).places;
            for (i, a) in places.iter().enumerate() {
                overlaps +=
                    places[..i].iter().filter(|b| (a.0 - b.0).length() < 0.8 * (a.2 + b.2)).count();
            }
        }
        assert!(overlaps < 15, "{overlaps}");
    }
}
