//! The program as people run it: the real binary, in a folder of its own, with small pictures.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

mod cli {
    mod bench;
    mod calibrate;
    mod command_line;
    mod compare;
    mod data;
    mod demo;
    mod divergence;
    mod encoder_weights;
    mod evaluate;
    mod import;
    mod metrics;
    mod model_file;
    mod predict;
    mod program;
    mod resume;
    mod scores;
    mod train;
    mod unreadable;
}
