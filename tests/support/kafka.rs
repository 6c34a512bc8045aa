//! One real Apache Kafka broker for all tests of the process, and the few things tests do with it.
//!
//! `FENLIU_TEST_BROKERS=host:port` uses a running broker instead of starting one. Without a JVM
//! and Kafka's jars there is no broker, and the tests that need one are skipped; with
//! `FENLIU_REQUIRE=broker` they fail. Topics are never deleted: a broker of our own goes
//! with the process, and on another one [`unique_name`] keeps runs apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use fenliu_skip::{Part, skipped};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::proxy::Proxy;

mod process;
pub mod secure;

/// Longest wait for one answer of the broker.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A Kafka broker that answers.
#[derive(Debug)]
pub struct Broker {
    brokers: String,
    /// Kept alive: the broker ends when this is dropped or the test process ends.
    process: Option<process::Process>,
}

/// A message to produce; the default is an empty one, to a partition of the client's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// Where to; `None` lets the client's partitioner choose by key.
    pub partition: Option<i32>,
    /// Kafka key; `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// Kafka value; `None` is Kafka's null, a tombstone.
    pub value: Option<Vec<u8>>,
    /// Kafka headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds since the Unix epoch; `None` is the moment it is produced.
    pub timestamp_ms: Option<i64>,
}

/// A message as it lies in a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Partition of the topic.
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
    /// Kafka key; `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// Kafka value; `None` is Kafka's null, a tombstone.
    pub value: Option<Vec<u8>>,
    /// Kafka headers, in order; a null header reads as an empty one.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds since the Unix epoch; `None` where the broker keeps none.
    pub timestamp_ms: Option<i64>,
}

/// A broker, or why there is none here; outside, why it does not work.
type Found = Result<Result<Broker, String>, String>;

/// The broker that all tests share, started on first use; `None`, said aloud, where there is none.
///
/// # Errors
/// If a broker should be there and does not answer.
///
/// # Panics
/// If none can be had and `FENLIU_REQUIRE` lists `broker`.
pub fn broker() -> Result<Option<&'static Broker>> {
    static BROKER: OnceLock<Found> = OnceLock::new();
    shared(&BROKER, find_broker)
}

/// As [`broker`], one of our own that listens with TLS and for passwords too: see [`Broker::secure`].
///
/// # Errors
/// As [`broker`].
pub fn secured() -> Result<Option<&'static Broker>> {
    static BROKER: OnceLock<Found> = OnceLock::new();
    shared(&BROKER, || start_broker(true))
}

fn shared(
    broker: &'static OnceLock<Found>,
    find: fn() -> Result<Result<Broker, String>>,
) -> Result<Option<&'static Broker>> {
    let found = broker
        .get_or_init(|| find().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))?;
    match found {
        Ok(broker) => Ok(Some(broker)),
        Err(why) => {
            skipped(Part::Broker, why);
            Ok(None)
        }
    }
}

/// `stem` with an ending that no other test, process or run uses: for topics, groups and
/// transactional ids.
#[must_use]
pub fn unique_name(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Microseconds since 1970: on a broker of one's own the process id may come round again.
    let micros = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{stem}-{}-{micros}-{count}", std::process::id())
}

impl Broker {
    /// A broker that the caller has alone, and may harm.
    ///
    /// # Errors
    /// If it does not start.
    pub fn own() -> Result<Self> {
        let process = process::Process::start(&process::find_jars()?, false)?;
        Ok(Broker { brokers: process.brokers().to_owned(), process: Some(process) })
    }

    /// Sends the broker a signal: after `STOP` it keeps its connections and answers nothing, until `CONT`.
    ///
    /// # Errors
    /// If the broker was not started here, or has ended.
    pub fn signal(&self, name: &str) -> Result<()> {
        self.process.as_ref().context("not a broker of our own")?.signal(name)
    }

    /// The proxy before the broker. Clients that begin at its port stay with it; all others go around it.
    ///
    /// # Errors
    /// If the broker was not started here.
    pub fn proxy(&self) -> Result<&Proxy> {
        Ok(self.process.as_ref().context("not a broker of our own")?.proxy())
    }

    /// The listeners of [`secured`].
    ///
    /// # Errors
    /// If it is another broker.
    pub fn secure(&self) -> Result<&secure::Secure> {
        self.process.as_ref().and_then(process::Process::secure).context("no broker with TLS")
    }

    /// Bootstrap servers, `host:port`.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Creates a topic with `partitions` partitions, replicated once.
    ///
    /// # Errors
    /// If the topic exists or the broker refuses it.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        self.create_topic_with(name, partitions, &[])
    }

    /// As [`Broker::create_topic`], with settings of the topic.
    ///
    /// # Errors
    /// If the topic exists or the broker refuses it.
    pub fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        // Without the second limit the answer may come before the partitions have a leader.
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let created = tokio::runtime::Builder::new_current_thread()
            .build()?
            .block_on(admin.create_topics([&topic], &options))?;
        for result in created {
            result.map_err(|(topic, code)| anyhow!("cannot create topic {topic}: {code}"))?;
        }
        self.wait_for_topic(name)
    }

    /// The controller answers that a topic is created before the broker tells clients of it, which takes a while on
    /// a busy machine.
    fn wait_for_topic(&self, name: &str) -> Result<()> {
        let consumer: BaseConsumer = self.client().create()?;
        let deadline = Instant::now() + TIMEOUT;
        while let Err(error) = partitions(&consumer, name) {
            ensure!(Instant::now() < deadline, "created, but: {error:#}");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Deletes a topic with its messages.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let deleted = tokio::runtime::Builder::new_current_thread()
            .build()?
            .block_on(admin.delete_topics(&[name], &options))?;
        for result in deleted {
            result.map_err(|(topic, code)| anyhow!("cannot delete topic {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Gives a topic more partitions, `count` in all.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn add_partitions(&self, name: &str, count: usize) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let added = tokio::runtime::Builder::new_current_thread()
            .build()?
            .block_on(admin.create_partitions(&[NewPartitions::new(name, count)], &options))?;
        for result in added {
            result.map_err(|(topic, code)| anyhow!("cannot add partitions to {topic}: {code}"))?;
        }
        let consumer: BaseConsumer = self.client().create()?;
        let deadline = Instant::now() + TIMEOUT;
        while partitions(&consumer, name).map_or(0, |found| found.len()) < count {
            ensure!(Instant::now() < deadline, "{name} does not get its partitions");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Deletes the messages of a partition before `offset`, as retention does.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        let deleted = tokio::runtime::Builder::new_current_thread()
            .build()?
            .block_on(admin.delete_records(&before, &options))?;
        deleted.elements().iter().try_for_each(|element| element.error()).context("cannot delete records")
    }

    /// Deletes a consumer group that has no members, with its offsets.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn delete_group(&self, group: &str) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let deleted = tokio::runtime::Builder::new_current_thread()
            .build()?
            .block_on(admin.delete_groups(&[group], &AdminOptions::new()))?;
        for result in deleted {
            result.map_err(|(group, code)| anyhow!("cannot delete group {group}: {code}"))?;
        }
        Ok(())
    }

    /// Produces `records` in order, idempotently, and returns when the broker has all of them.
    ///
    /// # Errors
    /// If a record is refused or not acknowledged in time.
    pub fn produce(&self, topic: &str, records: &[NewRecord]) -> Result<()> {
        let producer: BaseProducer<Deliveries> = self
            .client()
            .set("enable.idempotence", "true")
            // The topic has the last word.
            .set("message.max.bytes", "1000000000")
            .create_with_context(Deliveries::default())?;
        for record in records {
            send(&producer, topic, record)?;
        }
        producer.flush(TIMEOUT)?;
        match producer.context().failure() {
            Some(error) => Err(error).with_context(|| format!("cannot produce to {topic}")),
            None => Ok(()),
        }
    }

    /// All committed messages of `topic`, by partition and offset: those of aborted and of open
    /// transactions are not among them (isolation level `read_committed`).
    ///
    /// # Errors
    /// If the topic does not exist or the broker does not answer.
    pub fn consume_all(&self, topic: &str) -> Result<Vec<Record>> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", unique_name("fenliu-tests-reader"))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()?;
        let mut unread: BTreeSet<i32> = partitions(&consumer, topic)?.into_iter().collect();
        let mut assignment = TopicPartitionList::new();
        for &partition in &unread {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;

        let mut records = Vec::new();
        while !unread.is_empty() {
            match consumer.poll(TIMEOUT) {
                Some(Ok(message)) => records.push(Record::from_message(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    unread.remove(&partition);
                }
                Some(Err(error)) => return Err(error).with_context(|| format!("reading {topic}")),
                None => bail!("{topic}: silence for {TIMEOUT:?} before the end of {unread:?}"),
            }
        }
        records.sort_unstable();
        Ok(records)
    }

    /// Committed offset of `group` for every partition of `topic`: the next one to read, or `None`
    /// where the group has committed nothing.
    ///
    /// # Errors
    /// If the topic does not exist or the broker does not answer.
    pub fn committed(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, Option<i64>>> {
        // Otherwise the answer waits for the transaction of a dead process to time out, and with it its restart.
        let consumer: BaseConsumer =
            self.client().set("group.id", group).set("isolation.level", "read_uncommitted").create()?;
        let mut wanted = TopicPartitionList::new();
        for partition in partitions(&consumer, topic)? {
            wanted.add_partition(topic, partition);
        }
        let committed = committed_offsets(&consumer, &wanted)?;
        let next_offset = |offset| match offset {
            Offset::Offset(next) => Some(next),
            _ => None,
        };
        Ok(committed
            .elements()
            .iter()
            .map(|element| (element.partition(), next_offset(element.offset())))
            .collect())
    }

    /// Options that every client of this broker starts from.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }
}

impl Record {
    fn from_message(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let owned = |header: Header<'_, &[u8]>| {
                (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
            };
            headers.iter().map(owned).collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
            timestamp_ms: message.timestamp().to_millis(),
        }
    }
}

/// Keeps the first failed delivery of a producer.
#[derive(Default)]
struct Deliveries {
    failure: Mutex<Option<KafkaError>>,
}

impl Deliveries {
    fn failure(&self) -> Option<KafkaError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| error.clone());
        }
    }
}

/// Hands one record to the producer, waiting while its queue is full.
fn send(producer: &BaseProducer<Deliveries>, topic: &str, record: &NewRecord) -> Result<()> {
    let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
    outgoing.partition = record.partition;
    outgoing.key = record.key.as_deref();
    outgoing.payload = record.value.as_deref();
    outgoing.timestamp = record.timestamp_ms;
    if !record.headers.is_empty() {
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        outgoing = outgoing.headers(headers);
    }
    loop {
        match producer.send(outgoing) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                producer.poll(Duration::from_millis(100));
                outgoing = refused;
            }
            Err((error, _)) => return Err(error).with_context(|| format!("producing to {topic}")),
        }
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let ids: Vec<i32> = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions())
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect();
    ensure!(!ids.is_empty(), "no topic {topic}");
    Ok(ids)
}

/// The outer error is a broker that should work and does not; the inner one says why there is none.
fn find_broker() -> Result<Result<Broker, String>> {
    if let Ok(brokers) = std::env::var("FENLIU_TEST_BROKERS") {
        process::wait_until_it_answers(&brokers, || false)?;
        return Ok(Ok(Broker { brokers, process: None }));
    }
    start_broker(false)
}

fn start_broker(secured: bool) -> Result<Result<Broker, String>> {
    let jars = match process::find_jars() {
        Ok(jars) => jars,
        Err(why) => return Ok(Err(format!("{why:#}"))),
    };
    let process = process::Process::start(&jars, secured)?;
    Ok(Ok(Broker { brokers: process.brokers().to_owned(), process: Some(process) }))
}

/// Asks again while the group's coordinator is moving or loading, as it does when the first group comes.
fn committed_offsets(consumer: &BaseConsumer, wanted: &TopicPartitionList) -> Result<TopicPartitionList> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match consumer.committed_offsets(wanted.clone(), TIMEOUT) {
            Ok(committed) => return Ok(committed),
            Err(error) if Instant::now() >= deadline => return Err(error.into()),
            Err(error) => match error.rdkafka_error_code() {
                Some(
                    RDKafkaErrorCode::NotCoordinator
                    | RDKafkaErrorCode::CoordinatorLoadInProgress
                    | RDKafkaErrorCode::CoordinatorNotAvailable,
                ) => thread::sleep(Duration::from_millis(100)),
                _ => return Err(error.into()),
            },
        }
    }
}
