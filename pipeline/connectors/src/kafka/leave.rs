//! Leaving the consumer group.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::consumer::{KafkaConsumer, Rebalance, apply};

/// How long a consumer may take to leave its group.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// How often it is looked whether other handles are gone.
const HANDLE_PAUSE: Duration = Duration::from_millis(20);

/// Lets the consumer leave its group. To be called after all sinks have ended: until then they commit as the owner of
/// the partitions. Apart from this handle, only threads that still commit offsets may have one.
///
/// To close a consumer, librdkafka waits for answers of the brokers without a bound; after a failure of the network
/// they may never come. After ten seconds the consumer goes on closing on its own thread, and this returns.
pub(super) fn leave(consumer: Arc<KafkaConsumer>) {
    release(&consumer);
    let (ended, waiting) = channel::<()>();
    let close = move || {
        // A thread that commits offsets has a handle until the brokers have answered, and the last handle closes.
        let deadline = Instant::now() + LEAVE_LIMIT;
        while Arc::strong_count(&consumer) > 1 && Instant::now() < deadline {
            thread::sleep(HANDLE_PAUSE);
        }
        // In this order: the receiver below wakes when `ended` is dropped, which has to be after the consumer is
        // closed.
        drop(consumer);
        drop(ended);
    };
    if let Err(error) = thread::Builder::new().name("leave".into()).spawn(close) {
        // A thread that cannot be started drops its closure, and the consumer with it, so the closing has happened
        // here.
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
        // An assignment is answered with an empty one, a revocation with its own partitions: both let librdkafka go on.
        let nothing = Rebalance { partitions: TopicPartitionList::new(), ..rebalance.clone() };
        if let Err(error) = apply(consumer, if rebalance.is_assignment { &nothing } else { &rebalance }) {
            tracing::debug!(%error, "partitions cannot be given up");
        }
    }
}
