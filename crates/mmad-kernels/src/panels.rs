//! Weights in the order in which the register tiles read them.
//!
//! A panel holds as many neighbouring outputs as a tile is wide. Inside it the order is
//! `[tap][depth][output]`, so that a tile streams through it front to back. The last panel is
//! filled up with zeros to whole vectors.

use std::ops::{Deref, DerefMut};

use pulp::bytemuck::Zeroable;

use crate::aligned::AlignedVec;
use crate::partition::for_each_chunk;
use crate::scratch::{self, Scratch};
use crate::simd::{lanes, tile_width};

/// Sizes of a packed weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelShape {
    /// Kernel positions, for example 9 for a 3x3 convolution, 1 for a linear layer.
    pub(crate) taps: usize,
    /// Inputs per tap.
    pub(crate) depth: usize,
    /// Outputs.
    pub(crate) outputs: usize,
}

impl PanelShape {
    /// Outputs of panel `panel`, with the zeros that fill it up.
    pub(crate) fn width(self, panel: usize) -> usize {
        panel_width(self.outputs, panel)
    }

    /// The number of panels.
    pub(crate) fn panels(self) -> usize {
        self.outputs.div_ceil(tile_width())
    }

    /// Values of a full panel.
    fn panel_len(self) -> usize {
        self.taps * self.depth * tile_width()
    }

    /// Values of the whole packed weight, with one input of zeros behind it.
    fn len(self) -> usize {
        self.taps * self.depth * self.outputs.next_multiple_of(lanes()) + self.depth
    }
}

/// Where a weight lies before packing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a, F, T = f32> {
    /// The weight.
    pub(crate) values: &'a [T],
    /// `offset(tap, depth)`: where the value of output 0 lies.
    pub(crate) offset: F,
    /// Values from one output to the next.
    pub(crate) output_stride: usize,
}

/// Columns of panel `panel` of a matrix with `columns` columns, with those that fill it up.
pub(crate) fn panel_width(columns: usize, panel: usize) -> usize {
    (columns - panel * tile_width()).min(tile_width()).next_multiple_of(lanes())
}

/// A packed weight, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels<'a, T = f32> {
    pub(crate) shape: PanelShape,
    values: &'a [T],
}

impl<'a, T> Panels<'a, T> {
    /// The values of panel `panel` for one tap: `[depth][width]`.
    #[inline(always)]
    pub(crate) fn tap(&self, panel: usize, tap: usize) -> &'a [T] {
        let len = self.shape.depth * self.shape.width(panel);
        &self.values[panel * self.shape.panel_len() + tap * len..][..len]
    }

    /// One input of zeros: what a tap outside the map reads.
    #[inline(always)]
    pub(crate) fn zero_input(&self) -> &'a [T] {
        &self.values[self.values.len() - self.shape.depth..]
    }
}

/// A packed weight with its memory: a scratch buffer, or one that lives with the model.
#[derive(Clone, Debug)]
pub(crate) struct PackedWeight<M> {
    shape: PanelShape,
    values: M,
}

impl<T, M: Deref<Target = [T]>> PackedWeight<M> {
    /// A view for the kernels.
    pub(crate) fn panels(&self) -> Panels<'_, T> {
        Panels { shape: self.shape, values: &self.values }
    }
}

/// Where a packed weight lies.
pub(crate) trait PanelMemory<T>: DerefMut<Target = [T]> {
    /// Room for so many values, whatever they hold.
    fn with_len(len: usize) -> Self;
}

impl PanelMemory<f32> for Scratch {
    fn with_len(len: usize) -> Self {
        scratch::take(len)
    }
}

impl<T: Zeroable + Copy> PanelMemory<T> for AlignedVec<T> {
    fn with_len(len: usize) -> Self {
        Self::zeros(len)
    }
}

/// Packs a weight for one call.
pub(crate) fn pack<F: Fn(usize, usize) -> usize + Sync>(
    shape: PanelShape,
    source: &Source<'_, F>,
) -> PackedWeight<Scratch> {
    pack_in(shape, source)
}

/// A weight packed for many calls.
pub(crate) type KeptWeight<T = f32> = PackedWeight<AlignedVec<T>>;

/// Packs a weight for many calls.
pub(crate) fn pack_for_keeps<F, T>(shape: PanelShape, source: &Source<'_, F, T>) -> KeptWeight<T>
where
    F: Fn(usize, usize) -> usize + Sync,
    T: Zeroable + Copy + Send + Sync,
{
    pack_in(shape, source)
}

/// Packs a weight for one call or for many, by the kind of memory.
pub(crate) fn pack_in<M, F, T>(shape: PanelShape, source: &Source<'_, F, T>) -> PackedWeight<M>
where
    M: PanelMemory<T>,
    F: Fn(usize, usize) -> usize + Sync,
    T: Zeroable + Copy + Send + Sync,
{
    let mut values = M::with_len(shape.len());
    pack_into(shape, source, &mut values);
    PackedWeight { shape, values }
}

fn pack_into<F, T>(shape: PanelShape, source: &Source<'_, F, T>, values: &mut [T])
where
    F: Fn(usize, usize) -> usize + Sync,
    T: Zeroable + Copy + Send + Sync,
{
    let (panels, zero_input) = values.split_at_mut(shape.len() - shape.depth);
    zero_input.fill(T::zeroed());
    for_each_chunk(panels, shape.panel_len().max(1), |panel, values| {
        let (first, width) = (panel * tile_width(), shape.width(panel));
        let filled = width.min(shape.outputs - first);
        for depth in 0..shape.depth {
            for tap in 0..shape.taps {
                let from = (source.offset)(tap, depth) + first * source.output_stride;
                let to = &mut values[(tap * shape.depth + depth) * width..][..width];
                let (to, padding) = to.split_at_mut(filled);
                if source.output_stride == 1 {
                    to.copy_from_slice(&source.values[from..][..filled]);
                } else {
                    for (value, from) in to.iter_mut().zip((from..).step_by(source.output_stride)) {
                        *value = source.values[from];
                    }
                }
                padding.fill(T::zeroed());
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_is_found_in_its_panel() {
        // Two panels: a full one, and one whose last vector is not.
        let outputs = tile_width() + lanes() + 1;
        let shape = PanelShape { taps: 3, depth: 2, outputs };
        let values: Vec<f32> = (0..6 * outputs).map(|i| i as f32 + 1.0).collect();
        let offset = |tap: usize, depth: usize| depth * 3 + 2 - tap;
        let packed = pack(shape, &Source { values: &values, offset, output_stride: 6 });
        let panels = packed.panels();
        assert_eq!(panels.zero_input(), [0.0; 2]);
        let filled_up = tile_width() + shape.width(1);
        for (tap, depth, output) in (0..6 * filled_up).map(|i| (i % 3, i / 3 % 2, i / 6)) {
            let (panel, column) = (output / tile_width(), output % tile_width());
            let found = panels.tap(panel, tap)[depth * shape.width(panel) + column];
            let expected =
                if output < outputs { values[output * 6 + offset(tap, depth)] } else { 0.0 };
            assert_eq!(found, expected, "tap {tap} depth {depth} output {output}");
        }
    }
}
