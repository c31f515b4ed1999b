//! The allocator of the program, and how it is told to keep what is freed.
//!
//! A training step makes and drops up to gigabytes of tensors of the same sizes again and again. An
//! allocator that hands freed memory back makes the system clear every page anew in every step,
//! which more than doubled the time of a step of the published model.

/// Serves every allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where the allocator reads, once and before `main`, how many milliseconds to keep freed memory.
const KEEP: &str = "MIMALLOC_PURGE_DELAY";

/// Starts the program anew in this process with the allocator set to keep memory, unless it is set
/// already. Where that is impossible the program just goes on, slower.
pub(crate) fn keep_memory() {
    #[cfg(unix)]
    if std::env::var_os(KEEP).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        use std::os::unix::process::CommandExt as _;
        let mut arguments = std::env::args_os();
        let mut command = std::process::Command::new(program);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        // Only returns where it failed.
        let _ = command.args(arguments).env(KEEP, "-1").exec();
    }
}
