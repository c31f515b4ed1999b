//! The product classes.

mod blister;
mod cap;
mod circuit;
mod fabric;
mod gear;
mod wood;

use crate::SyntheticError;
use crate::drawing::canvas::Canvas;
use crate::drawing::colour::Colour;
use crate::drawing::geometry::Point;
use crate::random::Random;

/// A product class: one design, photographed again and again.
#[derive(Debug)]
pub struct Product {
    /// The name in folders and on the command line.
    pub id: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// Draws one piece with its natural variation, and damaged where a fault is given. All natural
    /// variation comes from the generator and none from the fault, so that a damaged piece equals
    /// its good twin elsewhere.
    pub(crate) draw: fn(&mut Canvas, &mut Random, Option<Fault>) -> Surface,
}

/// What the defects that lie on a product need to know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surface {
    /// Unit direction in the picture towards the light.
    pub(crate) light: Point,
    /// What a scratch lays bare.
    pub(crate) bare: Colour,
    /// What a liquid leaves.
    pub(crate) stain: Colour,
    /// The foreign bodies that stand out here.
    pub(crate) debris: Colour,
    /// How strongly relief shows, about 0.3 (matt) to 1.
    pub(crate) relief: f32,
}

/// Damage that only the product itself can draw.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) structure: Structure,
    pub(crate) random: Random,
}

/// Which way the structure is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Structure {
    /// A part is not there.
    Missing,
    /// A part is there, but wrong.
    Misplaced,
}

/// All product classes, by name.
pub static PRODUCTS: &[Product] =
    &[blister::BLISTER, cap::CAP, circuit::CIRCUIT, fabric::FABRIC, gear::GEAR, wood::WOOD];

/// The product of this name.
///
/// # Errors
///
/// [`SyntheticError::Unknown`] where there is none.
pub fn product(id: &str) -> Result<&'static Product, SyntheticError> {
    PRODUCTS.iter().find(|product| product.id == id).ok_or_else(|| SyntheticError::Unknown {
        what: "product",
        asked: id.into(),
        known: PRODUCTS.iter().map(|product| product.id).collect(),
    })
}

/// The light of the inspection rig: from the upper left, a little different each time.
fn rig_light(random: &mut Random) -> Point {
    Point::at_turn(0.625 + random.around(0.03))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Size, good};

    #[test]
    fn products_are_found_by_name() {
        for known in PRODUCTS {
            assert_eq!(product(known.id).unwrap().about, known.about);
        }
        assert!(product("geer").unwrap_err().hint().unwrap().contains("gear"));
        assert!(PRODUCTS.is_sorted_by_key(|product| product.id));
    }

    /// Mean over the pixels of the largest channel difference, in levels.
    fn distance(a: &[u8], b: &[u8]) -> f64 {
        let sum: u64 = a.iter().zip(b).map(|(x, y)| u64::from(x.abs_diff(*y))).sum();
        sum as f64 / a.len() as f64
    }

    #[test]
    fn good_pictures_of_a_class_differ_but_less_than_classes_do() {
        let size = Size::new(64, 64).unwrap();
        // Averages over pieces compare looks; single pieces compare variation.
        let mean = |product: &Product| -> Vec<u8> {
            let mut sum = vec![0_u32; 64 * 64 * 3];
            for index in 0..8 {
                let render = good(product, 1, index, size);
                sum.iter_mut().zip(render.rgb).for_each(|(s, v)| *s += u32::from(v));
            }
            sum.iter().map(|s| (s / 8) as u8).collect()
        };
        let looks: Vec<Vec<u8>> = PRODUCTS.iter().map(mean).collect();
        for (i, product) in PRODUCTS.iter().enumerate() {
            let (a, b) = (good(product, 1, 0, size), good(product, 1, 1, size));
            let within = distance(&a.rgb, &b.rgb);
            assert!((2.0..60.0).contains(&within), "{}: {within}", product.id);
            for (j, other) in looks.iter().enumerate().filter(|&(j, _)| j != i) {
                let between = distance(&looks[i], other);
                assert!(between > 20.0, "{} and {}: {between}", product.id, PRODUCTS[j].id);
            }
        }
    }
}
