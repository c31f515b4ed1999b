//! Decoding and resizing against Pillow, the reference of the field.
//!
//! The numbers come from `fixtures/make.py`, made with Pillow 12.3.0.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use mmad_data::decode::{Picture, Window, decode_file, decode_mask_file};
use mmad_data::{BitRange, DecodeOptions, Preprocess};
use serde::Deserialize;
use sha2::{Digest, Sha256};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn decode(path: &Path) -> Picture {
    decode_file(path, &DecodeOptions::default()).unwrap()
}

/// Largest and mean difference that are allowed. JPEG leaves rounding and the interpolation of
/// colours to the decoder; all other formats must be equal.
fn tolerance(name: &str) -> (u8, f64) {
    match name {
        "444.jpg" => (2, 0.03),
        "422.jpg" => (3, 0.3),
        "420.jpg" | "progressive.jpg" => (4, 0.5),
        "restart.jpg" => (3, 0.5),
        "grey.jpg" | "cmyk.jpg" => (1, 0.03),
        turned if turned.starts_with("orientation-") => (2, 0.03),
        _ => (0, 0.0),
    }
}

#[test]
fn pictures_decode_as_pillow_decodes_them() {
    let mut n_pictures = 0;
    for entry in std::fs::read_dir(fixtures().join("expected")).unwrap() {
        let expected = entry.unwrap().path();
        let name = expected.file_stem().unwrap().to_str().unwrap().to_owned();
        let picture = decode(&fixtures().join("pictures").join(&name));
        let expected = decode(&expected);
        assert_eq!((picture.width, picture.height), (expected.width, expected.height), "{name}");
        let differences: Vec<u8> =
            picture.rgb.iter().zip(&expected.rgb).map(|(a, b)| a.abs_diff(*b)).collect();
        let max = differences.iter().copied().max().unwrap();
        let sum: u64 = differences.iter().map(|&d| u64::from(d)).sum();
        let mean = sum as f64 / differences.len() as f64;
        let (max_allowed, mean_allowed) = tolerance(&name);
        assert!(max <= max_allowed && mean <= mean_allowed, "{name}: {max}, mean {mean}");
        n_pictures += 1;
    }
    assert_eq!(n_pictures, 32);
}

#[test]
fn notes_tell_what_was_done() {
    let notes = |name: &str| decode(&fixtures().join("pictures").join(name)).notes;
    let told = |name: &str| {
        let notes = notes(name);
        (notes.format, notes.mode, notes.alpha_dropped, notes.turned)
    };
    assert_eq!(told("rgba.png"), ("png", "rgba8", true, None));
    assert_eq!(told("grey.jpg"), ("jpeg", "grey8", false, None));
    assert_eq!(told("orientation-6.jpg"), ("jpeg", "rgb8", false, Some(6)));
    assert_eq!(told("turned.tiff"), ("tiff", "rgb8", false, Some(8)));
    assert_eq!(told("turned.png"), ("png", "rgb8", false, Some(6)));
    assert_eq!(told("lossy.webp"), ("webp", "rgb8", false, None));
    assert!(notes("rgb.bmp").window.is_none());
}

/// Pillow would make 255 of every value above it. The values are `0, 3, 6 .. 4182`.
#[test]
fn sixteen_bits_are_windowed_and_the_window_is_told() {
    for name in ["deep.png", "deep.tiff"] {
        let path = fixtures().join("pictures").join(name);
        let picture = decode(&path);
        let window = picture.notes.window.unwrap();
        assert_eq!((window.lo, window.hi), (0.0, 8191.0), "{name}");
        assert_eq!((window.min, window.max, window.n_outside), (0.0, 4182.0, 0));
        for (i, pixel) in picture.rgb.chunks(3).enumerate() {
            let expected = (i as f64 * 3.0 * 255.0 / 8191.0).round() as u8;
            assert_eq!(pixel, [expected; 3]);
        }

        let bit_range = BitRange::Window(Window::new(300, 2999).unwrap());
        let picture =
            decode_file(&path, &DecodeOptions { bit_range, ..Default::default() }).unwrap();
        // Below 300: 0, 3 .. 297; above 2999: 3000, 3003 .. 4182; each in three channels.
        assert_eq!(picture.notes.window.unwrap().n_outside, 3 * (100 + 395));
        assert_eq!(picture.rgb[3 * 99], 0);
        assert_eq!(picture.rgb[3 * 1000], 255);
    }
}

/// A mask is marked wherever Pillow's grey level is above zero.
#[test]
fn masks_follow_the_grey_level() {
    for name in ["bit.png", "rgb.png", "palette.png", "grey-alpha.png", "deep.png"] {
        let path = fixtures().join("pictures").join(name);
        let mask = decode_mask_file(&path, &DecodeOptions::default()).unwrap();
        let picture = decode(&path);
        let grey = |p: &[u8]| {
            (19595 * u32::from(p[0]) + 38470 * u32::from(p[1]) + 7471 * u32::from(p[2]) + 32768)
                >> 16
        };
        let expected: Vec<u8> = if name == "deep.png" {
            (0..picture.rgb.len() / 3).map(|i| if i > 0 { 255 } else { 0 }).collect()
        } else {
            picture.rgb.chunks(3).map(|p| if grey(p) > 0 { 255 } else { 0 }).collect()
        };
        assert_eq!(mask.marked, expected, "{name}");
        assert_eq!(mask.n_marked, expected.iter().filter(|&&mark| mark > 0).count());
        assert_eq!(mask.n_levels == 2, name == "bit.png");
    }
}

#[derive(Deserialize)]
struct ResizeCase {
    channels: usize,
    from: (usize, usize),
    to: (usize, usize),
    sha256: String,
}

/// The same bytes as `pattern` in `make.py`.
fn pattern(n: usize) -> Vec<u8> {
    (0..n as u64).map(|i| ((i * 2_654_435_761 % (1 << 32)) >> 13) as u8).collect()
}

/// Sizes are `(width, height)`. Grey is spread to three channels, which resize independently.
#[test]
fn resizing_is_equal_to_pillow_bit_for_bit() {
    let json = std::fs::read_to_string(fixtures().join("resize.json")).unwrap();
    let cases: Vec<ResizeCase> = serde_json::from_str(&json).unwrap();
    assert_eq!(cases.len(), 72);
    for ResizeCase { channels, from: (width, height), to, sha256 } in cases {
        let bytes = pattern(width * height * channels);
        let rgb = if channels == 3 { bytes } else { bytes.iter().flat_map(|&v| [v; 3]).collect() };
        let notes = decode(&fixtures().join("pictures/rgb.png")).notes;
        let picture = Picture { width, height, rgb, notes };
        let resized = Preprocess::imagenet(to.1, to.0).unwrap().resize(&picture);
        let resized: Vec<u8> = resized.into_iter().step_by(4 - channels).collect();
        let digest = format!("{:x}", Sha256::digest(&resized));
        assert_eq!(digest, sha256, "{channels} channels, {width}x{height} to {to:?}");
    }
}

/// Every fifteenth level, with torchvision's operations in `f32`: equal to the last bit.
#[test]
fn normalisation_is_torchvisions() {
    let json = std::fs::read_to_string(fixtures().join("normalise.json")).unwrap();
    let expected: Vec<[f32; 3]> = serde_json::from_str(&json).unwrap();
    let levels: Vec<u8> = (0..=255).step_by(15).flat_map(|level| [level; 3]).collect();
    let values = Preprocess::imagenet(1, 1).unwrap().normalise(&levels);
    assert_eq!(values, expected.as_flattened());
}
