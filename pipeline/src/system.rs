//! What the operating system is asked for beside documents: priority of a thread, memory given back.
//!
//! Neither changes a result, so where a system has no such call nothing is done.

/// Lowers the priority of the calling thread, and of threads that it starts from now on, by `niceness`
/// (0 to 19).
pub(crate) fn step_back(niceness: i32) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: takes numbers only. On Linux the process 0 means the calling thread.
        let outcome = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
        if outcome != 0 {
            let error = std::io::Error::last_os_error();
            tracing::debug!(%error, "a thread keeps its priority");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}

/// Gives memory that ONNX Runtime has freed back to the system. It allocates through the C library,
/// which keeps what is freed below something that is still in use.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes a number only, and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Calls [`give_back`] when it is dropped: as the last field of a struct, after all others are freed.
#[derive(Debug)]
pub(crate) struct GiveBackOnDrop;

impl Drop for GiveBackOnDrop {
    fn drop(&mut self) {
        give_back();
    }
}
