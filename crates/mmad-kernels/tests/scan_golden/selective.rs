//! The general scan and its seven gradients.

use crate::Golden;
use mmad_kernels::scan::{
    Isa, SelectiveScanInputs, SelectiveScanShape, reference, selective_scan_backward_with,
    selective_scan_forward_with,
};

/// The three cases of the file: `[B, D, L, N, G]`.
const CASES: [[usize; 5]; 3] = [[1, 4, 1, 16, 1], [2, 6, 13, 4, 2], [2, 16, 64, 16, 8]];

const TENSORS: [&str; 7] = ["u", "delta", "A", "B", "C", "D", "delta_bias"];

fn shape(case: usize) -> SelectiveScanShape {
    let [batch, channels, length, states, groups] = CASES[case];
    SelectiveScanShape { batch, channels, length, states, groups }
}

fn inputs<T>(tensors: &[Vec<T>; 7]) -> SelectiveScanInputs<'_, T> {
    let [u, delta, a, b, c, d, delta_bias] = tensors;
    SelectiveScanInputs { u, delta, a, b, c, d, delta_bias, delta_softplus: true }
}

#[test]
fn the_reference_twin_equals_64_bit_autograd() {
    let Some(golden) = Golden::read("02_selective_scan") else { return };
    for case in 0..CASES.len() {
        let key = |name: &str| format!("s{case}.{name}");
        let tensors = TENSORS.map(|name| golden.f64(&key(name)));
        let (shape, inputs) = (shape(case), inputs(&tensors));
        golden.check(&key("y.f64"), &reference::selective_scan(shape, &inputs), 1e-12);
        let grad_y = golden.f64(&key("cotangent"));
        let grads = reference::selective_scan_backward(shape, &inputs, &grad_y);
        let grads = [grads.u, grads.delta, grads.a, grads.b, grads.c, grads.d, grads.delta_bias];
        for (name, grad) in TENSORS.iter().zip(&grads) {
            golden.check(&key(&format!("grad.{name}.f64")), grad, 1e-12);
        }
    }
}

#[test]
fn the_fast_scan_equals_64_bit_autograd() {
    let Some(golden) = Golden::read("02_selective_scan") else { return };
    for isa in Isa::available() {
        println!("{}", isa.name());
        for case in 0..CASES.len() {
            let key = |name: &str| format!("s{case}.{name}");
            let tensors = TENSORS.map(|name| golden.f32(&key(name)));
            let (shape, inputs) = (shape(case), inputs(&tensors));
            let mut y = vec![f32::NAN; inputs.u.len()];
            selective_scan_forward_with(isa, shape, &inputs, &mut y);
            golden.check(&key("y.f64"), &y, 1e-5);
            let grad_y = golden.f32(&key("cotangent"));
            let grads = selective_scan_backward_with(isa, shape, &inputs, &grad_y);
            let grads =
                [grads.u, grads.delta, grads.a, grads.b, grads.c, grads.d, grads.delta_bias];
            for (name, grad) in TENSORS.iter().zip(&grads) {
                golden.check(&key(&format!("grad.{name}.f64")), grad, 1e-5);
            }
        }
    }
}
