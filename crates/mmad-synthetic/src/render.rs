//! One picture of a product, good or defective, with the mask of what the defect changed.

use crate::SyntheticError;
use crate::defects::{Defect, Kind};
use crate::drawing::camera::Camera;
use crate::drawing::canvas::Canvas;
use crate::drawing::colour::Colour;
use crate::drawing::geometry::Point;
use crate::products::{Fault, Product, Surface};
use crate::random::{Random, word_of};

/// A pixel belongs to a defect where some channel differs from the good twin by at least this much
/// (of 255 levels).
pub const NOTICEABLE: u8 = 10;

/// The share of the picture that a defect covers. Defects are drawn again until they fit; in
/// pictures far longer than wide, a missing part may stay below.
pub const AREA_SHARE: std::ops::RangeInclusive<f64> = 0.01..=0.065;

const ATTEMPTS: u64 = 24;

/// Height and width of a picture, each 64 to 8192 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    height: usize,
    width: usize,
}

impl Size {
    /// A size that can be drawn.
    ///
    /// # Errors
    ///
    /// [`SyntheticError::SizeOutOfRange`] where a side is not in `64..=8192`.
    pub fn new(height: usize, width: usize) -> Result<Self, SyntheticError> {
        let fits = |side| (64..=8192).contains(&side);
        if fits(height) && fits(width) {
            Ok(Self { height, width })
        } else {
            Err(SyntheticError::SizeOutOfRange { height, width })
        }
    }

    /// Rows.
    pub fn height(self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(self) -> usize {
        self.width
    }
}

/// A finished picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Render {
    /// Height x width x 3 bytes: red, green, blue.
    pub rgb: Vec<u8>,
    /// Height x width bytes: 255 where the defect changed the picture noticeably, 0 elsewhere.
    ///
    /// Exactly the pixels that differ from [`good`] with the same arguments by [`NOTICEABLE`] or
    /// more in some channel, with gaps narrower than about a 64th of the shorter side closed.
    pub mask: Vec<u8>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// A picture of a product without defect. Its mask is all zero.
///
/// `seed` and `index` together choose the picture: its pose, light, texture and noise.
pub fn good(product: &Product, seed: u64, index: u64, size: Size) -> Render {
    let Size { height, width } = size;
    let (canvas, camera) = scene(product, seed, index, size, None);
    Render { rgb: camera.develop(&canvas.0), mask: vec![0; height * width], height, width }
}

/// The picture that [`good`] draws for the same arguments, with a defect.
pub fn defective(product: &Product, defect: &Defect, seed: u64, index: u64, size: Size) -> Render {
    let Size { height, width } = size;
    let ((canvas, surface), camera) = scene(product, seed, index, size, None);
    let before = camera.develop(&canvas);
    let closing = (height.min(width) / 128).max(1);

    let mut best: Option<(f64, Render)> = None;
    for attempt in 0..ATTEMPTS {
        let key = [seed, word_of(product.id), index, word_of(defect.id), attempt];
        let mut random = Random::keyed(&key);
        let rgb = match defect.kind {
            Kind::Structure(structure) => {
                let fault = Fault { structure, random };
                let ((damaged, _), _) = scene(product, seed, index, size, Some(fault));
                camera.develop(&damaged)
            }
            Kind::Surface(apply) => {
                let mut damaged = canvas.clone();
                apply(&mut damaged, &surface, &mut random);
                camera.develop(&damaged)
            }
        };
        let mask = closed(&changed(&before, &rgb), height, width, closing);
        let share = share(&mask);
        let miss = (AREA_SHARE.start() - share).max(share - AREA_SHARE.end());
        if best.as_ref().is_none_or(|(least, _)| miss < *least) {
            best = Some((miss, Render { rgb, mask, height, width }));
        }
        if miss <= 0.0 {
            break;
        }
    }
    best.map_or_else(|| good(product, seed, index, size), |(_, render)| render)
}

/// A drawn product, and what its surface is like.
type Scene = (Canvas, Surface);

/// The drawn product and the camera that will take it; both unaffected by the fault's own draws.
fn scene(
    product: &Product,
    seed: u64,
    index: u64,
    size: Size,
    fault: Option<Fault>,
) -> (Scene, Camera) {
    let key = [seed, word_of(product.id), index];
    let mut random = Random::keyed(&key);
    let camera = Camera {
        gain: Colour::new(
            1.0 + random.around(0.02),
            1.0 + random.around(0.015),
            1.0 + random.around(0.02),
        ) * (1.0 + random.around(0.05)),
        gradient: Point::new(random.around(0.06), random.around(0.06)),
        vignette: random.range(0.08, 0.2),
        blur: random.range(0.03, 0.13),
        noise: random.range(0.010, 0.020),
        seed: random.seed(),
    };
    let mut canvas = Canvas::new(size.height, size.width);
    let surface = (product.draw)(&mut canvas, &mut random, fault);
    ((canvas, surface), camera)
}

/// The share of a mask that is set.
fn share(mask: &[u8]) -> f64 {
    mask.iter().map(|&m| f64::from(m)).sum::<f64>() / (255 * mask.len()) as f64
}

/// 255 where two pictures differ by [`NOTICEABLE`] or more in some channel.
fn changed(before: &[u8], after: &[u8]) -> Vec<u8> {
    let pairs = before.chunks_exact(3).zip(after.chunks_exact(3));
    pairs
        .map(|(a, b)| {
            let most = a.iter().zip(b).map(|(x, y)| x.abs_diff(*y)).max();
            if most >= Some(NOTICEABLE) { 255 } else { 0 }
        })
        .collect()
}

/// Morphological closing with a square of side `2 radius + 1`; outside counts as set when shrinking,
/// so that no set pixel is lost.
fn closed(mask: &[u8], height: usize, width: usize, radius: usize) -> Vec<u8> {
    let grown = slide(mask, height, width, radius, u8::max);
    slide(&grown, height, width, radius, u8::min)
}

/// The extreme value (by `choose`) in a square window around each pixel, cut at the border.
fn slide(
    mask: &[u8],
    height: usize,
    width: usize,
    radius: usize,
    choose: fn(u8, u8) -> u8,
) -> Vec<u8> {
    let window = |at: usize, n: usize| at.saturating_sub(radius)..(at + radius + 1).min(n);
    let mut across = mask.to_vec();
    for (row, out) in mask.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
        for (x, value) in out.iter_mut().enumerate() {
            *value = row[window(x, width)].iter().copied().fold(row[x], choose);
        }
    }
    let mut both = across.clone();
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            both[i] = window(y, height).map(|r| across[r * width + x]).fold(across[i], choose);
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEFECTS, PRODUCTS};

    const SIZES: [(usize, usize); 3] = [(64, 64), (96, 128), (130, 100)];

    /// Every product with every defect, each at one of the sizes.
    fn every_pair(mut check: impl FnMut(&Product, &Defect, u64, Size)) {
        for (i, product) in PRODUCTS.iter().enumerate() {
            for (j, defect) in DEFECTS.iter().enumerate() {
                for index in 0..3 {
                    let (height, width) = SIZES[(i + j + index as usize) % 3];
                    check(product, defect, index, Size::new(height, width).unwrap());
                }
            }
        }
    }

    #[test]
    fn same_seed_same_bytes_and_other_index_other_picture() {
        for product in PRODUCTS {
            let size = Size::new(64, 80).unwrap();
            let first = good(product, 5, 0, size);
            assert_eq!(first, good(product, 5, 0, size));
            assert_eq!(first.rgb.len(), 64 * 80 * 3);
            assert_ne!(first.rgb, good(product, 5, 1, size).rgb);
            assert_ne!(first.rgb, good(product, 6, 0, size).rgb);
        }
    }

    #[test]
    fn defects_repeat_and_vary() {
        every_pair(|product, defect, index, size| {
            let render = defective(product, defect, 1, index, size);
            assert_eq!(render, defective(product, defect, 1, index, size));
            assert_ne!(render.mask, defective(product, defect, 1, index + 10, size).mask);
        });
    }

    #[test]
    fn the_mask_is_where_the_picture_differs_from_its_good_twin() {
        every_pair(|product, defect, index, size| {
            let twin = good(product, 2, index, size);
            let render = defective(product, defect, 2, index, size);
            assert_eq!(render.mask.len(), size.height * size.width);
            let differs = |i: usize| {
                (0..3).any(|c| render.rgb[3 * i + c].abs_diff(twin.rgb[3 * i + c]) >= NOTICEABLE)
            };
            for y in 0..size.height {
                for x in 0..size.width {
                    let i = y * size.width + x;
                    assert!(matches!(render.mask[i], 0 | 255));
                    if differs(i) {
                        assert_eq!(render.mask[i], 255, "{} {}", product.id, defect.id);
                    }
                    if render.mask[i] == 255 {
                        // Closing by one pixel fills gaps only next to changed pixels.
                        let near = (y.saturating_sub(1)..(y + 2).min(size.height)).any(|r| {
                            (x.saturating_sub(1)..(x + 2).min(size.width))
                                .any(|c| differs(r * size.width + c))
                        });
                        assert!(near, "{} {}", product.id, defect.id);
                    }
                }
            }
        });
    }

    #[test]
    fn defects_cover_one_to_six_percent() {
        every_pair(|product, defect, index, size| {
            for seed in 3..6 {
                let share = share(&defective(product, defect, seed, index, size).mask);
                assert!(
                    AREA_SHARE.contains(&share),
                    "{} {} {size:?}: {share}",
                    product.id,
                    defect.id
                );
            }
        });
    }

    #[test]
    fn closing_fills_gaps_and_keeps_what_is_set() {
        #[rustfmt::skip]
        let mask = [
            255, 0, 255, 0, 0, 0,
            0,   0, 0,   0, 0, 0,
            255, 0, 255, 0, 0, 0,
            0,   0, 0,   0, 0, 255,
        ];
        let found = closed(&mask, 4, 6, 1);
        assert!(mask.iter().zip(&found).all(|(before, after)| after >= before));
        assert_eq!((found[1], found[7], found[14], found[10]), (255, 255, 255, 0));
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert!(Size::new(63, 100).is_err());
        assert!(Size::new(100, 9000).is_err());
        assert_eq!(Size::new(64, 65).unwrap().width(), 65);
    }
}
