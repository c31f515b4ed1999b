//! Fast path against plain twin, for every instruction set of the machine.

use crate::{any_selective, any_ss2d};
use mmad_kernels::scan::{
    Isa, reference, selective_scan_backward_with, selective_scan_forward_with, ss2d_backward_with,
    ss2d_features_backward_with, ss2d_features_forward_with, ss2d_forward_with,
};
use proptest::prelude::*;

/// The largest difference over the largest number, but over `floor` at least: sums of products
/// that cancel keep the rounding of what was summed.
fn error(got: &[f32], wanted: &[f64], floor: f64) -> f64 {
    assert_eq!(got.len(), wanted.len());
    let largest = wanted.iter().fold(floor, |max, x| max.max(x.abs()));
    let worst = got
        .iter()
        .zip(wanted)
        .map(|(&got, wanted)| (f64::from(got) - wanted).abs())
        .fold(0.0, |max: f64, x| if x > max || x.is_nan() { x } else { max });
    worst / largest
}

const OUTPUT: f64 = 1e-5;
const GRADIENT: f64 = 1e-5;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ss2d_equals_its_reference(case in any_ss2d()) {
        let wide = case.widen();
        let y = reference::ss2d(wide.shape, &wide.u, &wide.projected, &wide.params());
        let grads = reference::ss2d_backward(
            wide.shape, &wide.u, &wide.projected, &wide.params(), &wide.grad_y,
        );
        for isa in Isa::available() {
            let mut got = vec![f32::NAN; y.len()];
            ss2d_forward_with(isa, case.shape, &case.u, &case.projected, &case.params(), &mut got);
            prop_assert!(error(&got, &y, 0.1) <= OUTPUT, "{} y", isa.name());
            let got = ss2d_backward_with(
                isa, case.shape, &case.u, &case.projected, &case.params(), &case.grad_y,
            );
            for (name, got, wanted) in [
                ("u", &got.u, &grads.u),
                ("projected", &got.projected, &grads.projected),
                ("dt_weight", &got.dt_weight, &grads.dt_weight),
                ("dt_bias", &got.dt_bias, &grads.dt_bias),
                ("a_log", &got.a_log, &grads.a_log),
                ("d_skip", &got.d_skip, &grads.d_skip),
            ] {
                let error = error(got, wanted, 0.1);
                prop_assert!(error <= GRADIENT, "{} {name}: {error:.1e}", isa.name());
            }
        }
    }

    #[test]
    fn ss2d_from_features_equals_its_reference(case in any_ss2d()) {
        prop_assume!(case.shape.rank > 0);
        let wide = case.widen();
        let (shape, params) = (wide.shape, wide.params());
        let y = reference::ss2d_features(shape, &wide.u, &wide.projection, &params);
        let grads = reference::ss2d_features_backward(
            shape, &wide.u, &wide.projection, &params, &wide.grad_y,
        );
        for isa in Isa::available() {
            let (u, projection, params) = (&case.u, &case.projection, case.params());
            let mut got = vec![f32::NAN; y.len()];
            ss2d_features_forward_with(isa, shape, u, projection, &params, &mut got);
            prop_assert!(error(&got, &y, 0.1) <= OUTPUT, "{} y", isa.name());
            let got =
                ss2d_features_backward_with(isa, shape, u, projection, &params, &case.grad_y);
            for (name, got, wanted) in [
                ("u", &got.u, &grads.u),
                ("projection", &got.projection, &grads.projection),
                ("dt_weight", &got.dt_weight, &grads.dt_weight),
                ("dt_bias", &got.dt_bias, &grads.dt_bias),
                ("a_log", &got.a_log, &grads.a_log),
                ("d_skip", &got.d_skip, &grads.d_skip),
            ] {
                let error = error(got, wanted, 0.1);
                prop_assert!(error <= GRADIENT, "{} {name}: {error:.1e}", isa.name());
            }
        }
    }

    #[test]
    fn selective_scan_equals_its_reference(case in any_selective()) {
        let wide = case.widen();
        let y = reference::selective_scan(wide.shape, &wide.inputs());
        let grads = reference::selective_scan_backward(wide.shape, &wide.inputs(), &wide.grad_y);
        for isa in Isa::available() {
            let mut got = vec![f32::NAN; y.len()];
            selective_scan_forward_with(isa, case.shape, &case.inputs(), &mut got);
            prop_assert!(error(&got, &y, 0.1) <= OUTPUT, "{} y", isa.name());
            let got = selective_scan_backward_with(isa, case.shape, &case.inputs(), &case.grad_y);
            for (name, got, wanted) in [
                ("u", &got.u, &grads.u),
                ("delta", &got.delta, &grads.delta),
                ("a", &got.a, &grads.a),
                ("b", &got.b, &grads.b),
                ("c", &got.c, &grads.c),
                ("d", &got.d, &grads.d),
                ("delta_bias", &got.delta_bias, &grads.delta_bias),
            ] {
                let error = error(got, wanted, 0.1);
                prop_assert!(error <= GRADIENT, "{} {name}: {error:.1e}", isa.name());
            }
        }
    }
}
