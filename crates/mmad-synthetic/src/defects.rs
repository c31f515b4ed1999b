//! The kinds of damage that every product can suffer.

mod contamination;
mod dent;
mod scratch;
mod stain;

use crate::SyntheticError;
use crate::drawing::canvas::Canvas;
use crate::drawing::geometry::Point;
use crate::products::{Structure, Surface};
use crate::random::Random;

/// A kind of damage.
#[derive(Debug)]
pub struct Defect {
    /// The name in folders and on the command line.
    pub id: &'static str,
    /// One line for people.
    pub about: &'static str,
    pub(crate) kind: Kind,
}

/// How a defect comes about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Drawn over the finished product.
    Surface(fn(&mut Canvas, &Surface, &mut Random)),
    /// Drawn by the product itself.
    Structure(Structure),
}

/// All kinds of damage, by name.
pub static DEFECTS: &[Defect] = &[
    Defect {
        id: "contamination",
        about: "a fibre or some crumbs which do not belong there",
        kind: Kind::Surface(contamination::apply),
    },
    Defect {
        id: "dent",
        about: "the surface pushed in, with its light and dark side",
        kind: Kind::Surface(dent::apply),
    },
    Defect {
        id: "misplaced",
        about: "a part bent, turned, mixed up or printed in the wrong place",
        kind: Kind::Structure(Structure::Misplaced),
    },
    Defect {
        id: "missing",
        about: "a part broken off, torn out or left out",
        kind: Kind::Structure(Structure::Missing),
    },
    Defect {
        id: "scratch",
        about: "one or two long narrow marks",
        kind: Kind::Surface(scratch::apply),
    },
    Defect {
        id: "stain",
        about: "a discoloured patch with a dark rim",
        kind: Kind::Surface(stain::apply),
    },
];

/// The defect of this name.
///
/// # Errors
///
/// [`SyntheticError::Unknown`] where there is none.
pub fn defect(id: &str) -> Result<&'static Defect, SyntheticError> {
    DEFECTS.iter().find(|defect| defect.id == id).ok_or_else(|| SyntheticError::Unknown {
        what: "defect",
        asked: id.into(),
        known: DEFECTS.iter().map(|defect| defect.id).collect(),
    })
}

/// A place on the product, with product at `margin` to all sides where such a place is found.
fn place(canvas: &Canvas, margin: f32, random: &mut Random) -> Point {
    let half = canvas.half();
    let mut fallback = Point::ORIGIN;
    for _ in 0..200 {
        let p = Point::new(random.around(half.x), random.around(half.y));
        if canvas.part_at(p) < 0.9 {
            continue;
        }
        fallback = p;
        let inside = |turn: f32| canvas.part_at(p + Point::at_turn(turn) * margin) > 0.9;
        if (0..8).all(|eighth| inside(eighth as f32 / 8.0)) {
            return p;
        }
    }
    fallback
}

/// The factor by which a length grows so that it keeps its share of a picture that is not square.
fn stretch(canvas: &Canvas) -> f32 {
    let half = canvas.half();
    (half.x * half.y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_are_found_by_name() {
        for known in DEFECTS {
            assert_eq!(defect(known.id).unwrap().about, known.about);
        }
        assert!(defect("scrach").unwrap_err().hint().unwrap().contains("scratch"));
        assert!(DEFECTS.is_sorted_by_key(|defect| defect.id));
    }

    #[test]
    fn places_lie_on_the_product() {
        let mut canvas = Canvas::new(64, 64);
        let half_plane = |p: Point| f32::from(u8::from(p.x > 0.2));
        canvas.fill(|p| (crate::drawing::colour::Colour::WHITE, half_plane(p)));
        let mut random = Random::keyed(&[1]);
        for _ in 0..50 {
            assert!(place(&canvas, 0.1, &mut random).x > 0.25);
        }
    }
}
