//! The whole SS2D module around the two-dimensional scan: output and the gradients of everything
//! that passes through the scan.

use crate::Golden;
use crate::ss2d_module::{Module, sum_outer};
use mmad_kernels::orders::{DirectionTable, ScanOrder};
use mmad_kernels::scan::{Isa, Ss2dParams, Ss2dShape, ss2d_backward_with, ss2d_forward_with};

/// Every SS2D file: scan order, directions, width, size.
const FILES: [(ScanOrder, usize, usize, usize); 10] = [
    (ScanOrder::Hilbert, 2, 16, 8),
    (ScanOrder::Hilbert, 4, 16, 8),
    (ScanOrder::Hilbert, 8, 16, 8),
    (ScanOrder::Scan, 8, 16, 8),
    (ScanOrder::Scan, 8, 40, 4),
    (ScanOrder::Sweep, 8, 16, 8),
    (ScanOrder::Zigzag, 4, 16, 8),
    (ScanOrder::Zigzag, 8, 16, 8),
    (ScanOrder::Zorder, 2, 16, 8),
    (ScanOrder::Zorder, 8, 16, 8),
];

fn narrow(wide: &[f64]) -> Vec<f32> {
    wide.iter().map(|&x| x as f32).collect()
}

fn widen(narrow: &[f32]) -> Vec<f64> {
    narrow.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn ss2d_equals_the_module_of_the_reference() {
    for (order, directions, width, size) in FILES {
        let name = format!("03_ss2d_{order}_k{directions}_d{width}_s{size}");
        let Some(golden) = Golden::read(&name) else { return };
        let table = DirectionTable::new(order, size, size, directions).unwrap();
        let module = Module::read(&golden);
        let seen = module.before_scan(&golden.f64("input"));
        let shape = Ss2dShape {
            batch: golden.shape("input")[0],
            pixels: size * size,
            channels: 2 * width,
            directions,
            rank: width.div_ceil(16),
            states: 16,
        };
        let [dt_weight, dt_bias, a_log, d_skip] =
            ["dt_projs_weight", "dt_projs_bias", "A_logs", "Ds"]
                .map(|key| golden.f32(&format!("weight.{key}")));
        let params = Ss2dParams {
            orders: table.orders(),
            dt_weight: &dt_weight,
            dt_bias: &dt_bias,
            a_log: &a_log,
            d_skip: &d_skip,
        };
        let (u, projected) = (narrow(&seen.u), narrow(&seen.projected));
        for isa in Isa::available() {
            println!("{}", isa.name());
            let mut y = vec![f32::NAN; u.len()];
            ss2d_forward_with(isa, shape, &u, &projected, &params, &mut y);
            let after = module.after_scan(&widen(&y), &seen);
            golden.check("output", &after.output, 1e-5);

            let grad_y = module.grad_of_scan(&golden.f64("cotangent"), &after, &seen);
            let grads = ss2d_backward_with(isa, shape, &u, &projected, &params, &narrow(&grad_y));
            golden.check("grad.dt_projs_weight", &grads.dt_weight, 1e-5);
            golden.check("grad.dt_projs_bias", &grads.dt_bias, 1e-5);
            golden.check("grad.A_logs", &grads.a_log, 1e-5);
            golden.check("grad.Ds", &grads.d_skip, 1e-5);
            let of_projected = widen(&grads.projected);
            let columns = shape.directions * shape.row();
            let of_x_proj = sum_outer(&of_projected, columns, &seen.u, shape.channels);
            golden.check("grad.x_proj_weight", &of_x_proj, 1e-5);
            let of_bias = module.grad_of_conv_bias(&widen(&grads.u), &of_projected, &seen);
            golden.check("grad.conv2d.bias", &of_bias, 1e-5);
        }
    }
}
