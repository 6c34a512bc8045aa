//! The consumer: a member of a group whose rebalances the source handles itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fenliu_engine::position::Stored;
use fenliu_engine::{Error, Kind, Result};
use fenliu_schemas::{Positions, TopicPartition};
use parking_lot::Mutex;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::client::{REQUEST_TIMEOUT, client_config};
use super::config::KafkaSourceConfig;
use super::connection::Connections;
use super::error::{failed, of};
use super::identity::{note, noted};
use super::token;
use crate::cluster::KafkaConfig;

/// Caps of librdkafka's own prefetch (its defaults, 64 MiB and 100,000 messages, lie outside our
/// memory budget), and an assignment that moves only the partitions that must move.
///
/// When the queue has reached a cap, librdkafka does not fetch a partition again for `fetch.queue.backoff.ms`. With its
/// default of a second, the queue would be empty for most of that time: documents of 2 KB came at 2,000 a second,
/// whatever the pipeline could take.
const DEFAULTS: &[(&str, &str)] = &[
    ("queued.max.messages.kbytes", "16384"),
    ("queued.min.messages", "10000"),
    ("fetch.queue.backoff.ms", "50"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    (REFRESH_INTERVAL_MS, "30000"),
];

/// The property that says how often the metadata of topics are read again, in milliseconds. With librdkafka's five
/// minutes, messages wait as long in a partition that was added.
pub(super) const REFRESH_INTERVAL_MS: &str = "topic.metadata.refresh.interval.ms";

/// The default of [`REFRESH_INTERVAL_MS`] unless the user sets it.
pub(super) const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// The consumer of the source. Its sinks share it: they commit as the same member of the group.
pub type KafkaConsumer = BaseConsumer<Context>;

/// A rebalance: partitions that the group assigns to this member, or revokes. librdkafka waits until [`apply`] answers
/// it.
#[derive(Clone, Debug)]
pub struct Rebalance {
    /// Whether the partitions are assigned; else they are revoked.
    pub is_assignment: bool,
    /// The partitions that are assigned or revoked; with an eager protocol, always the whole assignment.
    pub partitions: TopicPartitionList,
}

/// Queues rebalances for the source, which answers them later: before partitions are given up, the sinks have to commit
/// what was read of them.
#[derive(Debug)]
pub struct Context {
    connection: Connections,
    rebalances: Mutex<VecDeque<Rebalance>>,
    commits: Mutex<VecDeque<KafkaResult<()>>>,
    is_closing: AtomicBool,
}

impl Default for Context {
    fn default() -> Self {
        Context {
            connection: Connections::new("consumer"),
            rebalances: Mutex::default(),
            commits: Mutex::default(),
            is_closing: AtomicBool::new(false),
        }
    }
}

impl Context {
    /// What is known of the consumer's connections.
    pub(super) fn connection(&self) -> &Connections {
        &self.connection
    }

    /// The next rebalance to handle.
    pub fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().pop_front()
    }

    /// Puts back a rebalance that was not answered: the next call of [`next_rebalance`](Self::next_rebalance) returns
    /// it.
    pub fn put_back(&self, rebalance: Rebalance) {
        self.rebalances.lock().push_front(rebalance);
    }

    /// The outcome of a commit of offsets that was sent by `commit_aside` and has ended; `None` if there is none.
    pub fn next_commit(&self) -> Option<KafkaResult<()>> {
        self.commits.lock().pop_front()
    }

    /// From now on the callback gives partitions up at once, since no source is left that would answer a rebalance.
    pub fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.connection.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.connection.error(&error, reason);
    }

    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, token::NoToken> {
        token::token(settings)
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_assignment = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if is_assignment {
            // The group's coordinator has answered.
            self.connection.works();
        }
        // rdkafka's provided method would change the assignment here, within the callback. This one only queues the
        // rebalance: giving partitions up takes commits of the sinks, and the source has to poll meanwhile.
        let rebalance = Rebalance { is_assignment, partitions: partitions.clone() };
        if !self.is_closing.load(Ordering::Relaxed) {
            return self.rebalances.lock().push_back(rebalance);
        }
        // A process that leaves takes no partitions, so it answers an assignment with an empty one.
        let nothing = TopicPartitionList::new();
        let given_up =
            Rebalance { partitions: if is_assignment { nothing } else { rebalance.partitions }, ..rebalance };
        if let Err(error) = apply(consumer, &given_up) {
            // Not more than a line for debugging: the consumer is about to close, and closing gives the partitions up
            // as well.
            tracing::debug!(%error, "partitions cannot be given up");
        }
    }
}

/// Commits `offsets` to the group without waiting; [`Context::next_commit`] has the outcome later.
///
/// librdkafka's own asynchronous commit would not report it: it calls only an `offset_commit_cb`, which the binding
/// does not set. So a thread waits for the answer.
///
/// # Errors
/// When no thread can be started.
pub(super) fn commit_aside(consumer: &Arc<KafkaConsumer>, offsets: TopicPartitionList) -> Result<()> {
    let consumer = Arc::clone(consumer);
    let commit = move || {
        let outcome = consumer.commit(&offsets, CommitMode::Sync);
        consumer.context().commits.lock().push_back(outcome);
    };
    let thread = std::thread::Builder::new().name("offsets".into()).spawn(commit);
    thread.map(drop).map_err(|error| Error::internal(format!("cannot start a thread: {error}")))
}

/// Tells librdkafka that a rebalance may go on: `rebalance.partitions` are taken, at their offsets, or
/// given up.
///
/// # Errors
/// When librdkafka refuses.
pub(super) fn apply(consumer: &KafkaConsumer, rebalance: &Rebalance) -> Result<()> {
    let partitions = &rebalance.partitions;
    // In a cooperative rebalance the callback names only the partitions that change. In an eager one it names all of
    // them, and a revocation takes the whole assignment.
    let outcome = match (consumer.rebalance_protocol(), rebalance.is_assignment) {
        (RebalanceProtocol::Cooperative, true) => consumer.incremental_assign(partitions),
        (RebalanceProtocol::Cooperative, false) => consumer.incremental_unassign(partitions),
        (_, true) => consumer.assign(partitions),
        (_, false) => consumer.unassign(),
    };
    outcome.map_err(failed("change the assignment"))
}

/// Makes the consumer, by default of a group named as the `pipeline`; nothing is sent to the cluster before the first
/// poll.
///
/// # Errors
/// Properties that librdkafka refuses.
pub fn connect(kafka: &KafkaConfig, source: &KafkaSourceConfig, pipeline: &str) -> Result<KafkaConsumer> {
    let mut client = client_config(kafka, &source.properties);
    for (name, value) in DEFAULTS {
        if client.get(name).is_none() {
            client.set(*name, *value);
        }
    }
    if let Some(instance) = &source.instance {
        client.set("group.instance.id", instance);
    }
    client
        .set("group.id", source.group(pipeline))
        // Partitions are always assigned with an offset. This applies only where retention has deleted that offset.
        .set("auto.offset.reset", "earliest")
        // The group's offsets follow what the sinks have committed, never what was polled.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // The only sign of the end of a partition: the offsets before its end may hold no message, but transaction
        // markers.
        .set("enable.partition.eof", "true");
    client.create_with_context(Context::default()).map(token::begin).map_err(failed("make a consumer"))
}

/// Checks that the consumer has had no fatal error, after which it does not work any more.
///
/// # Errors
/// [`Kind::Fenced`] where another process uses the same `group.instance.id`; the other fatal errors of librdkafka.
pub(super) fn check_usable(consumer: &KafkaConsumer) -> Result<()> {
    match consumer.client().fatal_error() {
        None => Ok(()),
        Some((RDKafkaErrorCode::FencedInstanceId, _)) => Err(Error::new(
            Kind::Fenced,
            "another process with the same `source.instance` has taken over: each process of a group needs a name of \
             its own",
        )),
        Some((code, reason)) => {
            let action = format!("go on consuming ({reason})");
            Err(of(&action, KafkaError::MessageConsumptionFatal(code)).permanent())
        }
    }
}

/// The committed offsets of the group, and the identities of topics that are stored in their metadata. A partition
/// without a committed offset is missing. While an open transaction holds offsets of the group, brokers do not tell
/// them, so this waits for its end.
///
/// # Errors
/// When the brokers do not answer.
pub fn committed(consumer: &KafkaConsumer, partitions: &[TopicPartition]) -> Result<Stored> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(list, REQUEST_TIMEOUT);
    let committed = committed.map_err(failed("read committed offsets"))?;
    let known = committed.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(next) => Some(((Arc::from(element.topic()), element.partition()), next)),
        _ => None,
    });
    Ok(Stored { positions: known.collect(), topics: noted(&committed) })
}

/// `positions` as librdkafka wants them.
///
/// # Errors
/// A negative offset.
pub(super) fn offsets_list(positions: &Positions) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, next) in positions.iter() {
        list.add_partition_offset(topic, partition, Offset::Offset(next))
            .map_err(failed("name an offset"))?;
    }
    Ok(list)
}

/// `stored` as librdkafka commits it: the offsets, each with what identifies its topic.
///
/// # Errors
/// A negative offset.
pub(super) fn committable(stored: &Stored) -> Result<TopicPartitionList> {
    let mut list = offsets_list(&stored.positions)?;
    note(&mut list, &stored.topics);
    Ok(list)
}
