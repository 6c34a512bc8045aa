//! From messages to batches: decoding, cutting, and waiting for memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fenliu_schemas::{Offsets, Origin, Positions, RawBuilder};

use super::decode::{Decoder, Undecoded};
use crate::batch::{Batch, Budget, Permit};
use crate::config::{SourceConfig, ValidatedConfig};
use crate::error::Result;

/// Bytes after which a batch closes, whatever its rows: keeps a batch of long articles from growing
/// past what the next stages can overlap.
const BATCH_BYTES: usize = 4 << 20;

/// Arrow's own cost of a row beside its bytes: offsets and fixed-width columns.
const ROW_OVERHEAD_BYTES: usize = 128;

/// A source keeps the payload and the decoded text of a message: twice its bytes.
const COPIES: usize = 2;

/// Collects messages to a batch and says when it is full.
#[derive(Debug)]
pub struct Assembler {
    decoder: Decoder,
    budget: Budget,
    builder: RawBuilder,
    offsets: Offsets,
    /// Where reading goes on.
    reading: Positions,
    bytes: usize,
    received_at: Instant,
    max_rows: usize,
    linger: Duration,
}

impl Assembler {
    /// An empty batch under the limits of `config`.
    ///
    /// # Errors
    /// As [`Decoder::try_new`].
    pub fn try_new(config: &ValidatedConfig, budget: Budget) -> Result<Self> {
        let decoder = match config.source {
            SourceConfig::Files(_) => Decoder::for_files(&config.documents),
            SourceConfig::Kafka(_) => Decoder::try_new(&config.documents)?,
        };
        Ok(Assembler {
            decoder,
            budget,
            builder: RawBuilder::default(),
            offsets: Offsets::default(),
            reading: Positions::default(),
            bytes: 0,
            received_at: Instant::now(),
            max_rows: config.limits.batch_rows,
            linger: config.limits.batch_linger,
        })
    }

    /// Partitions are read from these positions on: what a batch covers begins there, so that it leaves no
    /// hole where a topic has one.
    pub fn start_at(&mut self, positions: &Positions) {
        self.reading.update(positions);
    }

    /// Where reading goes on in one partition.
    pub fn reading(&self, topic: &Arc<str>, partition: i32) -> Option<i64> {
        self.reading.get(topic, partition)
    }

    /// Adds one message; `topic` names the same topic as `origin`. `false`: the message was not taken, since
    /// the schema registry does not answer; push it again a little later.
    ///
    /// # Errors
    /// When nothing can be decoded any more.
    pub fn push(&mut self, topic: &Arc<str>, origin: Origin<'_>, payload: &[u8]) -> Result<bool> {
        let document = match self.decoder.decode(payload) {
            Ok(document) => Ok(document),
            Err(Undecoded::Reject(reject)) => Err(reject),
            Err(Undecoded::Wait) => return Ok(false),
            Err(Undecoded::Failed(error)) => return Err(error),
        };
        if self.builder.is_empty() {
            self.received_at = Instant::now();
        }
        // Whoever sends a message may give it any time; tables hold microseconds.
        let timestamp_ms = origin.timestamp_ms.filter(|time| time.checked_mul(1000).is_some());
        self.builder.append(Origin { timestamp_ms, ..origin }, payload, &document);
        let first = self.reading.get(topic, origin.partition).unwrap_or(origin.offset);
        self.offsets.add(topic, origin.partition, first.min(origin.offset), origin.offset);
        self.reading.set(topic, origin.partition, origin.offset + 1);
        self.bytes += COPIES * payload.len() + ROW_OVERHEAD_BYTES;
        Ok(true)
    }

    /// Whether the batch holds nothing.
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Whether the batch has its rows or bytes, or its first document has waited long enough.
    pub fn is_due(&self) -> bool {
        !self.is_empty()
            && (self.builder.len() >= self.max_rows
                || self.bytes >= BATCH_BYTES
                || self.received_at.elapsed() >= self.linger)
    }

    /// Memory for the batch as it stands, if others return theirs within `patience`.
    pub fn acquire(&self, patience: Duration) -> Option<Permit> {
        self.budget.acquire(self.bytes as u64, patience)
    }

    /// Hands the batch out under `permit` and starts an empty one.
    ///
    /// # Errors
    /// When a text column passes Arrow's bound of 2 GiB.
    pub fn finish(&mut self, permit: Permit) -> Result<Batch> {
        self.bytes = 0;
        Ok(Batch {
            records: self.builder.finish()?,
            dead_letters: vec![],
            offsets: std::mem::take(&mut self.offsets),
            received_at: self.received_at,
            closes_epoch: false,
            permit,
        })
    }
}
