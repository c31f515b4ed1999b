//! The scan kernels against the CPU kernel and the 64-bit loops.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use mmad::ops::{self, ScanWeights};
use mmad::random;
use mmad_kernels::orders::{DirectionTable, ScanOrder};
use mmad_kernels::scan::{Ss2dParams, Ss2dShape, reference};
use rand::Rng as _;

use super::super::{assert_close, gpu, values};

/// Of the largest value: the sums of a few hundred `f32`, and the `exp` of a driver, which may be
/// off by some units in the last place.
const TOLERANCE: f32 = 2e-5;

/// One scan with random inputs.
struct Case {
    shape: Ss2dShape,
    table: Arc<DirectionTable>,
    /// `u`, `projected`, `dt_weight`, `dt_bias`, `a_log`, `d_skip`, and the gradient of the result.
    inputs: [Vec<f32>; 7],
}

const NAMES: [&str; 6] = ["u", "projected", "dt_weight", "dt_bias", "a_log", "d_skip"];

impl Case {
    fn new(
        [batch, height, width, channels]: [usize; 4],
        [directions, rank, states]: [usize; 3],
        order: ScanOrder,
    ) -> Self {
        let pixels = height * width;
        let shape = Ss2dShape { batch, pixels, channels, directions, rank, states };
        let table = Arc::new(DirectionTable::new(order, height, width, directions).unwrap());
        let mut rng = random::stream(1, "gpu scan", (pixels * channels) as u64);
        let mut draw = |n: usize, low: f32, high: f32| -> Vec<f32> {
            (0..n).map(|_| rng.random_range(low..high)).collect()
        };
        let weights = directions * channels;
        let inputs = [
            draw(batch * pixels * channels, -1.0, 1.0),
            draw(batch * pixels * directions * shape.row(), -1.0, 1.0),
            draw(weights * rank, -1.0, 1.0),
            // Steps of 0.001 to 0.1, as at the start of training, and some large ones.
            draw(weights, -7.0, 1.0),
            draw(weights * states, 0.0, 2.8),
            draw(weights, -1.0, 1.0),
            draw(batch * pixels * channels, -1.0, 1.0),
        ];
        Self { shape, table, inputs }
    }

    /// The result and the gradients of the six inputs on `device`.
    fn run(&self, device: &Device) -> (Vec<f32>, [Vec<f32>; 6]) {
        let device = device.clone().autodiff();
        let Ss2dShape { batch, pixels, channels, directions, rank, states } = self.shape;
        let data = |i: usize, shape: &[usize]| TensorData::new(self.inputs[i].clone(), shape);
        let map =
            |i: usize, n: usize| Tensor::<3>::from_data(data(i, &[batch, pixels, n]), &device);
        let of_channel = |i: usize| {
            Tensor::<2>::from_data(data(i, &[directions, channels]), &device).require_grad()
        };
        let by_channel = |i: usize, n: usize| {
            Tensor::<3>::from_data(data(i, &[directions, channels, n]), &device).require_grad()
        };
        let u = map(0, channels).require_grad();
        let projected = map(1, directions * self.shape.row()).require_grad();
        let weights = ScanWeights {
            dt_weight: by_channel(2, rank),
            dt_bias: of_channel(3),
            a_log: by_channel(4, states),
            d_skip: of_channel(5),
        };
        let y = ops::ss2d(u.clone(), projected.clone(), weights.clone(), &self.table);
        let grads = (y.clone() * map(6, channels)).sum().backward();
        let found = [
            values(u.grad(&grads).unwrap()),
            values(projected.grad(&grads).unwrap()),
            values(weights.dt_weight.grad(&grads).unwrap()),
            values(weights.dt_bias.grad(&grads).unwrap()),
            values(weights.a_log.grad(&grads).unwrap()),
            values(weights.d_skip.grad(&grads).unwrap()),
        ];
        (values(y.inner()), found)
    }

    /// The same by the 64-bit loops.
    fn reference(&self) -> (Vec<f32>, [Vec<f32>; 6]) {
        let wide =
            self.inputs.each_ref().map(|x| x.iter().map(|&x| x.into()).collect::<Vec<f64>>());
        let params = Ss2dParams {
            orders: self.table.orders(),
            dt_weight: &wide[2],
            dt_bias: &wide[3],
            a_log: &wide[4],
            d_skip: &wide[5],
        };
        let narrow = |x: Vec<f64>| x.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
        let y = reference::ss2d(self.shape, &wide[0], &wide[1], &params);
        let g = reference::ss2d_backward(self.shape, &wide[0], &wide[1], &params, &wide[6]);
        let grads = [g.u, g.projected, g.dt_weight, g.dt_bias, g.a_log, g.d_skip];
        (narrow(y), grads.map(narrow))
    }
}

/// Odd sizes, sequences that fill no chunk or several, channels that fill no cube or several, and
/// every number of directions. Few different numbers of states and ranks, because a software driver
/// takes seconds to compile the kernels of each.
fn cases() -> Vec<Case> {
    vec![
        Case::new([2, 9, 13, 33], [4, 2, 5], ScanOrder::Hilbert),
        Case::new([2, 11, 17, 70], [8, 2, 5], ScanOrder::Scan),
        Case::new([2, 1, 1, 3], [2, 2, 5], ScanOrder::Sweep),
        Case::new([1, 16, 16, 64], [8, 1, 16], ScanOrder::Zigzag),
        Case::new([3, 8, 8, 32], [8, 1, 16], ScanOrder::Zorder),
        Case::new([1, 8, 8, 128], [8, 4, 16], ScanOrder::Hilbert),
        Case::new([1, 4, 8, 256], [8, 8, 16], ScanOrder::Hilbert),
        Case::new([1, 3, 5, 7], [2, 1, 1], ScanOrder::Sweep),
        Case::new([1, 13, 10, 129], [2, 1, 26], ScanOrder::Hilbert),
    ]
}

#[test]
fn values_and_gradients_are_those_of_the_cpu_and_of_the_loops() {
    let Some(gpu) = gpu() else { return };
    for case in cases() {
        let (y, grads) = case.run(&gpu);
        for (whose, (wanted_y, wanted)) in
            [("the loops", case.reference()), ("the CPU", case.run(&Device::flex()))]
        {
            let what = |name: &str| format!("{name} of {:?} against {whose}", case.shape);
            assert_close(&what("y"), &y, &wanted_y, TOLERANCE);
            for ((name, found), wanted) in NAMES.iter().zip(&grads).zip(&wanted) {
                assert_close(&what(name), found, wanted, TOLERANCE);
            }
        }
    }
}

#[test]
fn scanning_twice_gives_the_same_bits() {
    let Some(gpu) = gpu() else { return };
    for case in cases().into_iter().take(3) {
        assert_eq!(case.run(&gpu), case.run(&gpu), "{:?}", case.shape);
    }
}

/// Without autodiff nothing is recorded, and the result is the same to the bit.
#[test]
fn scoring_gives_what_training_gives() {
    let Some(gpu) = gpu() else { return };
    let case = &cases()[0];
    let Ss2dShape { batch, pixels, channels, directions, rank, states } = case.shape;
    let data = |i: usize, shape: &[usize]| TensorData::new(case.inputs[i].clone(), shape);
    let y = ops::ss2d(
        Tensor::from_data(data(0, &[batch, pixels, channels]), &gpu),
        Tensor::from_data(data(1, &[batch, pixels, directions * case.shape.row()]), &gpu),
        ScanWeights {
            dt_weight: Tensor::from_data(data(2, &[directions, channels, rank]), &gpu),
            dt_bias: Tensor::from_data(data(3, &[directions, channels]), &gpu),
            a_log: Tensor::from_data(data(4, &[directions, channels, states]), &gpu),
            d_skip: Tensor::from_data(data(5, &[directions, channels]), &gpu),
        },
        &case.table,
    );
    assert_eq!(values(y), case.run(&gpu).0);
}

/// Steps as small as 1e-4 and as large as 90 keep their digits: the smallest must not drown in
/// `1 + exp(x)`, the largest must not overflow.
#[test]
fn extreme_steps_stay_exact() {
    let Some(gpu) = gpu() else { return };
    let mut case = Case::new([1, 4, 4, 5], [2, 2, 5], ScanOrder::Sweep);
    case.inputs[3] = (0..10).map(|i| -9.0 + 11.0 * i as f32).collect();
    let ((y, grads), (wanted_y, wanted)) = (case.run(&gpu), case.reference());
    assert_close("y", &y, &wanted_y, TOLERANCE);
    // Channel by channel, because the smallest steps have the smallest gradients.
    for (channel, (found, wanted)) in grads[3].iter().zip(&wanted[3]).enumerate() {
        assert_close(&format!("dt_bias {channel}"), &[*found], &[*wanted], 10.0 * TOLERANCE);
    }
}
