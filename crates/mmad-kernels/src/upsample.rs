//! Bilinear enlargement of single maps.

use rayon::prelude::*;

use crate::partition::expect_len;

/// Resizes a map so that its corner pixels stay corner pixels, bilinear in between: PyTorch's
/// `interpolate(mode="bilinear", align_corners=True)`.
///
/// # Shapes
///
/// - `x`: `[height, width]` with the sizes of `from`, none of them 0
/// - `y`: `[height, width]` with the sizes of `to`
///
/// # Panics
///
/// When a slice does not have the length of its shape, or `x` is empty.
pub fn bilinear(from: [usize; 2], x: &[f64], to: [usize; 2], y: &mut [f64]) {
    let ([height, width], [out_height, out_width]) = (from, to);
    assert!(height > 0 && width > 0, "bilinear: a map of {height} x {width} pixels is empty");
    expect_len("bilinear", "x", x.len(), height * width);
    expect_len("bilinear", "y", y.len(), out_height * out_width);
    let columns: Vec<Neighbours> =
        (0..out_width).map(|column| Neighbours::of(column, width, out_width)).collect();
    y.par_chunks_mut(out_width.max(1)).enumerate().for_each(|(row, y)| {
        let rows = Neighbours::of(row, height, out_height);
        let (above, below) = (&x[rows.near * width..][..width], &x[rows.far * width..][..width]);
        for (y, at) in y.iter_mut().zip(&columns) {
            let top = at.between(above[at.near], above[at.far]);
            let bottom = at.between(below[at.near], below[at.far]);
            *y = rows.between(top, bottom);
        }
    });
}

/// The two source pixels around an output pixel along one axis.
#[derive(Clone, Copy, Debug)]
struct Neighbours {
    near: usize,
    far: usize,
    /// How much `far` counts, from 0 to 1.
    share: f64,
}

impl Neighbours {
    fn of(out: usize, side: usize, out_side: usize) -> Self {
        let place =
            if out_side > 1 { out as f64 * (side - 1) as f64 / (out_side - 1) as f64 } else { 0.0 };
        let near = (place as usize).min(side - 1);
        Self { near, far: (near + 1).min(side - 1), share: place - near as f64 }
    }

    fn between(self, near: f64, far: f64) -> f64 {
        near * (1.0 - self.share) + far * self.share
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{values, widen};

    /// The definition: every source pixel weighted by a tent one pixel wide around the place that
    /// the output pixel comes from.
    fn reference([height, width]: [usize; 2], x: &[f64], to: [usize; 2]) -> Vec<f64> {
        let place = |out: usize, side: usize, out_side: usize| {
            out as f64 * (side - 1) as f64 / (out_side - 1).max(1) as f64
        };
        let mut y = vec![0.0; to[0] * to[1]];
        for (i, y) in y.iter_mut().enumerate() {
            let row = place(i / to[1], height, to[0]);
            let column = place(i % to[1], width, to[1]);
            for (j, x) in x.iter().enumerate() {
                let tent = |a: f64, b: usize| (1.0 - (a - b as f64).abs()).max(0.0);
                *y += x * tent(row, j / width) * tent(column, j % width);
            }
        }
        y
    }

    proptest! {
        #[test]
        fn equals_the_reference(
            from in [1_usize..9, 1_usize..9], to in [1_usize..20, 1_usize..20],
        ) {
            let x = widen(&values(1, from[0] * from[1]));
            let mut y = vec![f64::NAN; to[0] * to[1]];
            bilinear(from, &x, to, &mut y);
            for (fast, slow) in y.iter().zip(reference(from, &x, to)) {
                prop_assert!((fast - slow).abs() < 1e-12, "{fast} {slow}");
            }
        }
    }

    #[test]
    fn corners_stay_and_the_middle_is_the_mean() {
        let mut y = [0.0; 15];
        bilinear([2, 2], &[0.0, 4.0, 8.0, 16.0], [3, 5], &mut y);
        assert_eq!(y[..5], [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(y[7], 7.0);
        assert_eq!((y[10], y[14]), (8.0, 16.0));
    }
}
