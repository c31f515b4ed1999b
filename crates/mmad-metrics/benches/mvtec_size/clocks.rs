//! CPU seconds and memory of this process, from what Linux tells.

use std::time::Instant;

/// Seconds since a start.
pub(super) struct Clock {
    cpu_ns: Option<u64>,
    wall: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { cpu_ns: cpu_ns(), wall: Instant::now() }
    }

    /// Wall seconds, and CPU seconds of all threads where the system tells them.
    pub(super) fn seconds(&self) -> (f64, Option<f64>) {
        let wall_s = self.wall.elapsed().as_secs_f64();
        let cpu_s = self.cpu_ns.zip(cpu_ns()).map(|(start, end)| (end - start) as f64 / 1e9);
        (wall_s, cpu_s)
    }
}

/// CPU time of the threads that are alive; those of a pool stay.
fn cpu_ns() -> Option<u64> {
    // The kernel brings its figure up to date when a thread gives way.
    std::thread::yield_now();
    let of_thread = |folder: std::fs::DirEntry| -> Option<u64> {
        let text = std::fs::read_to_string(folder.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    threads.map(|folder| of_thread(folder.ok()?)).sum()
}

/// Watches the largest memory.
pub(super) struct PeakMemory {
    start_kb: Option<u64>,
}

impl PeakMemory {
    pub(super) fn start() -> Self {
        // Sets the peak back to what is in use now.
        let is_reset = std::fs::OpenOptions::new()
            .write(true)
            .open("/proc/self/clear_refs")
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"5"))
            .is_ok();
        Self { start_kb: status_kb("VmRSS:").filter(|_| is_reset) }
    }

    /// Megabytes above what was in use at the start.
    pub(super) fn extra_mb(&self) -> Option<f64> {
        let extra_kb = status_kb("VmHWM:")?.saturating_sub(self.start_kb?);
        Some(extra_kb as f64 / 1024.0)
    }
}

fn status_kb(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
