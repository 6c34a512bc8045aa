//! What a source asks of the sinks while it runs.

use std::time::Duration;

use fenliu_engine::Result;
use fenliu_schemas::{Positions, TopicPartition};

/// The positions of all sinks of a pipeline, as a source sees them.
pub trait Ledger: Send + Sync {
    /// Where reading `starts` must begin so that every sink gets what it lacks: at the lowest position over the
    /// sinks. A sink that has none for a partition begins at `starts`; with `claim` it is given that position before
    /// any row is read, so that a crash cannot make it begin later.
    ///
    /// # Errors
    /// What keeps a sink from telling its position. Calling again is safe.
    fn resume(&self, starts: &Positions, claim: bool) -> Result<Positions>;

    /// The lowest position of a sink in each of `partitions`; missing where no sink has one.
    ///
    /// # Errors
    /// What keeps a sink from telling its position.
    fn stored(&self, partitions: &[TopicPartition]) -> Result<Positions>;

    /// Commits `lowest`, before which every sink has everything, to those who watch the source's lag.
    fn report(&self, lowest: &Positions);

    /// Waits up to `patience` until every sink has everything up to `ends`; whether they have.
    fn wait(&self, ends: &Positions, patience: Duration) -> bool;
}

/// Stores how far all sinks are for those who watch the source's lag.
pub trait Commit: Send {
    /// Every sink has everything before `positions`. What cannot be stored for now is stored with the next.
    fn commit(&mut self, positions: &Positions);

    /// There will be no more commits: stores what could not be stored before.
    ///
    /// # Errors
    /// When it still cannot be stored.
    fn finish(&mut self) -> Result<()>;
}

/// For sources that nobody watches, and where a sink stores the positions itself.
pub struct NothingToCommit;

impl Commit for NothingToCommit {
    fn commit(&mut self, _: &Positions) {}

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
