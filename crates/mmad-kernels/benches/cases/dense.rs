//! Convolutions and linear layers.

use std::hint::black_box;

use mmad_kernels::conv2d::{self, ConvGrads, ConvShape, PackedConv};
use mmad_kernels::depthwise::{self, DepthwiseGrads, DepthwiseShape};
use mmad_kernels::linear::{self, LinearGrads, LinearShape};
use mmad_kernels::precision::{Precision, has_bf16_unit};

use super::{Entry, Work, values};

/// Pictures, channels in, channels out, side of the square map, kernel, stride, dilation.
const CONVOLUTIONS: [[usize; 7]; 11] = [
    [8, 3, 64, 256, 7, 2, 1],
    [1, 64, 64, 64, 3, 1, 1],
    [8, 64, 64, 64, 3, 1, 1],
    [1, 128, 128, 32, 3, 1, 1],
    [8, 128, 128, 32, 3, 1, 1],
    [1, 256, 256, 16, 3, 1, 1],
    [8, 256, 256, 16, 3, 1, 1],
    [8, 256, 256, 16, 3, 1, 3],
    [8, 256, 256, 16, 3, 1, 5],
    [8, 256, 512, 16, 3, 2, 1],
    [8, 64, 64, 64, 1, 1, 1],
];

/// Rows, inputs, outputs.
const LINEARS: [[usize; 3]; 7] = [
    [32_768, 16, 64],
    [32_768, 32, 16],
    [32_768, 64, 64],
    [8192, 128, 128],
    [2048, 64, 256],
    [2048, 256, 256],
    [512, 512, 1024],
];

pub(super) fn entries() -> Vec<Entry> {
    let convolutions = CONVOLUTIONS.into_iter().flat_map(|sizes| {
        let [batch, n_in, n_out, side, kernel, stride, dilation] = sizes;
        let size = format!(
            "{kernel}x{kernel}/{stride} dilation {dilation} [{batch}, {side}, {side}, {n_in}] to {n_out}"
        );
        [
            Entry::new(format!("conv2d forward {size}"), move || {
                conv2d_forward(conv_shape(sizes), Precision::F32)
            }),
            Entry::new(format!("conv2d bf16 forward {size}"), move || {
                conv2d_forward(conv_shape(sizes), Precision::Bf16)
            }),
            Entry::new(format!("conv2d f16 forward {size}"), move || {
                conv2d_forward(conv_shape(sizes), Precision::F16)
            }),
            Entry::new(format!("conv2d backward x {size}"), move || {
                conv2d_backward(conv_shape(sizes), true)
            }),
            Entry::new(format!("conv2d backward weight {size}"), move || {
                conv2d_backward(conv_shape(sizes), false)
            }),
        ]
    });
    let linears = LINEARS.into_iter().flat_map(|[rows, inputs, outputs]| {
        let shape = LinearShape { rows, inputs, outputs };
        let size = format!("[{rows}, {inputs}] to {outputs}");
        [
            Entry::new(format!("linear forward {size}"), move || linear_forward(shape)),
            Entry::new(format!("linear backward {size}"), move || linear_backward(shape)),
        ]
    });
    let depthwise = [3, 5, 7].into_iter().flat_map(|kernel| {
        let shape = DepthwiseShape { batch: 8, height: 64, width: 64, channels: 64, kernel };
        let size = format!("{kernel}x{kernel} [8, 64, 64, 64]");
        [
            Entry::new(format!("depthwise forward {size}"), move || depthwise_forward(shape)),
            Entry::new(format!("depthwise backward {size}"), move || depthwise_backward(shape)),
        ]
    });
    convolutions.chain(linears).chain(depthwise).collect()
}

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

fn conv_values(shape: ConvShape) -> usize {
    shape.input_len() + shape.output_len() + shape.weight_len()
}

fn conv2d_forward(shape: ConvShape, precision: Precision) -> Work {
    let (x, weight) = (values(shape.input_len()), values(shape.weight_len()));
    let packed = PackedConv::rounded(shape, &weight, None, precision);
    let mut y = vec![0.0; shape.output_len()];
    let map = [shape.batch, shape.height, shape.width];
    // Hardware for `bf16` is busy with a pair for as long as with one multiply-add, and reads half
    // the weight.
    let is_fast = precision == Precision::Bf16 && has_bf16_unit();
    let (flop, saved) = match is_fast {
        true => (conv_flop(shape) / 2, weight.len() / 2),
        false => (conv_flop(shape), 0),
    };
    Work::new(flop, conv_values(shape) - saved, move || {
        packed.forward(map, black_box(&x), None, true, &mut y);
    })
}

fn conv2d_backward(shape: ConvShape, of_x: bool) -> Work {
    let (x, weight) = (values(shape.input_len()), values(shape.weight_len()));
    let grad_y = values(shape.output_len());
    let mut grad = vec![0.0; if of_x { x.len() } else { weight.len() }];
    Work::new(conv_flop(shape), conv_values(shape), move || {
        let (x, weight) = (black_box(&x), black_box(&weight));
        let grads = if of_x {
            ConvGrads { x: Some(&mut grad), ..ConvGrads::default() }
        } else {
            ConvGrads { weight: Some(&mut grad), ..ConvGrads::default() }
        };
        conv2d::backward(shape, x, weight, &grad_y, grads);
    })
}

fn linear_forward(shape: LinearShape) -> Work {
    let LinearShape { rows, inputs, outputs } = shape;
    let (x, weight) = (values(rows * inputs), values(inputs * outputs));
    let mut y = vec![0.0; rows * outputs];
    let n_values = x.len() + weight.len() + y.len();
    Work::new(2 * rows * inputs * outputs, n_values, move || {
        linear::forward(shape, black_box(&x), &weight, None, &mut y);
    })
}

fn linear_backward(shape: LinearShape) -> Work {
    let LinearShape { rows, inputs, outputs } = shape;
    let (x, weight, grad_y) =
        (values(rows * inputs), values(inputs * outputs), values(rows * outputs));
    let (mut grad_x, mut grad_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    let n_values = 2 * x.len() + 2 * weight.len() + grad_y.len();
    Work::new(4 * rows * inputs * outputs, n_values, move || {
        let grads =
            LinearGrads { x: Some(&mut grad_x), weight: Some(&mut grad_weight), bias: None };
        linear::backward(shape, black_box(&x), &weight, &grad_y, grads);
    })
}

fn depthwise_forward(shape: DepthwiseShape) -> Work {
    let (x, weight) = (values(shape.map_len()), values(shape.weight_len()));
    let mut y = vec![0.0; x.len()];
    Work::new(2 * x.len() * shape.kernel * shape.kernel, 2 * x.len(), move || {
        depthwise::forward(shape, (black_box(&x), shape.channels), &weight, None, false, &mut y);
    })
}

fn depthwise_backward(shape: DepthwiseShape) -> Work {
    let (x, weight, grad_y) =
        (values(shape.map_len()), values(shape.weight_len()), values(shape.map_len()));
    let (mut grad_x, mut grad_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    Work::new(4 * x.len() * shape.kernel * shape.kernel, 3 * x.len(), move || {
        let grads =
            DepthwiseGrads { x: Some(&mut grad_x), weight: Some(&mut grad_weight), bias: None };
        depthwise::backward(shape, black_box(&x), &weight, &grad_y, grads);
    })
}
