//! How near the kernels come to what the machine can do: `cargo bench -p mmad-kernels --bench
//! roofline`, or a part of a name after `--`.
//!
//! The machine's limits are measured first, in the same process and with the same threads: how
//! fast it multiplies and adds in registers, and how fast it copies what no cache holds. A kernel
//! cannot take less time than its arithmetic at the one rate, nor than its bytes at the other; the
//! last column is the longer of the two over the time it took. Kernels whose data stays in a cache
//! can pass 100 %.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]
#![allow(clippy::inline_always, reason = "else vector code is compiled for no instruction set")]

mod cases;

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

fn main() {
    // `cargo bench` adds a flag of its own.
    let filters: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let threads = rayon::current_num_threads();
    let (gflops, gbps) = (multiply_adds(), copies());
    println!("{threads} threads: {gflops:.0} GFLOP/s in registers, {gbps:.1} GB/s copied\n");
    println!("| kernel | ms | GFLOP | MB | GFLOP/s | GB/s | % of limit |");
    println!("| :-- | --: | --: | --: | --: | --: | --: |");
    for entry in cases::entries() {
        if !filters.is_empty() && !filters.iter().any(|filter| entry.name.contains(filter)) {
            continue;
        }
        let mut work = entry.work();
        let seconds = shortest(&mut work.run);
        let limit = (work.flop / (gflops * 1e9)).max(work.bytes / (gbps * 1e9));
        println!(
            "| {} | {:.3} | {:.3} | {:.2} | {:.0} | {:.1} | {:.0} |",
            entry.name,
            1e3 * seconds,
            work.flop / 1e9,
            work.bytes / 1e6,
            work.flop / seconds / 1e9,
            work.bytes / seconds / 1e9,
            100.0 * limit / seconds
        );
    }
}

/// Seconds of the shortest run in a third of a second, but of three at least.
fn shortest(run: &mut dyn FnMut()) -> f64 {
    run();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    let mut n_runs = 0;
    while n_runs < 3 || begin.elapsed().as_secs_f64() < 0.33 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        n_runs += 1;
    }
    best
}

/// Giga floating-point operations per second of all threads, on numbers that stay in registers.
fn multiply_adds() -> f64 {
    const STEPS: usize = 200_000;
    const CHAINS: usize = 12;
    struct Chains;
    impl WithSimd for Chains {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> usize {
            let factor = simd.splat_f32s(black_box(0.999));
            let mut sums = [simd.splat_f32s(black_box(1.0)); CHAINS];
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = simd.mul_add_f32s(*sum, factor, factor);
                }
            }
            for sum in sums {
                black_box(simd.reduce_sum_f32s(sum));
            }
            2 * STEPS * CHAINS * S::F32_LANES
        }
    }
    let mut flop = 0;
    let seconds = shortest(&mut || {
        flop = rayon::broadcast(|_| Arch::new().dispatch(Chains)).into_iter().sum();
    });
    flop as f64 / seconds / 1e9
}

/// Gigabytes per second that all threads read and write when they copy 256 MB.
fn copies() -> f64 {
    const LEN: usize = 32 << 20;
    let from = vec![1.0_f32; LEN];
    let mut into = vec![0.0_f32; LEN];
    let seconds = shortest(&mut || {
        into.par_chunks_mut(1 << 16)
            .zip(from.par_chunks(1 << 16))
            .for_each(|(into, from)| into.copy_from_slice(black_box(from)));
    });
    (2 * 4 * LEN) as f64 / seconds / 1e9
}
