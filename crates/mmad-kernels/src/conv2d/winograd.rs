//! Winograd's minimal filtering for 3x3 kernels that visit every pixel: 16 multiplications for a
//! tile of 2x2 outputs where the plain way takes 36.
//!
//! A tile of 4x4 inputs and every kernel are brought into another basis, multiplied there point by
//! point, summed over the channels, and the sums are brought back. The products are 16 matrix
//! products, one per point, for which the weight is packed like the taps of any convolution. With
//! a dilation of `d`, a tile takes every `d`-th pixel.
//!
//! An infinite input may make NaN of the outputs whose window sees it; it reaches no other. Sums of
//! four inputs must not overflow.
//!
//! Source: Lavin and Gray 2015, "Fast algorithms for convolutional neural networks", section 4.1,
//! `F(2x2, 3x3)`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::forward::expect_output;
use super::{ConvEpilogue, ConvShape};
use crate::panels::{KeptWeight, PanelShape, Source, pack_for_keeps};
use crate::register_tile::{Epilogue, Run, TapRow, multiply_run};
use crate::scratch;
use crate::simd::{dispatch, store, tile_width};

/// Points of a tile, of inputs and of products alike.
const POINTS: usize = 16;

/// Channels come in whole vectors, of the longest kind there is.
const LANES: usize = 16;

/// With fewer channels than this on either side, the changes of basis cost more than they save.
const FEWEST_CHANNELS: usize = 32;

/// Beyond this dilation, on small maps, many tiles lie half outside, while the plain way skips the taps
/// that lie wholly outside.
const LARGEST_DILATION: usize = 5;

/// Tiles per task: enough to use each loaded weight often, few enough to stay in the cache.
const TASK_TILES: usize = 32;

/// A weight in the basis of the products.
#[derive(Clone, Debug)]
pub(super) struct Winograd {
    /// As many neighbouring outputs as a register tile is wide, and their weight: a tap per point.
    /// Packed apart, because a product is written at the place of its output, and sums of one panel
    /// should lie together.
    panels: Vec<KeptWeight>,
}

impl Winograd {
    /// True where a layer is faster so: 3x3, stride 1, whole vectors of not too few channels, and no
    /// wide dilation. The same with every instruction set.
    pub(super) fn suits(shape: ConvShape) -> bool {
        let ConvShape { in_channels, out_channels, kernel, stride, dilation, .. } = shape;
        let are_many =
            |channels: usize| channels >= FEWEST_CHANNELS && channels.is_multiple_of(LANES);
        (kernel, stride) == (3, 1)
            && dilation <= LARGEST_DILATION
            && are_many(in_channels)
            && are_many(out_channels)
    }

    /// Transforms and packs `weight`, `[out_channels, in_channels, 3, 3]`.
    pub(super) fn new(shape: ConvShape, weight: &[f32]) -> Self {
        let depth = shape.in_channels;
        let mut points = vec![0.0; shape.out_channels * POINTS * depth];
        let by_output = points.chunks_exact_mut(POINTS * depth).zip(weight.chunks_exact(depth * 9));
        for (points, kernels) in by_output {
            for (channel, kernel) in kernels.as_chunks::<9>().0.iter().enumerate() {
                for (point, value) in transformed_kernel(kernel).into_iter().enumerate() {
                    points[point * depth + channel] = value;
                }
            }
        }
        let pack = |points: &[f32]| {
            let outputs = points.len() / (POINTS * depth);
            let offset = |point: usize, channel: usize| point * depth + channel;
            let source = Source { values: points, offset, output_stride: POINTS * depth };
            pack_for_keeps(PanelShape { taps: POINTS, depth, outputs }, &source)
        };
        Self { panels: points.chunks(tile_width() * POINTS * depth).map(pack).collect() }
    }

    /// The convolution of `x`, `[batch, height, width, in_channels]`, for a shape that suits.
    pub(super) fn forward(
        &self,
        shape: ConvShape,
        x: &[f32],
        epilogue: &ConvEpilogue<'_>,
        y: &mut [f32],
    ) {
        expect_output(shape, epilogue, y);
        if y.is_empty() {
            return;
        }
        let ConvEpilogue { bias, residual, relu } = *epilogue;
        let (out_height, row) = (shape.out_height(), shape.out_width() * shape.out_channels);
        let band_rows = rows_per_band(shape);
        let bands_of = |(picture, y)| {
            let bands = <[f32]>::par_chunks_mut(y, band_rows * row).enumerate();
            bands.map(move |(band, y)| (picture, band * band_rows, y))
        };
        let pictures = y.par_chunks_mut(out_height * row).enumerate();
        pictures.flat_map(bands_of).for_each(|(picture, first_row, y)| {
            let start = (picture * out_height + first_row) * row;
            let residual = residual.map(|residual| &residual[start..][..y.len()]);
            let x = &x[picture * shape.height * shape.width * shape.in_channels..];
            let band = Band { shape, first_row, rows: y.len() / row };
            self.convolve_band(&band, x, &Epilogue { bias, residual, relu }, y);
        });
    }

    /// The output rows of one band of one picture.
    fn convolve_band(&self, band: &Band, x: &[f32], epilogue: &Epilogue<'_>, y: &mut [f32]) {
        let tiles = band.tiles();
        let depth = band.shape.in_channels;
        let mut inputs = scratch::take(POINTS * tiles.len() * depth);
        dispatch(TransformInputs { band, tiles: &tiles, x, inputs: &mut inputs });
        let mut sums = scratch::take(POINTS * tiles.len() * tile_width());
        for (panel, weight) in self.panels.iter().enumerate() {
            let panels = weight.panels();
            let width = panels.shape.outputs;
            let sums = &mut sums[..POINTS * tiles.len() * width];
            let by_point = inputs.chunks_exact(tiles.len() * depth);
            for (point, inputs) in by_point.enumerate() {
                let run = Run {
                    taps: &[TapRow { row: inputs, first: 0, tap: point }],
                    column_step: 1,
                    column_pitch: depth,
                    pixels: tiles.len(),
                    out_pitch: width,
                };
                let sums = &mut sums[point * tiles.len() * width..][..tiles.len() * width];
                multiply_run(&run, panels, 0, &Epilogue::default(), sums);
            }
            let first = panel * tile_width();
            dispatch(TransformOutputs { band, tiles: &tiles, sums, first, width, epilogue, y });
        }
    }
}

/// `G g Gᵀ` of a kernel, point by point.
fn transformed_kernel(kernel: &[f32; 9]) -> [f32; POINTS] {
    let transformed = |[a, b, c]: [f64; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let kernel = kernel.map(f64::from);
    let rows = [0, 1, 2].map(|row| transformed([0, 1, 2].map(|column| kernel[3 * row + column])));
    let columns = [0, 1, 2, 3].map(|column| transformed([0, 1, 2].map(|row| rows[row][column])));
    std::array::from_fn(|point| columns[point % 4][point / 4] as f32)
}

/// Output rows of a task: whole rows of tiles, about [`TASK_TILES`], and fewer where all threads would
/// not have one. Every tile is computed alone, so this changes no bit.
fn rows_per_band(shape: ConvShape) -> usize {
    let rows_of_tiles = 2 * shape.dilation;
    let tiles = tile_starts(0..rows_of_tiles, shape.dilation).count()
        * tile_starts(0..shape.out_width(), shape.dilation).count();
    let available = shape.batch * shape.out_height().div_ceil(rows_of_tiles);
    let fair = available.div_ceil(rayon::current_num_threads());
    rows_of_tiles * (TASK_TILES / tiles).min(fair).max(1)
}

/// The first of every two outputs that one tile makes, along one side.
fn tile_starts(
    outputs: std::ops::Range<usize>,
    dilation: usize,
) -> impl Iterator<Item = usize> + Clone {
    outputs.filter(move |output| (output / dilation).is_multiple_of(2))
}

/// Neighbouring output rows of one picture.
struct Band {
    shape: ConvShape,
    first_row: usize,
    rows: usize,
}

impl Band {
    /// Row and column of the first output of every tile.
    fn tiles(&self) -> Vec<(usize, usize)> {
        let columns = tile_starts(0..self.shape.out_width(), self.shape.dilation);
        tile_starts(self.first_row..self.first_row + self.rows, self.shape.dilation)
            .flat_map(|row| columns.clone().map(move |column| (row, column)))
            .collect()
    }
}

/// `Bᵀ d B` of every tile `d`.
struct TransformInputs<'a> {
    band: &'a Band,
    tiles: &'a [(usize, usize)],
    /// One picture, `[height, width, in_channels]`.
    x: &'a [f32],
    /// `[points, tiles, in_channels]`, written.
    inputs: &'a mut [f32],
}

impl WithSimd for TransformInputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { band, tiles, x, inputs } = self;
        let ConvShape { height, width, in_channels, padding, dilation, .. } = band.shape;
        let zeros = scratch::zeros(in_channels);
        let zeros = S::as_simd_f32s(&zeros).0;
        let x = S::as_simd_f32s(x).0;
        let depth = zeros.len();
        let point_len = tiles.len() * depth;
        let inputs = S::as_mut_simd_f32s(inputs).0;
        let zero = simd.splat_f32s(0.0);
        // Row or column of input `i` of a tile, where the map has it.
        let place = |first_output: usize, i: usize, side: usize| {
            (first_output + i * dilation).checked_sub(padding).filter(|&place| place < side)
        };
        for (tile, &(row, column)) in tiles.iter().enumerate() {
            let columns: [_; 4] = std::array::from_fn(|j| place(column, j, width));
            let pixels: [&[S::f32s]; POINTS] = std::array::from_fn(|point| {
                let row = place(row, point / 4, height);
                let pixel = row.zip(columns[point % 4]).map(|(row, column)| row * width + column);
                pixel.map_or(zeros, |pixel| &x[pixel * depth..][..depth])
            });
            let inputs = &mut inputs[tile * depth..];
            for channel in 0..depth {
                let mut d = [zero; POINTS];
                for point in 0..POINTS {
                    d[point] = pixels[point][channel];
                }
                for i in 0..4 {
                    [d[i], d[4 + i], d[8 + i], d[12 + i]] =
                        input_points(simd, [d[i], d[4 + i], d[8 + i], d[12 + i]]);
                }
                for i in 0..4 {
                    [d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]] =
                        input_points(simd, [d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]]);
                }
                for point in 0..POINTS {
                    inputs[point * point_len + channel] = d[point];
                }
            }
        }
    }
}

/// `Bᵀ` times a column.
#[inline(always)]
fn input_points<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// `Aᵀ m A` of the products `m` of every tile, for some neighbouring outputs, and what follows.
struct TransformOutputs<'a> {
    band: &'a Band,
    tiles: &'a [(usize, usize)],
    /// `[points, tiles, width]`
    sums: &'a [f32],
    /// The first of the outputs, and how many there are.
    first: usize,
    width: usize,
    epilogue: &'a Epilogue<'a>,
    /// The rows of the band, `[rows, out_width, out_channels]`.
    y: &'a mut [f32],
}

impl WithSimd for TransformOutputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { band, tiles, sums, first, width, epilogue, y } = self;
        let ConvShape { dilation, out_channels, .. } = band.shape;
        let out_width = band.shape.out_width();
        let vectors = width / S::F32_LANES;
        let point_len = tiles.len() * vectors;
        let sums = S::as_simd_f32s(sums).0;
        let zero = simd.splat_f32s(0.0);
        for (tile, &(row, column)) in tiles.iter().enumerate() {
            let row = row - band.first_row;
            let rows = [row, row + dilation].map(|row| (row < band.rows).then_some(row));
            let columns =
                [column, column + dilation].map(|column| (column < out_width).then_some(column));
            // The pixels of the four outputs, where the map has them.
            let pixels: [Option<usize>; 4] = std::array::from_fn(|i| {
                let pixel = rows[i / 2].zip(columns[i % 2]);
                pixel.map(|(row, column)| row * out_width + column)
            });
            let points: [&[S::f32s]; POINTS] =
                std::array::from_fn(|point| &sums[point * point_len + tile * vectors..][..vectors]);
            for vector in 0..vectors {
                let (mut upper, mut lower) = ([zero; 4], [zero; 4]);
                for i in 0..4 {
                    let m = [points[i], points[4 + i], points[8 + i], points[12 + i]];
                    let m = [m[0][vector], m[1][vector], m[2][vector], m[3][vector]];
                    [upper[i], lower[i]] = output_points(simd, m);
                }
                let ([a, b], [c, d]) = (output_points(simd, upper), output_points(simd, lower));
                let output = first + vector * S::F32_LANES;
                let outputs = output..output + S::F32_LANES;
                for (sum, pixel) in [a, b, c, d].into_iter().zip(pixels) {
                    let Some(pixel) = pixel else { continue };
                    let start = pixel * out_channels + output;
                    let place = start..start + S::F32_LANES;
                    let sum = epilogue.apply(simd, sum, outputs.clone(), place.clone());
                    store(simd, &mut y[place], sum);
                }
            }
        }
    }
}

/// `Aᵀ` times a column.
#[inline(always)]
fn output_points<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conv2d::reference;
    use crate::testing::{assert_close, assert_same_bits_on_any_threads, values, widen};

    /// Shapes that suit, and such with fewer channels.
    pub(in crate::conv2d) fn any_shape() -> impl Strategy<Value = ConvShape> {
        let map = (1_usize..4, 1_usize..20, 1_usize..20);
        (map, (1_usize..5, 1_usize..10), (0_usize..6, 1_usize..6))
            .prop_map(|((batch, height, width), channels, (padding, dilation))| ConvShape {
                batch,
                height,
                width,
                in_channels: channels.0 * LANES,
                out_channels: channels.1 * LANES,
                kernel: 3,
                stride: 1,
                padding,
                dilation,
            })
            .prop_filter("the kernel must fit", |shape| {
                2 * shape.dilation < shape.height.min(shape.width) + 2 * shape.padding
            })
    }

    fn forward(shape: ConvShape, x: &[f32], epilogue: &ConvEpilogue<'_>) -> Vec<f32> {
        let weight = Winograd::new(shape, &values(2, shape.weight_len()));
        let mut y = vec![f32::NAN; shape.output_len()];
        weight.forward(shape, x, epilogue, &mut y);
        y
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Odd sides, paddings, dilations and batches, with every epilogue.
        #[test]
        fn equals_the_reference(
            shape in any_shape(),
            has_bias in any::<bool>(),
            has_residual in any::<bool>(),
            relu in any::<bool>(),
        ) {
            let (x, weight) = (values(1, shape.input_len()), values(2, shape.weight_len()));
            let (bias, residual) = (values(3, shape.out_channels), values(4, shape.output_len()));
            let bias = has_bias.then_some(bias.as_slice());
            let residual = has_residual.then_some(residual.as_slice());
            let y = forward(shape, &x, &ConvEpilogue { bias, residual, relu });
            let bias = bias.map(widen);
            let mut slow = reference::forward(shape, &widen(&x), &widen(&weight), bias.as_deref());
            for (i, slow) in slow.iter_mut().enumerate() {
                *slow += residual.map_or(0.0, |residual| f64::from(residual[i]));
                *slow = if relu { slow.max(0.0) } else { *slow };
            }
            assert_close("y", &y, &slow, 9 * shape.in_channels, 2e-6);
        }
    }

    const SMALL: ConvShape = ConvShape {
        batch: 2,
        height: 9,
        width: 7,
        in_channels: 32,
        out_channels: 48,
        kernel: 3,
        stride: 1,
        padding: 1,
        dilation: 1,
    };

    #[test]
    fn other_layers_do_not_suit() {
        assert!(Winograd::suits(SMALL));
        for other in [
            ConvShape { kernel: 1, ..SMALL },
            ConvShape { kernel: 5, ..SMALL },
            ConvShape { stride: 2, ..SMALL },
            ConvShape { dilation: 6, ..SMALL },
            ConvShape { in_channels: 40, ..SMALL },
            ConvShape { out_channels: 16, ..SMALL },
            ConvShape { in_channels: 0, ..SMALL },
        ] {
            assert!(!Winograd::suits(other), "{other:?}");
        }
    }

    /// A kernel of one weight moves the map, to the last bit.
    #[test]
    fn one_weight_moves_the_map_exactly() {
        let shape = ConvShape { in_channels: 16, out_channels: 16, padding: 0, ..SMALL };
        for position in [0, 2, 6, 8] {
            let mut weight = vec![0.0; shape.weight_len()];
            for channel in 0..16 {
                weight[(channel * 16 + channel) * 9 + position] = 1.0;
            }
            // Whole numbers: no sum is rounded.
            let x: Vec<f32> = (0..shape.input_len()).map(|i| (i % 251) as f32).collect();
            let mut y = vec![f32::NAN; shape.output_len()];
            Winograd::new(shape, &weight).forward(shape, &x, &ConvEpilogue::default(), &mut y);
            for (i, &y) in y.iter().enumerate() {
                let (pixel, channel) = (i / 16, i % 16);
                let (picture, row, column) = (pixel / 35, pixel / 5 % 7, pixel % 5);
                let (row, column) = (row + position / 3, column + position % 3);
                assert_eq!(y, x[((picture * 9 + row) * 7 + column) * 16 + channel]);
            }
        }
    }

    /// None is lost, and none reaches an output whose window does not see it.
    #[test]
    fn what_is_not_finite_stays_in_its_windows() {
        for (special, dilation, [row, column]) in
            [(f32::NAN, 1, [4, 3]), (f32::INFINITY, 1, [0, 6]), (f32::NEG_INFINITY, 2, [5, 2])]
        {
            let shape = ConvShape { dilation, padding: dilation, ..SMALL };
            let mut x = values(1, shape.input_len());
            x[(row * shape.width + column) * shape.in_channels + 5] = special;
            let y = forward(shape, &x, &ConvEpilogue::default());
            for (i, y) in y.iter().enumerate() {
                let pixel = i / shape.out_channels;
                let (picture, r, c) = (pixel / 63, pixel / 7 % 9, pixel % 7);
                let is_tap = |a: usize, b: usize| [0, dilation].contains(&a.abs_diff(b));
                let sees = picture == 0 && is_tap(r, row) && is_tap(c, column);
                assert_eq!(!y.is_finite(), sees, "{special} at {i}: {y}");
            }
        }
    }

    #[test]
    fn no_picture_makes_none() {
        assert!(forward(ConvShape { batch: 0, ..SMALL }, &[], &ConvEpilogue::default()).is_empty());
    }

    #[test]
    fn a_picture_alone_is_as_in_a_batch() {
        let shape = ConvShape { batch: 3, ..SMALL };
        let x = values(1, shape.input_len());
        let together = forward(shape, &x, &ConvEpilogue::default());
        let alone = x
            .chunks(shape.input_len() / 3)
            .flat_map(|x| forward(ConvShape { batch: 1, ..shape }, x, &ConvEpilogue::default()));
        assert_eq!(together, alone.collect::<Vec<_>>());
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let shape = ConvShape { batch: 3, height: 31, dilation: 2, padding: 2, ..SMALL };
        let x = values(1, shape.input_len());
        assert_same_bits_on_any_threads(|| forward(shape, &x, &ConvEpilogue::default()));
    }
}
