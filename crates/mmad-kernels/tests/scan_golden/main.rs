//! Orders and scans against stored answers of the `PyTorch` reference, computed in 64 bits.
//!
//! The files are read from `MMAD_GOLDEN`, by default `shared/golden` beside the workspace; without
//! them the tests say so and pass.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod orders;
mod selective;
mod ss2d;
mod ss2d_module;

use safetensors::{Dtype, SafeTensors};
use std::path::PathBuf;

/// One golden file.
struct Golden {
    name: String,
    bytes: Vec<u8>,
}

impl Golden {
    /// Reads a file by its name without extension; `None`, with a message, when there is none.
    fn read(name: &str) -> Option<Self> {
        let folder = std::env::var_os("MMAD_GOLDEN").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden")),
            PathBuf::from,
        );
        let path = folder.join(name).with_extension("safetensors");
        if let Ok(bytes) = std::fs::read(&path) {
            return Some(Self { name: name.to_owned(), bytes });
        }
        eprintln!("skipped: no golden file at `{}`, set MMAD_GOLDEN", path.display());
        None
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.tensors().names().into_iter().map(ToOwned::to_owned).collect()
    }

    fn shape(&self, key: &str) -> Vec<usize> {
        self.tensors().tensor(key).unwrap().shape().to_vec()
    }

    fn i32(&self, key: &str) -> Vec<i32> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(key).unwrap();
        assert_eq!(tensor.dtype(), Dtype::I32);
        tensor.data().as_chunks().0.iter().map(|&x| i32::from_le_bytes(x)).collect()
    }

    fn f32(&self, key: &str) -> Vec<f32> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(key).unwrap();
        assert_eq!(tensor.dtype(), Dtype::F32);
        tensor.data().as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect()
    }

    /// A tensor of 32 or 64 bits, widened.
    fn f64(&self, key: &str) -> Vec<f64> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(key).unwrap();
        match tensor.dtype() {
            Dtype::F64 => {
                tensor.data().as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect()
            }
            _ => self.f32(key).into_iter().map(f64::from).collect(),
        }
    }

    /// Compares with the stored tensor `key`: the largest difference over the largest number (over 1
    /// when all are zero).
    #[track_caller]
    fn check(&self, key: &str, got: &[impl Copy + Into<f64>], tolerance: f64) {
        let wanted = self.f64(key);
        assert_eq!(got.len(), wanted.len(), "{} {key}", self.name);
        let largest = wanted.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        let error = got
            .iter()
            .zip(&wanted)
            .fold(0.0_f64, |max, (&got, wanted)| max.max((got.into() - wanted).abs()));
        assert!(got.iter().all(|&x| x.into().is_finite()), "{} {key}: not finite", self.name);
        let relative = if largest > 0.0 { error / largest } else { error };
        println!("{:<40} {key:<24} {relative:.1e}", self.name);
        assert!(relative <= tolerance, "{} {key}: {relative:.1e} > {tolerance:.0e}", self.name);
    }
}
