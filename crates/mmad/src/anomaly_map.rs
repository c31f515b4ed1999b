//! From two sets of feature maps to an anomaly map.
//!
//! Source: reference implementation. Per level `1 - cosine` over the channels, upsampled to the
//! picture (bilinear, corners aligned), summed, divided by nine (the reference's factor, harmless
//! to any ranking), blurred with a Gaussian of 4 pixels. The image score is the largest value of the
//! blurred map. Everything in `f64` but the features.

use burn::tensor::Tensor;
use mmad_kernels::blur::gaussian;
use mmad_kernels::cosine::cosine_distance;
use mmad_kernels::upsample::bilinear;

use crate::method::ScoredMap;

/// Standard deviation of the reference's blur, in pixels of its input of 256x256.
pub const SIGMA_PX: f64 = 4.0;

/// Standard deviation of the blur for an input of another size: the same share of the picture.
pub fn sigma_px(height: usize, width: usize) -> f64 {
    SIGMA_PX * ((height * width) as f64).sqrt() / 256.0
}

/// One level of a picture's features: `[height, width, channels]`, channels last.
#[derive(Debug, Clone, Copy)]
pub struct Level<'a> {
    /// Features of the encoder.
    pub seen: &'a [f32],
    /// Features of the decoder.
    pub rebuilt: &'a [f32],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Blurred map and its largest value for every picture of a batch.
///
/// # Shapes
///
/// - `seen` and `rebuilt`: equal, level by level, `[b, h, w, c]`
pub fn cosine_maps(
    seen: &[Tensor<4>],
    rebuilt: &[Tensor<4>],
    height: usize,
    width: usize,
) -> Vec<ScoredMap> {
    let values = |maps: &[Tensor<4>]| -> Vec<Vec<f32>> {
        let values = |map: &Tensor<4>| map.clone().into_data().try_to_vec();
        maps.iter().map(|map| values(map).expect("features are f32")).collect()
    };
    let sizes: Vec<[usize; 4]> = seen.iter().map(Tensor::dims).collect();
    let (seen, rebuilt) = (values(seen), values(rebuilt));
    let picture = |index: usize| {
        let levels: Vec<Level<'_>> = sizes
            .iter()
            .zip(seen.iter().zip(&rebuilt))
            .map(|(&[_, height, width, channels], (seen, rebuilt))| {
                let n_values = height * width * channels;
                let of = index * n_values..(index + 1) * n_values;
                Level { seen: &seen[of.clone()], rebuilt: &rebuilt[of], height, width }
            })
            .collect();
        smooth(raw_map(&levels, height, width), height, width)
    };
    (0..sizes.first().map_or(0, |size| size[0])).map(picture).collect()
}

/// Blurs a map in the share of the picture that [`SIGMA_PX`] is of the reference's input, and takes
/// its largest value as the score.
pub fn smooth(map: Vec<f64>, height: usize, width: usize) -> ScoredMap {
    let smooth = blur(map, height, width, sigma_px(height, width));
    let map: Vec<f32> = smooth.into_iter().map(|value| value as f32).collect();
    let score = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    ScoredMap { map, score }
}

/// Anomaly map of one picture, `[height, width]`, before the blur.
pub fn raw_map(levels: &[Level<'_>], height: usize, width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; height * width];
    let mut enlarged = vec![0.0; height * width];
    for level in levels {
        let n_pixels = level.height * level.width;
        let channels = level.seen.len() / n_pixels.max(1);
        let mut distance = vec![0.0; n_pixels];
        cosine_distance(channels, level.seen, level.rebuilt, &mut distance);
        bilinear([level.height, level.width], &distance, [height, width], &mut enlarged);
        sum.iter_mut().zip(&enlarged).for_each(|(sum, value)| *sum += value);
    }
    let divisor = (levels.len() * levels.len()) as f64;
    for value in &mut sum {
        *value /= divisor;
    }
    sum
}

/// Blurs a map `[height, width]` with a Gaussian of `sigma_px`, cut at four deviations, mirrored at
/// the borders (`d c b a | a b c d | d c b a`).
pub fn blur(mut map: Vec<f64>, height: usize, width: usize, sigma_px: f64) -> Vec<f64> {
    gaussian(height, width, sigma_px, (4.0 * sigma_px + 0.5) as usize, &mut map);
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blur_takes_the_same_share_of_every_size() {
        assert_eq!(sigma_px(256, 256), SIGMA_PX);
        assert_eq!(sigma_px(128, 128), SIGMA_PX / 2.0);
    }

    /// Where decoder and encoder point the same way the map is zero, where opposite it is two
    /// ninths per level; the highest point stays where the disagreement is.
    #[test]
    fn a_disagreement_stands_out_where_it_is() {
        let (height, width, channels) = (6, 8, 3);
        let seen: Vec<f32> = (0..height * width * channels).map(|i| 1.0 + (i % 5) as f32).collect();
        let mut rebuilt: Vec<f32> = seen.iter().map(|value| 2.0 * value).collect();
        let at = 2 * width + 5;
        rebuilt[at * channels..][..channels].iter_mut().for_each(|value| *value = -*value);
        let level = Level { seen: &seen, rebuilt: &rebuilt, height, width };
        let map = raw_map(&[level], height, width);
        assert!((map[at] - 2.0).abs() < 1e-12);
        assert!(map.iter().enumerate().all(|(i, value)| i == at || value.abs() < 1e-6));
        let smooth = blur(map, height, width, 1.0);
        let highest = (0..smooth.len()).max_by(|&a, &b| smooth[a].total_cmp(&smooth[b]));
        assert_eq!(highest, Some(at));
    }
}
