//! An endless stream of labelled pictures to train a general-purpose encoder from scratch.
//!
//! What makes the features of a large picture collection good at finding anomalies is that they
//! answer to edges, corners, textures, colour contrasts, shapes and their sizes, locally and under
//! any light. Each picture here is a textured background with up to four textured objects and at
//! most one local disturbance; the heads ask for all of that at once. Colours, contrast, light,
//! blur and noise vary freely, so the answers can only be read from structure.
//!
//! The stream shows none of the [`crate::PRODUCTS`] and uses none of their defects' code.

mod disturbance;
mod palette;
mod scene;
mod shape;
mod texture;

use self::scene::Scene;
use crate::random::{Random, word_of};

/// One question about a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Short name.
    pub id: &'static str,
    /// Labels are `0..n_classes`.
    pub n_classes: usize,
    /// One line for people.
    pub about: &'static str,
}

/// How many questions there are.
pub const N_HEADS: usize = 13;

/// All questions, in the order of [`PretrainingSample::labels`].
pub static HEADS: &[Head; N_HEADS] = &[
    head("background_texture", texture::COUNT, "family of the texture behind everything"),
    head(
        "background_orientation",
        9,
        "its angle in sixteenths of a turn, 1 to 8 (lattices 1 to 4); 0: has none",
    ),
    head("background_scale", 6, "its period, five steps from 1 (finest); 0: has none"),
    head("background_hue", 9, "hue of its coloured part, eight steps from 1 (red); 0: grey"),
    head("object_count", 5, "how many objects there are, 0 to 4"),
    head("object_shape", 1 + shape::COUNT, "outline of the objects; 0: no object"),
    head("object_texture", 1 + texture::COUNT, "family of the objects' texture; 0: no object"),
    head("object_hue", 10, "hue of the objects: 0 no object, 1 grey, eight steps from 2 (red)"),
    head("object_size", 5, "size of the objects, four steps from 1 (smallest); 0: no object"),
    head("object_cell", 10, "cell of the largest object's centre, row by row; 0: no object"),
    head("disturbance", 1 + disturbance::COUNT, "what is locally wrong; 0: nothing"),
    head("disturbance_cell", 10, "cell of a 3x3 grid it is centred in, row by row; 0: nothing"),
    head("sharpness", 3, "blur of the whole picture: 0 sharp, 1 soft, 2 blurred"),
];

/// A picture and the answers to all [`HEADS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PretrainingSample {
    /// `side_px` x `side_px` x 3 bytes: red, green, blue.
    pub rgb: Vec<u8>,
    /// Side of the picture in pixels.
    pub side_px: usize,
    /// One answer per head, each below the head's `n_classes`.
    pub labels: [u8; N_HEADS],
}

/// Picture `index` of the stream of `seed`, `side_px` pixels square.
///
/// The picture and its labels depend on the three arguments alone. Sides below 16 are drawn as 16,
/// where the finest textures still have two pixels per period at 32.
pub fn pretraining_sample(seed: u64, index: u64, side_px: usize) -> PretrainingSample {
    let mut random = Random::keyed(&[seed, word_of("pretraining"), index]);
    let side_px = side_px.max(16);
    let (canvas, camera, labels) = Scene::new(&mut random, side_px).draw(&mut random);
    PretrainingSample { rgb: camera.develop(&canvas), side_px, labels }
}

/// Names of the texture families; index is the label of `background_texture`, and one less than that
/// of `object_texture`.
pub fn texture_names() -> impl Iterator<Item = &'static str> {
    texture::TEXTURES.iter().map(|texture| texture.id)
}

/// Names of the outlines; index is one less than the label of `object_shape`.
pub fn shape_names() -> impl Iterator<Item = &'static str> {
    shape::SHAPES.iter().map(|shape| shape.id)
}

/// Names of the disturbances; index is one less than the label of `disturbance`.
pub fn disturbance_names() -> impl Iterator<Item = &'static str> {
    disturbance::KINDS.iter().map(|(name, _)| *name)
}

const fn head(id: &'static str, n_classes: usize, about: &'static str) -> Head {
    Head { id, n_classes, about }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_arguments_give_the_same_picture() {
        let sample = pretraining_sample(1, 2, 48);
        assert_eq!(sample, pretraining_sample(1, 2, 48));
        assert_eq!(sample.rgb.len(), 48 * 48 * 3);
        assert_ne!(sample.rgb, pretraining_sample(1, 3, 48).rgb);
        assert_ne!(sample.rgb, pretraining_sample(2, 2, 48).rgb);
    }

    #[test]
    fn labels_do_not_depend_on_the_size() {
        for index in 0..50 {
            let small = pretraining_sample(5, index, 32).labels;
            let large = pretraining_sample(5, index, 80).labels;
            // Whether a disturbance shows is judged on the pixels, so its heads may differ.
            assert_eq!((&small[..10], small[12]), (&large[..10], large[12]));
        }
    }

    #[test]
    fn tiny_sides_are_raised() {
        assert_eq!(pretraining_sample(1, 1, 0).side_px, 16);
    }

    #[test]
    fn every_label_is_in_range_and_every_value_occurs() {
        let mut counts: Vec<Vec<u32>> = HEADS.iter().map(|h| vec![0; h.n_classes]).collect();
        for index in 0..6000 {
            let sample = pretraining_sample(9, index, 24);
            for ((head, label), count) in HEADS.iter().zip(sample.labels).zip(&mut counts) {
                assert!(usize::from(label) < head.n_classes, "{} is {label}", head.id);
                count[usize::from(label)] += 1;
            }
        }
        for (head, count) in HEADS.iter().zip(&counts) {
            let least = count.iter().min().unwrap();
            // A fair share would be 6000 / n; nothing may be so rare that it cannot be learnt.
            assert!(*least as usize * head.n_classes * 6 > 6000, "{}: {count:?}", head.id);
        }
    }

    #[test]
    fn absent_objects_are_absent_in_every_head() {
        for index in 0..400 {
            let labels = pretraining_sample(3, index, 16).labels;
            let none = labels[4] == 0;
            assert!(labels[5..10].iter().all(|&label| (label == 0) == none), "{labels:?}");
            assert_eq!(labels[10] == 0, labels[11] == 0);
        }
    }
}
