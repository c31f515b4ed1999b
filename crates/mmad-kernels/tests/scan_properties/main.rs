//! The fast scans against their plain 64-bit twins, the twins against finite differences, and what
//! must never change a result.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod finite_differences;
mod invariants;
mod twins;

use mmad_kernels::scan::{SelectiveScanInputs, SelectiveScanShape, Ss2dParams, Ss2dShape};
use proptest::prelude::*;

/// Numbers that are the same on every run (`SplitMix64`, Steele et al. 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `len` numbers in `centre ± spread`.
    fn take(&mut self, len: usize, centre: f32, spread: f32) -> Vec<f32> {
        let mut one = || centre + spread * ((self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0);
        (0..len).map(|_| one()).collect()
    }

    /// A permutation of `0..len` (Fisher and Yates).
    fn permutation(&mut self, len: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..len as u32).collect();
        for i in (1..len).rev() {
            order.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
        order
    }
}

/// A two-dimensional scan with numbers of the usual sizes.
#[derive(Clone, Debug)]
struct Ss2d<T = f32> {
    shape: Ss2dShape,
    orders: Vec<u32>,
    u: Vec<T>,
    projected: Vec<T>,
    /// What could have made `projected`; used instead of it where the projection is part.
    projection: Vec<T>,
    dt_weight: Vec<T>,
    dt_bias: Vec<T>,
    a_log: Vec<T>,
    d_skip: Vec<T>,
    grad_y: Vec<T>,
}

impl Ss2d {
    fn new(shape: Ss2dShape, seed: u64) -> Self {
        let Ss2dShape { batch, pixels, channels, directions, rank, states } = shape;
        let mut numbers = Numbers(seed);
        let weights = directions * channels;
        Self {
            shape,
            orders: (0..directions).flat_map(|_| numbers.permutation(pixels)).collect(),
            u: numbers.take(batch * pixels * channels, 0.0, 1.0),
            projected: numbers.take(batch * pixels * directions * shape.row(), 0.0, 1.0),
            dt_weight: numbers.take(weights * rank, 0.0, 1.0),
            dt_bias: numbers.take(weights, -2.0, 2.0),
            a_log: numbers.take(weights * states, 1.0, 1.5),
            d_skip: numbers.take(weights, 1.0, 0.5),
            grad_y: numbers.take(batch * pixels * channels, 0.0, 1.0),
            projection: numbers.take(
                directions * shape.row() * channels,
                0.0,
                1.0 / (channels as f32).max(1.0).sqrt(),
            ),
        }
    }

    fn widen(&self) -> Ss2d<f64> {
        Ss2d {
            shape: self.shape,
            orders: self.orders.clone(),
            u: widen(&self.u),
            projected: widen(&self.projected),
            projection: widen(&self.projection),
            dt_weight: widen(&self.dt_weight),
            dt_bias: widen(&self.dt_bias),
            a_log: widen(&self.a_log),
            d_skip: widen(&self.d_skip),
            grad_y: widen(&self.grad_y),
        }
    }
}

impl<T> Ss2d<T> {
    fn params(&self) -> Ss2dParams<'_, T> {
        Ss2dParams {
            orders: &self.orders,
            dt_weight: &self.dt_weight,
            dt_bias: &self.dt_bias,
            a_log: &self.a_log,
            d_skip: &self.d_skip,
        }
    }
}

/// A general scan: `u, delta, a, b, c, d, delta_bias`.
#[derive(Clone, Debug)]
struct Selective<T = f32> {
    shape: SelectiveScanShape,
    tensors: [Vec<T>; 7],
    delta_softplus: bool,
    grad_y: Vec<T>,
}

impl Selective {
    fn new(shape: SelectiveScanShape, delta_softplus: bool, seed: u64) -> Self {
        let SelectiveScanShape { batch, channels, length, states, groups } = shape;
        let mut numbers = Numbers(seed);
        // Without softplus step sizes must be positive by themselves.
        let centre = if delta_softplus { -1.0 } else { 0.5 };
        let shared = batch * groups * states * length;
        Self {
            shape,
            tensors: [
                numbers.take(batch * channels * length, 0.0, 1.0),
                numbers.take(batch * channels * length, centre, 0.5),
                numbers.take(channels * states, -3.0, 2.9),
                numbers.take(shared, 0.0, 1.0),
                numbers.take(shared, 0.0, 1.0),
                numbers.take(channels, 1.0, 0.5),
                numbers.take(channels, 0.5, 0.4),
            ],
            delta_softplus,
            grad_y: numbers.take(batch * channels * length, 0.0, 1.0),
        }
    }

    fn widen(&self) -> Selective<f64> {
        Selective {
            shape: self.shape,
            tensors: self.tensors.each_ref().map(|tensor| widen(tensor)),
            delta_softplus: self.delta_softplus,
            grad_y: widen(&self.grad_y),
        }
    }
}

impl<T> Selective<T> {
    fn inputs(&self) -> SelectiveScanInputs<'_, T> {
        let [u, delta, a, b, c, d, delta_bias] = &self.tensors;
        let delta_softplus = self.delta_softplus;
        SelectiveScanInputs { u, delta, a, b, c, d, delta_bias, delta_softplus }
    }
}

fn widen(narrow: &[f32]) -> Vec<f64> {
    narrow.iter().map(|&x| f64::from(x)).collect()
}

/// Every kind of size: 1, below and above a vector, a group of states and a chunk of steps.
fn any_ss2d() -> impl Strategy<Value = Ss2d> {
    let sizes = (1..=3_usize, 1..=70_usize, 1..=35_usize, 1..=3_usize, 0..=3_usize, 1..=18_usize);
    (sizes, any::<u64>()).prop_map(|((batch, pixels, channels, directions, rank, states), seed)| {
        Ss2d::new(Ss2dShape { batch, pixels, channels, directions, rank, states }, seed)
    })
}

fn any_selective() -> impl Strategy<Value = Selective> {
    let sizes = (1..=2_usize, 1..=3_usize, 1..=18_usize, 1..=70_usize, 1..=18_usize);
    (sizes, any::<bool>(), any::<u64>()).prop_map(
        |((batch, groups, width, length, states), softplus, seed)| {
            let channels = groups * width;
            let shape = SelectiveScanShape { batch, channels, length, states, groups };
            Selective::new(shape, softplus, seed)
        },
    )
}
