//! How often a request is sent again after it failed, and how long one waits before.

use std::time::Duration;

use super::failure::Failure;

/// Most attempts of one request. With pauses of 1, 2, 4 and 8 s they outlast a restart of the hub.
const MAX_ATTEMPTS: u32 = 5;
/// Longest pause, also if the hub asks for a longer one.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The attempts of one request.
#[derive(Debug)]
pub(super) struct Attempts {
    failed: u32,
    pause: Duration,
}

impl Attempts {
    /// None yet; `pause` is that before the second one.
    pub(super) fn new(pause: Duration) -> Self {
        Self { failed: 0, pause }
    }

    /// Forgets the failures, because there was progress.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }

    /// Counts a failed attempt and waits until the next one.
    ///
    /// # Errors
    ///
    /// The failure is a lasting one, or this was the last attempt.
    pub(super) fn wait_after(&mut self, failure: Failure) -> Result<(), Failure> {
        let Failure::Passing { problem, wait } = failure else { return Err(failure) };
        self.failed += 1;
        if self.failed >= MAX_ATTEMPTS {
            return Err(Failure::passing(format!("{problem} ({MAX_ATTEMPTS} attempts)")));
        }
        let pause = self.pause * 2_u32.pow(self.failed - 1);
        let pause = wait.map_or(pause, |wait| wait.max(pause)).min(MAX_PAUSE);
        tracing::warn!(
            problem,
            seconds = pause.as_secs_f64(),
            "a request to the hub failed and is sent again"
        );
        std::thread::sleep(pause);
        Ok(())
    }

    /// Runs `request` until it succeeds.
    ///
    /// # Errors
    ///
    /// As for [`Self::wait_after`].
    pub(super) fn run<T>(mut self, mut request: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        loop {
            match request() {
                Ok(result) => return Ok(result),
                Err(failure) => self.wait_after(failure)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_again_a_bounded_number_of_times() {
        let mut sent = 0;
        let result: Result<(), Failure> = Attempts::new(Duration::ZERO).run(|| {
            sent += 1;
            Err(Failure::passing("no answer"))
        });
        assert!(
            matches!(result, Err(Failure::Passing { problem, .. }) if problem == "no answer (5 attempts)")
        );
        assert_eq!(sent, 5);
    }

    #[test]
    fn a_lasting_failure_ends_the_attempts() {
        let mut sent = 0;
        let result: Result<(), Failure> = Attempts::new(Duration::ZERO).run(|| {
            sent += 1;
            Err(Failure::absent("no"))
        });
        assert!(matches!(result, Err(Failure::Lasting { .. })));
        assert_eq!(sent, 1);
    }
}
