//! Waiting between tries on a thread of one's own.

use std::time::{Duration, Instant};

use fenliu_engine::retry::Retry as Pauses;
use fenliu_engine::{Error, Result};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::shutdown::Shutdown;

/// How often a waiting thread looks whether a stop was requested.
const LOOK: Duration = Duration::from_millis(20);

/// Tries something again for as long as it may pass.
pub struct Retry<'a> {
    name: &'a str,
    shutdown: &'a Shutdown,
    pauses: Pauses,
}

impl<'a> Retry<'a> {
    /// Nothing was tried yet; `name` is for the log.
    pub fn new(name: &'a str, shutdown: &'a Shutdown) -> Self {
        Retry { name, shutdown, pauses: Pauses::new(SmallRng::from_rng(&mut rand::rng())) }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// `error` itself, when it may not pass, or when a stop was requested some time ago. A conflict is no failure of
    /// the destination: it is tried again at once.
    pub fn pause(&mut self, error: Error) -> Result<()> {
        if !error.is_retryable() {
            return Err(error);
        }
        if error.kind() == fenliu_engine::Kind::Conflict {
            return Ok(());
        }
        let was_stopping = self.shutdown.is_requested();
        let now = Instant::now();
        if was_stopping {
            self.pauses.stop(now);
        }
        let Some(until) = self.pauses.after_failure(now) else { return Err(error) };
        tracing::warn!(event = "retrying", at = self.name, %error, pause = ?(until - now), "failed: it is tried again");
        while Instant::now() < until && (was_stopping || !self.shutdown.is_requested()) {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}
