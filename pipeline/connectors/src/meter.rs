//! What a stage does: how long it works, how long it waits to hand on, and on what it works at the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fenliu_engine::metrics::{Buckets, Counter, Durations, Metrics, Seconds};

/// The measurements of one stage: written by its thread, read by anyone. What it counts is part of the [`Metrics`], and
/// so outlives the stage.
#[derive(Debug)]
pub struct Meter {
    busy: Arc<Seconds>,
    blocked: Arc<Seconds>,
    documents: Arc<Counter>,
    duration: Arc<Buckets<Durations>>,
    /// Batches that it has taken in, and those that it has handed on, since it was started.
    taken: AtomicU64,
    handed_on: AtomicU64,
    started: Instant,
    /// Since when it works on its batch, as milliseconds after `started` plus one; 0: it waits for one.
    working_since: AtomicU64,
}

impl Meter {
    /// The meter of a stage that was just started.
    pub fn new(metrics: &Metrics, stage: &str) -> Self {
        let labels = [stage];
        Meter {
            busy: metrics.stage_busy.with(&labels),
            blocked: metrics.stage_blocked.with(&labels),
            documents: metrics.stage_documents.with(&labels),
            duration: metrics.stage_batch_duration.with(&labels),
            taken: AtomicU64::new(0),
            handed_on: AtomicU64::new(0),
            started: Instant::now(),
            working_since: AtomicU64::new(0),
        }
    }

    /// Runs `work` and counts its time as busy.
    pub fn measure<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.busy.add(start.elapsed());
        result
    }

    /// Runs `work` on one batch and counts its time as busy.
    pub fn batch<T>(&self, work: impl FnOnce() -> T) -> T {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        let millis = u64::try_from((start - self.started).as_millis()).unwrap_or(u64::MAX - 1);
        self.working_since.store(millis + 1, Ordering::Relaxed);
        let result = work();
        self.working_since.store(0, Ordering::Relaxed);
        let took = start.elapsed();
        self.busy.add(took);
        self.duration.record(took.as_secs_f64(), 1);
        result
    }

    /// Runs `send`, which hands a batch of `documents` on and may have to wait for room.
    pub fn hand_on<T>(&self, documents: usize, send: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = send();
        self.blocked.add(start.elapsed());
        self.handed(documents);
        result
    }

    /// Counts a batch of `documents` that was handed on.
    pub fn handed(&self, documents: usize) {
        self.handed_on.fetch_add(1, Ordering::Relaxed);
        self.documents.add(documents as u64);
    }

    /// Counts time that was spent waiting for room in the queue of the next stage.
    pub fn waited(&self, duration: Duration) {
        self.blocked.add(duration);
    }

    /// Batches that it has taken in.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Batches that it has handed on.
    pub fn handed_on(&self) -> u64 {
        self.handed_on.load(Ordering::Relaxed)
    }

    /// For how long it has worked on its present batch; `None` while it waits for one.
    pub fn working_for(&self) -> Option<Duration> {
        let since = self.working_since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_seen_at_work_and_counted_beyond_its_end() {
        let metrics = Metrics::default();
        let meter = Meter::new(&metrics, "clean");
        assert_eq!(meter.working_for(), None);
        meter.batch(|| assert!(meter.working_for().is_some()));
        meter.hand_on(7, || ());
        assert_eq!((meter.working_for(), meter.taken(), meter.handed_on()), (None, 1, 1));
        drop(meter);
        Meter::new(&metrics, "clean").handed(3);
        assert_eq!(metrics.stage_documents.with(&["clean"]).get(), 10);
    }
}
