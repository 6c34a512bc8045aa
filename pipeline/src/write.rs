//! The last stage: rows to sinks, epochs, and only then the commit.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fenliu_schemas::Offsets;

use crate::batch::{Batch, Permit};
use crate::breaker::Breaker;
use crate::config::EpochConfig;
use crate::error::Result;
use crate::metrics::Counters;
use crate::sink::Outputs;
use crate::source::Commit;
use crate::stage::Meter;

/// Batches written but not yet durable.
#[derive(Default)]
struct Epoch {
    opened_at: Option<Instant>,
    rows: usize,
    bytes: u64,
    offsets: Offsets,
    /// Held until the sinks are durable, so that the budget covers what a crash would replay.
    permits: Vec<Permit>,
}

impl Epoch {
    fn is_due(&self, bounds: &EpochConfig) -> bool {
        self.rows >= bounds.max_rows
            || self.bytes >= bounds.max_bytes.as_u64()
            || self.remaining(bounds) == Some(Duration::ZERO)
    }

    /// Time until the epoch must close; `None` while it is empty.
    fn remaining(&self, bounds: &EpochConfig) -> Option<Duration> {
        self.opened_at.map(|opened_at| bounds.max_age.saturating_sub(opened_at.elapsed()))
    }
}

/// Writes batches to sinks and commits their offsets, epoch by epoch.
pub struct Writer {
    outputs: Outputs,
    commit: Box<dyn Commit>,
    bounds: EpochConfig,
    breaker: Breaker,
    counters: Counters,
    epoch: Epoch,
}

impl Writer {
    /// A writer with an empty epoch.
    pub fn new(
        outputs: Outputs,
        commit: Box<dyn Commit>,
        bounds: EpochConfig,
        breaker: Breaker,
        counters: Counters,
    ) -> Self {
        Writer { outputs, commit, bounds, breaker, counters, epoch: Epoch::default() }
    }

    /// Consumes `input` until it closes; the last epoch is closed too.
    ///
    /// # Errors
    /// When a sink fails or the breaker trips: the open epoch is not committed and will be read again.
    pub fn run(mut self, input: &Receiver<Batch>, meter: &Meter) -> Result<()> {
        loop {
            let next = match self.epoch.remaining(&self.bounds) {
                Some(remaining) => input.recv_timeout(remaining),
                None => input.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(batch) => meter.measure(|| self.write(batch))?,
                Err(RecvTimeoutError::Timeout) => meter.measure(|| self.close_epoch())?,
                Err(RecvTimeoutError::Disconnected) => {
                    meter.measure(|| self.close_epoch())?;
                    return self.commit.finish();
                }
            }
        }
    }

    fn write(&mut self, batch: Batch) -> Result<()> {
        self.breaker.observe(&batch)?;
        for letters in &batch.dead_letters {
            self.outputs.write_dead_letters(letters)?;
        }
        self.outputs.write(&batch.records)?;
        self.counters.count(&batch);
        let epoch = &mut self.epoch;
        epoch.opened_at.get_or_insert_with(Instant::now);
        epoch.rows += batch.documents();
        epoch.bytes += batch.permit.bytes();
        epoch.offsets.merge(&batch.offsets);
        epoch.permits.push(batch.permit);
        if epoch.is_due(&self.bounds) { self.close_epoch() } else { Ok(()) }
    }

    /// Flushes every sink, then commits, then returns the memory.
    fn close_epoch(&mut self) -> Result<()> {
        if self.epoch.opened_at.is_none() {
            return Ok(());
        }
        self.outputs.flush()?;
        self.commit.commit(&self.epoch.offsets)?;
        self.counters.count_epoch();
        tracing::debug!(rows = self.epoch.rows, bytes = self.epoch.bytes, "epoch committed");
        self.epoch = Epoch::default();
        Ok(())
    }
}
