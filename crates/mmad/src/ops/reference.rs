//! The slow twins: every fused operation written with Burn's own tensor operations.
//!
//! They are the specification that the fused kernels are tested against, values and gradients, and
//! what runs on devices for which there is no fused kernel. They are never optimised.

use burn::tensor::module::{conv2d as burn_conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{DType, Int, Tensor, TensorData, activation};
use mmad_kernels::activation::Activation;
use mmad_kernels::orders::DirectionTable;

use super::{ConvOptions2d, ScanWeights, SelectiveScan};

/// See [`super::linear`].
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let mut shape = x.dims();
    let [n_out, n_in] = weight.dims();
    let n_rows = shape.iter().product::<usize>() / n_in.max(1);
    let y = x.reshape([n_rows, n_in]).matmul(weight.transpose());
    shape[D - 1] = n_out;
    let y = match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    };
    y.reshape(shape)
}

/// See [`super::conv2d`].
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions2d,
) -> Tensor<4> {
    let ConvOptions2d { stride, padding, dilation } = options;
    let options = ConvOptions::new([stride; 2], [padding; 2], [dilation; 2], 1);
    let y = burn_conv2d(x.permute([0, 3, 1, 2]), weight, bias, options);
    y.permute([0, 2, 3, 1])
}

/// See [`super::RoundedConv`]: both factors rounded, products and sums as always.
pub fn rounded_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions2d,
    to: DType,
) -> Tensor<4> {
    let round = |factor: Tensor<4>| factor.cast(to).cast(DType::F32);
    conv2d(round(x), round(weight), bias, options)
}

/// See [`super::depthwise_conv2d`].
pub fn depthwise_conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let [channels, _, kernel, _] = weight.dims();
    let options = ConvOptions::new([1; 2], [kernel / 2; 2], [1; 2], channels);
    burn_conv2d(x.permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1])
}

/// See [`super::layer_norm`].
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().powi_scalar(2).mean_dim(D - 1);
    centred / (variance + eps).sqrt() * weight.unsqueeze() + bias.unsqueeze()
}

/// See [`super::norm_gate`].
pub fn norm_gate(
    y: Tensor<4>,
    both: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<4> {
    let [.., channels] = y.dims();
    let z = both.narrow(3, channels, channels);
    layer_norm(y, weight, bias, eps) * activation::silu(z)
}

/// See [`super::batch_norm`].
pub fn batch_norm(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let shape = x.dims();
    let [batch, height, width, channels] = shape;
    let rows = x.reshape([batch * height * width, channels]);
    let mean = rows.clone().mean_dim(0);
    let centred = rows - mean.clone();
    let variance = centred.clone().powi_scalar(2).mean_dim(0);
    let scale = weight.unsqueeze() / (variance.clone() + eps).sqrt();
    let y = (centred * scale + bias.unsqueeze()).reshape(shape);
    let y = match activation {
        Activation::None => y,
        Activation::Relu => activation::relu(y),
        Activation::Silu => activation::silu(y),
    };
    (y, mean.squeeze_dim(0).detach(), variance.squeeze_dim(0).detach())
}

/// See [`super::instance_norm_silu`].
pub fn instance_norm_silu(x: Tensor<4>, eps: f64) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let x = x.reshape([batch, height * width, channels]);
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().powi_scalar(2).mean_dim(1);
    let y = activation::silu(centred / (variance + eps).sqrt());
    y.reshape([batch, height, width, channels])
}

/// See [`super::max_pool`].
pub fn max_pool(x: Tensor<4>) -> Tensor<4> {
    let y = max_pool2d(
        x.permute([0, 3, 1, 2]),
        MaxPoolOptions::new([3; 2]).with_stride([2; 2]).with_padding([1; 2]),
    );
    y.permute([0, 2, 3, 1])
}

/// See [`super::gelu_gate`].
pub fn gelu_gate(x: Tensor<4>) -> Tensor<4> {
    let [.., channels] = x.dims();
    let half = channels / 2;
    let a = x.clone().narrow(3, 0, half);
    let b = x.narrow(3, half, half);
    activation::gelu(a) * b
}

/// See [`super::ss2d`].
pub fn ss2d(
    u: Tensor<3>,
    projected: Tensor<3>,
    weights: ScanWeights,
    table: &DirectionTable,
) -> Tensor<3> {
    let [batch, pixels, channels] = u.dims();
    let [directions, _, rank] = weights.dt_weight.dims();
    let states = weights.a_log.dims()[2];
    let device = u.device();
    let mut sum: Option<Tensor<3>> = None;
    for direction in 0..directions {
        let order = table.order(direction);
        let mut back = vec![0_i64; pixels];
        for (step, &pixel) in order.iter().enumerate() {
            back[pixel as usize] = step as i64;
        }
        let order: Vec<i64> = order.iter().map(|&pixel| i64::from(pixel)).collect();
        let order = Tensor::<1, Int>::from_data(TensorData::new(order, [pixels]), &device);
        let back = Tensor::<1, Int>::from_data(TensorData::new(back, [pixels]), &device);

        let row = rank + 2 * states;
        let seen = projected.clone().narrow(2, direction * row, row).select(1, order.clone());
        let s = u.clone().select(1, order);
        let of = |weight: &Tensor<2>| weight.clone().narrow(0, direction, 1).unsqueeze::<3>();
        let dt_weight = weights.dt_weight.clone().narrow(0, direction, 1).squeeze_dim::<2>(0);
        let dt = linear(seen.clone().narrow(2, 0, rank), dt_weight, None);
        let dt = softplus(dt + of(&weights.dt_bias));
        let a = -weights.a_log.clone().narrow(0, direction, 1).squeeze_dim::<2>(0).exp();
        let b = seen.clone().narrow(2, rank, states);
        let c = seen.narrow(2, rank + states, states);
        let y = scan_steps(s.clone(), dt, a, b, c) + s * of(&weights.d_skip);
        let y = y.select(1, back);
        sum = Some(match sum {
            Some(sum) => sum + y,
            None => y,
        });
    }
    sum.unwrap_or_else(|| Tensor::zeros([batch, pixels, channels], &device))
}

/// See [`super::selective_scan`].
pub fn selective_scan(inputs: SelectiveScan) -> Tensor<3> {
    let SelectiveScan { u, delta, a, b, c, d, delta_bias } = inputs;
    let [_, channels, _] = u.dims();
    let [_, groups, _, _] = b.dims();
    let width = channels / groups;
    let rows = |x: Tensor<3>| x.permute([0, 2, 1]);
    let dt = softplus(rows(delta) + delta_bias.unsqueeze());
    let u = rows(u);
    let outputs = (0..groups).map(|group| {
        let of = |x: &Tensor<3>| x.clone().narrow(2, group * width, width);
        let shared = |x: &Tensor<4>| rows(x.clone().narrow(1, group, 1).squeeze_dim::<3>(1));
        let a = a.clone().narrow(0, group * width, width);
        scan_steps(of(&u), of(&dt), a, shared(&b), shared(&c))
    });
    let y = Tensor::cat(outputs.collect(), 2) + u * d.unsqueeze();
    y.permute([0, 2, 1])
}

/// The recurrence of section 2 of the Mamba paper (Gu and Dao 2023), step by step.
///
/// # Shapes
///
/// - `u`, `dt`: `[batch, length, channels]`; `a`: `[channels, states]`
/// - `b`, `c`: `[batch, length, states]`
/// - output: `[batch, length, channels]`
fn scan_steps(u: Tensor<3>, dt: Tensor<3>, a: Tensor<2>, b: Tensor<3>, c: Tensor<3>) -> Tensor<3> {
    let [batch, length, channels] = u.dims();
    let [_, states] = a.dims();
    let a = a.unsqueeze::<3>();
    let mut state = Tensor::<3>::zeros([batch, channels, states], &u.device());
    let mut outputs = Vec::with_capacity(length);
    for step in 0..length {
        let at = |x: &Tensor<3>, width| x.clone().narrow(1, step, 1).reshape([batch, width, 1]);
        let row = |x: &Tensor<3>| x.clone().narrow(1, step, 1);
        let dt = at(&dt, channels);
        let decay = (dt.clone() * a.clone()).exp();
        state = decay * state + dt * at(&u, channels) * row(&b);
        let y = (state.clone() * row(&c)).sum_dim(2);
        outputs.push(y.reshape([batch, 1, channels]));
    }
    Tensor::cat(outputs, 1)
}

/// `ln(1 + exp(x))`, and `x` itself above 20 as in the reference.
fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let small = x.clone().clamp_max(20.0).exp().log1p();
    let is_large = x.clone().greater_elem(20.0);
    small.mask_where(is_large, x)
}
/// Every pixel taken from where its offset points, bilinearly; places outside the map count as its
/// border. Part of the reference's attention, without effect there; no layer uses it.
///
/// Source: `BasicSR`, `flow_warp`, bilinear, border, corners aligned.
///
/// # Shapes
///
/// - `map`: `[b, h, w, c]`; `offsets`: `[b, h, w, 2]`, to the right and down, in pixels
/// - output: `[b, h, w, c]`
pub fn flow_warp(map: Tensor<4>, offsets: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, channels] = map.dims();
    let n_pixels = height * width;
    let device = map.device();
    let pixels = map.reshape([batch, n_pixels, channels]);
    // Places along one axis: where the sample lies, the whole pixel before it, and the share of the
    // one behind.
    let along = |axis: usize, size: usize, start: &dyn Fn(usize) -> f32| {
        let start: Vec<f32> = (0..n_pixels).map(start).collect();
        let start = Tensor::<2>::from_data(TensorData::new(start, [1, n_pixels]), &device);
        let shift = offsets.clone().narrow(3, axis, 1).reshape([batch, n_pixels]);
        let place = (start + shift).clamp(0.0, (size - 1) as f64);
        let before = place.clone().detach().floor();
        (before.clone(), place - before)
    };
    let (left, share_right) = along(0, width, &|pixel| (pixel % width) as f32);
    let (top, share_below) = along(1, height, &|pixel| (pixel / width) as f32);
    let corner = |right: usize, below: usize| {
        let column = left.clone().add_scalar(right as f64).clamp_max((width - 1) as f64);
        let row = top.clone().add_scalar(below as f64).clamp_max((height - 1) as f64);
        let index = (row * width as f64 + column).int().reshape([batch, n_pixels, 1]);
        let share = |share: &Tensor<2>, is_behind: usize| match is_behind {
            0 => share.clone().neg().add_scalar(1.0),
            _ => share.clone(),
        };
        let weight = share(&share_right, right) * share(&share_below, below);
        let picked = pixels.clone().gather(1, index.repeat_dim(2, channels));
        picked * weight.reshape([batch, n_pixels, 1])
    };
    let sum = corner(0, 0) + corner(1, 0) + corner(0, 1) + corner(1, 1);
    sum.reshape([batch, height, width, channels])
}
