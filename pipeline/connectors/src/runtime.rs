//! The one tokio runtime of the process, for all connectors that speak with libraries of futures, and for signals.
//!
//! It is made when it is first needed and lives as long as the process. Its threads are for I/O: whatever computes for
//! longer than half a millisecond belongs on a thread of its own.

use fenliu_engine::{Error, Result};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// Least number of threads, also on a machine with one core: the Delta library blocks a thread while it waits for
/// another task of the runtime.
const LEAST_THREADS: usize = 2;

/// The runtime. `block_on` of the handle may be called on any thread that is not one of the runtime's own.
///
/// # Errors
/// When no threads can be started.
pub fn handle() -> Result<Handle> {
    static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
    let mut runtime = RUNTIME.lock();
    let runtime = match &mut *runtime {
        Some(runtime) => runtime,
        none => none.insert(start()?),
    };
    Ok(runtime.handle().clone())
}

fn start() -> Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(LEAST_THREADS, usize::from).max(LEAST_THREADS);
    let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name("io").enable_all().build();
    runtime.map_err(|error| {
        Error::unavailable("cannot start the threads for I/O").with_source(error).permanent()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_gets_the_same_runtime() {
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| handle().unwrap().id())).collect();
        let ids: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
    }
}
