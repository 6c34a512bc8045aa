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

    /// Turns SIGINT and SIGTERM into a request to stop; the second one ends the process at once.
    ///
    /// Must be called inside a tokio runtime.
    pub fn listen_for_signals(&self) {
        let shutdown = self.clone();
        tokio::spawn(async move {
            next_signal().await;
            tracing::info!("stopping: finishing what is in flight (again to stop at once)");
            shutdown.request();
            next_signal().await;
            tracing::warn!("stopped at once; uncommitted documents will be read again");
            std::process::exit(130);
        });
    }
}

#[cfg(unix)]
async fn next_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(error) => {
            tracing::warn!(%error, "cannot listen for SIGTERM");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn next_signal() {
    let _ = tokio::signal::ctrl_c().await;
}
