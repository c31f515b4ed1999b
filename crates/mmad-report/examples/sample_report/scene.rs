//! Small procedural photographs of products, good or with one defect.

use std::f32::consts::TAU;

use mmad_report::{ReportError, RgbRaster};

/// Pixels per side of every picture.
pub(crate) const SIDE_PX: u32 = 256;

/// A seeded generator (`SplitMix64`, Steele et al. 2014), enough for samples.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    /// Uniform in `0.0..1.0`.
    pub(crate) fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(self.0) >> 40) as f32 / (1 << 24) as f32
    }

    /// Uniform in `low..high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Roughly normal, mean 0 and deviation 1, never beyond 3.5 (sum of uniforms).
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

/// The kinds of defect a scene can have.
pub(crate) const DEFECTS: [&str; 3] = ["scratch", "stain", "chip"];

/// One defect: its kind, an index into [`DEFECTS`], and its place.
pub(crate) struct Defect {
    kind: usize,
    from: [f32; 2],
    to: [f32; 2],
    radius: f32,
    seed: u64,
}

impl Defect {
    /// A defect somewhere on the product.
    pub(crate) fn draw(kind: usize, rng: &mut Rng) -> Self {
        let (angle, reach) = (rng.between(0.0, TAU), rng.between(5.0, 62.0));
        let from = [128.0 + reach * angle.cos(), 128.0 + reach * angle.sin()];
        let (turn, length) = (rng.between(0.0, TAU), rng.between(25.0, 70.0));
        let to = [from[0] + length * turn.cos(), from[1] + length * turn.sin()];
        let radius = if kind == 0 { rng.between(1.6, 3.2) } else { rng.between(11.0, 24.0) };
        Self { kind, from, to, radius, seed: (rng.uniform() * 1e6) as u64 }
    }

    /// Whether `(x, y)` is part of the defect.
    pub(crate) fn covers(&self, x: f32, y: f32) -> bool {
        self.rough_distance(x, y) <= 0.0
    }

    /// Pixels from `(x, y)` to the defect seen without its rough edge, negative inside.
    pub(crate) fn distance(&self, x: f32, y: f32) -> f32 {
        self.distance_with(0.0, x, y)
    }

    fn rough_distance(&self, x: f32, y: f32) -> f32 {
        self.distance_with(noise(self.seed, x / 6.0, y / 6.0) - 0.5, x, y)
    }

    fn distance_with(&self, rough: f32, x: f32, y: f32) -> f32 {
        if self.kind == 0 {
            let (dx, dy) = (self.to[0] - self.from[0], self.to[1] - self.from[1]);
            let (px, py) = (x - self.from[0], y - self.from[1]);
            let t = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
            return (px - t * dx + 3.0 * rough).hypot(py - t * dy) - self.radius;
        }
        (x - self.from[0]).hypot(1.25 * (y - self.from[1])) - self.radius + 9.0 * rough
    }

    fn paint(&self, x: f32, y: f32, below: [f32; 3]) -> [f32; 3] {
        let edge = if self.kind == 1 { 3.0 } else { 0.8 };
        let cover = (0.5 - self.rough_distance(x, y) / edge).clamp(0.0, 1.0);
        let (colour, strength) = match self.kind {
            0 => ([0.93, 0.92, 0.9], 0.75),
            1 => ([0.28, 0.17, 0.08], 0.6),
            _ => ([0.09, 0.085, 0.08], 0.85),
        };
        blend(below, colour, cover * strength)
    }
}

/// A photograph of product `kind` (five kinds, then the same with other colours), `side` pixels
/// wide; it shows the same for every `side`.
pub(crate) fn photograph(
    kind: usize,
    defect: Option<&Defect>,
    side: u32,
    rng: &mut Rng,
) -> Result<RgbRaster, ReportError> {
    let seed = (rng.uniform() * 1e6) as u64;
    let (shift_x, shift_y, turn) =
        (rng.between(-5.0, 5.0), rng.between(-5.0, 5.0), rng.between(-0.2, 0.2));
    let tint = hue(kind / 5 * 2 + kind);
    let mut pixels = Vec::with_capacity((3 * side * side) as usize);
    let step = SIDE_PX as f32 / side as f32;
    for row in 0..side {
        for column in 0..side {
            let (x, y) = (step * column as f32, step * row as f32);
            let (cx, cy) = (x - 128.0 - shift_x, y - 128.0 - shift_y);
            let (u, v) = (cx * turn.cos() - cy * turn.sin(), cx * turn.sin() + cy * turn.cos());
            let product = match kind % 5 {
                0 => cap(u, v, tint),
                1 => nut(u, v, seed),
                2 => cloth(u, v, tint, seed),
                3 => board(u, v, tint),
                _ => terrazzo(u, v, seed, tint),
            };
            let colour = defect.map_or(product, |defect| defect.paint(x, y, product));
            let light = 1.06 - 0.0007 * (x + y) + 0.01 * rng.normal();
            pixels.extend(colour.map(|value| (255.0 * value * light).clamp(0.0, 255.0) as u8));
        }
    }
    RgbRaster::new(side, side, pixels)
}

/// Smooth noise in `0.0..1.0` with one cell per unit.
pub(crate) fn noise(seed: u64, x: f32, y: f32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (smooth(x - x0), smooth(y - y0));
    let corner = |dx: f32, dy: f32| lattice(seed, (x0 + dx) as i64, (y0 + dy) as i64);
    let top = corner(0.0, 0.0) * (1.0 - u) + corner(1.0, 0.0) * u;
    let bottom = corner(0.0, 1.0) * (1.0 - u) + corner(1.0, 1.0) * u;
    top * (1.0 - v) + bottom * v
}

fn cap(u: f32, v: f32, tint: [f32; 3]) -> [f32; 3] {
    let (r, angle) = (u.hypot(v), v.atan2(u));
    let rim = 102.0 + 3.5 * (angle * 21.0).cos();
    let shade = 0.75 + 0.25 * (angle + 2.3).cos();
    let body = match r {
        r if r > 84.0 => scale(tint, 0.55 + 0.45 * shade * (0.7 + 0.3 * (angle * 21.0).cos())),
        r if r > 78.0 => scale(tint, 0.5),
        r if (34.0..38.0).contains(&r) => scale(tint, 1.25),
        _ => scale(tint, 0.9 + 0.12 * shade),
    };
    let backdrop = scale([0.83, 0.84, 0.85], 1.0 - 0.35 * (-(r - rim).max(0.0) / 14.0).exp());
    blend(backdrop, body, (rim - r + 0.5).clamp(0.0, 1.0))
}

fn nut(u: f32, v: f32, seed: u64) -> [f32; 3] {
    let sixth = std::f32::consts::FRAC_PI_3;
    let r = u.hypot(v);
    let within = (v.atan2(u) + 10.0 * sixth) % sixth - sixth / 2.0;
    let flat = r * within.cos();
    let brushed = noise(seed, r / 1.6, v.atan2(u) * 2.0) * 0.16;
    let metal = match (flat, r) {
        (f, _) if f > 88.0 => 0.5 + brushed,
        (_, r) if r < 44.0 => 0.13 + 0.08 * ((r * 1.1).sin() * 0.5 + 0.5),
        (_, r) if r < 51.0 => 0.88,
        _ => 0.64 + brushed,
    };
    let backdrop = scale([0.2, 0.22, 0.25], 1.0 - 0.4 * (-(flat - 96.0).max(0.0) / 10.0).exp());
    blend(backdrop, scale([0.98, 1.0, 1.04], metal), (96.0 - flat + 0.5).clamp(0.0, 1.0))
}

fn cloth(u: f32, v: f32, tint: [f32; 3], seed: u64) -> [f32; 3] {
    let (warp, weft) = ((u * 0.55).sin(), (v * 0.55).sin());
    let over = (u * 0.275).sin() * (v * 0.275).sin() > 0.0;
    let thread = if over { 0.72 + 0.24 * warp.abs() } else { 0.6 + 0.26 * weft.abs() };
    scale(blend(tint, [0.7, 0.68, 0.64], 0.45), thread + 0.12 * noise(seed, u / 5.0, v / 5.0))
}

fn board(u: f32, v: f32, tint: [f32; 3]) -> [f32; 3] {
    let mask = blend([0.05, 0.32, 0.2], tint, 0.25);
    let (gx, gy) = ((u + 144.0).rem_euclid(36.0) - 18.0, (v + 144.0).rem_euclid(36.0) - 18.0);
    let column = ((u + 144.0) / 36.0).floor();
    let pad = gx.hypot(gy);
    if u.abs() < 38.0 && v.abs() < 38.0 {
        let pin = u.abs() > 31.0 || v.abs() > 31.0;
        return if pin { [0.7, 0.71, 0.72] } else { [0.12, 0.12, 0.13] };
    }
    match pad {
        p if p < 3.5 => [0.1, 0.1, 0.1],
        p if p < 8.0 => [0.83, 0.68, 0.32],
        _ if gy.abs() < 2.0 && column as i32 % 2 == 0 => scale(mask, 1.7),
        _ if gx.abs() < 1.6 => scale(mask, 1.5),
        _ => mask,
    }
}

fn terrazzo(u: f32, v: f32, seed: u64, tint: [f32; 3]) -> [f32; 3] {
    let mut stone = blend([0.85, 0.83, 0.79], tint, 0.12);
    for (layer, size) in [(0, 11.0), (1, 17.0), (2, 25.0)] {
        if noise(seed + layer, u / size + 90.0, v / size + 90.0) > 0.73 {
            let shade = hue((seed + layer) as usize % 7);
            stone = blend([0.45, 0.42, 0.4], shade, 0.3);
        }
    }
    scale(stone, 0.93 + 0.07 * noise(seed + 9, u / 3.0, v / 3.0))
}

fn hue(index: usize) -> [f32; 3] {
    const HUES: [[f32; 3]; 7] = [
        [0.16, 0.4, 0.68],
        [0.72, 0.2, 0.17],
        [0.2, 0.5, 0.36],
        [0.8, 0.6, 0.2],
        [0.42, 0.33, 0.6],
        [0.2, 0.52, 0.58],
        [0.55, 0.36, 0.26],
    ];
    HUES[index % HUES.len()]
}

fn scale(colour: [f32; 3], by: f32) -> [f32; 3] {
    colour.map(|value| value * by)
}

fn blend(below: [f32; 3], above: [f32; 3], alpha: f32) -> [f32; 3] {
    std::array::from_fn(|c| below[c] * (1.0 - alpha) + above[c] * alpha)
}

fn lattice(seed: u64, x: i64, y: i64) -> f32 {
    let key =
        seed ^ (x as u64).wrapping_mul(0x9e37_79b9) ^ (y as u64).wrapping_mul(0x85eb_ca6b_0000);
    (mix(key.wrapping_mul(0xff51_afd7_ed55_8ccd)) >> 40) as f32 / (1 << 24) as f32
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
