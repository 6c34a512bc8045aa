//! A request to stop gracefully: no new documents, what is in flight is finished and committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by all who may ask for, or must heed, a graceful stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
    parent: Option<Arc<AtomicBool>>,
}

impl Shutdown {
    /// One that is asked for with this one, and can be asked for alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Shutdown { requested: Arc::default(), parent: Some(Arc::clone(&self.requested)) }
    }

    /// Asks for a stop.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn is_requested(&self) -> bool {
        let of_parent = self.parent.as_ref().is_some_and(|parent| parent.load(Ordering::Relaxed));
        of_parent || self.requested.load(Ordering::Relaxed)
    }
}
