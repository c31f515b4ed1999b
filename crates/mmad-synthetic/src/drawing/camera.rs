//! The last step of every picture: light fall-off, white balance, lens blur, sensor noise, bytes.

use super::canvas::Canvas;
use super::colour::Colour;
use super::geometry::Point;
use super::noise::hash;

/// How the picture is taken; the same for a good part and its damaged twin.
#[derive(Clone, Debug)]
pub(crate) struct Camera {
    /// Gain of each channel: exposure and white balance.
    pub(crate) gain: Colour,
    /// Brightness gained per unit of way in this direction.
    pub(crate) gradient: Point,
    /// Share of the light lost in the corners.
    pub(crate) vignette: f32,
    /// Share of its value that each pixel gives to each neighbour, `0.0..=0.33`; per axis.
    pub(crate) blur: f32,
    /// Largest deviation of a pixel by noise.
    pub(crate) noise: f32,
    /// Decides the noise.
    pub(crate) seed: u32,
}

impl Camera {
    /// Height x width x 3 bytes.
    pub(crate) fn develop(&self, canvas: &Canvas) -> Vec<u8> {
        let lit = self.light(canvas);
        let sharp = if self.blur > 0.0 {
            blurred(&lit, canvas.height(), canvas.width(), self.blur)
        } else {
            lit
        };
        let mut bytes = Vec::with_capacity(sharp.len() * 3);
        for (i, colour) in sharp.iter().enumerate() {
            let [r, g, b] = self.grain(i);
            let byte = |v: f32| (v * 255.0 + 0.5) as u8;
            bytes.extend([byte(colour.r + r), byte(colour.g + g), byte(colour.b + b)]);
        }
        bytes
    }

    fn light(&self, canvas: &Canvas) -> Vec<Colour> {
        let (pixel, half) = (canvas.pixel(), canvas.half());
        let corner = self.vignette / half.dot(half);
        let mut lit = Vec::with_capacity(canvas.pixels().len());
        for (y, row) in canvas.pixels().chunks_exact(canvas.width()).enumerate() {
            let py = (y as f32 + 0.5) * pixel - half.y;
            for (x, &colour) in row.iter().enumerate() {
                let p = Point::new((x as f32 + 0.5) * pixel - half.x, py);
                let light = 1.0 + p.dot(self.gradient) - corner * p.dot(p);
                lit.push(colour * self.gain * light);
            }
        }
        lit
    }

    /// Noise of one pixel: three triangular draws from the bits of two hashes.
    #[inline]
    fn grain(&self, pixel: usize) -> [f32; 3] {
        let low = hash(pixel as i32, 0, self.seed);
        let high = hash(pixel as i32, 1, self.seed);
        let draw = |a: u32, b: u32| {
            let sum = (a & 0x3ff) as f32 + (b & 0x3ff) as f32;
            (sum * (1.0 / 1023.0) - 1.0) * self.noise
        };
        [draw(low, low >> 10), draw(low >> 20, high >> 20), draw(high, high >> 10)]
    }
}

/// The picture through the kernel `[share, 1 - 2 share, share]` along both axes.
fn blurred(pixels: &[Colour], height: usize, width: usize, share: f32) -> Vec<Colour> {
    let keep = 1.0 - 2.0 * share;
    let blend = |a: Colour, b: Colour, c: Colour| (a + c) * share + b * keep;
    let mut across = Vec::with_capacity(pixels.len());
    for row in pixels.chunks_exact(width) {
        for x in 0..width {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            across.push(blend(row[left], row[x], row[right]));
        }
    }
    let mut out = Vec::with_capacity(pixels.len());
    for y in 0..height {
        let (above, below) = (y.saturating_sub(1) * width, (y + 1).min(height - 1) * width);
        for x in 0..width {
            out.push(blend(across[above + x], across[y * width + x], across[below + x]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Camera {
        Camera {
            gain: Colour::WHITE,
            gradient: Point::ORIGIN,
            vignette: 0.0,
            blur: 0.0,
            noise: 0.0,
            seed: 1,
        }
    }

    fn grey(height: usize, width: usize, value: f32) -> Canvas {
        let mut canvas = Canvas::new(height, width);
        canvas.fill(|_| (Colour::grey(value), 1.0));
        canvas
    }

    #[test]
    fn a_plain_camera_only_rounds() {
        assert!(plain().develop(&grey(5, 7, 0.5)).iter().all(|&v| v == 128));
        assert!(plain().develop(&grey(5, 7, 7.0)).iter().all(|&v| v == 255));
        assert!(plain().develop(&grey(5, 7, -1.0)).iter().all(|&v| v == 0));
    }

    #[test]
    fn blur_keeps_flat_pictures_and_spreads_points() {
        let camera = Camera { blur: 0.25, ..plain() };
        assert!(camera.develop(&grey(5, 7, 0.5)).iter().all(|&v| v == 128));
        let mut point = vec![Colour::grey(0.0); 35];
        point[17] = Colour::grey(16.0);
        let spread = blurred(&point, 5, 7, 0.25);
        assert_eq!((spread[17].r, spread[16].r, spread[9].r), (4.0, 2.0, 1.0));
    }

    #[test]
    fn noise_is_centred_and_bounded() {
        let camera = Camera { noise: 0.1, ..plain() };
        let bytes = camera.develop(&grey(64, 64, 0.5));
        assert!(bytes.iter().all(|&v| (102..=154).contains(&v)));
        let mean = bytes.iter().map(|&v| f64::from(v)).sum::<f64>() / bytes.len() as f64;
        assert!((mean - 127.9).abs() < 0.5, "{mean}");
        assert_ne!(bytes[..3], bytes[3..6]);
    }

    #[test]
    fn light_falls_off_towards_the_corners() {
        let camera = Camera { vignette: 0.5, ..plain() };
        let bytes = camera.develop(&grey(33, 65, 0.8));
        assert!(bytes[0] < 110 && bytes[(16 * 65 + 32) * 3] > 200);
    }
}
