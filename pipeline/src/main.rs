//! The `fenliu` binary: arguments in, exit code out.

use std::process::ExitCode;

/// Training and inference allocate and free large tensors all the time; the system's allocator hands
/// them back to the kernel each time and pays for it in page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rest_candle_threads();
    fenliu::cli::main()
}

/// Keeps candle's own threads out of training, unless the user asks for them: they spin while they
/// wait, and our operations share the cores through rayon.
fn rest_candle_threads() {
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: this is the first thing the process does; no other thread reads the environment yet.
        unsafe { std::env::set_var(VARIABLE, "1") };
    }
}
