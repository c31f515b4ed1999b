//! SimpleNet's features: means of patches of two maps.
//!
//! Source: Liu et al. 2023, "SimpleNet: A Simple Network for Image Anomaly Detection and
//! Localization", section 3.1, in the form of its code: 3×3 patches as vectors, channel by channel
//! and within a channel row by row, shortened by adaptive average pooling to a common length, the
//! coarse map enlarged, both joined and pooled once more.
//!
//! Pooling and enlarging are both linear, so the vectors are pooled first and never exist whole.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::nn::{Corners, resize};
use crate::ops::with_values;

/// Patches are `SIDE` by `SIDE` pixels around each pixel; zeros beyond the border.
const SIDE: usize = 3;

/// One vector per pixel of the finer map: its first half from the finer map, its second from the
/// coarser one.
///
/// # Shapes
///
/// - `fine`: `[b, h, w, c]`; `coarse`: `[b, h', w', c']`, neither recording gradients
/// - output: `[b, h, w, channels]`, `channels` being even
pub fn embed(fine: Tensor<4>, coarse: Tensor<4>, channels: usize) -> Tensor<4> {
    let [_, height, width, _] = fine.dims();
    let coarse = resize(pooled(coarse, channels), height, width, Corners::HalfPixel);
    Tensor::cat(vec![pooled(fine, channels), coarse], 3)
}

/// Half of the pooled vector: `channels` means of every patch, then means of pairs of these.
fn pooled(map: Tensor<4>, channels: usize) -> Tensor<4> {
    let [batch, height, width, n_in] = map.dims();
    let device = map.device();
    let windows = windows(SIDE * SIDE * n_in, channels);
    let n_out = channels / 2;
    let pooled = with_values(map, |map| {
        let mut pooled = vec![0.0_f32; batch * height * width * n_out];
        let rows = pooled.par_chunks_mut((width * n_out).max(1)).enumerate();
        rows.for_each(|(row, pooled)| {
            let (picture, y) = (row / height, row % height);
            let picture = &map[picture * height * width * n_in..][..height * width * n_in];
            let mut patch = vec![0.0_f32; SIDE * SIDE * n_in];
            for (x, pooled) in pooled.chunks_exact_mut(n_out).enumerate() {
                gather(picture, [height, width, n_in], [y, x], &mut patch);
                for (pooled, pair) in pooled.iter_mut().zip(windows.chunks_exact(2)) {
                    let mean = |&(start, end): &(usize, usize)| {
                        patch[start..end].iter().sum::<f32>() / (end - start) as f32
                    };
                    *pooled = 0.5 * (mean(&pair[0]) + mean(&pair[1]));
                }
            }
        });
        pooled
    });
    Tensor::from_data(TensorData::new(pooled, [batch, height, width, n_out]), &device)
}

/// The patch around a pixel: all nine places of the first channel, then of the next.
fn gather(
    map: &[f32],
    [height, width, channels]: [usize; 3],
    [y, x]: [usize; 2],
    patch: &mut [f32],
) {
    for place in 0..SIDE * SIDE {
        let row = (y + place / SIDE).wrapping_sub(1);
        let column = (x + place % SIDE).wrapping_sub(1);
        let to = patch[place..].iter_mut().step_by(SIDE * SIDE);
        if row < height && column < width {
            let from = &map[(row * width + column) * channels..][..channels];
            to.zip(from).for_each(|(to, &from)| *to = from);
        } else {
            to.for_each(|to| *to = 0.0);
        }
    }
}

/// First and end of the windows of an adaptive average pool, as PyTorch places them.
fn windows(n_in: usize, n_out: usize) -> Vec<(usize, usize)> {
    (0..n_out).map(|i| (i * n_in / n_out, ((i + 1) * n_in).div_ceil(n_out))).collect()
}
