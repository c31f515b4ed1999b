//! Weights in the order in which the register tiles read them.
//!
//! A panel holds up to 64 neighbouring outputs. Inside it the order is `[tap][depth][output]`, so
//! that a tile streams through it front to back. The last panel is filled up with zeros to a
//! multiple of 16 outputs, the longest vector.

use std::ops::Deref;

use crate::partition::for_each_chunk;
use crate::scratch::{self, Scratch};

/// Outputs of a full panel.
pub(crate) const PANEL: usize = 64;

/// The longest vector of any instruction set, in `f32` lanes.
pub(crate) const MAX_LANES: usize = 16;

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
        (self.outputs - panel * PANEL).min(PANEL).next_multiple_of(MAX_LANES)
    }

    /// The number of panels.
    pub(crate) fn panels(self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    /// Values of a full panel.
    fn panel_len(self) -> usize {
        self.taps * self.depth * PANEL
    }

    /// Values of the whole packed weight, with one input of zeros behind it.
    fn len(self) -> usize {
        self.taps * self.depth * self.outputs.next_multiple_of(MAX_LANES) + self.depth
    }
}

/// Where a weight lies before packing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a, F> {
    /// The weight.
    pub(crate) values: &'a [f32],
    /// `offset(tap, depth)`: where the value of output 0 lies.
    pub(crate) offset: F,
    /// Values from one output to the next.
    pub(crate) output_stride: usize,
}

/// A packed weight, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels<'a> {
    pub(crate) shape: PanelShape,
    values: &'a [f32],
}

impl<'a> Panels<'a> {
    /// The values of panel `panel` for one tap: `[depth][width]`.
    #[inline(always)]
    pub(crate) fn tap(self, panel: usize, tap: usize) -> &'a [f32] {
        let len = self.shape.depth * self.shape.width(panel);
        &self.values[panel * self.shape.panel_len() + tap * len..][..len]
    }

    /// One input of zeros: what a tap outside the map reads.
    #[inline(always)]
    pub(crate) fn zero_input(self) -> &'a [f32] {
        &self.values[self.values.len() - self.shape.depth..]
    }
}

/// A packed weight with its memory: a scratch buffer, or a vector that lives with the model.
#[derive(Clone, Debug)]
pub(crate) struct PackedWeight<M> {
    shape: PanelShape,
    values: M,
}

impl<M: Deref<Target = [f32]>> PackedWeight<M> {
    /// A view for the kernels.
    pub(crate) fn panels(&self) -> Panels<'_> {
        Panels { shape: self.shape, values: &self.values }
    }
}

/// Packs a weight for one call.
pub(crate) fn pack<F: Fn(usize, usize) -> usize + Sync>(
    shape: PanelShape,
    source: &Source<'_, F>,
) -> PackedWeight<Scratch> {
    let mut values = scratch::take(shape.len());
    pack_into(shape, source, &mut values);
    PackedWeight { shape, values }
}

/// Packs a weight for many calls.
pub(crate) fn pack_for_keeps<F: Fn(usize, usize) -> usize + Sync>(
    shape: PanelShape,
    source: &Source<'_, F>,
) -> PackedWeight<Vec<f32>> {
    let mut values = vec![0.0; shape.len()];
    pack_into(shape, source, &mut values);
    PackedWeight { shape, values }
}

fn pack_into<F: Fn(usize, usize) -> usize + Sync>(
    shape: PanelShape,
    source: &Source<'_, F>,
    values: &mut [f32],
) {
    let (panels, zero_input) = values.split_at_mut(shape.len() - shape.depth);
    zero_input.fill(0.0);
    for_each_chunk(panels, shape.panel_len().max(1), |panel, values| {
        let (first, width) = (panel * PANEL, shape.width(panel));
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
                padding.fill(0.0);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 taps, depth 2, 70 outputs: a full panel and one of 6 outputs filled up to 16.
    #[test]
    fn every_weight_is_found_in_its_panel() {
        let shape = PanelShape { taps: 3, depth: 2, outputs: 70 };
        let values: Vec<f32> = (0..3 * 2 * 70).map(|i| i as f32 + 1.0).collect();
        let offset = |tap: usize, depth: usize| depth * 3 + 2 - tap;
        let packed = pack(shape, &Source { values: &values, offset, output_stride: 6 });
        let panels = packed.panels();
        assert_eq!(panels.zero_input(), [0.0; 2]);
        for (tap, depth, output) in
            (0..3 * 2 * 80).map(|i| (i % 3, (i / 3) % 2, i / 6))
        {
            let (panel, column) = (output / PANEL, output % PANEL);
            let found = panels.tap(panel, tap)[depth * shape.width(panel) + column];
            let expected = if output < 70 { values[output * 6 + offset(tap, depth)] } else { 0.0 };
            assert_eq!(found, expected, "tap {tap} depth {depth} output {output}");
        }
    }
}
