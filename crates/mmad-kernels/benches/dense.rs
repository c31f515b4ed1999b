//! Speed of the dense kernels at the sizes of the model: `cargo bench -p mmad-kernels`.
//!
//! The column `fastest` is the one to compare; items per second are floating-point operations of
//! convolutions and linear layers, and bytes are those that must be read and written. Per core:
//! `RAYON_NUM_THREADS=1`.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use mmad_kernels::activation::{self, Activation, Pointwise};
use mmad_kernels::batch_norm::{self, BatchNormGrads, BatchNormShape};
use mmad_kernels::conv2d::{self, ConvGrads, ConvShape, PackedConv};
use mmad_kernels::depthwise::{self, DepthwiseGrads, DepthwiseShape};
use mmad_kernels::instance_norm::{self, InstanceNormShape};
use mmad_kernels::layer_norm::{
    self, GateShape, LayerNormGrads, LayerNormShape, NormGateGrads, norm_gate, norm_gate_backward,
};
use mmad_kernels::linear::{self, LinearGrads, LinearShape};
use mmad_kernels::pool::{self, MaxPoolShape};

fn main() {
    divan::main();
}

/// `len` values between -1 and 1.
fn values(len: usize) -> Vec<f32> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

fn bytes(values: usize) -> BytesCount {
    BytesCount::new(values * size_of::<f32>())
}

/// Pictures, channels in, channels out, side of the square map, kernel, stride, dilation.
const CONVOLUTIONS: &[[usize; 7]] = &[
    [8, 3, 64, 256, 7, 2, 1],
    [1, 64, 64, 64, 3, 1, 1],
    [8, 64, 64, 64, 3, 1, 1],
    [1, 128, 128, 32, 3, 1, 1],
    [8, 128, 128, 32, 3, 1, 1],
    [1, 256, 256, 16, 3, 1, 1],
    [8, 256, 256, 16, 3, 1, 1],
    [8, 256, 256, 16, 3, 1, 5],
    [8, 256, 512, 16, 3, 2, 1],
    [8, 64, 64, 64, 1, 1, 1],
];

fn conv_shape(
    [batch, in_channels, out_channels, side, kernel, stride, dilation]: [usize; 7],
) -> ConvShape {
    ConvShape {
        batch,
        height: side,
        width: side,
        in_channels,
        out_channels,
        kernel,
        stride,
        padding: dilation * (kernel / 2),
        dilation,
    }
}

fn conv_flop(shape: ConvShape) -> usize {
    2 * shape.output_len() * shape.in_channels * shape.kernel * shape.kernel
}

#[divan::bench(args = CONVOLUTIONS)]
fn conv2d_forward(bencher: Bencher, sizes: &[usize; 7]) {
    let shape = conv_shape(*sizes);
    let (x, weight) = (values(shape.input_len()), values(shape.weight_len()));
    let packed = PackedConv::new(shape, &weight, None);
    let mut y = vec![0.0; shape.output_len()];
    bencher.counter(ItemsCount::new(conv_flop(shape))).bench_local(|| {
        let map = [shape.batch, shape.height, shape.width];
        packed.forward(map, black_box(&x), None, true, &mut y);
    });
}

#[divan::bench(args = CONVOLUTIONS)]
fn conv2d_backward_x(bencher: Bencher, sizes: &[usize; 7]) {
    conv2d_backward(bencher, conv_shape(*sizes), true);
}

#[divan::bench(args = CONVOLUTIONS)]
fn conv2d_backward_weight(bencher: Bencher, sizes: &[usize; 7]) {
    conv2d_backward(bencher, conv_shape(*sizes), false);
}

fn conv2d_backward(bencher: Bencher, shape: ConvShape, of_x: bool) {
    let (x, weight) = (values(shape.input_len()), values(shape.weight_len()));
    let grad_y = values(shape.output_len());
    let mut grad = vec![0.0; if of_x { x.len() } else { weight.len() }];
    bencher.counter(ItemsCount::new(conv_flop(shape))).bench_local(|| {
        let (x, weight) = (black_box(&x), black_box(&weight));
        let grads = if of_x {
            ConvGrads { x: Some(&mut grad), ..ConvGrads::default() }
        } else {
            ConvGrads { weight: Some(&mut grad), ..ConvGrads::default() }
        };
        conv2d::backward(shape, x, weight, &grad_y, grads);
    });
}

/// Rows, inputs, outputs.
const LINEARS: &[[usize; 3]] = &[
    [32_768, 16, 64],
    [32_768, 32, 16],
    [32_768, 64, 64],
    [8192, 128, 128],
    [2048, 64, 256],
    [2048, 256, 256],
    [512, 512, 1024],
];

#[divan::bench(args = LINEARS)]
fn linear_forward(bencher: Bencher, &[rows, inputs, outputs]: &[usize; 3]) {
    let shape = LinearShape { rows, inputs, outputs };
    let (x, weight) = (values(rows * inputs), values(inputs * outputs));
    let mut y = vec![0.0; rows * outputs];
    bencher.counter(ItemsCount::new(2 * rows * inputs * outputs)).bench_local(|| {
        linear::forward(shape, black_box(&x), &weight, None, &mut y);
    });
}

#[divan::bench(args = LINEARS)]
fn linear_backward(bencher: Bencher, &[rows, inputs, outputs]: &[usize; 3]) {
    let shape = LinearShape { rows, inputs, outputs };
    let (x, weight, grad_y) =
        (values(rows * inputs), values(inputs * outputs), values(rows * outputs));
    let (mut grad_x, mut grad_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    bencher.counter(ItemsCount::new(4 * rows * inputs * outputs)).bench_local(|| {
        let grads =
            LinearGrads { x: Some(&mut grad_x), weight: Some(&mut grad_weight), bias: None };
        linear::backward(shape, black_box(&x), &weight, &grad_y, grads);
    });
}

fn depthwise_shape(kernel: usize) -> DepthwiseShape {
    DepthwiseShape { batch: 8, height: 64, width: 64, channels: 64, kernel }
}

#[divan::bench(args = [3, 5, 7])]
fn depthwise_forward(bencher: Bencher, kernel: usize) {
    let shape = depthwise_shape(kernel);
    let (x, weight) = (values(shape.map_len()), values(shape.weight_len()));
    let mut y = vec![0.0; x.len()];
    bencher.counter(ItemsCount::new(2 * x.len() * kernel * kernel)).bench_local(|| {
        depthwise::forward(shape, black_box(&x), &weight, None, false, &mut y);
    });
}

#[divan::bench(args = [3, 5, 7])]
fn depthwise_backward(bencher: Bencher, kernel: usize) {
    let shape = depthwise_shape(kernel);
    let (x, weight) = (values(shape.map_len()), values(shape.weight_len()));
    let grad_y = values(x.len());
    let (mut grad_x, mut grad_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    bencher.counter(ItemsCount::new(4 * x.len() * kernel * kernel)).bench_local(|| {
        let grads =
            DepthwiseGrads { x: Some(&mut grad_x), weight: Some(&mut grad_weight), bias: None };
        depthwise::backward(shape, black_box(&x), &weight, &grad_y, grads);
    });
}

/// Rows and channels of `[8, 64, 64]` maps.
const ROWS: usize = 8 * 64 * 64;

#[divan::bench(args = [16, 32, 64])]
fn layer_norm_forward(bencher: Bencher, channels: usize) {
    let shape = LayerNormShape { rows: ROWS, channels, eps: 1e-5 };
    let (x, weight) = (values(ROWS * channels), values(channels));
    let mut y = vec![0.0; x.len()];
    bencher.counter(bytes(2 * x.len())).bench_local(|| {
        layer_norm::forward(shape, black_box(&x), &weight, &weight, &mut y);
    });
}

#[divan::bench(args = [16, 32, 64])]
fn layer_norm_backward(bencher: Bencher, channels: usize) {
    let shape = LayerNormShape { rows: ROWS, channels, eps: 1e-5 };
    let (x, weight, grad_y) = (values(ROWS * channels), values(channels), values(ROWS * channels));
    let mut grad_x = vec![0.0; x.len()];
    let (mut grad_weight, mut grad_bias) = (vec![0.0; channels], vec![0.0; channels]);
    bencher.counter(bytes(3 * x.len())).bench_local(|| {
        let grads =
            LayerNormGrads { x: &mut grad_x, weight: &mut grad_weight, bias: &mut grad_bias };
        layer_norm::backward(shape, black_box(&x), &weight, &grad_y, grads);
    });
}

#[divan::bench(args = [32, 64])]
fn norm_gate_forward(bencher: Bencher, channels: usize) {
    let shape = LayerNormShape { rows: ROWS, channels, eps: 1e-5 };
    let gate_shape = GateShape { stride: 2 * channels, offset: channels };
    let (x, gate, weight) =
        (values(ROWS * channels), values(ROWS * 2 * channels), values(channels));
    let mut y = vec![0.0; x.len()];
    bencher.counter(bytes(3 * x.len())).bench_local(|| {
        norm_gate(shape, gate_shape, black_box(&x), &gate, &weight, &weight, &mut y);
    });
}

#[divan::bench(args = [32, 64])]
fn norm_gate_backward_all(bencher: Bencher, channels: usize) {
    let shape = LayerNormShape { rows: ROWS, channels, eps: 1e-5 };
    let gate_shape = GateShape { stride: 2 * channels, offset: channels };
    let (x, gate, weight) =
        (values(ROWS * channels), values(ROWS * 2 * channels), values(channels));
    let (mut grad_x, mut grad_gate) = (vec![0.0; x.len()], vec![0.0; gate.len()]);
    let (mut grad_weight, mut grad_bias) = (vec![0.0; channels], vec![0.0; channels]);
    bencher.counter(bytes(5 * x.len())).bench_local(|| {
        let grads = NormGateGrads {
            x: &mut grad_x,
            gate: &mut grad_gate,
            weight: &mut grad_weight,
            bias: &mut grad_bias,
        };
        norm_gate_backward(shape, gate_shape, black_box(&x), &gate, &weight, &weight, &x, grads);
    });
}

fn instance_norm_shape() -> InstanceNormShape {
    InstanceNormShape { batch: 8, pixels: 64 * 64, channels: 64, eps: 1e-5 }
}

#[divan::bench]
fn instance_norm_silu_forward(bencher: Bencher) {
    let x = values(ROWS * 64);
    let mut y = vec![0.0; x.len()];
    bencher.counter(bytes(2 * x.len())).bench_local(|| {
        instance_norm::forward(instance_norm_shape(), black_box(&x), &mut y);
    });
}

#[divan::bench]
fn instance_norm_silu_backward(bencher: Bencher) {
    let (x, grad_y) = (values(ROWS * 64), values(ROWS * 64));
    let mut grad_x = vec![0.0; x.len()];
    bencher.counter(bytes(3 * x.len())).bench_local(|| {
        instance_norm::backward(instance_norm_shape(), black_box(&x), &grad_y, &mut grad_x);
    });
}

#[divan::bench(args = [Activation::None, Activation::Silu])]
fn batch_norm_forward_backward(bencher: Bencher, activation: Activation) {
    let shape = BatchNormShape { rows: 8 * 16 * 16, channels: 256, eps: 1e-5, activation };
    let (x, weight) = (values(shape.rows * 256), values(256));
    let (mut y, mut grad_x) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut grad_weight, mut grad_bias) = (vec![0.0; 256], vec![0.0; 256]);
    bencher.counter(bytes(5 * x.len())).bench_local(|| {
        let statistics = batch_norm::forward(shape, black_box(&x), &weight, &weight, &mut y);
        let grads =
            BatchNormGrads { x: &mut grad_x, weight: &mut grad_weight, bias: &mut grad_bias };
        batch_norm::backward(shape, &statistics, &x, &weight, &weight, &y, grads);
    });
}

const FUNCTIONS: [Pointwise; 3] = [Pointwise::Silu, Pointwise::Gelu, Pointwise::Sigmoid];

#[divan::bench(args = FUNCTIONS)]
fn activation_forward(bencher: Bencher, function: Pointwise) {
    let x = values(ROWS * 64);
    let mut y = vec![0.0; x.len()];
    bencher.counter(bytes(2 * x.len())).bench_local(|| {
        activation::forward(function, black_box(&x), &mut y);
    });
}

#[divan::bench(args = FUNCTIONS)]
fn activation_backward(bencher: Bencher, function: Pointwise) {
    let x = values(ROWS * 64);
    let mut grad_x = vec![0.0; x.len()];
    bencher.counter(bytes(3 * x.len())).bench_local(|| {
        activation::backward(function, black_box(&x), &x, &mut grad_x);
    });
}

#[divan::bench]
fn gelu_gate_forward(bencher: Bencher) {
    let x = values(ROWS * 128);
    let mut y = vec![0.0; ROWS * 64];
    bencher.counter(bytes(3 * y.len())).bench_local(|| {
        activation::gelu_gate(64, black_box(&x), &mut y);
    });
}

#[divan::bench]
fn gelu_gate_backward(bencher: Bencher) {
    let (x, grad_y) = (values(ROWS * 128), values(ROWS * 64));
    let mut grad_x = vec![0.0; x.len()];
    bencher.counter(bytes(5 * grad_y.len())).bench_local(|| {
        activation::gelu_gate_backward(64, black_box(&x), &grad_y, &mut grad_x);
    });
}

#[divan::bench]
fn max_pool(bencher: Bencher) {
    let shape = MaxPoolShape { batch: 8, height: 128, width: 128, channels: 64 };
    let x = values(shape.input_len());
    let mut y = vec![0.0; shape.output_len()];
    bencher.counter(bytes(x.len() + y.len())).bench_local(|| {
        pool::max_pool(shape, black_box(&x), &mut y);
    });
}
