//! Bilinear resizing of channels-last maps, differentiable.
//!
//! Both directions are small constant matrices, so the gradient is Burn's own.

use burn::tensor::{Device, Tensor, TensorData};

/// Where the pixels of the two sizes meet, as PyTorch's `align_corners` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corners {
    /// Corner pixels stay corner pixels (`align_corners=True`).
    Aligned,
    /// The borders of the maps meet, and pixels have their middle at one half (`False`).
    HalfPixel,
}

/// Resizes to `height` and `width`, bilinear, without smoothing where it shrinks.
///
/// # Shapes
///
/// - `x`: `[b, h, w, c]`; output: `[b, height, width, c]`
pub fn resize(x: Tensor<4>, height: usize, width: usize, corners: Corners) -> Tensor<4> {
    let [batch, from_height, from_width, channels] = x.dims();
    let device = x.device();
    let x = if from_height == height {
        x
    } else {
        let rows = matrix(from_height, height, corners, &device).unsqueeze::<3>();
        let x = rows.matmul(x.reshape([batch, from_height, from_width * channels]));
        x.reshape([batch, height, from_width, channels])
    };
    if from_width == width {
        return x;
    }
    let columns = matrix(from_width, width, corners, &device).unsqueeze::<3>();
    let x = columns.matmul(x.reshape([batch * height, from_width, channels]));
    x.reshape([batch, height, width, channels])
}

/// Shares of the pixels of a side in those of another, `[to, from]`.
fn matrix(from: usize, to: usize, corners: Corners, device: &Device) -> Tensor<2> {
    let mut shares = vec![0.0_f32; to * from];
    for out in 0..to {
        let place = match corners {
            Corners::Aligned if to == 1 => 0.0,
            Corners::Aligned => out as f64 * (from - 1) as f64 / (to - 1) as f64,
            Corners::HalfPixel => ((out as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0),
        };
        let near = (place as usize).min(from - 1);
        let far = (near + 1).min(from - 1);
        let share = place - near as f64;
        shares[out * from + near] += (1.0 - share) as f32;
        shares[out * from + far] += share as f32;
    }
    Tensor::from_data(TensorData::new(shares, [to, from]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: &[f32], height: usize, width: usize) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, height, width, 1]), &Device::flex())
    }

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    /// The numbers of `torch.nn.functional.interpolate`.
    #[test]
    fn both_kinds_of_corners_are_pytorchs() {
        let x = map(&[0.0, 3.0], 1, 2);
        assert_eq!(values(resize(x.clone(), 1, 4, Corners::Aligned)), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values(resize(x, 1, 4, Corners::HalfPixel)), [0.0, 0.75, 2.25, 3.0]);
        let x = map(&[0.0, 1.0, 2.0, 3.0], 4, 1);
        assert_eq!(values(resize(x.clone(), 2, 1, Corners::Aligned)), [0.0, 3.0]);
        assert_eq!(values(resize(x, 2, 1, Corners::HalfPixel)), [0.5, 2.5]);
    }

    /// Every input pixel gets as much gradient as it gives, so the gradients of a sum add up to
    /// the number of outputs.
    #[test]
    fn gradients_add_up() {
        let device = Device::flex().autodiff();
        let x = Tensor::<4>::ones([2, 3, 4, 5], &device).require_grad();
        let y = resize(x.clone(), 6, 9, Corners::HalfPixel);
        assert_eq!(y.dims(), [2, 6, 9, 5]);
        let grads = y.sum().backward();
        let total = x.grad(&grads).unwrap().sum().into_scalar::<f32>();
        assert!((total - 540.0).abs() < 1e-2, "{total}");
    }
}
