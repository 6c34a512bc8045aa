//! From labelled batches to durable rows: one thread a sink.
//!
//! A worker gathers batches to an *epoch* and commits it when it is large or old enough. Workers do not
//! wait for each other: a sink that is slow or away holds back only itself, until what it has not yet
//! taken fills the memory budget. A commit that fails is tried again, after the sink has said where it
//! stands, for as long as the failure may pass; nothing is dropped and nothing goes around it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fenliu_connectors::{Meter, Retry, Shutdown};
use fenliu_engine::Rows;
use fenliu_engine::batch::{Batch, Permit};
use fenliu_engine::position::Moves;
use fenliu_schemas::Offsets;

use crate::config::EpochConfig;
use crate::error::Result;
use crate::ledger::{SharedSink, SinkLedger};
use crate::metrics::Counters;

/// A batch on its way to all sinks. Its memory returns when the last of them has it.
pub(crate) struct Delivery {
    rows: Arc<Rows>,
    offsets: Offsets,
    documents: usize,
    closes_epoch: bool,
    permit: Permit,
}

impl From<Batch> for Delivery {
    fn from(batch: Batch) -> Self {
        Delivery {
            documents: batch.documents(),
            rows: Arc::new(Rows { labelled: batch.records, dead_letters: batch.dead_letters }),
            offsets: batch.offsets,
            closes_epoch: batch.closes_epoch,
            permit: batch.permit,
        }
    }
}

/// Batches that the sink has not committed yet.
#[derive(Default)]
struct Epoch {
    opened_at: Option<Instant>,
    documents: usize,
    bytes: u64,
    offsets: Offsets,
    deliveries: Vec<Arc<Delivery>>,
}

impl Epoch {
    fn add(&mut self, delivery: Arc<Delivery>) {
        self.opened_at.get_or_insert_with(Instant::now);
        self.documents += delivery.documents;
        self.bytes += delivery.permit.bytes();
        self.offsets.merge(&delivery.offsets);
        self.deliveries.push(delivery);
    }

    fn is_due(&self, bounds: &EpochConfig) -> bool {
        self.documents >= bounds.max_rows
            || self.bytes >= bounds.max_bytes.as_u64()
            || self.remaining(bounds) == Some(Duration::ZERO)
            || self.deliveries.last().is_some_and(|delivery| delivery.closes_epoch)
    }

    /// Time until the epoch must close; `None` while it is empty.
    fn remaining(&self, bounds: &EpochConfig) -> Option<Duration> {
        self.opened_at.map(|opened_at| bounds.max_age.saturating_sub(opened_at.elapsed()))
    }
}

/// Commits batches to one sink, epoch by epoch.
pub(crate) struct Worker {
    sink: SharedSink,
    /// The sink's place in the ledger.
    index: usize,
    bounds: EpochConfig,
    ledger: Arc<SinkLedger>,
    counters: Counters,
    shutdown: Shutdown,
    epoch: Epoch,
}

impl Worker {
    /// A worker with an empty epoch for the sink that is number `index` in the ledger.
    pub(crate) fn new(
        sink: SharedSink,
        index: usize,
        bounds: EpochConfig,
        ledger: Arc<SinkLedger>,
        counters: Counters,
        shutdown: Shutdown,
    ) -> Self {
        Worker { sink, index, bounds, ledger, counters, shutdown, epoch: Epoch::default() }
    }

    /// Consumes `input` until it closes; the last epoch is committed too.
    ///
    /// # Errors
    /// A failure of the sink that will not pass, or that has not passed when a stop was asked for: the open
    /// epoch is read again by the next run.
    pub(crate) fn run(mut self, input: &Receiver<Arc<Delivery>>, meter: &Meter) -> Result<()> {
        loop {
            let next = match self.epoch.remaining(&self.bounds) {
                Some(remaining) => input.recv_timeout(remaining),
                None => input.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(delivery) => {
                    self.epoch.add(delivery);
                    if self.epoch.is_due(&self.bounds) {
                        meter.measure(|| self.close_epoch())?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => meter.measure(|| self.close_epoch())?,
                Err(RecvTimeoutError::Disconnected) => return meter.measure(|| self.close_epoch()),
            }
        }
    }

    /// Commits the open epoch and returns its memory.
    fn close_epoch(&mut self) -> Result<()> {
        let epoch = std::mem::take(&mut self.epoch);
        if epoch.opened_at.is_none() {
            return Ok(());
        }
        self.commit(&epoch)?;
        self.ledger.acknowledge(self.index, &epoch.offsets.ends());
        self.counters.count_epoch();
        tracing::debug!(sink = %self.sink.name, rows = epoch.documents, bytes = epoch.bytes, "epoch committed");
        Ok(())
    }

    fn commit(&self, epoch: &Epoch) -> Result<()> {
        let rows: Vec<Arc<Rows>> =
            epoch.deliveries.iter().map(|delivery| Arc::clone(&delivery.rows)).collect();
        let mut retry = Retry::new(&self.sink.name, &self.shutdown);
        loop {
            match self.try_commit(epoch, &rows) {
                Ok(()) => return Ok(()),
                Err(error) => retry.pause(error)?,
            }
        }
    }

    /// One try: reads where the sink stands, and gives it what it lacks.
    fn try_commit(&self, epoch: &Epoch, rows: &[Arc<Rows>]) -> Result<()> {
        let partitions: Vec<_> =
            epoch.offsets.iter().map(|(topic, partition, _)| (Arc::clone(topic), partition)).collect();
        let mut sink = self.sink.lock();
        let stored = sink.positions(&partitions)?.positions;
        let moves = Moves::plan(&stored, &epoch.offsets)?;
        if moves.is_empty() { Ok(()) } else { sink.commit(rows, &moves) }
    }
}
