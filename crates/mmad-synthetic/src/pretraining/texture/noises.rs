//! Textures without a lattice to be seen.

use super::{Grain, inside};
use crate::drawing::noise::{self, fractal_noise, fraction, value_noise};

pub(super) fn plain(_: f32, _: f32, grain: &Grain) -> f32 {
    grain.a
}

/// Discs of many sizes, strewn.
pub(super) fn blobs(u: f32, v: f32, grain: &Grain) -> f32 {
    let cell = noise::cells(u, v, 0.8, grain.seed);
    let size = 0.12 + 0.3 * (cell.id >> 8) as f32 / 16_777_216.0;
    inside(cell.nearest - size, grain)
}

/// Grains as small as a sixth of the period.
pub(super) fn speckle(u: f32, v: f32, grain: &Grain) -> f32 {
    let sharp = value_noise(6.0 * u, 6.0 * v, grain.seed);
    ((sharp - 0.5) * 1.6 + 0.5).clamp(0.0, 1.0)
}

pub(super) fn smooth(u: f32, v: f32, grain: &Grain) -> f32 {
    ((value_noise(1.4 * u, 1.4 * v, grain.seed) - 0.5) * 1.3 + 0.5).clamp(0.0, 1.0)
}

pub(super) fn clouds(u: f32, v: f32, grain: &Grain) -> f32 {
    ((fractal_noise(0.7 * u, 0.7 * v, 4, grain.seed) - 0.5) * 1.8 + 0.5).clamp(0.0, 1.0)
}

/// Thin crests where fractal noise passes its middle.
pub(super) fn veins(u: f32, v: f32, grain: &Grain) -> f32 {
    let crest = (fractal_noise(0.8 * u, 0.8 * v, 3, grain.seed) - 0.5).abs();
    1.0 - (crest * (6.0 + 4.0 * grain.a)).min(1.0)
}

/// Lines of equal height.
pub(super) fn contours(u: f32, v: f32, grain: &Grain) -> f32 {
    let height = 5.0 * value_noise(0.6 * u, 0.6 * v, grain.seed);
    let line = (fraction(height) - 0.5).abs() - 0.13;
    (0.5 - line * 9.0).clamp(0.0, 1.0)
}

/// Patches of four tones with sharp borders.
pub(super) fn camouflage(u: f32, v: f32, grain: &Grain) -> f32 {
    let height = fractal_noise(0.7 * u, 0.7 * v, 2, grain.seed);
    let step = |at: f32| ((height - at) * 25.0 + 0.5).clamp(0.0, 1.0);
    (step(0.38) + step(0.5) + step(0.62)) / 3.0
}

/// Flat polygons, each of its own tone.
pub(super) fn cells(u: f32, v: f32, grain: &Grain) -> f32 {
    let cell = noise::cells(u, v, 1.0, grain.seed);
    let border = 1.0 - 0.4 * grain.a * inside(cell.second - cell.nearest - 0.03, grain);
    (cell.id >> 8) as f32 / 16_777_216.0 * border
}

/// Narrow gaps between polygons.
pub(super) fn cracks(u: f32, v: f32, grain: &Grain) -> f32 {
    let cell = noise::cells(0.9 * u, 0.9 * v, 1.0, grain.seed);
    inside(cell.second - cell.nearest - 0.05 - 0.08 * grain.a, grain)
}

/// Rounded bumps with dark seams, as on leather.
pub(super) fn pebbles(u: f32, v: f32, grain: &Grain) -> f32 {
    let cell = noise::cells(1.3 * u, 1.3 * v, 0.9, grain.seed);
    let seam = ((cell.second - cell.nearest) * 5.0).min(1.0);
    seam * (1.0 - 0.8 * cell.nearest * cell.nearest)
}

/// Chips of stone of different tones in a light ground.
pub(super) fn terrazzo(u: f32, v: f32, grain: &Grain) -> f32 {
    let cell = noise::cells(1.1 * u, 1.1 * v, 1.0, grain.seed);
    let tone = (cell.id >> 20) as f32 / 4096.0;
    let wide = 0.1 + 0.35 * ((cell.id >> 8) & 0xff) as f32 / 256.0;
    1.0 - inside(wide - (cell.second - cell.nearest), grain) * (0.35 + 0.65 * tone)
}
