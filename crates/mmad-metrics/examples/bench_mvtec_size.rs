//! Times the metrics on made-up maps in the numbers and sizes of MVTec AD: 15 classes, 1,725
//! pictures of 256x256 pixels, 1,258 of them defective.
//!
//! ```text
//! cargo run --release -p mmad-metrics --example bench_mvtec_size
//! ```
//!
//! Maps are noise on three scales and soft blobs (on defects, mostly, and sometimes beside them),
//! smoothed with a Gaussian of sigma 4, as the maps of reconstruction methods are. Only the metrics
//! are timed, in CPU seconds of one thread, the least of several runs per class. The classes are
//! made one at a time.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::time::Instant;

use mmad_metrics::{METRICS, MetricOptions, Protocol, ScoredImage, class_metrics};

/// Class, test pictures, defective ones among them.
const MVTEC: [(&str, usize, usize); 15] = [
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
const SIDE: usize = 256;
const N_RUNS: usize = 5;

fn main() -> ExitCode {
    let options = match std::env::args().nth(1).as_deref() {
        None => MetricOptions::default(),
        Some("ader") => MetricOptions { protocol: Protocol::Ader, ..MetricOptions::default() },
        Some(other) => {
            println!("unknown argument `{other}`: give `ader` or nothing");
            return ExitCode::from(2);
        }
    };
    print!("{:12}{:>8}{:>10}{:>10}", "class", "images", "defect %", "CPU s");
    for metric in METRICS {
        print!("{:>9}", metric.heading);
    }
    println!();

    let (mut cpu_s, mut pixels, mut defective) = (0.0, 0, 0);
    for (seed, (name, n_images, n_anomalous)) in MVTEC.into_iter().enumerate() {
        let class = Class::made_up(n_images, n_anomalous, seed as u64);
        let images = class.images();
        let mut least_s = f64::INFINITY;
        let mut result = None;
        for _ in 0..N_RUNS {
            let clock = CpuClock::start();
            let metrics = class_metrics(&images, &options);
            least_s = least_s.min(clock.seconds());
            result = Some(metrics);
        }
        let Some(Ok(metrics)) = result else {
            println!("{name}: {result:?}");
            return ExitCode::FAILURE;
        };
        cpu_s += least_s;
        pixels += metrics.counts.pixels;
        defective += metrics.counts.anomalous_pixels;
        let share = percent(metrics.counts.anomalous_pixels, metrics.counts.pixels);
        print!("{name:12}{n_images:8}{share:10.2}{least_s:10.4}");
        for metric in METRICS {
            print!("{:9.1}", 100.0 * metric.of(&metrics).clone().unwrap_or(f64::NAN));
        }
        println!();
    }
    println!(
        "all: {cpu_s:.3} CPU s for {pixels} pixels ({:.2} % defective), {:.2} ns per pixel",
        percent(defective, pixels),
        1e9 * cpu_s / pixels as f64
    );
    ExitCode::SUCCESS
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}

/// CPU time of this thread where Linux tells it, else wall time.
struct CpuClock {
    cpu_ns: Option<u64>,
    wall: Instant,
}

impl CpuClock {
    fn start() -> Self {
        Self { cpu_ns: thread_cpu_ns(), wall: Instant::now() }
    }

    fn seconds(&self) -> f64 {
        match (self.cpu_ns, thread_cpu_ns()) {
            (Some(start), Some(end)) => (end - start) as f64 / 1e9,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

fn thread_cpu_ns() -> Option<u64> {
    // The kernel brings its figure up to date when a thread gives way.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The maps and masks of one class, one after the other.
struct Class {
    maps: Vec<f32>,
    masks: Vec<u8>,
    n_good: usize,
}

impl Class {
    fn made_up(n_images: usize, n_anomalous: usize, seed: u64) -> Self {
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

    /// All pictures with a mask, the good ones too, as a loader hands them over.
    fn images(&self) -> Vec<ScoredImage<'_>> {
        let pictures = self.maps.chunks(SIDE * SIDE).zip(self.masks.chunks(SIDE * SIDE));
        pictures
            .enumerate()
            .map(|(index, (map, mask))| ScoredImage {
                name: "made up",
                width: SIDE,
                map,
                mask: Some(mask),
                score: map.iter().copied().fold(f32::NEG_INFINITY, f32::max),
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
