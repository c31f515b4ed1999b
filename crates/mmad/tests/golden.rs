//! Values, gradients and training steps against golden files of the reference implementation.
//!
//! The folder comes from `MMAD_GOLDEN`; every file with a test's prefix is checked, and sizes and
//! options are read from the file.

#![allow(missing_docs)]

mod golden {
    mod blocks;
    mod file;
    mod model;
    mod recipe;
}
