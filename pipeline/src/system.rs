//! Calls of the operating system: lowering the priority of a thread, and returning freed memory.
//!
//! Neither changes a result. On systems without such a call nothing is done.

/// Sets the niceness of the calling thread, and of all threads that it starts afterwards, to `niceness` (0 to 19): the
/// higher it is, the lower is the priority. A failure is only logged, because the work is the same at any priority.
pub(crate) fn step_back(niceness: i32) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the call takes numbers only. On Linux the process id 0 means the calling thread.
        let outcome = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
        if outcome != 0 {
            let error = std::io::Error::last_os_error();
            tracing::debug!(%error, "cannot lower the priority of a thread");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}

/// Returns memory that ONNX Runtime has freed to the system. ONNX Runtime allocates with the C library, which does not
/// return freed memory by itself if memory at a higher address is still in use.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes a number only, and may be made at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Calls [`give_back`] when it is dropped. As the last field of a struct it is dropped after all others.
#[derive(Debug)]
pub(crate) struct GiveBackOnDrop;

impl Drop for GiveBackOnDrop {
    fn drop(&mut self) {
        give_back();
    }
}
