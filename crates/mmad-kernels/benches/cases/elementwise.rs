//! Norms, activations and pooling, all limited by memory.

use std::hint::black_box;

use mmad_kernels::activation::{self, Activation, Pointwise};
use mmad_kernels::batch_norm::{self, BatchNormGrads, BatchNormShape};
use mmad_kernels::instance_norm::{self, InstanceNormShape};
use mmad_kernels::layer_norm::{
    self, GateShape, LayerNormGrads, LayerNormShape, NormGateGrads, norm_gate, norm_gate_backward,
};
use mmad_kernels::pool::{self, MaxPoolShape};

use super::{Entry, Work, values};

/// Rows of `[8, 64, 64]` maps.
const ROWS: usize = 8 * 64 * 64;

pub(super) fn entries() -> Vec<Entry> {
    let layer_norms = [16, 32, 64].into_iter().flat_map(|channels| {
        let shape = LayerNormShape { rows: ROWS, channels, eps: 1e-5 };
        let size = format!("[{ROWS}, {channels}]");
        [
            Entry::new(format!("layer norm forward {size}"), move || layer_norm_forward(shape)),
            Entry::new(format!("layer norm backward {size}"), move || layer_norm_backward(shape)),
        ]
    });
    let gates = [32, 64].into_iter().flat_map(|channels| {
        let shape = LayerNormShape { rows: ROWS, channels, eps: 1e-5 };
        let size = format!("[{ROWS}, {channels}]");
        [
            Entry::new(format!("norm gate forward {size}"), move || gate_forward(shape)),
            Entry::new(format!("norm gate backward {size}"), move || gate_backward(shape)),
        ]
    });
    let functions = [Pointwise::Silu, Pointwise::Gelu, Pointwise::Sigmoid];
    let functions = functions.into_iter().flat_map(|function| {
        [
            Entry::new(format!("{function:?} forward"), move || activation_forward(function)),
            Entry::new(format!("{function:?} backward"), move || activation_backward(function)),
        ]
    });
    let batch_norms = [Activation::None, Activation::Silu].into_iter().map(|activation| {
        let name = format!("batch norm, {activation:?}, forward and backward [2048, 256]");
        Entry::new(name, move || batch_norm_both(activation))
    });
    let others = [
        Entry::new("instance norm SiLU forward [8, 64, 64, 64]".into(), instance_norm_forward),
        Entry::new("instance norm SiLU backward [8, 64, 64, 64]".into(), instance_norm_backward),
        Entry::new("gelu gate forward [32768, 128]".into(), gelu_gate_forward),
        Entry::new("gelu gate backward [32768, 128]".into(), gelu_gate_backward),
        Entry::new("max pool [8, 128, 128, 64]".into(), max_pool),
    ];
    layer_norms.chain(gates).chain(functions).chain(batch_norms).chain(others).collect()
}

fn layer_norm_forward(shape: LayerNormShape) -> Work {
    let (x, weight) = (values(shape.rows * shape.channels), values(shape.channels));
    let mut y = vec![0.0; x.len()];
    Work::new(0, 2 * x.len(), move || {
        layer_norm::forward(shape, black_box(&x), &weight, &weight, &mut y);
    })
}

fn layer_norm_backward(shape: LayerNormShape) -> Work {
    let channels = shape.channels;
    let (x, weight) = (values(shape.rows * channels), values(channels));
    let mut grad_x = vec![0.0; x.len()];
    let (mut grad_weight, mut grad_bias) = (vec![0.0; channels], vec![0.0; channels]);
    Work::new(0, 3 * x.len(), move || {
        let grads =
            LayerNormGrads { x: &mut grad_x, weight: &mut grad_weight, bias: &mut grad_bias };
        layer_norm::backward(shape, black_box(&x), &weight, &x, grads);
    })
}

fn gate_of(shape: LayerNormShape) -> GateShape {
    GateShape { stride: 2 * shape.channels, offset: shape.channels }
}

fn gate_forward(shape: LayerNormShape) -> Work {
    let n_values = shape.rows * shape.channels;
    let (x, gate, weight) = (values(n_values), values(2 * n_values), values(shape.channels));
    let mut y = vec![0.0; x.len()];
    Work::new(0, 3 * x.len(), move || {
        norm_gate(shape, gate_of(shape), black_box(&x), &gate, &weight, &weight, &mut y);
    })
}

fn gate_backward(shape: LayerNormShape) -> Work {
    let channels = shape.channels;
    let n_values = shape.rows * channels;
    let (x, gate, weight) = (values(n_values), values(2 * n_values), values(channels));
    let (mut grad_x, mut grad_gate) = (vec![0.0; x.len()], vec![0.0; gate.len()]);
    let (mut grad_weight, mut grad_bias) = (vec![0.0; channels], vec![0.0; channels]);
    Work::new(0, 5 * x.len(), move || {
        let grads = NormGateGrads {
            x: &mut grad_x,
            gate: &mut grad_gate,
            weight: &mut grad_weight,
            bias: &mut grad_bias,
        };
        let x = black_box(&x);
        norm_gate_backward(shape, gate_of(shape), x, &gate, &weight, &weight, x, grads);
    })
}

fn instance_norm_shape() -> InstanceNormShape {
    InstanceNormShape { batch: 8, pixels: 64 * 64, channels: 64, eps: 1e-5 }
}

fn instance_norm_forward() -> Work {
    let x = values(ROWS * 64);
    let mut y = vec![0.0; x.len()];
    Work::new(0, 2 * x.len(), move || {
        instance_norm::forward(instance_norm_shape(), black_box(&x), &mut y);
    })
}

fn instance_norm_backward() -> Work {
    let x = values(ROWS * 64);
    let mut grad_x = vec![0.0; x.len()];
    Work::new(0, 3 * x.len(), move || {
        instance_norm::backward(instance_norm_shape(), black_box(&x), &x, &mut grad_x);
    })
}

fn batch_norm_both(activation: Activation) -> Work {
    let shape = BatchNormShape { rows: 8 * 16 * 16, channels: 256, eps: 1e-5, activation };
    let (x, weight) = (values(shape.rows * 256), values(256));
    let (mut y, mut grad_x) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut grad_weight, mut grad_bias) = (vec![0.0; 256], vec![0.0; 256]);
    Work::new(0, 5 * x.len(), move || {
        let statistics = batch_norm::forward(shape, black_box(&x), &weight, &weight, &mut y);
        let grads =
            BatchNormGrads { x: &mut grad_x, weight: &mut grad_weight, bias: &mut grad_bias };
        batch_norm::backward(shape, &statistics, &x, &weight, &weight, &y, grads);
    })
}

fn activation_forward(function: Pointwise) -> Work {
    let x = values(ROWS * 64);
    let mut y = vec![0.0; x.len()];
    Work::new(0, 2 * x.len(), move || activation::forward(function, black_box(&x), &mut y))
}

fn activation_backward(function: Pointwise) -> Work {
    let x = values(ROWS * 64);
    let mut grad_x = vec![0.0; x.len()];
    Work::new(0, 3 * x.len(), move || {
        activation::backward(function, black_box(&x), &x, &mut grad_x);
    })
}

fn gelu_gate_forward() -> Work {
    let x = values(ROWS * 128);
    let mut y = vec![0.0; ROWS * 64];
    Work::new(0, 3 * y.len(), move || activation::gelu_gate(64, black_box(&x), &mut y))
}

fn gelu_gate_backward() -> Work {
    let (x, grad_y) = (values(ROWS * 128), values(ROWS * 64));
    let mut grad_x = vec![0.0; x.len()];
    Work::new(0, 5 * grad_y.len(), move || {
        activation::gelu_gate_backward(64, black_box(&x), &grad_y, &mut grad_x);
    })
}

fn max_pool() -> Work {
    let shape = MaxPoolShape { batch: 8, height: 128, width: 128, channels: 64 };
    let x = values(shape.input_len());
    let mut y = vec![0.0; shape.output_len()];
    Work::new(0, x.len() + y.len(), move || pool::max_pool(shape, black_box(&x), &mut y))
}
