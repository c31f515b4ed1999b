//! Connected components of a mask: which defective pixels form one region.
//!
//! Definition: two defective pixels belong together when they touch at a side or at a corner
//! (8-connectivity), as in the evaluation that comes with `MVTec` AD, where regions are found with
//! a full 3x3 structure.
//!
//! The mask is read once as horizontal runs of defective pixels; a run joins every run of the row
//! above that it touches (union-find). Time grows with the mask, memory with the number of runs.

use std::ops::Range;

/// A horizontal stretch of defective pixels inside one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Positions in the row-major mask.
    pub pixels: Range<usize>,
    /// The component it belongs to, in `0..components.len()`.
    pub component: usize,
}

/// The connected components of one mask, numbered by their first pixel in reading order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    runs: Vec<Run>,
    areas: Vec<usize>,
    mask_len: usize,
}

impl Components {
    /// Finds the components of the non-zero pixels of `mask`, row-major `[height, width]`.
    ///
    /// A last row that is cut short counts as far as it goes. A `width` of 0 gives no components.
    ///
    /// ```
    /// use mmad_metrics::components::Components;
    /// let mask = [
    ///     1, 0, 0, 1, //
    ///     0, 1, 0, 0, // touches the first pixel at a corner
    /// ];
    /// let components = Components::of(&mask, 4);
    /// assert_eq!(components.areas(), [2, 1]);
    /// assert_eq!(components.labels(), [1, 0, 0, 2, 0, 1, 0, 0]);
    /// ```
    pub fn of(mask: &[u8], width: usize) -> Self {
        if width == 0 {
            return Self { runs: Vec::new(), areas: Vec::new(), mask_len: mask.len() };
        }
        let mut runs: Vec<Run> = Vec::new();
        // Until the end, `component` holds the position of another run of the same component, or
        // the run's own position. Links point to earlier runs only.
        let mut row_above = 0..0;
        for (row, pixels) in mask.chunks(width).enumerate() {
            let first = runs.len();
            push_runs(pixels, row * width, &mut runs);
            join_rows(&mut runs, row_above, width);
            row_above = first..runs.len();
        }

        let mut areas = Vec::new();
        for index in 0..runs.len() {
            let parent = runs[index].component;
            let component = if parent == index {
                areas.push(0);
                areas.len() - 1
            } else {
                // The parent comes earlier, so it already holds its final number.
                runs[parent].component
            };
            areas[component] += runs[index].pixels.len();
            runs[index].component = component;
        }
        Self { runs, areas, mask_len: mask.len() }
    }

    /// How many components there are.
    pub fn len(&self) -> usize {
        self.areas.len()
    }

    /// Whether the mask is empty.
    pub fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    /// Number of pixels of each component.
    pub fn areas(&self) -> &[usize] {
        &self.areas
    }

    /// All runs in reading order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// A picture of the components, row-major like the mask: 0 is background, `i + 1` is
    /// component `i`.
    pub fn labels(&self) -> Vec<usize> {
        let mut labels = vec![0; self.mask_len];
        for run in &self.runs {
            labels[run.pixels.clone()].fill(run.component + 1);
        }
        labels
    }
}

/// Appends the runs of one row whose first pixel has the position `offset`.
fn push_runs(row: &[u8], offset: usize, runs: &mut Vec<Run>) {
    // Most rows are empty, and this test runs many pixels at a time.
    if row.iter().fold(0, |any, &pixel| any | pixel) == 0 {
        return;
    }
    let mut start = 0;
    for stretch in row.chunk_by(|a, b| (*a != 0) == (*b != 0)) {
        let end = start + stretch.len();
        if stretch[0] != 0 {
            runs.push(Run { pixels: offset + start..offset + end, component: runs.len() });
        }
        start = end;
    }
}

/// Joins the runs behind `above` (the new row) with those of `above` that they touch.
fn join_rows(runs: &mut [Run], above: Range<usize>, width: usize) {
    let mut upper = above.start;
    for lower in above.end..runs.len() {
        // The new run seen one row higher; it may reach one pixel further on both sides.
        let Range { start, end } = runs[lower].pixels.clone();
        let (start, end) = (start - width, end - width);
        while upper < above.end && runs[upper].pixels.end < start {
            upper += 1;
        }
        let mut touching = upper;
        while touching < above.end && runs[touching].pixels.start <= end {
            join(runs, touching, lower);
            touching += 1;
        }
    }
}

/// Puts two runs into one component; the earlier root stays the root.
fn join(runs: &mut [Run], a: usize, b: usize) {
    let (a, b) = (root(runs, a), root(runs, b));
    runs[a.max(b)].component = a.min(b);
}

/// The first run of the component of `run`, shortening the way for the next caller.
fn root(runs: &mut [Run], mut run: usize) -> usize {
    while runs[run].component != run {
        let parent = runs[run].component;
        runs[run].component = runs[parent].component;
        run = parent;
    }
    run
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Flood fill from every pixel that has no label yet.
    fn labels_by_definition(mask: &[u8], width: usize) -> Vec<usize> {
        let height = mask.len() / width;
        let mut labels = vec![0; mask.len()];
        let mut n_components = 0;
        for seed in 0..mask.len() {
            if mask[seed] == 0 || labels[seed] != 0 {
                continue;
            }
            n_components += 1;
            labels[seed] = n_components;
            let mut open = vec![seed];
            while let Some(pixel) = open.pop() {
                let (row, column) = (pixel / width, pixel % width);
                for r in row.saturating_sub(1)..=(row + 1).min(height - 1) {
                    for c in column.saturating_sub(1)..=(column + 1).min(width - 1) {
                        let neighbour = r * width + c;
                        if mask[neighbour] != 0 && labels[neighbour] == 0 {
                            labels[neighbour] = n_components;
                            open.push(neighbour);
                        }
                    }
                }
            }
        }
        labels
    }

    fn masks() -> impl Strategy<Value = (Vec<u8>, usize)> {
        (1_usize..14, 1_usize..14, 1_u32..9).prop_flat_map(|(height, width, density)| {
            let pixel = (0_u32..10).prop_map(move |x| u8::from(x < density));
            (proptest::collection::vec(pixel, height * width), Just(width))
        })
    }

    proptest! {
        #[test]
        fn equals_the_flood_fill((mask, width) in masks()) {
            let components = Components::of(&mask, width);
            let labels = labels_by_definition(&mask, width);
            prop_assert_eq!(components.labels(), labels.clone());
            for (component, &area) in components.areas().iter().enumerate() {
                let counted = labels.iter().filter(|&&label| label == component + 1).count();
                prop_assert_eq!(area, counted);
            }
        }
    }

    #[test]
    fn rows_do_not_wrap_around() {
        let mask = [0, 0, 1, 1, 0, 0];
        assert_eq!(Components::of(&mask, 3).len(), 2);
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert!(Components::of(&[], 0).is_empty());
        assert!(Components::of(&[1, 1], 0).is_empty());
        assert!(Components::of(&[0; 12], 4).is_empty());
    }
}
