//! What must not change a result, and what must be refused.

use crate::{Selective, Ss2d, any_selective, any_ss2d};
use mmad_kernels::scan::{
    Isa, PackedSs2d, SelectiveScanGrads, SelectiveScanShape, Ss2dFeatureGrads, Ss2dGrads,
    Ss2dShape, selective_scan_backward, selective_scan_forward, ss2d_backward, ss2d_backward_with,
    ss2d_features_backward, ss2d_features_backward_with, ss2d_features_forward,
    ss2d_features_forward_noting_with, ss2d_forward, ss2d_forward_with,
};
use proptest::prelude::*;

fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

fn run_ss2d(case: &Ss2d) -> (Vec<f32>, Ss2dGrads) {
    let mut y = vec![f32::NAN; case.u.len()];
    ss2d_forward(case.shape, &case.u, &case.projected, &case.params(), &mut y);
    let params = case.params();
    (y, ss2d_backward(case.shape, &case.u, &case.projected, &params, &case.grad_y))
}

fn run_features(case: &Ss2d) -> (Vec<f32>, Ss2dFeatureGrads) {
    let (shape, params) = (case.shape, case.params());
    let mut y = vec![f32::NAN; case.u.len()];
    ss2d_features_forward(shape, &case.u, &case.projection, &params, &mut y);
    (y, ss2d_features_backward(shape, &case.u, &case.projection, &params, None, &case.grad_y))
}

fn run_selective(case: &Selective) -> (Vec<f32>, SelectiveScanGrads) {
    let mut y = vec![f32::NAN; case.grad_y.len()];
    selective_scan_forward(case.shape, &case.inputs(), &mut y);
    (y, selective_scan_backward(case.shape, &case.inputs(), &case.grad_y))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn ss2d_has_the_same_bits_for_any_number_of_threads(case in any_ss2d()) {
        let alone = with_threads(1, || run_ss2d(&case));
        for threads in [2, 3] {
            prop_assert_eq!(&alone, &with_threads(threads, || run_ss2d(&case)));
        }
    }

    #[test]
    fn ss2d_from_features_has_the_same_bits_for_any_number_of_threads(case in any_ss2d()) {
        prop_assume!(case.shape.rank > 0);
        let alone = with_threads(1, || run_features(&case));
        for threads in [2, 3, 8] {
            prop_assert_eq!(&alone, &with_threads(threads, || run_features(&case)));
        }
    }

    #[test]
    fn noted_states_change_no_bit(case in any_ss2d()) {
        prop_assume!(case.shape.rank > 0);
        let alone = run_features(&case);
        for isa in Isa::available() {
            let (shape, u, projection, params) =
                (case.shape, &case.u, &case.projection, case.params());
            let mut y = vec![f32::NAN; u.len()];
            let noted = ss2d_features_forward_noting_with(isa, shape, u, projection, &params, &mut y);
            let noted = Some(&noted);
            let grads =
                ss2d_features_backward(shape, u, projection, &params, noted, &case.grad_y);
            let wanted =
                ss2d_features_backward_with(isa, shape, u, projection, &params, &case.grad_y);
            prop_assert_eq!(&grads, &wanted, "{}", isa.name());
            if isa.name() == Isa::best().name() {
                prop_assert_eq!(&(y, grads), &alone);
            }
        }
    }

    #[test]
    fn a_packed_scan_gives_the_same_bits(case in any_ss2d()) {
        prop_assume!(case.shape.rank > 0);
        let (shape, params) = (case.shape, case.params());
        let layer = Ss2dShape { batch: 1, pixels: 1, ..shape };
        let packed = PackedSs2d::new(layer, &case.projection, &params);
        let mut y = vec![f32::NAN; case.u.len()];
        packed.forward([shape.batch, shape.pixels], &case.u, params.orders, &mut y);
        prop_assert_eq!(&y, &run_features(&case).0);
    }

    #[test]
    fn selective_scan_has_the_same_bits_for_any_number_of_threads(case in any_selective()) {
        let alone = with_threads(1, || run_selective(&case));
        for threads in [2, 3] {
            prop_assert_eq!(&alone, &with_threads(threads, || run_selective(&case)));
        }
    }

    #[test]
    fn a_picture_has_the_same_bits_alone_and_in_a_batch(case in any_ss2d()) {
        let (y, grads) = with_threads(2, || run_ss2d(&case));
        let batch = case.shape.batch;
        let part = |all: &[f32], i: usize| all[i * all.len() / batch..][..all.len() / batch].to_vec();
        for i in 0..batch {
            let single = Ss2d {
                shape: Ss2dShape { batch: 1, ..case.shape },
                u: part(&case.u, i),
                projected: part(&case.projected, i),
                grad_y: part(&case.grad_y, i),
                ..case.clone()
            };
            let (y_alone, grads_alone) = with_threads(2, || run_ss2d(&single));
            prop_assert_eq!(y_alone, part(&y, i));
            prop_assert_eq!(grads_alone.u, part(&grads.u, i));
            prop_assert_eq!(grads_alone.projected, part(&grads.projected, i));
        }
    }
}

#[test]
fn a_number_that_is_none_spreads_along_the_scan_and_no_further() {
    let shape =
        Ss2dShape { batch: 2, pixels: 40, channels: 19, directions: 2, rank: 1, states: 16 };
    for isa in Isa::available() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut case = Ss2d::new(shape, 3);
            case.u[5] = bad;
            let mut y = vec![0.0; case.u.len()];
            ss2d_forward_with(isa, shape, &case.u, &case.projected, &case.params(), &mut y);
            let (first, second) = y.split_at(y.len() / 2);
            assert!(!first[5].is_finite(), "{} {bad}", isa.name());
            assert!(second.iter().all(|y| y.is_finite()), "{} {bad}", isa.name());
            let others = first.iter().enumerate().filter(|(i, _)| i % shape.channels != 5);
            assert!(others.into_iter().all(|(_, y)| y.is_finite()), "{} {bad}", isa.name());
            let grads = ss2d_backward_with(
                isa,
                shape,
                &case.u,
                &case.projected,
                &case.params(),
                &case.grad_y,
            );
            assert!(grads.d_skip.iter().any(|x| !x.is_finite()), "{} {bad}", isa.name());
        }
    }
}

#[test]
fn empty_shapes_give_empty_or_zero_results() {
    for (batch, pixels, channels, directions) in
        [(0, 3, 2, 2), (2, 0, 2, 2), (2, 3, 0, 2), (2, 3, 2, 0)]
    {
        let shape = Ss2dShape { batch, pixels, channels, directions, rank: 1, states: 4 };
        let (y, grads) = run_ss2d(&Ss2d::new(shape, 1));
        assert!(y.iter().chain(&grads.u).chain(&grads.projected).all(|&x| x == 0.0));
        assert_eq!(y.len(), batch * pixels * channels);
        assert_eq!(grads.a_log, vec![0.0; directions * channels * 4]);
        let (y, grads) = run_features(&Ss2d::new(shape, 1));
        assert!(y.iter().chain(&grads.u).chain(&grads.projection).all(|&x| x == 0.0));
        assert_eq!(grads.projection.len(), directions * shape.row() * channels);
    }
    let shape = SelectiveScanShape { batch: 1, channels: 0, length: 5, states: 2, groups: 1 };
    let (y, grads) = run_selective(&Selective::new(shape, true, 1));
    assert_eq!((y.len(), grads.b), (0, vec![0.0; 10]));
}

/// A map of two pixels.
fn small() -> Ss2d {
    let shape = Ss2dShape { batch: 1, pixels: 2, channels: 3, directions: 2, rank: 1, states: 4 };
    Ss2d::new(shape, 1)
}

#[test]
#[should_panic(expected = "`u` has 5 numbers, its shape needs 6")]
fn a_wrong_length_is_refused_with_both_numbers() {
    let mut case = small();
    case.u.pop();
    run_ss2d(&case);
}

#[test]
#[should_panic(expected = "orders[3] is pixel 2 of a map of 2 pixels")]
fn a_pixel_outside_the_map_is_refused() {
    let mut case = small();
    case.orders[3] = 2;
    run_ss2d(&case);
}

#[test]
#[should_panic(expected = "7 channels cannot be cut into 2 groups")]
fn groups_that_do_not_divide_the_channels_are_refused() {
    let shape = SelectiveScanShape { batch: 1, channels: 7, length: 2, states: 1, groups: 2 };
    run_selective(&Selective::new(shape, true, 1));
}
