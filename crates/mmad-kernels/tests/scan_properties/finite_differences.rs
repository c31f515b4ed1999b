//! The gradients of the plain twins against differences of their values.

use crate::{Numbers, Selective, Ss2d, widen};
use mmad_kernels::scan::{SelectiveScanShape, Ss2dShape, reference};

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Compares `<gradient, step>` with the central difference of `value` along `step`.
#[track_caller]
fn check(name: &str, gradient: &[f64], mut value: impl FnMut(&[f64], f64) -> f64) {
    const SIZE: f64 = 1e-5;
    let step = widen(&Numbers(gradient.len() as u64).take(gradient.len(), 0.0, 1.0));
    let slope = (value(&step, SIZE) - value(&step, -SIZE)) / (2.0 * SIZE);
    let wanted = dot(gradient, &step);
    let error = (slope - wanted).abs() / wanted.abs().max(1.0);
    assert!(error < 1e-7, "{name}: slope {slope}, gradient {wanted}");
}

fn moved(from: &[f64], step: &[f64], size: f64) -> Vec<f64> {
    from.iter().zip(step).map(|(x, step)| x + size * step).collect()
}

#[test]
fn gradients_of_the_selective_scan_reference() {
    let shape = SelectiveScanShape { batch: 2, channels: 6, length: 9, states: 5, groups: 2 };
    for softplus in [true, false] {
        let case = Selective::new(shape, softplus, 7).widen();
        let of = reference::selective_scan_backward(shape, &case.inputs(), &case.grad_y);
        let grads = [&of.u, &of.delta, &of.a, &of.b, &of.c, &of.d, &of.delta_bias];
        let names = ["u", "delta", "a", "b", "c", "d", "delta_bias"];
        for (i, (name, grad)) in names.iter().zip(grads).enumerate() {
            check(name, grad, |step, size| {
                let mut case = case.clone();
                case.tensors[i] = moved(&case.tensors[i], step, size);
                dot(&reference::selective_scan(shape, &case.inputs()), &case.grad_y)
            });
        }
    }
}

/// One tensor of a case.
type Field = fn(&mut Ss2d<f64>) -> &mut Vec<f64>;

#[test]
fn gradients_of_the_ss2d_reference() {
    let shape = Ss2dShape { batch: 2, pixels: 7, channels: 5, directions: 3, rank: 2, states: 3 };
    let case = Ss2d::new(shape, 8).widen();
    let of =
        reference::ss2d_backward(shape, &case.u, &case.projected, &case.params(), &case.grad_y);
    let fields: [(&str, &[f64], Field); 6] = [
        ("u", &of.u, |case| &mut case.u),
        ("projected", &of.projected, |case| &mut case.projected),
        ("dt_weight", &of.dt_weight, |case| &mut case.dt_weight),
        ("dt_bias", &of.dt_bias, |case| &mut case.dt_bias),
        ("a_log", &of.a_log, |case| &mut case.a_log),
        ("d_skip", &of.d_skip, |case| &mut case.d_skip),
    ];
    for (name, grad, field) in fields {
        check(name, grad, |step, size| {
            let mut case = case.clone();
            let tensor = field(&mut case);
            *tensor = moved(tensor, step, size);
            dot(&reference::ss2d(shape, &case.u, &case.projected, &case.params()), &case.grad_y)
        });
    }
}
