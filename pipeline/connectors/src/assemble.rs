//! From messages to batches: decoding and cutting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fenliu_decode::file::{Content, FileRules};
use fenliu_decode::{Decoder, Pushed, RawRows};
use fenliu_engine::Result;
use fenliu_engine::batch::{Batch, Budget, Permit};
use fenliu_schemas::{KeyAndHeaders, Offsets, Origin};

/// Bytes after which a batch closes, whatever its rows. With long articles, a batch would otherwise be so large that
/// the stages cannot work at the same time.
const BATCH_BYTES: usize = 4 << 20;

/// Arrow's own cost of a row beside its bytes: offsets and fixed-width columns.
const ROW_OVERHEAD_BYTES: usize = 128;

/// A source keeps the payload and the decoded text of a message: twice its bytes.
const COPIES: usize = 2;

/// Collects messages to a batch and says when it is full.
#[derive(Debug)]
pub struct Assembler {
    rows: RawRows,
    budget: Budget,
    offsets: Offsets,
    /// How many messages of the batch only delete a document.
    deletions: usize,
    bytes: usize,
    /// Bytes of the messages or rows as they were read.
    read: usize,
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
            deletions: 0,
            bytes: 0,
            read: 0,
            received_at: Instant::now(),
            max_rows,
            linger,
        }
    }

    /// Adds one message: `payload` is its value, if it has one, `message` its key and headers, and `topic` the same name as in
    /// `origin`. The batch covers the partition from `first` on, which lies before the message where the topic has a
    /// hole. `false`: the message was not taken, since the schema registry does not answer; push it again a little
    /// later.
    ///
    /// # Errors
    /// When nothing can be decoded any more.
    pub fn push(
        &mut self,
        topic: &Arc<str>,
        origin: Origin<'_>,
        first: i64,
        message: KeyAndHeaders<'_>,
        payload: Option<&[u8]>,
    ) -> Result<bool> {
        self.begin();
        let pushed = self.rows.push(origin, message, payload)?;
        let read = payload.unwrap_or_default().len() + message.len();
        let bytes = COPIES * payload.unwrap_or_default().len() + message.len();
        Ok(self.count(topic, origin, first, [read, bytes], pushed))
    }

    /// Notes when the first message of a batch came. To be called before it is added.
    fn begin(&mut self) {
        if self.is_empty() {
            self.received_at = Instant::now();
        }
    }

    /// Counts a message or row by what became of it; whether it was taken.
    fn count(
        &mut self,
        topic: &Arc<str>,
        origin: Origin<'_>,
        first: i64,
        [read, bytes]: [usize; 2],
        pushed: Pushed,
    ) -> bool {
        if pushed == Pushed::NotTaken {
            return false;
        }
        self.offsets.add(topic, origin.partition, first, origin.offset);
        self.read += read;
        match pushed {
            Pushed::Skipped => self.deletions += 1,
            Pushed::Row | Pushed::NotTaken => self.bytes += bytes + ROW_OVERHEAD_BYTES,
        }
        true
    }

    /// Adds one row of a file; `topic` is the same name as in `origin`. The batch covers the file from `first` on.
    ///
    /// # Errors
    /// When nothing can be decoded any more.
    pub fn push_row(
        &mut self,
        topic: &Arc<str>,
        origin: Origin<'_>,
        first: i64,
        row: &Content,
    ) -> Result<()> {
        self.begin();
        let pushed = self.rows.push_row(origin, row)?;
        let read = row.payload().len();
        self.count(topic, origin, first, [read, COPIES * read], pushed);
        Ok(())
    }

    /// Columns that all rows to come have beside their own, such as those that the names of directories give.
    pub fn set_columns(&mut self, columns: Vec<(String, String)>) {
        self.rows.set_columns(columns);
    }

    /// How files are read for what the rows are decoded to.
    pub fn file_rules(&self) -> FileRules {
        self.rows.file_rules()
    }

    /// Whether the batch holds nothing, not even messages that are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.deletions == 0
    }

    /// Whether the batch has its rows or bytes.
    pub fn is_full(&self) -> bool {
        self.rows.len() + self.deletions >= self.max_rows || self.bytes >= BATCH_BYTES
    }

    /// Whether the batch is full, or its first document has waited long enough.
    pub fn is_due(&self) -> bool {
        !self.is_empty() && (self.is_full() || self.received_at.elapsed() >= self.linger)
    }

    /// Memory for the batch as it stands; `None` while it is in use elsewhere.
    pub fn try_acquire(&self) -> Option<Permit> {
        self.budget.try_acquire(self.bytes as u64)
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
            deletions: std::mem::take(&mut self.deletions),
            bytes: std::mem::take(&mut self.read) as u64,
            offsets: std::mem::take(&mut self.offsets),
            received_at: self.received_at,
            closes_epoch: false,
            permit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fenliu_decode::DocumentsConfig;

    /// Without it each document would be a batch of its own, and rows that wait for a sink would take the memory of full
    /// batches.
    #[test]
    fn the_first_document_of_a_batch_waits_for_others() {
        let decoder = Decoder::for_files(&DocumentsConfig::default());
        let mut assembler = Assembler::new(decoder, Budget::new(1 << 20), 3, Duration::from_secs(600));
        // As if the batch before had been closed long ago.
        assembler.received_at = Instant::now().checked_sub(Duration::from_secs(3_600)).unwrap();
        let topic: Arc<str> = "news".into();
        let row = Content::Bytes(b"{\"title\":\"A\"}".to_vec());
        for offset in 0..3 {
            assert!(!assembler.is_due(), "{offset}");
            let origin = Origin { topic: &topic, partition: 0, offset, timestamp_ms: None };
            assembler.push_row(&topic, origin, offset, &row).unwrap();
        }
        assert!(assembler.is_due());
    }
}
