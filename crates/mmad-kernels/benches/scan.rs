//! Time of the two-dimensional scan at the model's four map sizes.
//!
//! ```text
//! cargo bench -p mmad-kernels --bench scan
//! ```

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use mmad_kernels::orders::{DirectionTable, ScanOrder};
use mmad_kernels::scan::{
    Isa, Ss2dParams, Ss2dShape, ss2d_backward_with, ss2d_features_forward_with, ss2d_forward_with,
};

fn main() {
    divan::main();
}

/// Side of the map, channels and rank of the four stages of the decoder.
const STAGES: [(usize, usize, usize); 4] = [(64, 32, 1), (32, 64, 2), (16, 128, 4), (8, 256, 8)];

struct Case {
    shape: Ss2dShape,
    table: DirectionTable,
    u: Vec<f32>,
    projected: Vec<f32>,
    dt_weight: Vec<f32>,
    dt_bias: Vec<f32>,
    a_log: Vec<f32>,
    d_skip: Vec<f32>,
}

/// Numbers in `centre ± spread`, the same on every run.
fn numbers(len: usize, centre: f32, spread: f32) -> Vec<f32> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        centre + spread * (f64::from(state) / f64::from(1_u32 << 31) - 1.0) as f32
    };
    (0..len).map(|_| next()).collect()
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
    fn updates(&self) -> ItemsCount {
        let Ss2dShape { batch, pixels, channels, directions, states, .. } = self.shape;
        ItemsCount::new(batch * pixels * channels * directions * states)
    }
}

/// The instruction set of this name, when the processor has it.
fn isa(name: &str) -> Option<Isa> {
    Isa::available().into_iter().find(|isa| isa.name() == name)
}

#[divan::bench(args = STAGES, consts = [1, 8], sample_count = 10)]
fn forward<const BATCH: usize>(bencher: Bencher<'_, '_>, stage: (usize, usize, usize)) {
    bench_forward(bencher, Isa::best(), BATCH, stage);
}

#[divan::bench(args = STAGES, consts = [1, 8], sample_count = 10)]
fn features_forward<const BATCH: usize>(bencher: Bencher<'_, '_>, stage: (usize, usize, usize)) {
    let case = Case::new(BATCH, stage);
    let projection = numbers(8 * case.shape.row() * case.shape.channels, 0.0, 0.1);
    let mut y = vec![0.0; case.u.len()];
    bencher.counter(case.updates()).bench_local(|| {
        let u = black_box(&case.u);
        let params = case.params();
        ss2d_features_forward_with(Isa::best(), case.shape, u, &projection, &params, &mut y);
    });
}

#[divan::bench(args = STAGES, consts = [1, 8], sample_count = 10)]
fn backward<const BATCH: usize>(bencher: Bencher<'_, '_>, stage: (usize, usize, usize)) {
    bench_backward(bencher, Isa::best(), BATCH, stage);
}

#[divan::bench(args = ["avx512", "avx2", "portable"], sample_count = 5)]
fn forward_by_isa(bencher: Bencher<'_, '_>, name: &str) {
    if let Some(isa) = isa(name) {
        bench_forward(bencher, isa, 1, STAGES[0]);
    }
}

#[divan::bench(args = ["avx512", "avx2", "portable"], sample_count = 5)]
fn backward_by_isa(bencher: Bencher<'_, '_>, name: &str) {
    if let Some(isa) = isa(name) {
        bench_backward(bencher, isa, 1, STAGES[0]);
    }
}

fn bench_forward(bencher: Bencher<'_, '_>, isa: Isa, batch: usize, stage: (usize, usize, usize)) {
    let case = Case::new(batch, stage);
    let mut y = vec![0.0; case.u.len()];
    bencher.counter(case.updates()).bench_local(|| {
        ss2d_forward_with(
            isa,
            case.shape,
            black_box(&case.u),
            &case.projected,
            &case.params(),
            &mut y,
        );
    });
}

fn bench_backward(bencher: Bencher<'_, '_>, isa: Isa, batch: usize, stage: (usize, usize, usize)) {
    let case = Case::new(batch, stage);
    let grad_y = numbers(case.u.len(), 0.0, 1.0);
    bencher.counter(case.updates()).bench_local(|| {
        ss2d_backward_with(
            isa,
            case.shape,
            black_box(&case.u),
            &case.projected,
            &case.params(),
            &grad_y,
        )
    });
}
