//! Which sink has taken what: where reading may begin, what may be reported to the group, when a
//! partition is free to go.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fenliu_connectors::outputs::NamedSink;
use fenliu_connectors::{Commit, Ledger};
use fenliu_engine::position::Moves;
use fenliu_engine::{Result, Sink};
use fenliu_schemas::{Positions, TopicPartition};

use crate::config::EpochConfig;

/// A sink that its worker and the source share: the one commits, the other asks where to begin.
#[derive(Clone)]
pub(crate) struct SharedSink {
    /// For messages: the configuration's key and the destination.
    pub name: Arc<str>,
    max_age: Option<Duration>,
    sink: Arc<Mutex<Box<dyn Sink>>>,
}

impl SharedSink {
    /// Shares `sink`.
    pub(crate) fn new(sink: NamedSink) -> Self {
        let NamedSink { name, max_age, sink } = sink;
        SharedSink { name: name.into(), max_age, sink: Arc::new(Mutex::new(sink)) }
    }

    /// When an epoch of this sink closes.
    pub(crate) fn bounds(&self, epoch: &EpochConfig) -> EpochConfig {
        EpochConfig { max_age: self.max_age.unwrap_or(epoch.max_age), ..epoch.clone() }
    }

    /// The sink, for as long as the guard lives.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Box<dyn Sink>> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The positions of all sinks.
pub(crate) struct SinkLedger {
    sinks: Vec<SharedSink>,
    positions: Mutex<Vec<Positions>>,
    changed: Condvar,
    commit: Mutex<Box<dyn Commit>>,
}

impl SinkLedger {
    /// A ledger of `sinks`; `commit` tells the source what all of them have.
    pub(crate) fn new(sinks: Vec<SharedSink>, commit: Box<dyn Commit>) -> Arc<Self> {
        let positions = Mutex::new(vec![Positions::default(); sinks.len()]);
        Arc::new(SinkLedger { sinks, positions, changed: Condvar::new(), commit: Mutex::new(commit) })
    }

    /// Sink number `index` has everything up to `ends`.
    pub(crate) fn acknowledge(&self, index: usize, ends: &Positions) {
        self.positions()[index].update(ends);
        self.changed.notify_all();
        let partitions: Vec<_> =
            ends.iter().map(|(topic, partition, _)| (Arc::clone(topic), partition)).collect();
        self.report(&self.lowest(&partitions));
    }

    /// There will be no more acknowledgements: tells the source what it could not be told before.
    ///
    /// # Errors
    /// When it still cannot be told: a lag, not a loss.
    pub(crate) fn finish(&self) -> Result<()> {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner).finish()
    }

    fn lowest(&self, partitions: &[TopicPartition]) -> Positions {
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

impl Ledger for SinkLedger {
    fn resume(&self, starts: &Positions, claim: bool) -> Result<Positions> {
        let partitions: Vec<_> =
            starts.iter().map(|(topic, partition, _)| (Arc::clone(topic), partition)).collect();
        let mut lowest = starts.clone();
        for (index, shared) in self.sinks.iter().enumerate() {
            let mut sink = shared.lock();
            let mut stored = sink.positions(&partitions)?.positions;
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

    fn stored(&self, partitions: &[TopicPartition]) -> Result<Positions> {
        let mut lowest = Positions::default();
        for shared in &self.sinks {
            for (topic, partition, next) in shared.lock().positions(partitions)?.positions.iter() {
                if lowest.get(topic, partition).is_none_or(|low| next < low) {
                    lowest.set(topic, partition, next);
                }
            }
        }
        Ok(lowest)
    }

    fn report(&self, lowest: &Positions) {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner).commit(lowest);
    }

    fn wait(&self, ends: &Positions, patience: Duration) -> bool {
        let lacks = |sinks: &mut Vec<Positions>| {
            sinks
                .iter()
                .any(|sink| ends.iter().any(|(t, p, next)| sink.get(t, p).is_none_or(|has| has < next)))
        };
        let waited = self.changed.wait_timeout_while(self.positions(), patience, lacks);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// What of `starts` is not in `stored`.
fn missing(starts: &Positions, stored: &Positions) -> Positions {
    let unknown = starts.iter().filter(|(topic, partition, _)| stored.get(topic, *partition).is_none());
    unknown.map(|(topic, partition, next)| ((Arc::clone(topic), partition), next)).collect()
}
