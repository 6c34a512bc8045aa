//! SIGINT and SIGTERM.

use fenliu_connectors::{Shutdown, runtime};

use crate::error::Result;

/// Turns SIGINT and SIGTERM into a request to stop; the second one ends the process at once.
///
/// # Errors
/// The runtime that listens cannot start its threads.
pub(crate) fn listen_for_signals(shutdown: Shutdown) -> Result<()> {
    runtime::handle()?.spawn(async move {
        next_signal().await;
        tracing::info!(event = "stopping", "stopping: finishing what is in flight (again to stop at once)");
        shutdown.request();
        next_signal().await;
        tracing::warn!(
            event = "stopped_at_once",
            "stopped at once; uncommitted documents will be read again"
        );
        // By convention of shells: 128 plus the number of SIGINT.
        std::process::exit(130);
    });
    Ok(())
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
            tracing::warn!(event = "no_sigterm", %error, "cannot listen for SIGTERM");
            // SIGINT alone still stops the pipeline.
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn next_signal() {
    let _ = tokio::signal::ctrl_c().await;
}
