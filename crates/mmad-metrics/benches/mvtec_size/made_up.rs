//! Made-up maps in the numbers and sizes of MVTec AD.
//!
//! Noise on three scales and soft blobs (on defects, mostly, and sometimes beside them), smoothed
//! with a Gaussian of sigma 4, as the maps of reconstruction methods are. Every machine makes the
//! same ones.

use mmad_metrics::{ImageScore, ScoredImage};

/// Class, test pictures, defective ones among them.
pub(super) const MVTEC: [(&str, usize, usize); 15] = [
    ("bottle", 83, 63),
    ("cable", 150, 92),
    ("capsule", 132, 109),
    ("carpet", 117, 89),
    ("grid", 78, 57),
    ("hazelnut", 110, 70),
    ("leather", 124, 92),
    ("metal_nut", 115, 93),
    ("pill", 167, 141),
    ("screw", 160, 119),
    ("tile", 117, 84),
    ("toothbrush", 42, 30),
    ("transistor", 100, 40),
    ("wood", 79, 60),
    ("zipper", 151, 119),
];
pub(super) const SIDE: usize = 256;
/// The maps and masks of one class, one after the other.
pub(super) struct Class {
    pub(super) maps: Vec<f32>,
    pub(super) masks: Vec<u8>,
    n_good: usize,
}

impl Class {
    pub(super) fn made_up(n_images: usize, n_anomalous: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let n_good = n_images - n_anomalous;
        let mut class = Self { maps: Vec::new(), masks: Vec::new(), n_good };
        for index in 0..n_images {
            let (map, mask) = picture(index >= n_good, &mut random);
            class.maps.extend(map);
            class.masks.extend(mask);
        }
        class
    }

    /// All pictures with a mask, the good ones too, as a loader hands them over. Their scores are
    /// taken here.
    pub(super) fn images(&self) -> Vec<ScoredImage<'_>> {
        let pictures = self.maps.chunks(SIDE * SIDE).zip(self.masks.chunks(SIDE * SIDE));
        pictures
            .enumerate()
            .map(|(index, (map, mask))| ScoredImage {
                name: "made up",
                width: SIDE,
                map,
                mask: Some(mask),
                score: ImageScore::Max.of(map, SIDE).unwrap_or(0.0),
                is_anomalous: index >= self.n_good,
            })
            .collect()
    }
}

/// Map and mask of one picture.
fn picture(is_anomalous: bool, random: &mut Random) -> (Vec<f32>, Vec<u8>) {
    let mut map = vec![0.0_f32; SIDE * SIDE];
    let mut mask = vec![0_u8; SIDE * SIDE];
    for (cell, strength) in [(4, 0.25), (16, 0.12), (64, 0.06)] {
        let n = SIDE / cell;
        let noise: Vec<f32> = (0..n * n).map(|_| strength * random.unit()).collect();
        for (i, pixel) in map.iter_mut().enumerate() {
            *pixel += noise[(i / SIDE / cell) * n + i % SIDE / cell];
        }
    }
    if random.unit() < 0.3 {
        let blob = Ellipse::random(random, 4.0, 14.0);
        blob.draw(|i, _| map[i] += 0.35); // a false alarm
    }
    if is_anomalous {
        for _ in 0..=(random.unit() * 3.0) as usize {
            let defect = Ellipse::random(random, 8.0, 64.0);
            let strength = 0.15 + 0.9 * random.unit();
            // The map sees most of the defect, brightest in its middle.
            defect.draw(|i, distance| {
                mask[i] = 1;
                map[i] += strength * (1.1 - distance);
            });
        }
    }
    (smooth(&map, 4.0), mask)
}

struct Ellipse {
    row: f32,
    column: f32,
    height: f32,
    width: f32,
}

impl Ellipse {
    fn random(random: &mut Random, least: f32, most: f32) -> Self {
        let mut radius = || least + (most - least) * random.unit() * random.unit();
        let (height, width) = (radius(), radius());
        let mut place = || SIDE as f32 * random.unit();
        Self { row: place(), column: place(), height, width }
    }

    /// Calls `paint` with every pixel inside and its distance from the middle, in `0.0..1.0`.
    fn draw(&self, mut paint: impl FnMut(usize, f32)) {
        for i in 0..SIDE * SIDE {
            let y = ((i / SIDE) as f32 - self.row) / self.height;
            let x = ((i % SIDE) as f32 - self.column) / self.width;
            let distance = (x * x + y * y).sqrt();
            if distance < 1.0 {
                paint(i, distance);
            }
        }
    }
}

/// Gaussian blur in both directions, the border repeated.
fn smooth(map: &[f32], sigma: f32) -> Vec<f32> {
    let radius = (4.0 * sigma) as usize;
    let weight = |d: usize| (-0.5 * (d as f32 - radius as f32).powi(2) / sigma.powi(2)).exp();
    let mut kernel: Vec<f32> = (0..=2 * radius).map(weight).collect();
    let sum: f32 = kernel.iter().sum();
    for weight in &mut kernel {
        *weight /= sum;
    }
    let along_rows = |map: &[f32]| {
        // Writes columns as rows, so that calling it twice blurs both ways.
        let mut out = vec![0.0_f32; SIDE * SIDE];
        for row in 0..SIDE {
            let mut padded = [0.0_f32; SIDE + 64];
            for (i, pixel) in padded[..SIDE + 2 * radius].iter_mut().enumerate() {
                *pixel = map[row * SIDE + i.saturating_sub(radius).min(SIDE - 1)];
            }
            let mut line = [0.0_f32; SIDE];
            for (offset, weight) in kernel.iter().enumerate() {
                for (sum, pixel) in line.iter_mut().zip(&padded[offset..]) {
                    *sum += weight * pixel;
                }
            }
            for (column, &pixel) in line.iter().enumerate() {
                out[column * SIDE + row] = pixel;
            }
        }
        out
    };
    along_rows(&along_rows(map))
}

/// A small generator (Steele, Lea and Flood's `SplitMix64`), so that every machine makes the same
/// maps.
struct Random(u64);

impl Random {
    /// Uniform in `0.0..1.0`.
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
    }
}
