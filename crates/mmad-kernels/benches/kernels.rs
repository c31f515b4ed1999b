//! Speed of the kernels at the sizes of the model.
//!
//! The column `fastest` is the one to compare; items per second are floating-point operations.
//!
//! ```text
//! cargo bench -p mmad-kernels --bench kernels -- 'conv2d forward'
//! RAYON_NUM_THREADS=1 cargo bench -p mmad-kernels --bench kernels        per core
//! ```

mod cases;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

fn names() -> Vec<String> {
    cases::entries().into_iter().map(|entry| entry.name).collect()
}

#[divan::bench(args = names())]
fn kernel(bencher: Bencher<'_, '_>, name: &String) {
    let entry = cases::entries().into_iter().find(|entry| entry.name == *name);
    let mut work = entry.expect("names come from the entries").work();
    let flop = ItemsCount::new(work.flop as usize);
    let bytes = BytesCount::new(work.bytes as usize);
    bencher.counter(flop).counter(bytes).bench_local(|| (work.run)());
}
