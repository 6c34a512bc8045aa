//! What the group is told: how far all sinks are, and that this member leaves.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use fenliu_engine::Result;
use fenliu_schemas::Positions;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer};

use super::consumer::{KafkaConsumer, Rebalance, apply, offsets_list};
use super::error::failed;
use crate::ledger::Commit;

/// How long a consumer may take to leave its group.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// For how long the last commit of a run is tried again, and how long to wait in between: a rebalance takes a few seconds.
/// One try alone may take a minute where the brokers are away.
const LAST_COMMIT_LIMIT: Duration = Duration::from_secs(10);
const LAST_COMMIT_PAUSE: Duration = Duration::from_millis(500);

/// Lets the consumer leave its group. To be called with its last handle, when all sinks have ended: until then the
/// partitions are theirs.
///
/// librdkafka closes a consumer when brokers have answered, without a bound; what it had sent into a network that
/// went away may never be. It is left to itself after ten seconds.
pub fn leave(consumer: Arc<KafkaConsumer>) {
    release(&consumer);
    let (ended, waiting) = channel::<()>();
    let close = move || {
        drop(consumer);
        drop(ended);
    };
    if let Err(error) = thread::Builder::new().name("leave".into()).spawn(close) {
        tracing::debug!(%error, "the consumer was closed here, for want of a thread");
    }
    if waiting.recv_timeout(LEAVE_LIMIT) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!(after = ?LEAVE_LIMIT, "the consumer has not left its group: it goes on closing by itself");
    }
}

/// Lets go of the partitions.
fn release(consumer: &KafkaConsumer) {
    consumer.context().close();
    while let Some(rebalance) = consumer.context().next_rebalance() {
        let nothing = Rebalance { partitions: TopicPartitionList::new(), ..rebalance.clone() };
        if let Err(error) = apply(consumer, if rebalance.is_assignment { &nothing } else { &rebalance }) {
            tracing::debug!(%error, "partitions cannot be given up");
        }
    }
}

/// Commits to the consumer group what all sinks have.
pub struct KafkaCommit {
    consumer: Arc<KafkaConsumer>,
    /// Not yet committed, because the group was rebalancing or its coordinator moving.
    pending: Positions,
}

impl KafkaCommit {
    /// Commits for the group of `consumer`.
    pub fn new(consumer: Arc<KafkaConsumer>) -> Self {
        KafkaCommit { consumer, pending: Positions::default() }
    }

    /// The positions of the partitions that this member still owns: after a rebalance the new owner may be
    /// further, and an old position must not overwrite its.
    fn owned(&self) -> Result<TopicPartitionList> {
        let assigned = self.consumer.assignment().map_err(failed("list assigned partitions"))?;
        let owned = self.pending.iter().filter(|(t, p, _)| assigned.find_partition(t, *p).is_some());
        offsets_list(&owned.map(|(topic, partition, next)| ((Arc::clone(topic), partition), next)).collect())
    }

    fn try_commit(&mut self) -> Result<()> {
        let list = self.owned()?;
        if list.count() > 0 {
            self.consumer.commit(&list, CommitMode::Sync).map_err(failed("commit offsets"))?;
        }
        self.pending = Positions::default();
        Ok(())
    }
}

impl Commit for KafkaCommit {
    fn commit(&mut self, positions: &Positions) {
        self.pending.update(positions);
        if let Err(error) = self.try_commit() {
            tracing::warn!(%error, "offsets are committed with the next epoch");
        }
    }

    fn finish(&mut self) -> Result<()> {
        let since = Instant::now();
        while let Err(error) = self.try_commit() {
            if since.elapsed() > LAST_COMMIT_LIMIT {
                return Err(error);
            }
            thread::sleep(LAST_COMMIT_PAUSE);
        }
        Ok(())
    }
}
