//! What the HTTP side may take from the pipeline: the priority of its threads, and how many streams of events and questions
//! to the model there may be at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::problem::{Answer, Problem};

/// How much lower the priority of the listener's threads is.
pub(super) const NICENESS: i32 = 5;

/// Most streams at once.
const STREAMS: usize = 64;

/// The streams that are open.
#[derive(Debug)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Streams(Arc::new(Semaphore::new(STREAMS)))
    }
}

impl Streams {
    pub(super) fn open(&self) -> Answer<OwnedSemaphorePermit> {
        let full = |_| Problem::busy(format!("{STREAMS} streams are open already"), 30);
        Arc::clone(&self.0).try_acquire_owned().map_err(full)
    }
}

/// One question at a time.
#[derive(Debug)]
pub(super) struct Turn(Semaphore);

impl Default for Turn {
    fn default() -> Self {
        Turn(Semaphore::new(1))
    }
}

impl Turn {
    /// The turn until the value is dropped; `None` while someone else has it.
    pub(super) fn take(&self) -> Option<SemaphorePermit<'_>> {
        self.0.try_acquire().ok()
    }
}
