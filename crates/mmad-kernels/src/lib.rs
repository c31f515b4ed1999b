//! Kernels of MMAD on plain slices.
//!
//! Feature maps are channels-last, `[batch, height, width, channels]`, which is also a matrix with
//! one row per pixel. Weights have PyTorch's layout. Every fast kernel has a slow twin in a module
//! `reference`, and results have the same bits for every number of threads.
//!
//! The instruction set is chosen at run time. The environment variable `MMAD_SIMD` can hold the
//! dense kernels to a smaller one, `avx2` or `scalar`, for comparisons and for tests. Packed
//! convolutions can round their factors to 16 bits, see [`precision`].

// Vector code runs only when it is inlined into the function that switches the instruction set.
#![allow(clippy::inline_always)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod activation;
mod aligned;
pub mod batch_norm;
pub mod blur;
pub mod conv2d;
pub mod cosine;
pub mod depthwise;
pub mod instance_norm;
pub mod layer_norm;
pub mod linear;
pub mod orders;
pub mod pool;
pub mod precision;
pub mod scan;
pub mod upsample;
pub mod vector_math;

mod column_norm;
mod elementary;
mod matmul;
mod outer_tile;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod panels;
mod partition;
mod register_tile;
mod row_sum;
mod scratch;
mod simd;
#[cfg(test)]
mod testing;
mod vector;
