//! The `fenliu` binary: arguments in, exit code out.

use std::process::ExitCode;

/// Training and inference allocate and free large tensors all the time; the system's allocator hands
/// them back to the kernel each time and pays for it in page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fenliu::main()
}
