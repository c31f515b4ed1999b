//! The orders in which a scan visits the pixels of a map.
//!
//! A base order is turned and mirrored into as many as eight directions. The textbook curves
//! (Hilbert, Z) live on squares whose side is a power of two. On any other map the order is that
//! of the smallest such square around the map, without the places outside; so it is the textbook's
//! where the textbook has one, and every pixel is visited once everywhere.
//!
//! Source: MMAD reference code, scan types and directions. **Difference:** the reference fixes a
//! square map in advance and its Hilbert curve needs a power of two; here any height and width do.

use std::fmt;
use std::str::FromStr;

/// A base order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanOrder {
    /// Row by row, left to right.
    Sweep,
    /// Row by row, every second row right to left (boustrophedon).
    Scan,
    /// The Z curve: the bits of column and row interleaved (Morton 1966).
    Zorder,
    /// Diagonal by diagonal, to and fro, as in JPEG.
    Zigzag,
    /// The Hilbert curve (Hilbert 1891).
    Hilbert,
}

/// What can be wrong with a scan order or its directions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// No scan order has this name.
    #[error("unknown scan order `{asked}`")]
    UnknownOrder {
        /// The name that was asked for.
        asked: String,
    },
    /// Directions come in twos, fours and eights.
    #[error("a map cannot be scanned in `{asked}` directions")]
    Directions {
        /// The number that was asked for.
        asked: usize,
    },
    /// Pixels are counted in 32 bits.
    #[error("a map of {height} x {width} pixels is too large to scan")]
    TooLarge {
        /// Rows of the map.
        height: usize,
        /// Columns of the map.
        width: usize,
    },
}

impl OrderError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownOrder { .. } => {
                let names: Vec<&str> = ScanOrder::ALL.iter().map(|order| order.name()).collect();
                Some(format!("the scan orders are: {}", names.join(", ")))
            }
            Self::Directions { .. } => Some("use 2, 4 or 8 directions".to_owned()),
            Self::TooLarge { .. } => None,
        }
    }
}

impl ScanOrder {
    /// Every base order.
    pub const ALL: [Self; 5] = [Self::Sweep, Self::Scan, Self::Zorder, Self::Zigzag, Self::Hilbert];

    /// The name in run files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Scan => "scan",
            Self::Zorder => "zorder",
            Self::Zigzag => "zigzag",
            Self::Hilbert => "hilbert",
        }
    }

    /// The pixel (`row * width + column`) visited at every step; a permutation of the map.
    ///
    /// # Errors
    ///
    /// [`OrderError::TooLarge`] for a map of more than 2^32 pixels.
    pub fn base_order(self, height: usize, width: usize) -> Result<Vec<u32>, OrderError> {
        let steps = self.steps(height, width)?;
        Ok(steps.into_iter().map(|(row, column)| row * width as u32 + column).collect())
    }

    /// Row and column of every step.
    fn steps(self, height: usize, width: usize) -> Result<Vec<(u32, u32)>, OrderError> {
        let pixels = height.checked_mul(width).and_then(|n| u32::try_from(n).ok());
        let (Some(_), Ok(rows), Ok(columns)) = (pixels, height.try_into(), width.try_into()) else {
            return Err(OrderError::TooLarge { height, width });
        };
        let (rows, columns): (u32, u32) = (rows, columns);
        let mut steps: Vec<(u32, u32)> =
            (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).collect();
        match self {
            Self::Sweep => {}
            Self::Scan => steps.sort_by_key(|&(row, column)| {
                (row, if row % 2 == 0 { column } else { columns - 1 - column })
            }),
            Self::Zorder => steps.sort_by_key(|&(row, column)| z_position(row, column)),
            Self::Zigzag => steps.sort_by_key(|&(row, column)| {
                let diagonal = u64::from(row) + u64::from(column);
                (diagonal, if diagonal % 2 == 0 { column } else { row })
            }),
            Self::Hilbert => {
                let side = u64::from(rows.max(columns)).next_power_of_two();
                steps.sort_by_key(|&(row, column)| hilbert_position(side, row, column));
            }
        }
        Ok(steps)
    }
}

impl fmt::Display for ScanOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ScanOrder {
    type Err = OrderError;

    fn from_str(name: &str) -> Result<Self, OrderError> {
        let found = Self::ALL.into_iter().find(|order| order.name() == name);
        found.ok_or_else(|| OrderError::UnknownOrder { asked: name.to_owned() })
    }
}

/// The orders of all directions of one map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectionTable {
    height: usize,
    width: usize,
    directions: usize,
    orders: Vec<u32>,
}

impl DirectionTable {
    /// Builds the orders of 2, 4 or 8 directions.
    ///
    /// Direction 0 is the base order, 1 its transpose, 2 the transpose seen in a mirror (a quarter
    /// turn), 3 the base order seen in a mirror; mirrors swap left and right. The second half of
    /// the directions runs through the first half backwards. A transposed direction of a map that
    /// is not square takes the base order of the map with height and width swapped.
    ///
    /// # Errors
    ///
    /// [`OrderError::Directions`] for another number of directions, [`OrderError::TooLarge`] for a
    /// map of more than 2^32 pixels.
    pub fn new(
        order: ScanOrder,
        height: usize,
        width: usize,
        directions: usize,
    ) -> Result<Self, OrderError> {
        if !matches!(directions, 2 | 4 | 8) {
            return Err(OrderError::Directions { asked: directions });
        }
        let upright = order.steps(height, width)?;
        let lying = order.steps(width, height)?;
        let columns = width as u32;
        let pixel = |row: u32, column: u32| row * columns + column;
        let mut orders = Vec::with_capacity(directions * height * width);
        for direction in 0..directions / 2 {
            match direction {
                0 => orders.extend(upright.iter().map(|&(r, c)| pixel(r, c))),
                1 => orders.extend(lying.iter().map(|&(r, c)| pixel(c, r))),
                2 => orders.extend(lying.iter().map(|&(r, c)| pixel(c, columns - 1 - r))),
                _ => orders.extend(upright.iter().map(|&(r, c)| pixel(r, columns - 1 - c))),
            }
        }
        for direction in 0..directions / 2 {
            let forward = direction * height * width..(direction + 1) * height * width;
            orders.extend_from_within(forward);
            orders[(directions / 2 + direction) * height * width..].reverse();
        }
        Ok(Self { height, width, directions, orders })
    }

    /// Rows of the map.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of the map.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of directions, `K`.
    pub fn directions(&self) -> usize {
        self.directions
    }

    /// Pixel at every step of every direction, `[K, height * width]`.
    pub fn orders(&self) -> &[u32] {
        &self.orders
    }

    /// Pixel at every step of one direction.
    ///
    /// # Panics
    ///
    /// When there is no such direction.
    pub fn order(&self, direction: usize) -> &[u32] {
        let pixels = self.height * self.width;
        &self.orders[direction * pixels..(direction + 1) * pixels]
    }
}

/// Position on the Z curve: column bits in even places, row bits in odd ones.
fn z_position(row: u32, column: u32) -> u64 {
    let spread =
        |x: u32| (0..32).fold(0_u64, |sum, bit| sum | (u64::from(x >> bit & 1) << (2 * bit)));
    spread(column) | spread(row) << 1
}

/// Position on the Hilbert curve through a square of `side` (a power of two), from the top left.
///
/// The quadrants are visited in the order top left, bottom left, bottom right, top right, and the
/// curve in the first and last is mirrored so that the ends meet.
fn hilbert_position(side: u64, row: u32, column: u32) -> u64 {
    let (mut row, mut column) = (u64::from(row), u64::from(column));
    let mut position = 0;
    let mut half = side / 2;
    while half > 0 {
        let (below, right) = (row >= half, column >= half);
        let quadrant = match (below, right) {
            (false, false) => 0,
            (true, false) => 1,
            (true, true) => 2,
            (false, true) => 3,
        };
        position = 4 * position + quadrant;
        row -= if below { half } else { 0 };
        column -= if right { half } else { 0 };
        match quadrant {
            0 => (row, column) = (column, row),
            3 => (row, column) = (half - 1 - column, half - 1 - row),
            _ => {}
        }
        half /= 2;
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_order() -> impl Strategy<Value = ScanOrder> {
        proptest::sample::select(ScanOrder::ALL.to_vec())
    }

    #[test]
    fn orders_begin_as_in_the_textbooks() {
        let start = |order: ScanOrder, side: usize, n: usize| {
            order.base_order(side, side).unwrap()[..n].to_vec()
        };
        assert_eq!(start(ScanOrder::Sweep, 8, 4), [0, 1, 2, 3]);
        assert_eq!(start(ScanOrder::Scan, 8, 10), [0, 1, 2, 3, 4, 5, 6, 7, 15, 14]);
        assert_eq!(start(ScanOrder::Zorder, 8, 8), [0, 1, 8, 9, 2, 3, 10, 11]);
        assert_eq!(start(ScanOrder::Zigzag, 8, 10), [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]);
        let hilbert = [0, 1, 5, 4, 8, 12, 13, 9, 10, 14, 15, 11, 7, 6, 2, 3];
        assert_eq!(start(ScanOrder::Hilbert, 4, 16), hilbert);
    }

    #[test]
    fn orders_of_a_map_that_is_not_square() {
        let order = |order: ScanOrder| order.base_order(2, 3).unwrap();
        assert_eq!(order(ScanOrder::Sweep), [0, 1, 2, 3, 4, 5]);
        assert_eq!(order(ScanOrder::Scan), [0, 1, 2, 5, 4, 3]);
        assert_eq!(order(ScanOrder::Zorder), [0, 1, 3, 4, 2, 5]);
        assert_eq!(order(ScanOrder::Zigzag), [0, 1, 3, 4, 2, 5]);
        assert_eq!(order(ScanOrder::Hilbert), [0, 1, 4, 3, 5, 2]);
    }

    /// Every step of a Hilbert curve goes to a neighbour; checked on sides beyond the stored ones.
    #[test]
    fn the_hilbert_curve_has_no_jumps_on_powers_of_two() {
        for side in [1, 2, 4, 8, 128, 256] {
            let order = ScanOrder::Hilbert.base_order(side, side).unwrap();
            let at = |pixel: u32| (pixel as usize / side, pixel as usize % side);
            for pair in order.windows(2) {
                let ((r0, c0), (r1, c1)) = (at(pair[0]), at(pair[1]));
                assert_eq!(r0.abs_diff(r1) + c0.abs_diff(c1), 1, "side {side}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_direction_visits_every_pixel_once(
            order in any_order(), height in 1..40_usize, width in 1..40_usize,
            directions in proptest::sample::select(vec![2_usize, 4, 8]),
        ) {
            let table = DirectionTable::new(order, height, width, directions).unwrap();
            prop_assert_eq!(table.orders().len(), directions * height * width);
            let every_pixel: Vec<u32> = (0..(height * width) as u32).collect();
            for direction in 0..directions {
                let mut pixels = table.order(direction).to_vec();
                pixels.sort_unstable();
                prop_assert_eq!(&pixels, &every_pixel);
            }
            prop_assert_eq!(table.order(0), order.base_order(height, width).unwrap());
        }

        #[test]
        fn the_second_half_runs_backwards(
            order in any_order(), height in 1..20_usize, width in 1..20_usize,
        ) {
            let table = DirectionTable::new(order, height, width, 8).unwrap();
            for direction in 0..4 {
                let backwards: Vec<u32> = table.order(direction + 4).iter().rev().copied().collect();
                prop_assert_eq!(table.order(direction), backwards);
            }
        }

        /// The quarter turn of a transposed map is its mirror image, on any rectangle.
        #[test]
        fn directions_are_mirrors_and_transposes(
            order in any_order(), height in 1..20_usize, width in 1..20_usize,
        ) {
            let table = DirectionTable::new(order, height, width, 8).unwrap();
            let lying = DirectionTable::new(order, width, height, 8).unwrap();
            let mirror = |pixel: &u32| {
                let (row, column) = (*pixel as usize / width, *pixel as usize % width);
                (row * width + width - 1 - column) as u32
            };
            let transpose = |pixel: &u32| {
                let (row, column) = (*pixel as usize / height, *pixel as usize % height);
                (column * width + row) as u32
            };
            let mirrored = |k: usize| table.order(k).iter().map(mirror).collect::<Vec<_>>();
            prop_assert_eq!(table.order(3), mirrored(0));
            prop_assert_eq!(table.order(2), mirrored(1));
            let transposed: Vec<u32> = lying.order(0).iter().map(transpose).collect();
            prop_assert_eq!(table.order(1), transposed);
        }
    }

    #[test]
    fn names_are_read_back_and_mistakes_are_explained() {
        for order in ScanOrder::ALL {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        let error = "hilbrt".parse::<ScanOrder>().unwrap_err();
        assert_eq!(error.to_string(), "unknown scan order `hilbrt`");
        assert_eq!(
            error.hint().unwrap(),
            "the scan orders are: sweep, scan, zorder, zigzag, hilbert"
        );
        for asked in [0, 1, 3, 16] {
            let error = DirectionTable::new(ScanOrder::Sweep, 4, 4, asked).unwrap_err();
            assert_eq!(error, OrderError::Directions { asked });
            assert_eq!(error.hint().unwrap(), "use 2, 4 or 8 directions");
        }
        let error = ScanOrder::Sweep.base_order(1 << 20, 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "a map of 1048576 x 1048576 pixels is too large to scan");
    }
}
