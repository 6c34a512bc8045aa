//! The envelope that travels between stages, and the memory budget that it draws on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow::array::RecordBatch;
use fenliu_schemas::Offsets;

/// Documents on their way, with everything that must arrive together.
#[derive(Debug)]
pub struct Batch {
    /// Rows still on the main path: raw, then cleaned, then labelled.
    pub records: RecordBatch,
    /// Rows that left it, as dead letters. They are written in the same epoch.
    pub dead_letters: Vec<RecordBatch>,
    /// How many messages of the source only delete a document, and are neither rows nor dead letters.
    pub deletions: usize,
    /// Bytes of the messages or rows of the source, as they were read.
    pub bytes: u64,
    /// Source positions covered, rejected rows and deletions included.
    pub offsets: Offsets,
    /// When the first document of the batch was received.
    pub received_at: Instant,
    /// Whether every sink commits when it has this batch, as before a partition is given up.
    pub closes_epoch: bool,
    /// The batch's share of the memory budget.
    pub permit: Permit,
}

impl Batch {
    /// Documents in the batch, rejected ones included.
    pub fn documents(&self) -> usize {
        self.records.num_rows() + self.dead_letters.iter().map(RecordBatch::num_rows).sum::<usize>()
    }
}

/// Bytes of messages that may be in the pipeline at once.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total: u64,
    free: AtomicU64,
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Budget { shared: Arc::new(Shared { total, free: AtomicU64::new(total) }) }
    }

    /// Takes `bytes`; `None` when so many are not free. It never waits: a source has to poll its consumer meanwhile.
    ///
    /// A batch larger than the whole budget takes all of it, and so goes alone.
    pub fn try_acquire(&self, bytes: u64) -> Option<Permit> {
        // A larger batch could never be taken otherwise, and would block the source for ever.
        let bytes = bytes.min(self.shared.total);
        let take = |free: u64| free.checked_sub(bytes);
        self.shared.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        Some(Permit { bytes, shared: Arc::clone(&self.shared) })
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.shared.total
    }

    /// Bytes in use at the moment.
    pub fn used(&self) -> u64 {
        self.shared.total - self.shared.free.load(Ordering::Acquire)
    }
}

/// A share of the [`Budget`], returned on drop.
#[derive(Debug)]
pub struct Permit {
    bytes: u64,
    shared: Arc<Shared>,
}

impl Permit {
    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.free.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_budget_refuses_until_a_permit_returns() {
        let budget = Budget::new(100);
        let first = budget.try_acquire(80).unwrap();
        assert!(budget.try_acquire(30).is_none());
        assert_eq!(budget.used(), 80);
        drop(first);
        assert_eq!(budget.try_acquire(30).unwrap().bytes(), 30);
    }

    #[test]
    fn a_batch_larger_than_the_budget_goes_alone() {
        let budget = Budget::new(100);
        let all = budget.try_acquire(5000).unwrap();
        assert_eq!(all.bytes(), 100);
        assert!(budget.try_acquire(1).is_none());
    }
}
