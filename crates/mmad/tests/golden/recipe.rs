//! The reproducible weights and inputs of golden files that store neither.
//!
//! Each value comes from a counter-based generator whose stream is named after the parameter; the
//! kind of the parameter decides the range.

use mmad::params::ParamSet;

/// Fills all parameters of `params`, whose streams are named `prefix` and their own name.
pub fn fill(params: &ParamSet, seed: u64, prefix: &str) {
    for param in params.iter() {
        let name = format!("{prefix}{}", param.name());
        param.set_values(parameter(&name, &param.shape(), seed));
    }
}

/// Values of an input named `stream`: `scale` times uniform in `-1..1`.
pub fn input(stream: &str, n_values: usize, scale: f64, seed: u64) -> Vec<f32> {
    let mut uniform = Uniform::new(stream, seed);
    (0..n_values).map(|_| (scale * uniform.next()) as f32).collect()
}

/// Values of the parameter `name` of this shape.
pub fn parameter(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let n_values: usize = shape.iter().product();
    let last = shape.last().copied().unwrap_or(1);
    let fan_in = shape.iter().skip(1).product::<usize>() as f64;
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let constant = |center: f64, scale: f64| (move |_| center, scale);
    let in_mask = |suffix: &str| name.ends_with(&format!("out_mask.{suffix}"));
    let mut uniform = Uniform::new(name, seed);
    let mut values = |center: &dyn Fn(usize) -> f64, scale: f64| -> Vec<f32> {
        (0..n_values).map(|i| (center(i) + scale * uniform.next()) as f32).collect()
    };
    let (center, scale) = match leaf {
        "A_logs" => return values(&|i| ((i % last + 1) as f64).ln(), 0.2),
        "Ds" => constant(1.0, 0.5),
        "dt_projs_bias" => constant(-3.0, 1.5),
        "dt_projs_weight" => constant(0.0, (shape[2] as f64).powf(-0.5)),
        "x_proj_weight" => constant(0.0, (3.0 / shape[2] as f64).sqrt()),
        "running_mean" => constant(0.0, 0.2),
        "running_var" => constant(1.0, 0.5),
        "weight" if in_mask("0.weight") => constant(4.0, 1.0),
        "weight" if in_mask("2.weight") => return values(&|i| [4.0, -4.0][i], 1.0),
        "bias" if in_mask("0.bias") => constant(-1.6, 0.1),
        "weight" if shape.len() == 1 => constant(1.0, 0.3),
        _ if shape.len() == 1 => constant(0.0, 0.1),
        _ => constant(0.0, (3.0 / fan_in).sqrt()),
    };
    values(&center, scale)
}

/// Uniform numbers in `-1..1` with 24 bits.
struct Uniform {
    state: u64,
}

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Uniform {
    fn new(stream: &str, seed: u64) -> Self {
        let hash = stream.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        Self { state: hash ^ seed.wrapping_mul(GOLDEN_GAMMA) }
    }

    fn next(&mut self) -> f64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        2.0 * ((z >> 40) as f64 / f64::from(1 << 24)) - 1.0
    }
}
