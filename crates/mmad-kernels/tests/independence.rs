//! What a picture becomes depends on the picture alone: not on its company in the batch, and not
//! on bad values elsewhere.

use mmad_kernels::activation::gelu_gate;
use mmad_kernels::conv2d::{ConvEpilogue, ConvShape, forward as convolve};
use mmad_kernels::depthwise::{self, DepthwiseShape};
use mmad_kernels::instance_norm::{self, InstanceNormShape};
use mmad_kernels::layer_norm::{GateShape, LayerNormShape, norm_gate};
use mmad_kernels::pool::{MaxPoolShape, max_pool};

const HEIGHT: usize = 13;
const WIDTH: usize = 9;

/// `len` values between -1 and 1.
fn values(len: usize) -> Vec<f32> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

/// Fails unless `run(batch, x)` gives every picture the same bits in a batch of three as alone.
#[track_caller]
fn assert_alone_as_in_company(channels: usize, run: impl Fn(usize, &[f32]) -> Vec<f32>) {
    let picture_len = HEIGHT * WIDTH * channels;
    let x = values(3 * picture_len);
    let together = run(3, &x);
    let alone: Vec<f32> = x.chunks(picture_len).flat_map(|picture| run(1, picture)).collect();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&together), bits(&alone));
}

fn conv_shape(batch: usize, in_channels: usize, kernel: usize, stride: usize) -> ConvShape {
    ConvShape {
        batch,
        height: HEIGHT,
        width: WIDTH,
        in_channels,
        out_channels: 70,
        kernel,
        stride,
        padding: kernel / 2,
        dilation: 1,
    }
}

fn run_conv(shape: ConvShape, x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; shape.output_len()];
    convolve(shape, x, &values(shape.weight_len()), &ConvEpilogue::default(), &mut y);
    y
}

#[test]
fn convolutions() {
    for (in_channels, kernel, stride) in [(3, 7, 2), (20, 3, 1), (20, 3, 2), (33, 1, 1)] {
        assert_alone_as_in_company(in_channels, |batch, x| {
            run_conv(conv_shape(batch, in_channels, kernel, stride), x)
        });
    }
}

#[test]
fn depthwise_convolutions() {
    assert_alone_as_in_company(37, |batch, x| {
        let shape = DepthwiseShape { batch, height: HEIGHT, width: WIDTH, channels: 37, kernel: 5 };
        let mut y = vec![0.0; x.len()];
        depthwise::forward(
            shape,
            (x, shape.channels),
            &values(shape.weight_len()),
            None,
            true,
            &mut y,
        );
        y
    });
}

#[test]
fn norms_and_gates() {
    assert_alone_as_in_company(38, |batch, x| {
        let pixels = HEIGHT * WIDTH;
        let mut normed = vec![0.0; x.len()];
        let shape = InstanceNormShape { batch, pixels, channels: 38, eps: 1e-5 };
        instance_norm::forward(shape, x, &mut normed);
        let mut halved = vec![0.0; x.len() / 2];
        gelu_gate(19, &normed, &mut halved);
        let mut gated = vec![0.0; halved.len()];
        let shape = LayerNormShape { rows: batch * pixels, channels: 19, eps: 1e-5 };
        let gate_shape = GateShape { stride: 38, offset: 19 };
        norm_gate(shape, gate_shape, &halved, x, &values(19), &values(19), &mut gated);
        gated
    });
}

#[test]
fn pooling() {
    assert_alone_as_in_company(21, |batch, x| {
        let shape = MaxPoolShape { batch, height: HEIGHT, width: WIDTH, channels: 21 };
        let mut y = vec![0.0; shape.output_len()];
        max_pool(shape, x, &mut y);
        y
    });
}

/// One bad value reaches exactly the pixels whose kernel covers it, in all their channels.
#[test]
fn a_bad_pixel_spoils_only_what_sees_it() {
    for bad in [f32::NAN, f32::INFINITY] {
        let (row, column) = (5, 0);
        let shape = conv_shape(2, 20, 3, 1);
        let mut x = values(shape.input_len());
        x[(row * WIDTH + column) * 20 + 7] = bad;
        for (i, y) in run_conv(shape, &x).iter().enumerate() {
            let pixel = i / shape.out_channels;
            let near =
                pixel / WIDTH >= row - 1 && pixel / WIDTH <= row + 1 && pixel % WIDTH <= column + 1;
            assert_eq!(!y.is_finite(), near, "pixel {pixel}");
        }
    }
}
