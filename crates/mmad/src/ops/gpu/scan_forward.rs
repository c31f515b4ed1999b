//! The two-dimensional selective scan, forward: `y` from the states that enter the chunks.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::Inputs;
use super::carry::chunk_starts;
use super::lane::{Scan, advance, c, lane, load, own, own_part, step};

/// Steps of a chunk: enough chunks to fill a GPU, few enough that what crosses their borders is
/// little against the maps themselves.
const CHUNK: usize = 64;

/// `y`, `[b, pixels, channels]`; see [`crate::ops::ss2d`].
///
/// Every direction writes its own map, already in the order of the pixels, and the maps are added
/// in the order `0..K`: one launch fills a GPU, and no sum depends on who comes first.
pub(super) fn forward(inputs: &Inputs) -> CubeTensor {
    let plan = inputs.plan(CHUNK);
    let (starts, _) = chunk_starts(inputs, &plan);
    let parts = inputs.of_directions(&plan);
    scan_chunks::launch(
        inputs.client(),
        plan.cubes(),
        plan.units(),
        inputs.scan(&plan),
        starts.into_buffer_arg(),
        parts.clone().into_buffer_arg(),
    );
    inputs.sum_of_directions(parts)
}

/// The result of every direction of every picture.
///
/// # Shapes
///
/// - `starts`: `[b, directions, chunks, states, channels]`
/// - `parts`: `[b, directions, pixels, channels]`, written
#[cube(launch)]
fn scan_chunks(scan: &Scan, starts: &[f32], parts: &mut [f32]) {
    if ABSOLUTE_POS_X as usize >= scan.channels {
        terminate!();
    }
    let lane = lane(scan);
    let states = comptime!(scan.states);
    let mut state = load(starts, scan, &lane);
    for index in 0..lane.steps {
        let step = step(scan, &lane, index);
        let x = scan.u[own(scan, &lane, &step)];
        advance(scan, &lane, &step, x, &mut state);
        let mut sum = lane.skip * x;
        #[unroll]
        for n in 0..states {
            sum += state[n] * c(scan, &step, n);
        }
        parts[own_part(scan, &lane, &step)] = sum;
    }
}
