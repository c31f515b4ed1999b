//! Textures out of nothing, for painted defects where no folder of pictures is given.
//!
//! Each is a pattern between two colours: clouds of several octaves, stripes, checks or grain, bent
//! by slow noise, with some grain on top.

use rand::Rng;

use super::perlin::perlin;

/// A texture that `rng` decides.
///
/// # Shapes
///
/// - output: `[height, width, 3]`, `0..=1`
pub fn procedural(height: usize, width: usize, rng: &mut impl Rng) -> Vec<f32> {
    let colours: [[f32; 3]; 2] = rng.random();
    let bend = clouds(height, width, 2, rng);
    let kind = rng.random_range(0..4);
    let (sin, cos) = (std::f32::consts::TAU * rng.random::<f32>()).sin_cos();
    // Two to forty periods over the picture.
    let periods = 2.0 * 20.0_f32.powf(rng.random());
    let strength = rng.random_range(0.0..0.6_f32);
    let grain = rng.random_range(0.0..0.15_f32);
    let fine = clouds(height, width, 5, rng);
    let wave = |t: f32| 0.5 + 0.5 * (std::f32::consts::TAU * t).sin();
    let mut texture = Vec::with_capacity(3 * height * width);
    for (index, (&bend, &fine)) in bend.iter().zip(&fine).enumerate() {
        let (y, x) = (index / width, index % width);
        let (v, u) = (y as f32 / height as f32, x as f32 / width as f32);
        let along = periods * (cos * u + sin * v) + strength * bend;
        let across = periods * (cos * v - sin * u) + strength * bend;
        let share = match kind {
            0 => 0.5 + fine,
            1 => wave(along),
            2 => f32::from(u8::from((wave(along) > 0.5) != (wave(across) > 0.5))),
            _ => rng.random::<f32>() * 0.7 + 0.3 * (0.5 + fine),
        };
        let share = (share + grain * (rng.random::<f32>() - 0.5)).clamp(0.0, 1.0);
        let [first, second] = colours;
        texture.extend((0..3).map(|c| first[c] + share * (second[c] - first[c])));
    }
    texture
}

/// Sum of octaves of noise, each twice as fine and half as strong.
fn clouds(height: usize, width: usize, octaves: u32, rng: &mut impl Rng) -> Vec<f32> {
    let mut sum = vec![0.0; height * width];
    for octave in 0..octaves {
        let cells = 2_usize << octave;
        let turns: Vec<f32> = (0..(cells + 1) * (cells + 1)).map(|_| rng.random()).collect();
        let noise = perlin(height, width, [cells; 2], &turns);
        let strength = 0.5_f32.powi(octave as i32);
        sum.iter_mut().zip(noise).for_each(|(sum, value)| *sum += strength * value);
    }
    sum
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Each seed gives another texture in range, and most have contrast.
    #[test]
    fn textures_differ_and_have_contrast() {
        let texture = |seed| procedural(24, 40, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_ne!(texture(1), texture(2));
        let n_lively = (0..20)
            .filter(|&seed| {
                let texture = texture(seed);
                assert_eq!(texture.len(), 24 * 40 * 3);
                assert!(texture.iter().all(|value| (0.0..=1.0).contains(value)));
                let low = texture.iter().copied().fold(f32::MAX, f32::min);
                let high = texture.iter().copied().fold(f32::MIN, f32::max);
                high - low > 0.1
            })
            .count();
        assert!(n_lively > 15, "{n_lively}");
    }
}
