//! The inner loops of matrix products, for linear layers and convolutions alike.
//!
//! Vector lanes are neighbouring outputs (channels), so the weights are read as vectors and every
//! input value is spread over a vector. A tile keeps up to 6 pixels x 4 vectors of sums in
//! registers, or 8 x 2. A convolution differs from a matrix product only in where its input rows
//! lie: every tap reads another pixel, which costs an address and no copy.
//!
//! What a place of an input holds is a parameter, [`Element`]: one `f32`, or two neighbouring
//! channels in 16 bits each (see [`crate::pairs`]). Sums are `f32` for both.

use std::ops::Range;

use pulp::bytemuck::Pod;
use pulp::{Simd, WithSimd};

use crate::panels::Panels;
use crate::simd::{dispatch, load, store, tile_width};

/// What one place of an input or weight holds.
pub(crate) trait Element: Pod + Send + Sync {
    /// See [`multiply_run`].
    fn multiply_run(task: MultiplyRun<'_, Self>);
}

/// How vectors of [`Element`]s are multiplied with an instruction set.
pub(crate) trait Product<S: Simd>: Copy {
    /// What one lane holds.
    type Element: Copy;
    /// As many of them as a vector of sums has lanes.
    type Vector: Copy;

    /// The same element in all lanes.
    fn splat(self, simd: S, element: Self::Element) -> Self::Vector;

    /// Neighbouring elements as whole vectors.
    fn vectors(elements: &[Self::Element]) -> &[Self::Vector];

    /// `sum + input x weight`, lane by lane.
    fn add(self, simd: S, input: Self::Vector, weight: Self::Vector, sum: S::f32s) -> S::f32s;
}

/// One kernel position as seen by a run of output pixels that lie side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TapRow<'a, T = f32> {
    /// The row of the source map that this tap reads, all its columns.
    pub(crate) row: &'a [T],
    /// The source column of the first output pixel; outside the row the source is zero.
    pub(crate) first: isize,
    /// Which tap of the packed weight.
    pub(crate) tap: usize,
}

/// What is done to a finished sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epilogue<'a> {
    /// Added per output.
    pub(crate) bias: Option<&'a [f32]>,
    /// Added per value; laid out like the output of this run.
    pub(crate) residual: Option<&'a [f32]>,
    /// Negative results become zero, last.
    pub(crate) relu: bool,
}

impl Epilogue<'_> {
    /// What becomes of the sums of neighbouring outputs, at most a vector of them: `outputs` says which
    /// they are, `place` where their values lie.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(
        &self,
        simd: S,
        mut sum: S::f32s,
        outputs: Range<usize>,
        place: Range<usize>,
    ) -> S::f32s {
        if let Some(bias) = self.bias {
            sum = simd.add_f32s(sum, load(simd, &bias[outputs]));
        }
        if let Some(residual) = self.residual {
            sum = simd.add_f32s(sum, load(simd, &residual[place]));
        }
        if self.relu { relu(simd, sum) } else { sum }
    }
}

/// A run of output pixels whose sources lie side by side too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a, T = f32> {
    /// The taps that can reach the map.
    pub(crate) taps: &'a [TapRow<'a, T>],
    /// Source columns from one output pixel to the next.
    pub(crate) column_step: usize,
    /// Source elements from one column to the next.
    pub(crate) column_pitch: usize,
    /// Output pixels.
    pub(crate) pixels: usize,
    /// Output values from one pixel to the next.
    pub(crate) out_pitch: usize,
}

impl<'a, T> Run<'a, T> {
    /// The input of pixel `pixel` under a tap, `depth` elements.
    #[inline(always)]
    fn input(&self, tap: &TapRow<'a, T>, pixel: usize, zeros: &'a [T]) -> &'a [T] {
        let column = tap.first + (pixel * self.column_step) as isize;
        // A negative column becomes huge and falls outside like one behind the end.
        let start = (column as usize).wrapping_mul(self.column_pitch);
        if column < 0 { zeros } else { tap.row.get(start..start + zeros.len()).unwrap_or(zeros) }
    }
}

/// `out[pixel, outputs of panel] = epilogue(sum over taps and depth of input x weight)`.
///
/// `out` starts at the first pixel of the run, output 0.
pub(crate) fn multiply_run<T: Element>(
    run: &Run<'_, T>,
    panels: Panels<'_, T>,
    panel: usize,
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) {
    T::multiply_run(MultiplyRun { run, panels, panel, epilogue, out });
}

/// The arguments of [`multiply_run`], on their way to an instruction set.
pub(crate) struct MultiplyRun<'a, T> {
    run: &'a Run<'a, T>,
    panels: Panels<'a, T>,
    panel: usize,
    epilogue: &'a Epilogue<'a>,
    out: &'a mut [f32],
}

impl<T: Element> MultiplyRun<'_, T> {
    /// Runs where `simd` was switched on.
    #[inline(always)]
    pub(crate) fn run<S: Simd, P: Product<S, Element = T>>(self, simd: S, product: P) {
        let Self { run, panels, panel, epilogue, out } = self;
        let tile = Tile { run, panels, panel, epilogue };
        match panels.shape.width(panel) / S::F32_LANES {
            1 => tile.run::<S, P, 1>(simd, product, out),
            2 => tile.run::<S, P, 2>(simd, product, out),
            3 => tile.run::<S, P, 3>(simd, product, out),
            _ => tile.run::<S, P, 4>(simd, product, out),
        }
    }
}

impl Element for f32 {
    fn multiply_run(task: MultiplyRun<'_, f32>) {
        dispatch(task);
    }
}

impl WithSimd for MultiplyRun<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.run(simd, Single);
    }
}

/// One multiply-add per lane.
#[derive(Clone, Copy)]
struct Single;

impl<S: Simd> Product<S> for Single {
    type Element = f32;
    type Vector = S::f32s;

    #[inline(always)]
    fn splat(self, simd: S, element: f32) -> S::f32s {
        simd.splat_f32s(element)
    }

    #[inline(always)]
    fn vectors(elements: &[f32]) -> &[S::f32s] {
        S::as_simd_f32s(elements).0
    }

    #[inline(always)]
    fn add(self, simd: S, input: S::f32s, weight: S::f32s, sum: S::f32s) -> S::f32s {
        simd.mul_add_f32s(input, weight, sum)
    }
}

/// How many pixels the next tile takes when `left` are left: few tiles, none much too small.
#[inline(always)]
pub(crate) fn next_tile(left: usize) -> usize {
    match left {
        0..=1 => 1,
        2..=3 => 2,
        4 | 5 | 8 => 4,
        _ => 6,
    }
}

/// [`next_tile`] where sums of 8 pixels fit the registers.
#[inline(always)]
fn next_large_tile(left: usize) -> usize {
    if left == 8 || left > 9 { 8 } else { next_tile(left) }
}

struct Tile<'a, 'b, T> {
    run: &'b Run<'a, T>,
    panels: Panels<'a, T>,
    panel: usize,
    epilogue: &'b Epilogue<'b>,
}

impl<T: Element> Tile<'_, '_, T> {
    #[inline(always)]
    fn run<S: Simd, P: Product<S, Element = T>, const VECTORS: usize>(
        &self,
        simd: S,
        product: P,
        out: &mut [f32],
    ) {
        let mut pixel = 0;
        while pixel < self.run.pixels {
            let left = self.run.pixels - pixel;
            let is_narrow = VECTORS <= 2 && S::REGISTER_COUNT >= 32;
            let n = if is_narrow { next_large_tile(left) } else { next_tile(left) };
            match n {
                8 if is_narrow => self.multiply::<S, P, VECTORS, 8>(simd, product, pixel, out),
                6 => self.multiply::<S, P, VECTORS, 6>(simd, product, pixel, out),
                4 => self.multiply::<S, P, VECTORS, 4>(simd, product, pixel, out),
                2 => self.multiply::<S, P, VECTORS, 2>(simd, product, pixel, out),
                _ => self.multiply::<S, P, VECTORS, 1>(simd, product, pixel, out),
            }
            pixel += n;
        }
    }

    #[inline(always)]
    fn multiply<S: Simd, P: Product<S, Element = T>, const VECTORS: usize, const PIXELS: usize>(
        &self,
        simd: S,
        product: P,
        pixel: usize,
        out: &mut [f32],
    ) {
        let (run, zeros) = (self.run, self.panels.zero_input());
        let depth = zeros.len();
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; PIXELS];
        for tap in run.taps {
            // The compiler sees that all slices are `depth` long, and checks nothing inside.
            let mut inputs = [zeros; PIXELS];
            for (p, input) in inputs.iter_mut().enumerate() {
                *input = &run.input(tap, pixel + p, zeros)[..depth];
            }
            let weights = P::vectors(self.panels.tap(self.panel, tap.tap));
            let weights = &weights.as_chunks::<VECTORS>().0[..depth];
            for k in 0..depth {
                for p in 0..PIXELS {
                    let input = product.splat(simd, inputs[p][k]);
                    for v in 0..VECTORS {
                        sums[p][v] = product.add(simd, input, weights[k][v], sums[p][v]);
                    }
                }
            }
        }
        self.finish(simd, pixel, &sums, out);
    }

    #[inline(always)]
    fn finish<S: Simd, const VECTORS: usize, const PIXELS: usize>(
        &self,
        simd: S,
        pixel: usize,
        sums: &[[S::f32s; VECTORS]; PIXELS],
        out: &mut [f32],
    ) {
        let outputs = self.panels.shape.outputs;
        for (p, sums) in sums.iter().enumerate() {
            let start = (pixel + p) * self.run.out_pitch;
            for (v, &sum) in sums.iter().enumerate() {
                let first = self.panel * tile_width() + v * S::F32_LANES;
                // Lanes behind the last output are padding.
                let last = outputs.min(first + S::F32_LANES);
                let place = start + first..start + last;
                let sum = self.epilogue.apply(simd, sum, first..last, place.clone());
                store(simd, &mut out[place], sum);
            }
        }
    }
}

/// `max(x, 0)` where not-a-number stays not-a-number.
#[inline(always)]
fn relu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.less_than_f32s(x, zero), zero, x)
}
