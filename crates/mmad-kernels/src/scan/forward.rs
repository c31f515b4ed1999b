//! The forward pass over one sequence.

use pulp::NullaryFnOnce;

use super::features::Projection;
use super::lanes::Lanes;
use super::recurrence::{self, CHUNK};
use super::sequence::{Gathered, Sequence, Weights, note, noted_len};

/// The outputs of one sequence, written to `y`, `[places, channels]`, or added to it.
pub(super) struct Forward<'a, S: Lanes> {
    pub simd: S,
    pub sequence: Sequence<'a>,
    /// Where the rows come from, unless they are given: then `sequence.rows` has no data.
    pub projection: Option<Projection<'a>>,
    pub weights: &'a Weights<S>,
    /// False for the first sequence of `y`, whose values are then not read.
    pub is_added: bool,
    /// Where somebody wants them, gets the states before every chunk:
    /// [`noted_len`](super::sequence::noted_len) values.
    pub noted: Option<&'a mut Vec<f32>>,
    pub y: &'a mut [f32],
}

impl<S: Lanes> NullaryFnOnce for Forward<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, sequence, projection, weights, is_added, mut noted, y } = self;
        let mut gathered = Gathered::new(simd, &sequence, weights);
        let mut h = vec![simd.splat(0.0); weights.decay.len()];
        let mut chunk_y = [simd.splat(0.0); CHUNK];
        let mut local = projection.map(Projection::chunks);
        if let Some(noted) = &mut noted {
            noted.reserve_exact(noted_len(simd, sequence.order.len(), weights));
        }
        for places in sequence.order.chunks(CHUNK) {
            if let Some(noted) = &mut noted {
                note(simd, &h, noted);
            }
            let read = gathered.steps(&sequence, local.as_mut(), places);
            for block in 0..weights.blocks() {
                gathered.channels::<false>(simd, &read, weights, block);
                let chunk = gathered.chunk(places.len());
                let chunk_y = &mut chunk_y[..places.len()];
                for (y, &u) in chunk_y.iter_mut().zip(chunk.u) {
                    *y = simd.mul(weights.skip[block], u);
                }
                let h = &mut h[weights.states_of(block)];
                recurrence::forward(simd, weights.decay_of(block), &chunk, h, chunk_y);
                for (&place, &sum) in places.iter().zip(&*chunk_y) {
                    let y = &mut y[weights.places_of(block, place)];
                    if is_added {
                        simd.accumulate_some(sum, y);
                    } else {
                        simd.store_some(sum, y);
                    }
                }
            }
        }
    }
}
