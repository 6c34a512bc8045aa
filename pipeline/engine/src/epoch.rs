//! Batches that one sink has not committed yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fenliu_schemas::Offsets;

use crate::batch::Permit;

/// A batch on its way to all sinks, which share it. Its memory is returned when the last sink has committed it.
#[derive(Debug)]
pub struct Delivery<R> {
    /// What is written.
    pub rows: Arc<R>,
    /// Source positions covered, rejected rows included.
    pub offsets: Offsets,
    /// Documents, rejected ones included.
    pub documents: usize,
    /// Its share of the memory budget.
    pub permit: Permit,
    /// Whether every sink commits as soon as it has this batch, as it must before a partition is given up.
    pub closes_epoch: bool,
    /// When it was received, for measurements.
    pub age: Age,
    /// Sinks that have not committed it yet.
    pub open_sinks: AtomicUsize,
}

/// How old the documents of a batch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// When its first document was received.
    pub received_at: Instant,
    /// The Kafka timestamp of its first document, milliseconds since the Unix epoch; `None` if the source has none.
    pub timestamp_ms: Option<i64>,
}

/// A batch that the last of all sinks has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// How old its documents are.
    pub age: Age,
    /// Documents, rejected ones included.
    pub documents: usize,
}

/// When an epoch closes: at whichever bound comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochBounds {
    /// Time since its first batch came.
    pub max_age: Duration,
    /// Documents.
    pub max_rows: usize,
    /// Bytes as counted by the memory budget.
    pub max_bytes: u64,
}

/// A run of batches that a sink commits together.
#[derive(Debug)]
pub(crate) struct Epoch<R> {
    opened_at: Option<Instant>,
    documents: usize,
    bytes: u64,
    offsets: Offsets,
    deliveries: Vec<Arc<Delivery<R>>>,
}

impl<R> Default for Epoch<R> {
    fn default() -> Self {
        Epoch { opened_at: None, documents: 0, bytes: 0, offsets: Offsets::default(), deliveries: vec![] }
    }
}

impl<R> Epoch<R> {
    pub(crate) fn add(&mut self, now: Instant, delivery: Arc<Delivery<R>>) {
        self.opened_at.get_or_insert(now);
        self.documents += delivery.documents;
        self.bytes += delivery.permit.bytes();
        self.offsets.merge(&delivery.offsets);
        self.deliveries.push(delivery);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    pub(crate) fn documents(&self) -> usize {
        self.documents
    }

    pub(crate) fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes that one more sink has committed the epoch's batches, and returns those that all sinks have now.
    pub(crate) fn settle(&self) -> Vec<Settled> {
        let is_last = |delivery: &&Arc<Delivery<R>>| delivery.open_sinks.fetch_sub(1, Ordering::Relaxed) == 1;
        let settled = self.deliveries.iter().filter(is_last);
        settled.map(|delivery| Settled { age: delivery.age, documents: delivery.documents }).collect()
    }

    pub(crate) fn rows(&self) -> Vec<Arc<R>> {
        self.deliveries.iter().map(|delivery| Arc::clone(&delivery.rows)).collect()
    }

    /// Whether it must close now.
    pub(crate) fn is_due(&self, now: Instant, bounds: &EpochBounds) -> bool {
        self.documents >= bounds.max_rows
            || self.bytes >= bounds.max_bytes
            || self.deadline(bounds).is_some_and(|deadline| deadline <= now)
            || self.deliveries.last().is_some_and(|delivery| delivery.closes_epoch)
    }

    /// When its age makes it close; `None` while it is empty.
    pub(crate) fn deadline(&self, bounds: &EpochBounds) -> Option<Instant> {
        self.opened_at.map(|opened_at| opened_at + bounds.max_age)
    }
}
