//! What is remembered of a picture and its mask once they are decoded: a few numbers.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::dataset::Sample;
use crate::decode::{
    DecodeError, DecodeOptions, Notes, decode_bytes, decode_mask_file, read_whole,
};
use crate::listing::relative;

/// All there is to know about one sample.
pub(super) struct Facts {
    pub(super) sample: Sample,
    /// Length of the file and fingerprint of its bytes; nothing when it cannot be read.
    pub(super) bytes: Option<(u64, [u8; 32])>,
    pub(super) picture: Result<PictureFacts, DecodeError>,
    /// Nothing when the sample has no mask.
    pub(super) mask: Option<Result<MaskFacts, DecodeError>>,
    /// The mask's path relative to the root.
    pub(super) mask_name: String,
}

pub(super) struct PictureFacts {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) notes: Notes,
    /// The one colour of all pixels, if there is but one.
    pub(super) only_colour: Option<[u8; 3]>,
}

pub(super) struct MaskFacts {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) n_marked: usize,
    pub(super) n_levels: usize,
}

impl Facts {
    pub(super) fn gather(sample: &Sample, root: &Path, options: &DecodeOptions) -> Self {
        let read = read_whole(&sample.path);
        let bytes =
            read.as_ref().ok().map(|bytes| (bytes.len() as u64, Sha256::digest(bytes).into()));
        let picture =
            read.and_then(|bytes| decode_bytes(&sample.path, &bytes, options)).map(|picture| {
                PictureFacts {
                    width: picture.width,
                    height: picture.height,
                    only_colour: only_colour(&picture.rgb),
                    notes: picture.notes,
                }
            });
        let mask = sample.mask.as_ref().map(|path| {
            decode_mask_file(path, options).map(|mask| MaskFacts {
                width: mask.width,
                height: mask.height,
                n_marked: mask.n_marked,
                n_levels: mask.n_levels,
            })
        });
        let mask_name = sample.mask.as_ref().map(|mask| relative(root, mask)).unwrap_or_default();
        Self { sample: sample.clone(), bytes, picture, mask, mask_name }
    }
}

fn only_colour(rgb: &[u8]) -> Option<[u8; 3]> {
    let (first, rest) = rgb.as_chunks::<3>().0.split_first()?;
    rest.iter().all(|pixel| pixel == first).then_some(*first)
}
