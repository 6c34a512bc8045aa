//! Which sink has taken what: where reading may begin, what may be reported to the group, when a
//! partition is free to go.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fenliu_schemas::Positions;

use crate::position::Moves;
use crate::sink::{Partitions, SharedSink, SinkError};
use crate::source::Commit;

/// The positions of all sinks.
pub struct Ledger {
    sinks: Vec<SharedSink>,
    positions: Mutex<Vec<Positions>>,
    changed: Condvar,
    commit: Mutex<Box<dyn Commit>>,
}

impl Ledger {
    /// A ledger of `sinks`; `commit` tells the source what all of them have.
    pub fn new(sinks: Vec<SharedSink>, commit: Box<dyn Commit>) -> Arc<Self> {
        let positions = Mutex::new(vec![Positions::default(); sinks.len()]);
        Arc::new(Ledger { sinks, positions, changed: Condvar::new(), commit: Mutex::new(commit) })
    }

    /// Where reading `starts` must begin so that every sink gets what it lacks: at the lowest position over
    /// the sinks. A sink that has none for a partition begins at `starts`. With `claim` it is given that
    /// position before any row is read, so that a crash cannot make it begin later.
    ///
    /// # Errors
    /// What keeps a sink from telling its position. Calling again is safe.
    pub fn resume(&self, starts: &Positions, claim: bool) -> Result<Positions, SinkError> {
        let partitions: Vec<_> =
            starts.iter().map(|(topic, partition, _)| (Arc::clone(topic), partition)).collect();
        let mut lowest = starts.clone();
        for (index, shared) in self.sinks.iter().enumerate() {
            let mut sink = shared.lock();
            let mut stored = sink.positions(&partitions)?;
            let missing = missing(starts, &stored);
            if claim && !missing.is_empty() {
                sink.commit(&[], &Moves::first(&missing))?;
            }
            stored.update(&missing);
            drop(sink);
            for (topic, partition) in &partitions {
                let position = stored.get(topic, *partition).unwrap_or(0);
                self.positions()[index].set(topic, *partition, position);
                if index == 0 || lowest.get(topic, *partition).is_none_or(|low| position < low) {
                    lowest.set(topic, *partition, position);
                }
            }
        }
        Ok(lowest)
    }

    /// The lowest position of a sink in each of `partitions`; missing where no sink has one.
    ///
    /// # Errors
    /// What keeps a sink from telling its position.
    pub fn stored(&self, partitions: &Partitions) -> Result<Positions, SinkError> {
        let mut lowest = Positions::default();
        for shared in &self.sinks {
            for (topic, partition, next) in shared.lock().positions(partitions)?.iter() {
                if lowest.get(topic, partition).is_none_or(|low| next < low) {
                    lowest.set(topic, partition, next);
                }
            }
        }
        Ok(lowest)
    }

    /// Sink number `index` has everything up to `ends`.
    pub fn acknowledge(&self, index: usize, ends: &Positions) {
        self.positions()[index].update(ends);
        self.changed.notify_all();
        let partitions: Vec<_> =
            ends.iter().map(|(topic, partition, _)| (Arc::clone(topic), partition)).collect();
        self.report(&self.lowest(&partitions));
    }

    /// Tells the source that all sinks have everything before `lowest`: where reading begins, too, so that it begins there
    /// again if nothing is committed before a crash.
    pub fn report(&self, lowest: &Positions) {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner).commit(lowest);
    }

    /// Waits up to `patience` until every sink has everything up to `ends`; whether they have.
    pub fn wait(&self, ends: &Positions, patience: Duration) -> bool {
        let lacks = |sinks: &mut Vec<Positions>| {
            sinks
                .iter()
                .any(|sink| ends.iter().any(|(t, p, next)| sink.get(t, p).is_none_or(|has| has < next)))
        };
        let waited = self.changed.wait_timeout_while(self.positions(), patience, lacks);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// There will be no more acknowledgements: tells the source what it could not be told before.
    ///
    /// # Errors
    /// When it still cannot be told: a lag, not a loss.
    pub fn finish(&self) -> crate::error::Result<()> {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner).finish()
    }

    fn lowest(&self, partitions: &Partitions) -> Positions {
        let sinks = self.positions();
        let low = |(topic, partition): &(Arc<str>, i32)| {
            let over_sinks = sinks.iter().map(|sink| sink.get(topic, *partition)).min().flatten();
            over_sinks.map(|next| ((Arc::clone(topic), *partition), next))
        };
        partitions.iter().filter_map(low).collect()
    }

    fn positions(&self) -> MutexGuard<'_, Vec<Positions>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of `starts` is not in `stored`.
fn missing(starts: &Positions, stored: &Positions) -> Positions {
    let unknown = starts.iter().filter(|(topic, partition, _)| stored.get(topic, *partition).is_none());
    unknown.map(|(topic, partition, next)| ((Arc::clone(topic), partition), next)).collect()
}
