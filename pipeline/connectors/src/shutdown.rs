//! A request to stop gracefully: no new documents, what is in flight is finished and committed.

use tokio_util::sync::CancellationToken;

/// Shared by all who may request a graceful stop or must heed it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    failure: CancellationToken,
}

impl Shutdown {
    /// One that is requested together with this one, and can be requested alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Shutdown { stop: self.stop.child_token(), failure: self.failure.child_token() }
    }

    /// Requests a stop.
    pub fn request(&self) {
        self.stop.cancel();
    }

    /// A stage has failed: the others stop, and nothing that is in flight may be expected to become durable.
    pub fn fail(&self) {
        self.failure.cancel();
        self.stop.cancel();
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether a stage has failed.
    pub fn has_failed(&self) -> bool {
        self.failure.is_cancelled()
    }
}
