//! How long to wait before something is tried again, and for how long.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;

/// Pauses double from the first to the last of these, each shortened at random so that many processes that failed
/// together do not come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long something is tried again after a stop was requested.
const GRACE: Duration = Duration::from_secs(5);

/// Decides when to try again; it does not wait itself.
#[derive(Clone, Debug)]
pub struct Retry {
    next: Duration,
    stopping_since: Option<Instant>,
    random: SmallRng,
}

impl Retry {
    /// Nothing has failed yet. `random` shortens the pauses.
    pub fn new(random: SmallRng) -> Self {
        Retry { next: FIRST_PAUSE, stopping_since: None, random }
    }

    /// A stop was requested at `now`: from here on tries go on for a grace period only.
    pub fn stop(&mut self, now: Instant) {
        self.stopping_since.get_or_insert(now);
    }

    /// When to try again after a failure at `now`; `None` when the grace period after a stop is over.
    pub fn after_failure(&mut self, now: Instant) -> Option<Instant> {
        if self.stopping_since.is_some_and(|since| now.saturating_duration_since(since) >= GRACE) {
            return None;
        }
        let pause = self.next.mul_f64(self.random.random_range(0.5..=1.0));
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        Some(now + pause)
    }

    /// It worked: the next failure starts with the shortest pause again.
    pub fn succeeded(&mut self) {
        self.next = FIRST_PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_start_short_again_after_a_success() {
        let start = Instant::now();
        let mut retry = Retry::new(SmallRng::seed_from_u64(1));
        let mut pause = || retry.after_failure(start).unwrap() - start;
        let pauses: Vec<Duration> = (0..12).map(|_| pause()).collect();
        assert!(pauses[0] <= FIRST_PAUSE && pauses[0] >= FIRST_PAUSE / 2, "{pauses:?}");
        assert!(pauses[3] >= FIRST_PAUSE * 4 && pauses[11] >= LONGEST_PAUSE / 2, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
        retry.succeeded();
        assert!(retry.after_failure(start).unwrap() - start <= FIRST_PAUSE);
    }

    #[test]
    fn after_a_stop_tries_go_on_for_the_grace_period_only() {
        let start = Instant::now();
        let mut retry = Retry::new(SmallRng::seed_from_u64(1));
        retry.stop(start);
        assert!(retry.after_failure(start + GRACE / 2).is_some());
        assert!(retry.after_failure(start + GRACE).is_none());
    }
}
