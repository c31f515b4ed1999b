//! Tensor operations of the methods, channels last, each with a fused CPU kernel and a slow twin.
//!
//! Feature maps are `[batch, height, width, channels]`, because every costly operation of MMAD
//! (the scans, the depthwise convolutions, the products with small matrices) then reads memory in
//! order. [`mod@reference`] holds the twins.

mod folded;
#[cfg(feature = "gpu")]
mod gpu;
mod host_op;
mod linear;
pub(crate) mod macs;
mod norm;
mod packed;
mod pool;
pub mod profile;
pub mod reference;
mod rounded;
mod scan;
mod spare;

use std::sync::{Arc, OnceLock};

use burn::tensor::{Tensor, TensorData, activation};
use mmad_kernels::activation::{Activation as NormActivation, Pointwise};
use mmad_kernels::batch_norm::BatchNormShape;
use mmad_kernels::conv2d::ConvShape;
use mmad_kernels::depthwise::DepthwiseShape;
use mmad_kernels::instance_norm::InstanceNormShape;
use mmad_kernels::layer_norm::{GateShape, LayerNormShape};
use mmad_kernels::linear::LinearShape;
use mmad_kernels::orders::DirectionTable;
use mmad_kernels::pool::MaxPoolShape;
use mmad_kernels::scan::{SelectiveScanShape, Ss2dShape};

pub use self::folded::{FoldedConv, can_fold, fold};
use self::host_op::{Input, call};
pub(crate) use self::host_op::{runs_here, with_values};
pub use self::macs::count_macs;
pub use self::packed::{PackedLinear, PackedScan};
pub use self::rounded::RoundedConv;

/// Stride, padding and dilation of a dense convolution, equal in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvOptions2d {
    /// Step between outputs, in pixels.
    pub stride: usize,
    /// Zeros around the map, in pixels.
    pub padding: usize,
    /// Distance between the taps of the kernel, in pixels.
    pub dilation: usize,
}

/// The weights of a two-dimensional selective scan.
#[derive(Debug, Clone)]
pub struct ScanWeights {
    /// From the low-rank step to every channel: `[directions, channels, rank]`.
    pub dt_weight: Tensor<3>,
    /// Bias of the step before softplus: `[directions, channels]`.
    pub dt_bias: Tensor<2>,
    /// Logarithm of the negated state matrix: `[directions, channels, states]`.
    pub a_log: Tensor<3>,
    /// Skip factor: `[directions, channels]`.
    pub d_skip: Tensor<2>,
}

/// `y = x Wᵀ + b` over the last axis.
///
/// # Shapes
///
/// - `x`: `[…, n_in]`; `weight`: `[n_out, n_in]`; `bias`: `[n_out]`
/// - output: `[…, n_out]`
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    macs::add(x.dims().iter().product::<usize>() * weight.dims()[0]);
    if !runs_here(&x) {
        return reference::linear(x, weight, bias);
    }
    let mut output = x.dims().to_vec();
    let [outputs, inputs] = weight.dims();
    let rows = output.iter().product::<usize>() / inputs.max(1);
    output[D - 1] = outputs;
    let op = linear::LinearOp { shape: LinearShape { rows, inputs, outputs }, output };
    match bias {
        Some(bias) => call(op, [x.into(), weight.into(), bias.into()]),
        None => call(op, [x.into(), weight.into()]),
    }
}

/// Dense convolution with a square kernel.
///
/// # Shapes
///
/// - `x`: `[b, h, w, n_in]`; `weight`: `[n_out, n_in, k, k]`; `bias`: `[n_out]`
/// - output: `[b, h', w', n_out]`
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions2d,
) -> Tensor<4> {
    let [batch, height, width, in_channels] = x.dims();
    let [out_channels, _, kernel, _] = weight.dims();
    let ConvOptions2d { stride, padding, dilation } = options;
    let shape = ConvShape {
        batch,
        height,
        width,
        in_channels,
        out_channels,
        kernel,
        stride,
        padding,
        dilation,
    };
    macs::add(shape.output_len() * in_channels * kernel * kernel);
    if !runs_here(&x) {
        return reference::conv2d(x, weight, bias, options);
    }
    let op = linear::ConvOp { shape };
    match bias {
        Some(bias) => call(op, [x.into(), weight.into(), bias.into()]),
        None => call(op, [x.into(), weight.into()]),
    }
}

/// Depthwise convolution with an odd square kernel, stride 1, same size out.
///
/// # Shapes
///
/// - `x`: `[b, h, w, c]`; `weight`: `[c, 1, k, k]`; `bias`: `[c]`
/// - output: `[b, h, w, c]`
pub fn depthwise_conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let [_, _, kernel, _] = weight.dims();
    macs::add(batch * height * width * channels * kernel * kernel);
    if !runs_here(&x) {
        return reference::depthwise_conv2d(x, weight, bias);
    }
    let op =
        linear::DepthwiseOp { shape: DepthwiseShape { batch, height, width, channels, kernel } };
    match bias {
        Some(bias) => call(op, [x.into(), weight.into(), bias.into()]),
        None => call(op, [x.into(), weight.into()]),
    }
}

/// [`silu`] of [`depthwise_conv2d`] of the first channels of `x`, in one pass where nothing records
/// gradients.
///
/// # Shapes
///
/// - `x`: `[b, h, w, n]` with `n >= c`; `weight`: `[c, 1, k, k]`; `bias`: `[c]`
/// - output: `[b, h, w, c]`
pub fn depthwise_conv2d_silu(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let [batch, height, width, _] = x.dims();
    let [channels, _, kernel, _] = weight.dims();
    if !can_fold(&x) {
        return silu(depthwise_conv2d(x.narrow(3, 0, channels), weight, bias));
    }
    macs::add(batch * height * width * channels * kernel * kernel);
    let shape = DepthwiseShape { batch, height, width, channels, kernel };
    let op = linear::DepthwiseSiluOp(shape);
    match bias {
        Some(bias) => call(op, [x.into(), weight.into(), bias.into()]),
        None => call(op, [x.into(), weight.into()]),
    }
}

/// Layer norm over the last axis: `(x - mean) / sqrt(var + eps) · weight + bias`, biased variance.
///
/// # Shapes
///
/// - `x`: `[…, c]`; `weight`, `bias`: `[c]`; output: `[…, c]`
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    if !runs_here(&x) {
        return reference::layer_norm(x, weight, bias, eps);
    }
    let output = x.dims().to_vec();
    let op = norm::LayerNormOp { shape: rows_of(&output, eps), output };
    call(op, [x.into(), weight.into(), bias.into()])
}

/// `layer_norm(y) · silu(z)`, the gate at the end of a selective-scan block; `z` is the second half
/// of the channels of `both`.
///
/// # Shapes
///
/// - `y`: `[b, h, w, c]`; `both`: `[b, h, w, 2c]`; `weight`, `bias`: `[c]`; output: `[b, h, w, c]`
pub fn norm_gate(
    y: Tensor<4>,
    both: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<4> {
    if !runs_here(&y) {
        return reference::norm_gate(y, both, weight, bias, eps);
    }
    let output = y.dims().to_vec();
    let [.., channels] = y.dims();
    let gate = GateShape { stride: 2 * channels, offset: channels };
    let op = norm::NormGateOp { shape: rows_of(&output, eps), gate, output };
    call(op, [y.into(), both.into(), weight.into(), bias.into()])
}

fn rows_of(shape: &[usize], eps: f64) -> LayerNormShape {
    let channels = shape.last().copied().unwrap_or(1);
    let rows = shape.iter().product::<usize>() / channels.max(1);
    LayerNormShape { rows, channels, eps: eps as f32 }
}

/// Batch norm with the statistics of the batch, followed by `activation`.
///
/// Returns the result, the mean and the biased variance of the batch.
///
/// # Shapes
///
/// - `x`: `[b, h, w, c]`; `weight`, `bias`: `[c]`; output: `[b, h, w, c]`, `[c]`, `[c]`
pub fn batch_norm(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    activation: NormActivation,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    if !runs_here(&x) {
        return reference::batch_norm(x, weight, bias, eps, activation);
    }
    let device = x.device();
    let output = x.dims().to_vec();
    let LayerNormShape { rows, channels, eps } = rows_of(&output, eps);
    let statistics = Arc::new(OnceLock::new());
    let op = norm::BatchNormOp {
        shape: BatchNormShape { rows, channels, eps, activation },
        output,
        statistics: Arc::clone(&statistics),
    };
    let y = call(op, [x.into(), weight.into(), bias.into()]);
    let found = statistics.get().expect("the forward pass has run");
    let vector =
        |values: &[f32]| Tensor::from_data(TensorData::new(values.to_vec(), [channels]), &device);
    (y, vector(&found.mean), vector(&found.variance))
}

/// Instance norm (per picture and channel, no affine part) followed by SiLU.
///
/// # Shapes
///
/// - `x`: `[b, h, w, c]`; output: `[b, h, w, c]`
pub fn instance_norm_silu(x: Tensor<4>, eps: f64) -> Tensor<4> {
    if !runs_here(&x) {
        return reference::instance_norm_silu(x, eps);
    }
    let [batch, height, width, channels] = x.dims();
    let shape = InstanceNormShape { batch, pixels: height * width, channels, eps: eps as f32 };
    let op = norm::InstanceNormSiluOp { shape, output: x.dims().to_vec() };
    call(op, [x.into()])
}

/// Largest value of every 3×3 window, stride 2, padding 1.
///
/// # Shapes
///
/// - `x`: `[b, h, w, c]`; output: `[b, h / 2, w / 2, c]`, sizes rounded up
pub fn max_pool(x: Tensor<4>) -> Tensor<4> {
    if !runs_here(&x) {
        return reference::max_pool(x);
    }
    let [batch, height, width, channels] = x.dims();
    call(pool::MaxPoolOp { shape: MaxPoolShape { batch, height, width, channels } }, [x.into()])
}

/// `gelu(a) · b` of the two halves `a | b` of the channels, GELU in its exact form.
///
/// # Shapes
///
/// - `x`: `[b, h, w, 2c]`; output: `[b, h, w, c]`
pub fn gelu_gate(x: Tensor<4>) -> Tensor<4> {
    if !runs_here(&x) {
        return reference::gelu_gate(x);
    }
    let [batch, height, width, channels] = x.dims();
    call(norm::GeluGateOp { output: vec![batch, height, width, channels / 2] }, [x.into()])
}

/// `x · sigmoid(x)`.
///
/// # Shapes
///
/// - `x` and output: any, equal
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !runs_here(&x) {
        return activation::silu(x);
    }
    pointwise(Pointwise::Silu, x)
}

/// `x Φ(x)` with the exact normal distribution.
///
/// # Shapes
///
/// - `x` and output: any, equal
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !runs_here(&x) {
        return activation::gelu(x);
    }
    pointwise(Pointwise::Gelu, x)
}

fn pointwise<const D: usize>(activation: Pointwise, x: Tensor<D>) -> Tensor<D> {
    call(norm::PointwiseOp { activation, output: x.dims().to_vec() }, [x.into()])
}

/// Two-dimensional selective scan: reads the pixels in every order of `table`, scans each
/// sequence, puts the results back in place and sums over the directions.
///
/// # Shapes
///
/// - `u`: `[b, pixels, channels]`
/// - `projected`: `[b, pixels, directions · (rank + 2 · states)]`, per direction the low-rank step,
///   then `B`, then `C`
/// - output: `[b, pixels, channels]`
pub fn ss2d(
    u: Tensor<3>,
    projected: Tensor<3>,
    weights: ScanWeights,
    table: &Arc<DirectionTable>,
) -> Tensor<3> {
    let [batch, pixels, channels] = u.dims();
    let [directions, _, rank] = weights.dt_weight.dims();
    let [_, _, states] = weights.a_log.dims();
    let shape = Ss2dShape { batch, pixels, channels, directions, rank, states };
    macs::add(batch * pixels * channels * directions * scan_macs(shape));
    #[cfg(feature = "gpu")]
    if gpu::runs_here(&u) {
        return gpu::ss2d(shape, u, projected, weights, table);
    }
    if !runs_here(&u) {
        return reference::ss2d(u, projected, weights, table);
    }
    let op = scan::Ss2dOp { shape, table: Arc::clone(table) };
    let ScanWeights { dt_weight, dt_bias, a_log, d_skip } = weights;
    let inputs: [Input; 6] =
        [u.into(), projected.into(), dt_weight.into(), dt_bias.into(), a_log.into(), d_skip.into()];
    call(op, inputs)
}

/// [`ss2d`] from features to features: `projected = u · projectionᵀ`, taken inside, a few steps at
/// a time.
///
/// # Shapes
///
/// - `u`: `[b, pixels, channels]`
/// - `projection`: `[directions, rank + 2 · states, channels]`
/// - output: `[b, pixels, channels]`
pub fn ss2d_features(
    u: Tensor<3>,
    projection: Tensor<3>,
    weights: ScanWeights,
    table: &Arc<DirectionTable>,
) -> Tensor<3> {
    let [batch, pixels, channels] = u.dims();
    let [directions, row, _] = projection.dims();
    if !runs_here(&u) {
        let projected = linear(u.clone(), projection.reshape([directions * row, channels]), None);
        return ss2d(u, projected, weights, table);
    }
    let [_, _, rank] = weights.dt_weight.dims();
    let [_, _, states] = weights.a_log.dims();
    let shape = Ss2dShape { batch, pixels, channels, directions, rank, states };
    macs::add(scan_features_macs(shape));
    let op = scan::Ss2dFeaturesOp {
        scan: scan::Ss2dOp { shape, table: Arc::clone(table) },
        noted: u.device().is_autodiff().then(OnceLock::new),
    };
    let ScanWeights { dt_weight, dt_bias, a_log, d_skip } = weights;
    let inputs: [Input; 6] = [
        u.into(),
        projection.into(),
        dt_weight.into(),
        dt_bias.into(),
        a_log.into(),
        d_skip.into(),
    ];
    call(op, inputs)
}

/// With the projection of every direction.
fn scan_features_macs(shape: Ss2dShape) -> usize {
    let Ss2dShape { batch, pixels, channels, directions, .. } = shape;
    batch * pixels * channels * directions * (shape.row() + scan_macs(shape))
}

/// Per pixel, direction and channel: the step, and per state its decay, its input and its output.
fn scan_macs(shape: Ss2dShape) -> usize {
    shape.rank + 3 * shape.states
}

/// The inputs of a one-dimensional selective scan; see [`selective_scan`].
#[derive(Debug, Clone)]
pub struct SelectiveScan {
    /// `[b, channels, length]`.
    pub u: Tensor<3>,
    /// Step before bias and softplus: `[b, channels, length]`.
    pub delta: Tensor<3>,
    /// The (negative) state matrix: `[channels, states]`.
    pub a: Tensor<2>,
    /// `[b, groups, states, length]`.
    pub b: Tensor<4>,
    /// `[b, groups, states, length]`.
    pub c: Tensor<4>,
    /// Skip factor: `[channels]`.
    pub d: Tensor<1>,
    /// `[channels]`.
    pub delta_bias: Tensor<1>,
}

/// Selective scan in its general form: `h = exp(dt A) h + dt B u`, `y = C h + D u` with
/// `dt = softplus(delta + delta_bias)`; channels are split evenly over the groups of `b` and `c`.
///
/// Source: Gu and Dao 2023, "Mamba", equation 2. No method scans by it: MMAD's scans are [`ss2d_features`]. It is
/// compared with the reference implementation's, and has no kernel for GPUs: there the twin runs.
///
/// # Shapes
///
/// - output: `[b, channels, length]`
pub fn selective_scan(inputs: SelectiveScan) -> Tensor<3> {
    if !runs_here(&inputs.u) {
        return reference::selective_scan(inputs);
    }
    let [batch, channels, length] = inputs.u.dims();
    let [_, groups, states, _] = inputs.b.dims();
    let shape = SelectiveScanShape { batch, channels, length, states, groups };
    let SelectiveScan { u, delta, a, b, c, d, delta_bias } = inputs;
    let inputs: [Input; 7] =
        [u.into(), delta.into(), a.into(), b.into(), c.into(), d.into(), delta_bias.into()];
    call(scan::SelectiveScanOp { shape }, inputs)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mmad_kernels::orders::ScanOrder;
    use mmad_kernels::precision::Precision;

    use super::*;

    /// Values from -1 to 1.
    fn some<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        let n = shape.iter().product::<usize>();
        let values = (0..n).map(|i| (i * 37 % 101) as f32 / 50.5 - 1.0).collect();
        Tensor::from_data(TensorData::new::<f32, _>(values, shape), &Device::flex())
    }

    #[track_caller]
    fn assert_written<const D: usize>(y: Tensor<D>) {
        let values: Vec<f32> = y.into_data().try_to_vec().unwrap();
        assert!(values.iter().all(|value| value.is_finite()));
    }

    /// Memory for results holds not-a-number in tests, see [`spare::take`].
    #[test]
    fn every_value_of_a_result_is_written() {
        let (x, c) = (some([2, 5, 7, 6]), || some([6]));
        let options = ConvOptions2d { stride: 2, padding: 3, dilation: 2 };
        assert_written(linear(x.clone(), some([9, 6]), None));
        let packed = PackedLinear::new(some([9, 6]), None);
        assert_written(packed.forward(x.clone(), None));
        assert_written(packed.forward(x.clone(), Some(some([2, 5, 7, 9]))));
        // Enough for several tasks.
        assert_written(packed.forward(some([1, 61, 67, 6]), None));
        assert_written(conv2d(some([1, 61, 67, 6]), some([9, 6, 3, 3]), None, options));
        assert_written(conv2d(x.clone(), some([9, 6, 3, 3]), None, options));
        for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
            let folded = FoldedConv::new((some([9, 6, 3, 3]), some([9])), options, precision);
            let y = folded.forward(x.clone(), None, false);
            assert_written(folded.forward(x.clone(), Some(some(y.dims())), true));
            assert_written(y);
        }
        assert_written(depthwise_conv2d(x.clone(), some([6, 1, 5, 5]), None));
        assert_written(depthwise_conv2d_silu(x.clone(), some([5, 1, 3, 3]), None));
        assert_written(layer_norm(x.clone(), c(), c(), 1e-5));
        assert_written(norm_gate(x.clone(), some([2, 5, 7, 12]), c(), c(), 1e-5));
        assert_written(batch_norm(x.clone(), c(), c(), 1e-5, NormActivation::Relu).0);
        assert_written(instance_norm_silu(x.clone(), 1e-5));
        assert_written(max_pool(x.clone()));
        assert_written(gelu_gate(x.clone()));
        assert_written(silu(x.clone()));
        assert_written(gelu(x));

        for directions in [2, 4, 8] {
            let table =
                Arc::new(DirectionTable::new(ScanOrder::Hilbert, 4, 4, directions).unwrap());
            let (batch, channels, rank, states) = (3, 5, 2, 4);
            let row = rank + 2 * states;
            let weights = || ScanWeights {
                dt_weight: some([directions, channels, rank]),
                dt_bias: some([directions, channels]),
                a_log: some([directions, channels, states]),
                d_skip: some([directions, channels]),
            };
            let u = some([batch, 16, channels]);
            let projection = || some([directions, row, channels]);
            assert_written(PackedScan::new(projection(), weights()).forward(u.clone(), &table));
            assert_written(ss2d_features(u.clone(), projection(), weights(), &table));
            assert_written(ss2d(u, some([batch, 16, directions * row]), weights(), &table));
        }
        assert_written(selective_scan(SelectiveScan {
            u: some([2, 6, 9]),
            delta: some([2, 6, 9]),
            a: -some([6, 4]).exp(),
            b: some([2, 3, 4, 9]),
            c: some([2, 3, 4, 9]),
            d: some([6]),
            delta_bias: some([6]),
        }));
    }
}
