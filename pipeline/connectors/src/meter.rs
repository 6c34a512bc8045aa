//! How much a stage did.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a stage worked: written by its thread, read by anyone.
#[derive(Debug, Default)]
pub struct Meter {
    busy_nanos: AtomicU64,
}

impl Meter {
    /// Runs `work` and counts its time as busy.
    pub fn measure<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
        result
    }

    /// Time spent working, not waiting.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy_nanos.load(Ordering::Relaxed))
    }
}
