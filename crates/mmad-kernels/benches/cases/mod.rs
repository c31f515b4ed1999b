//! What the benchmarks time: every kernel at the sizes of the model, with the arithmetic and the
//! memory traffic that it cannot do without.

mod dense;
mod elementwise;
mod scans;

/// One kernel at one size.
pub(crate) struct Entry {
    /// Kernel and sizes.
    pub(crate) name: String,
    make: Box<dyn Fn() -> Work>,
}

/// Something to run again and again.
pub(crate) struct Work {
    /// Floating-point operations of one run: two for every multiply-add, and for scans and `bf16` as
    /// many as the multiply-add units are busy for (see `scans`, `dense`). Zero where only memory
    /// counts.
    pub(crate) flop: f64,
    /// Bytes of one run: every input read once, every output written once.
    pub(crate) bytes: f64,
    /// One run.
    pub(crate) run: Box<dyn FnMut()>,
}

impl Entry {
    fn new(name: String, make: impl Fn() -> Work + 'static) -> Self {
        Self { name, make: Box::new(make) }
    }

    /// Makes the inputs.
    pub(crate) fn work(&self) -> Work {
        (self.make)()
    }
}

impl Work {
    /// `values` are the numbers read and written, four bytes each.
    fn new(flop: usize, values: usize, run: impl FnMut() + 'static) -> Self {
        Self { flop: flop as f64, bytes: (4 * values) as f64, run: Box::new(run) }
    }
}

/// All kernels.
pub(crate) fn entries() -> Vec<Entry> {
    [dense::entries(), elementwise::entries(), scans::entries()].into_iter().flatten().collect()
}

/// `len` values between -1 and 1.
fn values(len: usize) -> Vec<f32> {
    numbers(len, 0.0, 1.0)
}

/// `len` values in `centre ± spread`, the same on every run.
fn numbers(len: usize, centre: f32, spread: f32) -> Vec<f32> {
    let unit = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
    (0..len as u32).map(|i| centre + spread * unit(i)).collect()
}
