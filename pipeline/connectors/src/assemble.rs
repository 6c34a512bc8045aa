//! From messages to batches: decoding, cutting, and waiting for memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fenliu_decode::{Decoder, RawRows};
use fenliu_engine::Result;
use fenliu_engine::batch::{Batch, Budget, Permit};
use fenliu_schemas::{Offsets, Origin, Positions};

/// Bytes after which a batch closes, whatever its rows: keeps a batch of long articles from growing
/// past what the next stages can overlap.
const BATCH_BYTES: usize = 4 << 20;

/// Arrow's own cost of a row beside its bytes: offsets and fixed-width columns.
const ROW_OVERHEAD_BYTES: usize = 128;

/// A source keeps the payload and the decoded text of a message: twice its bytes.
const COPIES: usize = 2;

/// How often a waiting source looks whether there is memory.
const LOOK: Duration = Duration::from_millis(1);

/// Collects messages to a batch and says when it is full.
#[derive(Debug)]
pub struct Assembler {
    rows: RawRows,
    budget: Budget,
    offsets: Offsets,
    /// Where reading goes on.
    reading: Positions,
    bytes: usize,
    received_at: Instant,
    max_rows: usize,
    linger: Duration,
}

impl Assembler {
    /// An empty batch, which is due when it has `max_rows` or its first document has waited for `linger`.
    pub fn new(decoder: Decoder, budget: Budget, max_rows: usize, linger: Duration) -> Self {
        Assembler {
            rows: RawRows::new(decoder),
            budget,
            offsets: Offsets::default(),
            reading: Positions::default(),
            bytes: 0,
            received_at: Instant::now(),
            max_rows,
            linger,
        }
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
        let is_first = self.rows.is_empty();
        if !self.rows.push(origin, payload)? {
            return Ok(false);
        }
        if is_first {
            self.received_at = Instant::now();
        }
        let first = self.reading.get(topic, origin.partition).unwrap_or(origin.offset);
        self.offsets.add(topic, origin.partition, first.min(origin.offset), origin.offset);
        self.reading.set(topic, origin.partition, origin.offset + 1);
        self.bytes += COPIES * payload.len() + ROW_OVERHEAD_BYTES;
        Ok(true)
    }

    /// Whether the batch holds nothing.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the batch has its rows or bytes, or its first document has waited long enough.
    pub fn is_due(&self) -> bool {
        !self.is_empty()
            && (self.rows.len() >= self.max_rows
                || self.bytes >= BATCH_BYTES
                || self.received_at.elapsed() >= self.linger)
    }

    /// Memory for the batch as it stands, if others return theirs within `patience`.
    pub fn acquire(&self, patience: Duration) -> Option<Permit> {
        let until = Instant::now() + patience;
        loop {
            let permit = self.budget.try_acquire(self.bytes as u64);
            if permit.is_some() || Instant::now() >= until {
                return permit;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Hands the batch out under `permit` and starts an empty one.
    ///
    /// # Errors
    /// When a text column passes Arrow's bound of 2 GiB.
    pub fn finish(&mut self, permit: Permit) -> Result<Batch> {
        self.bytes = 0;
        Ok(Batch {
            records: self.rows.finish()?,
            dead_letters: vec![],
            offsets: std::mem::take(&mut self.offsets),
            received_at: self.received_at,
            closes_epoch: false,
            permit,
        })
    }
}
