//! Frozen maps from the encoder's features to the space that is rebuilt, fitted on training pictures.
//!
//! A wide encoder's stages get the orthonormal basis of their largest principal directions. The
//! features are not centred for that: the anomaly map compares directions of vectors from the
//! origin, and the uncentred basis keeps the most of those.

use burn::tensor::Tensor;
use nalgebra::{DMatrix, SymmetricEigen};

/// Rows of the orthonormal `[width, channels]` projection of maps `[1, h, w, channels]`.
pub fn principal_directions(maps: impl Iterator<Item = Tensor<4>>, width: usize) -> Vec<f32> {
    let mut moment: Option<DMatrix<f64>> = None;
    for map in maps {
        let [.., channels] = map.dims();
        let moment = moment.get_or_insert_with(|| DMatrix::zeros(channels, channels));
        add_second_moment(moment, map);
    }
    moment.map_or_else(Vec::new, |moment| principal_rows(&moment, width))
}

/// Mean and inverse standard deviation of every channel of maps `[1, h, w, channels]`.
///
/// A channel that hardly changes is scaled by a hundredth of the largest deviation instead of its
/// own, so that the first picture in which it does change stays within bounds.
pub fn mean_and_scale(maps: impl Iterator<Item = Tensor<4>>) -> (Vec<f32>, Vec<f32>) {
    let (mut sum, mut squares) = (Vec::<f64>::new(), Vec::<f64>::new());
    let mut n_pixels = 0.0;
    for map in maps {
        let [_, height, width, channels] = map.dims();
        sum.resize(channels, 0.0);
        squares.resize(channels, 0.0);
        n_pixels += (height * width) as f64;
        let values: Vec<f32> = map.into_data().try_to_vec().expect("features are f32");
        for pixel in values.chunks_exact(channels) {
            for ((sum, square), &value) in sum.iter_mut().zip(&mut squares).zip(pixel) {
                *sum += f64::from(value);
                *square += f64::from(value).powi(2);
            }
        }
    }
    let mean: Vec<f64> = sum.iter().map(|sum| sum / f64::max(n_pixels, 1.0)).collect();
    let deviations: Vec<f64> = squares
        .iter()
        .zip(&mean)
        .map(|(square, mean)| (square / f64::max(n_pixels, 1.0) - mean * mean).max(0.0).sqrt())
        .collect();
    let largest = deviations.iter().copied().fold(0.0, f64::max);
    let floor = if largest > 0.0 { SMALLEST_SHARE * largest } else { 1.0 };
    let scale = deviations.iter().map(|deviation| (1.0 / deviation.max(floor)) as f32).collect();
    (mean.into_iter().map(|mean| mean as f32).collect(), scale)
}

/// Smallest deviation that a channel is scaled by, as a share of the largest.
const SMALLEST_SHARE: f64 = 0.01;

fn add_second_moment(moment: &mut DMatrix<f64>, map: Tensor<4>) {
    let [_, height, width, channels] = map.dims();
    let rows = map.reshape([height * width, channels]);
    let product = rows.clone().transpose().matmul(rows);
    let values: Vec<f32> = product.into_data().try_to_vec().expect("features are f32");
    for (sum, value) in moment.iter_mut().zip(values) {
        *sum += f64::from(value);
    }
}

/// The `n_rows` eigenvectors of the largest eigenvalues as rows, each with its largest entry
/// positive so that the basis does not depend on the solver's choice of sign.
fn principal_rows(moment: &DMatrix<f64>, n_rows: usize) -> Vec<f32> {
    let eigen = SymmetricEigen::new(moment.clone());
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let mut rows = Vec::with_capacity(n_rows * order.len());
    for &index in order.iter().take(n_rows) {
        let vector = eigen.eigenvectors.column(index);
        let largest = vector.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
        let sign = largest.map_or(1.0, f64::signum);
        rows.extend(vector.iter().map(|value| (value * sign) as f32));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_orthonormal_and_keep_the_most() {
        // Features live in a plane of three dimensions; two rows must keep all of them.
        let basis = DMatrix::from_row_slice(2, 3, &[1.0, 2.0, 2.0, 2.0, 1.0, -2.0]) / 3.0;
        let weights = DMatrix::from_diagonal(&nalgebra::DVector::from_vec(vec![5.0, 2.0]));
        let moment = basis.transpose() * weights * &basis;
        let rows = DMatrix::from_row_slice(2, 3, &principal_rows(&moment, 2)).cast::<f64>();
        let identity = &rows * rows.transpose();
        assert!((identity - DMatrix::<f64>::identity(2, 2)).norm() < 1e-6);
        let kept = &rows * &moment * rows.transpose();
        assert!((kept.trace() - 7.0).abs() < 1e-5);
        assert!((rows.row(0) - basis.row(0)).norm() < 1e-6);
    }

    #[test]
    fn standardised_channels_have_mean_zero_and_deviation_one() {
        let values = [1.0_f32, 10.0, 7.0, 3.0, 30.0, 7.0, 8.0, 20.0, 7.0, 0.0, 44.0, 7.0];
        let device = burn::tensor::Device::flex();
        let data = burn::tensor::TensorData::new(values.to_vec(), [1, 2, 2, 3]);
        let (mean, scale) = mean_and_scale([Tensor::from_data(data, &device)].into_iter());
        for channel in 0..2 {
            let standard =
                values.chunks(3).map(|pixel| (pixel[channel] - mean[channel]) * scale[channel]);
            let (sum, square) = standard.fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
            assert!(sum.abs() < 1e-5 && (square / 4.0 - 1.0_f32).abs() < 1e-5);
        }
        assert_eq!(mean[2], 7.0);
        assert!((scale[2] - scale[1] / 0.01).abs() < 1e-3 * scale[2]);
    }
}
