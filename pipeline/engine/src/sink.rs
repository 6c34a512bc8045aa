//! The contract of sinks: where rows go.
//!
//! A sink keeps its own positions and moves them in the *same* atomic commit that adds the rows
//! ([`position`](crate::position) has the rule). [`Sink::commit`] returning `Ok` means that both are durable: they
//! survive the death of this process and, as far as the destination promises, of the machine. An `Err` may mean
//! either; [`Sink::positions`] then tells. Dead letters are rows of a sink like any other, with a position of its own.
//!
//! A sink is used by one thread at a time, which may block. It never retries a commit itself: its
//! [`Worker`](crate::worker::Worker) does, after it has read the positions.
//!
//! Another kind of commit (data files that exist already, for a backfill) can become a provided method of this trait,
//! which refuses unless a sink implements it. Positions and atomicity would stay as they are.

use std::sync::Arc;

use arrow::array::RecordBatch;
use fenliu_schemas::TopicPartition;

use crate::error::Result;
use crate::position::{Moves, Stored};

/// What a batch has become: every document is in one of the two.
#[derive(Debug)]
pub struct Rows {
    /// Labelled rows.
    pub labelled: RecordBatch,
    /// Rejected documents.
    pub dead_letters: Vec<RecordBatch>,
}

/// A destination that keeps its own positions.
pub trait Sink: Send {
    /// The positions of `partitions`, and the stored identities of their topics: what is durable, read from the
    /// destination. A commit that this or an earlier process left half-done is completed first.
    ///
    /// # Errors
    /// A retryable error while the destination does not answer; otherwise one that says why it never will.
    fn positions(&mut self, partitions: &[TopicPartition]) -> Result<Stored>;

    /// Adds those rows of `epoch` that this sink selects and that [`Moves::takes`] accepts, moves the positions and
    /// stores the identities of their topics, all or nothing.
    ///
    /// # Errors
    /// [`Kind::Conflict`](crate::Kind::Conflict) when the positions are not where the moves begin: nothing was
    /// written. With any other error everything may have been written, or nothing: the caller reads the positions
    /// before it tries again.
    fn commit(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()>;
}
