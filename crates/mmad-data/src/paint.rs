//! Painted defects: a good picture with a texture laid over it where noise says so.
//!
//! Source: Zavrtanik et al. 2021, "DRAEM", section 3.2, as DeSTSeg (Zhang et al. 2023) and ADer use
//! it: Perlin noise with a random lattice per axis, turned by a random angle and cut at a
//! threshold, gives the mask; a texture is blended in with a random strength.
//!
//! It is an augmentation: any method may ask for it, and no data set knows it.

mod perlin;
mod texture;

use std::path::{Path, PathBuf};

use rand::Rng;
use serde::{Deserialize, Serialize};

pub use self::perlin::{perlin, rotate};
pub use self::texture::procedural;
use crate::decode::{DecodeOptions, decode_file};
use crate::error::DataError;
use crate::listing::is_picture_name;
use crate::resample::resize_u8;

/// How defects are painted; the defaults are ADer's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaintConfig {
    /// Folder of texture pictures, such as `images` of the Describable Textures Dataset; empty for
    /// procedural textures.
    pub textures: String,
    /// Share of the pictures that are painted at all.
    pub probability: f64,
    /// Largest exponent of the lattice: each axis has `2^k` cells, `k` from 0 to this.
    pub max_exponent: u32,
    /// Largest angle that the noise is turned by, in degrees, either way.
    pub max_angle_deg: f64,
    /// Noise above this is a defect.
    pub threshold: f64,
    /// Largest share of the picture that stays under a defect.
    pub max_transparency: f64,
    /// Whether the picture is turned by quarters before it is painted, as DeSTSeg's authors do with
    /// products that have no up and down.
    pub quarter_turns: bool,
    /// Largest angle that the picture is turned by besides, in degrees, either way.
    pub max_tilt_deg: f64,
}

impl Default for PaintConfig {
    fn default() -> Self {
        Self {
            textures: String::new(),
            probability: 1.0,
            max_exponent: 5,
            max_angle_deg: 90.0,
            threshold: 0.5,
            max_transparency: 0.8,
            quarter_turns: false,
            max_tilt_deg: 0.0,
        }
    }
}

impl PaintConfig {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`DataError::OutOfRange`] for the first that makes no sense.
    pub fn validate(&self) -> Result<(), DataError> {
        let checks = [
            ("paint.probability", self.probability, 0.0, 1.0, "a share from 0 to 1"),
            ("paint.max_exponent", f64::from(self.max_exponent), 0.0, 8.0, "from 0 to 8"),
            ("paint.max_angle_deg", self.max_angle_deg, 0.0, 180.0, "from 0 to 180"),
            ("paint.threshold", self.threshold, -2.0, 2.0, "from -2 to 2"),
            ("paint.max_transparency", self.max_transparency, 0.0, 1.0, "from 0 to 1"),
            ("paint.max_tilt_deg", self.max_tilt_deg, 0.0, 180.0, "from 0 to 180"),
        ];
        for (name, value, low, high, range) in checks {
            if !(low..=high).contains(&value) {
                return Err(DataError::OutOfRange { name, value: value.to_string(), range });
            }
        }
        Ok(())
    }
}

/// A picture with a painted defect.
#[derive(Debug, Clone, PartialEq)]
pub struct PaintedPicture {
    /// `[height, width, 3]`, `0..=1`: the picture without the defect, turned where that was asked
    /// for.
    pub clean: Vec<f32>,
    /// `[height, width, 3]`, `0..=1`.
    pub pixels: Vec<f32>,
    /// `[height, width]`: 1 where a defect was painted, else 0. Can be all 0.
    pub mask: Vec<u8>,
}

/// Paints defects.
#[derive(Debug, Clone)]
pub struct Painter {
    config: PaintConfig,
    textures: Vec<PathBuf>,
    decode: DecodeOptions,
}

impl Painter {
    /// A painter with the textures of the configuration.
    ///
    /// # Errors
    ///
    /// [`DataError`] for a value that makes no sense, or a folder that is missing or has no
    /// picture.
    pub fn new(config: &PaintConfig, decode: DecodeOptions) -> Result<Self, DataError> {
        config.validate()?;
        let mut textures = Vec::new();
        if !config.textures.is_empty() {
            let folder = Path::new(&config.textures);
            if !folder.is_dir() {
                return Err(DataError::NotAFolder { path: folder.to_owned() });
            }
            collect(folder, &mut textures)?;
            textures.sort();
            if textures.is_empty() {
                let layout = "textures".to_owned();
                return Err(DataError::NoPictures { root: folder.to_owned(), layout });
            }
        }
        Ok(Self { config: config.clone(), textures, decode })
    }

    /// Paints a defect into a resized picture. What is random comes from `rng` alone.
    ///
    /// # Shapes
    ///
    /// - `rgb`: `[height, width, 3]`, `0..=255`
    ///
    /// # Errors
    ///
    /// [`DataError`] where the texture chosen cannot be read.
    pub fn paint(
        &self,
        rgb: &[u8],
        height: usize,
        width: usize,
        rng: &mut impl Rng,
    ) -> Result<PaintedPicture, DataError> {
        let picture: Vec<f32> = rgb.iter().map(|&level| f32::from(level) / 255.0).collect();
        let clean = self.turn(picture, height, width, rng);
        if !rng.random_bool(self.config.probability) {
            let mask = vec![0; height * width];
            return Ok(PaintedPicture { pixels: clean.clone(), clean, mask });
        }
        let mask = self.mask(height, width, rng);
        let texture = self.texture(height, width, rng)?;
        let transparency = self.config.max_transparency as f32 * rng.random::<f32>();
        Ok(PaintedPicture { pixels: blend(&clean, &texture, &mask, transparency), clean, mask })
    }

    /// The picture as it lies, or turned about its middle, grey where it shows what was outside.
    fn turn(&self, picture: Vec<f32>, height: usize, width: usize, rng: &mut impl Rng) -> Vec<f32> {
        const GREY: f32 = 114.0 / 255.0;
        let PaintConfig { quarter_turns, max_tilt_deg, .. } = self.config;
        if !quarter_turns && max_tilt_deg == 0.0 {
            return picture;
        }
        let quarters = if quarter_turns { rng.random_range(0..4_u8) } else { 0 };
        let tilt_deg = max_tilt_deg as f32 * (2.0 * rng.random::<f32>() - 1.0);
        let angle_deg = 90.0 * f32::from(quarters) + tilt_deg;
        let mut turned = picture;
        for channel in 0..3 {
            // What lies outside is zero, so that grey is where zero is to be.
            let values: Vec<f32> =
                turned.iter().skip(channel).step_by(3).map(|value| value - GREY).collect();
            let values = rotate(&values, height, width, angle_deg);
            for (pixel, value) in turned.chunks_exact_mut(3).zip(values) {
                pixel[channel] = (value + GREY).clamp(0.0, 1.0);
            }
        }
        turned
    }

    fn mask(&self, height: usize, width: usize, rng: &mut impl Rng) -> Vec<u8> {
        let mut cells = || 1_usize << rng.random_range(0..=self.config.max_exponent);
        let lattice = [cells(), cells()];
        let n_gradients = (lattice[0] + 1) * (lattice[1] + 1);
        let turns: Vec<f32> = (0..n_gradients).map(|_| rng.random()).collect();
        let noise = perlin(height, width, lattice, &turns);
        let angle_deg = self.config.max_angle_deg as f32 * (2.0 * rng.random::<f32>() - 1.0);
        let noise = rotate(&noise, height, width, angle_deg);
        let threshold = self.config.threshold as f32;
        noise.into_iter().map(|value| u8::from(value > threshold)).collect()
    }

    fn texture(
        &self,
        height: usize,
        width: usize,
        rng: &mut impl Rng,
    ) -> Result<Vec<f32>, DataError> {
        if self.textures.is_empty() {
            return Ok(procedural(height, width, rng));
        }
        let path = &self.textures[rng.random_range(0..self.textures.len())];
        let picture = decode_file(path, &self.decode)?;
        let from = (picture.height, picture.width);
        let rgb = resize_u8::<3>(&picture.rgb, from, (height, width));
        Ok(rgb.into_iter().map(|level| f32::from(level) / 255.0).collect())
    }
}

/// The picture where the mask is 0; where it is 1, `transparency` of the picture and the rest of
/// the texture.
///
/// # Shapes
///
/// - `picture`, `texture` and output: `[pixels, 3]`; `mask`: `[pixels]`
pub fn blend(picture: &[f32], texture: &[f32], mask: &[u8], transparency: f32) -> Vec<f32> {
    let pixels = picture.as_chunks::<3>().0.iter().zip(texture.as_chunks::<3>().0).zip(mask);
    pixels
        .flat_map(|((picture, texture), &mask)| {
            std::array::from_fn::<f32, 3, _>(|c| match mask {
                0 => picture[c],
                _ => (1.0 - transparency) * texture[c] + transparency * picture[c],
            })
        })
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let entries = std::fs::read_dir(folder).map_err(DataError::io(folder))?;
    for entry in entries {
        let path = entry.map_err(DataError::io(folder))?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if is_picture_name(&path) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn painted(config: &PaintConfig, seed: u64) -> PaintedPicture {
        let painter = Painter::new(config, DecodeOptions::default()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        painter.paint(&[100; 48 * 32 * 3], 48, 32, &mut rng).unwrap()
    }

    /// Good pixels stay as they were, painted ones change, and the seed decides everything.
    #[test]
    fn only_masked_pixels_change() {
        let config = PaintConfig::default();
        let mut n_marked = 0;
        for seed in 0..20 {
            let first = painted(&config, seed);
            assert_eq!(first, painted(&config, seed));
            for (pixel, &mask) in first.pixels.chunks(3).zip(&first.mask) {
                assert!(pixel.iter().all(|value| (0.0..=1.0).contains(value)));
                assert!(mask == 1 || pixel.iter().all(|&value| value == 100.0 / 255.0));
            }
            n_marked += first.mask.iter().map(|&mask| usize::from(mask)).sum::<usize>();
        }
        let share = n_marked as f64 / (20.0 * 48.0 * 32.0);
        assert!((0.02..0.4).contains(&share), "{share}");
    }

    /// By quarters every pixel of a square is there again, one of four ways; a tilt shows grey in
    /// the corners. What is painted lies on the turned picture.
    #[test]
    fn pictures_are_turned_where_that_is_asked_for() {
        let side = 8;
        let rgb: Vec<u8> = (0..side * side * 3).map(|i| i as u8).collect();
        let turn = |config: &PaintConfig, seed| {
            let painter = Painter::new(config, DecodeOptions::default()).unwrap();
            painter.paint(&rgb, side, side, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
        };
        let quarters = PaintConfig { quarter_turns: true, ..PaintConfig::default() };
        let levels = |pixels: &[f32]| -> Vec<u8> {
            pixels.iter().map(|value| (value * 255.0).round() as u8).collect()
        };
        let mut ways: Vec<Vec<u8>> =
            (0..40).map(|seed| levels(&turn(&quarters, seed).clean)).collect();
        ways.sort();
        ways.dedup();
        assert_eq!(ways.len(), 4);
        assert!(ways.contains(&rgb));
        for way in ways {
            let mut sorted = way;
            sorted.sort_unstable();
            assert_eq!(sorted, rgb);
        }
        let tilted = PaintConfig { max_tilt_deg: 45.0, ..PaintConfig::default() };
        let is_grey = |seed| turn(&tilted, seed).clean[..3].iter().all(|&v| v == 114.0 / 255.0);
        assert!((0..20).any(is_grey));
        for seed in 0..20 {
            let PaintedPicture { clean, pixels, mask } = turn(&tilted, seed);
            for ((clean, pixel), mask) in clean.chunks(3).zip(pixels.chunks(3)).zip(mask) {
                assert!(mask == 1 || clean == pixel);
            }
        }
    }

    #[test]
    fn a_probability_of_zero_paints_nothing() {
        let config = PaintConfig { probability: 0.0, ..PaintConfig::default() };
        assert!((0..5).all(|seed| painted(&config, seed).mask.iter().all(|&mask| mask == 0)));
    }

    #[test]
    fn textures_come_from_a_folder_where_one_is_given() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dotted")).unwrap();
        let green = image::RgbImage::from_pixel(5, 4, image::Rgb([0, 255, 0]));
        green.save(root.path().join("dotted/a.png")).unwrap();
        let textures = root.path().to_str().unwrap().to_owned();
        let config = PaintConfig { textures, max_transparency: 0.0, ..PaintConfig::default() };
        let picture = (0..50).map(|seed| painted(&config, seed)).find(|p| p.mask.contains(&1));
        let PaintedPicture { pixels, mask, .. } = picture.unwrap();
        let at = mask.iter().position(|&mask| mask == 1).unwrap();
        assert_eq!(pixels[3 * at..][..3], [0.0, 1.0, 0.0]);
        let empty = tempfile::tempdir().unwrap();
        let textures = empty.path().to_str().unwrap().to_owned();
        let config = PaintConfig { textures, ..PaintConfig::default() };
        assert!(Painter::new(&config, DecodeOptions::default()).is_err());
    }

    #[test]
    fn senseless_values_are_refused() {
        let config = PaintConfig { max_transparency: 1.5, ..PaintConfig::default() };
        assert!(config.validate().unwrap_err().to_string().contains("paint.max_transparency"));
    }
}
