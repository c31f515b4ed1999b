//! The input map as the taps of a convolution see it.

use pulp::bytemuck::{Pod, cast_slice, cast_slice_mut};

use super::ConvShape;
use crate::panels::PanelShape;
use crate::partition::for_each_chunk;
use crate::register_tile::TapRow;
use crate::scratch::{self, Scratch};

/// Maps with fewer channels are copied with a border, so that a whole kernel row is one input:
/// their single pixels are too short for vector code.
const FEW_CHANNELS: usize = 16;

/// How the kernel positions are grouped into taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taps {
    /// One tap per kernel position, `in_channels` deep.
    PerPosition,
    /// One tap per kernel row, `kernel * in_channels` deep, over a map with a border.
    PerRow,
}

impl Taps {
    /// The grouping that suits a convolution.
    pub(super) fn of(shape: ConvShape) -> Self {
        if shape.in_channels < FEW_CHANNELS && shape.dilation == 1 && shape.kernel > 1 {
            Self::PerRow
        } else {
            Self::PerPosition
        }
    }

    /// Sizes of the weight packed for this grouping.
    pub(super) fn panel_shape(self, shape: ConvShape) -> PanelShape {
        let (kernel, depth, outputs) = (shape.kernel, shape.in_channels, shape.out_channels);
        match self {
            Self::PerPosition => PanelShape { taps: kernel * kernel, depth, outputs },
            Self::PerRow => PanelShape { taps: kernel, depth: kernel * depth, outputs },
        }
    }

    /// Where the weight `[out, in, kernel, kernel]` of output 0 holds the value for `depth` values
    /// into `tap`.
    pub(super) fn weight_offset(self, shape: ConvShape, tap: usize, depth: usize) -> usize {
        let (position, channel) = match self {
            Self::PerPosition => (tap, depth),
            Self::PerRow => {
                (tap * shape.kernel + depth / shape.in_channels, depth % shape.in_channels)
            }
        };
        channel * shape.kernel * shape.kernel + position
    }
}

/// The input map, copied with a border where that is faster.
pub(super) struct SourceMap<'a, T = f32> {
    shape: ConvShape,
    pub(super) taps: Taps,
    values: MapValues<'a, T>,
    row_len: usize,
}

enum MapValues<'a, T> {
    Borrowed(&'a [T]),
    Bordered(Scratch),
}

impl<'a, T: Pod + Send + Sync> SourceMap<'a, T> {
    /// Views `x`, `[batch, height, width, in_channels]`, whose elements take 32 bits.
    pub(super) fn new(shape: ConvShape, x: &'a [T]) -> Self {
        let taps = Taps::of(shape);
        let plain_len = shape.width * shape.in_channels;
        match taps {
            Taps::PerPosition => {
                Self { shape, taps, values: MapValues::Borrowed(x), row_len: plain_len }
            }
            Taps::PerRow => {
                let border = shape.padding * shape.in_channels;
                let row_len = plain_len + 2 * border;
                let mut copy = scratch::take(shape.batch * shape.height * row_len);
                let elements: &mut [T] = cast_slice_mut(&mut copy);
                for_each_chunk(elements, (shape.height * row_len).max(1), |picture, copy| {
                    let x = &x[picture * shape.height * plain_len..];
                    for (to, from) in copy.chunks_exact_mut(row_len).zip(x.chunks_exact(plain_len))
                    {
                        to[..border].fill(T::zeroed());
                        to[border..border + plain_len].copy_from_slice(from);
                        to[border + plain_len..].fill(T::zeroed());
                    }
                });
                Self { shape, taps, values: MapValues::Bordered(copy), row_len }
            }
        }
    }

    fn values(&self) -> &[T] {
        match &self.values {
            MapValues::Borrowed(values) => values,
            MapValues::Bordered(copy) => cast_slice(copy),
        }
    }

    /// What `tap` reads for the output pixels of row `out_row` of picture `picture`, or nothing
    /// when it lies above or below the map.
    pub(super) fn tap_row(
        &self,
        picture: usize,
        out_row: usize,
        tap: usize,
    ) -> Option<TapRow<'_, T>> {
        let shape = self.shape;
        let (tap_row, tap_column) = match self.taps {
            Taps::PerPosition => (tap / shape.kernel, tap % shape.kernel),
            Taps::PerRow => (tap, 0),
        };
        let row = out_row * shape.stride + tap_row * shape.dilation;
        let row = row.checked_sub(shape.padding).filter(|&row| row < shape.height)?;
        let start = (picture * shape.height + row) * self.row_len;
        let first = match self.taps {
            Taps::PerPosition => (tap_column * shape.dilation) as isize - shape.padding as isize,
            Taps::PerRow => 0,
        };
        Some(TapRow { row: &self.values()[start..start + self.row_len], first, tap })
    }

    /// Replaces `rows` by all taps that reach the map from output row `out_row`.
    pub(super) fn tap_rows<'b>(
        &'b self,
        picture: usize,
        out_row: usize,
        rows: &mut Vec<TapRow<'b, T>>,
    ) {
        rows.clear();
        let taps = self.taps.panel_shape(self.shape).taps;
        rows.extend((0..taps).filter_map(|tap| self.tap_row(picture, out_row, tap)));
    }
}
