//! Leaving the consumer group.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::consumer::{KafkaConsumer, Rebalance, apply};

/// How long a consumer may take to leave its group.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// Lets the consumer leave its group. To be called with its last handle, when all sinks have ended: until then the
/// partitions are theirs.
///
/// librdkafka closes a consumer when brokers have answered, without a bound; what it had sent into a network that
/// went away may never be. It is left to itself after ten seconds.
pub(super) fn leave(consumer: Arc<KafkaConsumer>) {
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
        tracing::warn!(event = "slow_leave", after = ?LEAVE_LIMIT, "the consumer has not left its group: it goes on closing by itself");
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
