//! The two-dimensional selective scan at the model's map sizes.
//!
//! The limit of a scan is how fast a processor can multiply and add vectors. As written for
//! AVX-512, the update of one state keeps the multiply-add units busy for this many instructions:
//!
//! - forward 8: step times decay; two for the polynomial of the exponential, one for its root, one
//!   for its exponent; the input; the new state; its share of the output.
//! - backward 22: 7 to find the states at the start of each chunk, 7 to walk the chunk again, and
//!   8 for gradients (of `C`, of the state, of the input, of `B`, of what is carried back, of the
//!   exponent, of `A`, of the step).
//!
//! What else there is (step sizes, gathering, sums over lanes) does not count, so that 100 % cannot
//! be reached.

use std::hint::black_box;

use mmad_kernels::orders::{DirectionTable, ScanOrder};
use mmad_kernels::scan::{
    Isa, Ss2dParams, Ss2dShape, ss2d_backward_with, ss2d_features_backward, ss2d_features_forward,
    ss2d_forward_with,
};

use super::{Entry, Work, numbers};

/// Multiply-add instructions of one state's update.
const FORWARD: usize = 8;
const BACKWARD: usize = 22;

/// Side of the map, channels and rank of the four stages of the decoder.
const STAGES: [(usize, usize, usize); 4] = [(64, 32, 1), (32, 64, 2), (16, 128, 4), (8, 256, 8)];

pub(super) fn entries() -> Vec<Entry> {
    let stages = [1, 8].into_iter().flat_map(|batch| {
        STAGES.into_iter().flat_map(move |stage| {
            let (side, channels, _) = stage;
            let size = format!("[{batch}, {side}, {side}, {channels}]");
            [
                Entry::new(format!("scan forward {size}"), move || {
                    forward(Isa::best(), Case::new(batch, stage))
                }),
                Entry::new(format!("scan backward {size}"), move || {
                    backward(Isa::best(), Case::new(batch, stage))
                }),
                Entry::new(format!("projected scan forward {size}"), move || {
                    projected_forward(Case::new(batch, stage))
                }),
                Entry::new(format!("projected scan backward {size}"), move || {
                    projected_backward(Case::new(batch, stage))
                }),
            ]
        })
    });
    let instruction_sets = Isa::available().into_iter().skip(1).flat_map(|isa| {
        let (name, case) = (isa.name(), || Case::new(1, STAGES[0]));
        [
            Entry::new(format!("scan forward {name}"), move || forward(isa, case())),
            Entry::new(format!("scan backward {name}"), move || backward(isa, case())),
        ]
    });
    stages.chain(instruction_sets).collect()
}

struct Case {
    shape: Ss2dShape,
    table: DirectionTable,
    u: Vec<f32>,
    projected: Vec<f32>,
    projection: Vec<f32>,
    dt_weight: Vec<f32>,
    dt_bias: Vec<f32>,
    a_log: Vec<f32>,
    d_skip: Vec<f32>,
}

impl Case {
    fn new(batch: usize, (side, channels, rank): (usize, usize, usize)) -> Self {
        let shape =
            Ss2dShape { batch, pixels: side * side, channels, directions: 8, rank, states: 16 };
        let weights = shape.directions * channels;
        Self {
            shape,
            table: DirectionTable::new(ScanOrder::Hilbert, side, side, 8).expect("a valid map"),
            u: numbers(batch * shape.pixels * channels, 0.0, 1.0),
            projected: numbers(batch * shape.pixels * shape.directions * shape.row(), 0.0, 1.0),
            projection: numbers(shape.directions * shape.row() * channels, 0.0, 0.1),
            dt_weight: numbers(weights * rank, 0.0, 0.5),
            dt_bias: numbers(weights, -3.0, 1.5),
            a_log: numbers(weights * shape.states, 1.5, 1.0),
            d_skip: numbers(weights, 1.0, 0.2),
        }
    }

    fn params(&self) -> Ss2dParams<'_> {
        Ss2dParams {
            orders: self.table.orders(),
            dt_weight: &self.dt_weight,
            dt_bias: &self.dt_bias,
            a_log: &self.a_log,
            d_skip: &self.d_skip,
        }
    }

    /// State updates of one pass.
    fn updates(&self) -> usize {
        let Ss2dShape { batch, pixels, channels, directions, states, .. } = self.shape;
        batch * pixels * channels * directions * states
    }

    /// Multiply-adds of the projection.
    fn products(&self) -> usize {
        let Ss2dShape { batch, pixels, channels, directions, .. } = self.shape;
        batch * pixels * channels * directions * self.shape.row()
    }
}

fn forward(isa: Isa, case: Case) -> Work {
    let mut y = vec![0.0; case.u.len()];
    let n_values = 2 * y.len() + case.projected.len();
    Work::new(2 * FORWARD * case.updates(), n_values, move || {
        let u = black_box(&case.u);
        ss2d_forward_with(isa, case.shape, u, &case.projected, &case.params(), &mut y);
    })
}

fn backward(isa: Isa, case: Case) -> Work {
    let grad_y = numbers(case.u.len(), 0.0, 1.0);
    let n_values = 3 * grad_y.len() + 2 * case.projected.len();
    Work::new(2 * BACKWARD * case.updates(), n_values, move || {
        let u = black_box(&case.u);
        let params = case.params();
        black_box(ss2d_backward_with(isa, case.shape, u, &case.projected, &params, &grad_y));
    })
}

fn projected_forward(case: Case) -> Work {
    let mut y = vec![0.0; case.u.len()];
    let flop = 2 * (FORWARD * case.updates() + case.products());
    Work::new(flop, 2 * y.len(), move || {
        let u = black_box(&case.u);
        ss2d_features_forward(case.shape, u, &case.projection, &case.params(), &mut y);
    })
}

fn projected_backward(case: Case) -> Work {
    let grad_y = numbers(case.u.len(), 0.0, 1.0);
    let flop = 2 * (BACKWARD * case.updates() + 3 * case.products());
    Work::new(flop, 3 * grad_y.len(), move || {
        let u = black_box(&case.u);
        let params = case.params();
        black_box(ss2d_features_backward(case.shape, u, &case.projection, &params, None, &grad_y));
    })
}
