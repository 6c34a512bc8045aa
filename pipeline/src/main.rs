//! The `fenliu` binary.

use std::process::ExitCode;

/// Training and inference allocate and free large tensors all the time. The allocator of the system returns each of them
/// to the kernel and gets new memory with a page fault for every page; mimalloc keeps the memory for reuse.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fenliu::main()
}
