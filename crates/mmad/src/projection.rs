//! Frozen projections from a wide encoder to the model's widths.
//!
//! Each stage gets the orthonormal basis of the largest principal directions of its features on
//! training pictures. The features are not centred first: the anomaly map compares directions of
//! vectors from the origin, and the uncentred basis keeps the most of those.

use burn::tensor::Tensor;
use mmad_data::{DataError, Loader, LoaderOptions, Preprocess, Sample};
use nalgebra::{DMatrix, SymmetricEigen};

use crate::encoder::Resnet;

/// Pictures that the basis is fitted on, spread evenly over the training set.
pub const N_PICTURES: usize = 64;

/// Fits the projection of every stage.
///
/// Returns for stage `i` the rows of an orthonormal `[widths[i], channels[i]]` matrix.
///
/// # Errors
///
/// [`DataError`] where not one picture can be read.
pub fn fit(
    encoder: &Resnet,
    widths: [usize; 3],
    samples: &[Sample],
    preprocess: &Preprocess,
    loader: &LoaderOptions,
    device: &burn::tensor::Device,
) -> Result<[Vec<f32>; 3], DataError> {
    let every = samples.len().div_ceil(N_PICTURES).max(1);
    let some = samples.iter().step_by(every).cloned().collect();
    let channels = encoder.arch().channels();
    let mut moments = channels.map(|n| DMatrix::<f64>::zeros(n, n));
    let mut first_error = None;
    let mut n_seen = 0;
    for item in Loader::new(some, preprocess.clone(), loader.clone())? {
        let loaded = match item {
            Ok(loaded) => loaded,
            Err(error) => {
                first_error.get_or_insert(error);
                continue;
            }
        };
        let shape = [1, preprocess.height(), preprocess.width(), 3];
        let data = burn::tensor::TensorData::new(loaded.pixels, shape);
        let maps = encoder.forward(Tensor::from_data(data, device), false);
        for (moment, map) in moments.iter_mut().zip(maps) {
            add_second_moment(moment, map);
        }
        n_seen += 1;
    }
    match first_error {
        Some(error) if n_seen == 0 => Err(error),
        _ => Ok([0, 1, 2].map(|stage| principal_rows(&moments[stage], widths[stage]))),
    }
}

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
        let weights = DMatrix::from_diagonal(&nalgebra::dvector![5.0, 2.0]);
        let moment = basis.transpose() * weights * &basis;
        let rows = DMatrix::from_row_slice(2, 3, &principal_rows(&moment, 2)).cast::<f64>();
        let identity = &rows * rows.transpose();
        assert!((identity - DMatrix::<f64>::identity(2, 2)).norm() < 1e-6);
        let kept = &rows * &moment * rows.transpose();
        assert!((kept.trace() - 7.0).abs() < 1e-5);
        assert!((rows.row(0) - basis.row(0)).norm() < 1e-6);
    }
}
