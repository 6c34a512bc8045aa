//! The envelope that travels between stages, and the memory budget it draws on.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use fenliu_schemas::Offsets;

/// Documents on their way, with everything that must arrive together.
#[derive(Debug)]
pub struct Batch {
    /// Rows still on the main path: raw, then cleaned, then labelled.
    pub records: RecordBatch,
    /// Rows that left it, as dead letters. They are written in the same epoch.
    pub dead_letters: Vec<RecordBatch>,
    /// Source positions covered, rejected rows included.
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

/// Message bytes that may be in the pipeline at once.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total: u64,
    free: Mutex<u64>,
    returned: Condvar,
}

impl Shared {
    fn free(&self) -> MutexGuard<'_, u64> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Budget { shared: Arc::new(Shared { total, free: Mutex::new(total), returned: Condvar::new() }) }
    }

    /// Takes `bytes`, waiting up to `patience` for others to return theirs; `None` if they did not.
    ///
    /// A batch larger than the whole budget takes all of it: it goes alone rather than never.
    pub fn acquire(&self, bytes: u64, patience: Duration) -> Option<Permit> {
        let bytes = bytes.min(self.shared.total);
        let (mut free, _) = self
            .shared
            .returned
            .wait_timeout_while(self.shared.free(), patience, |free| *free < bytes)
            .unwrap_or_else(PoisonError::into_inner);
        if *free < bytes {
            return None;
        }
        *free -= bytes;
        Some(Permit { bytes, shared: Arc::clone(&self.shared) })
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
        *self.shared.free() += self.bytes;
        self.shared.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WAIT: Duration = Duration::ZERO;

    #[test]
    fn a_spent_budget_refuses_until_a_permit_returns() {
        let budget = Budget::new(100);
        let first = budget.acquire(80, NO_WAIT).unwrap();
        assert!(budget.acquire(30, NO_WAIT).is_none());
        drop(first);
        assert_eq!(budget.acquire(30, NO_WAIT).unwrap().bytes(), 30);
    }

    #[test]
    fn an_oversize_batch_goes_alone() {
        let budget = Budget::new(100);
        let all = budget.acquire(5000, NO_WAIT).unwrap();
        assert_eq!(all.bytes(), 100);
        assert!(budget.acquire(1, NO_WAIT).is_none());
    }

    #[test]
    fn a_waiter_is_woken() {
        let budget = Budget::new(10);
        let held = budget.acquire(10, NO_WAIT).unwrap();
        let waiter = budget.clone();
        let thread = std::thread::spawn(move || waiter.acquire(10, Duration::from_secs(60)).is_some());
        drop(held);
        assert!(thread.join().unwrap());
    }
}
