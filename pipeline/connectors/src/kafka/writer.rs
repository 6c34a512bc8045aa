//! Sending messages and knowing that they arrived, with or without a transaction around them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fenliu_engine::{Error, Kind, Result};
use parking_lot::Mutex;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message, TopicPartitionList};

use super::connection::Connections;
use super::error::{advice, failed, kind_of, may_pass, of};
use super::identity::broker_to_ask;
use super::transaction_timeout;
use super::{limits, native, token};
use crate::fault;

/// How long a full local queue is given to drain before it is tried again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(10);

/// Deliveries end by themselves at librdkafka's `message.timeout.ms` (5 minutes unless configured);
/// this only bounds the wait for a client that does not even report that.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How often a long flush checks for a cause that keeps the client from connecting until someone changes something.
const FLUSH_STEP: Duration = Duration::from_secs(1);

/// How long a question waits for the brokers if the pipeline can go on without the answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one step of a transaction waits for the brokers.
const TRANSACTION_STEP: Duration = Duration::from_secs(30);

/// Properties that the user can override. Idempotence keeps retries from reordering or repeating messages. The size of
/// a message is left to the broker's bound: librdkafka's own is 1 MB, and a dead letter can be larger.
const DEFAULTS: &[(&str, &str)] = &[("enable.idempotence", "true"), ("message.max.bytes", "1000000000")];

/// A message to send.
#[derive(Clone, Debug)]
pub struct NewMessage<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None`: by the key, or any.
    pub partition: Option<i32>,
    /// The key; `None` is Kafka's null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is Kafka's null, which deletes the key's earlier message from a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Headers, in order.
    pub headers: Option<OwnedHeaders>,
    /// Milliseconds since the Unix epoch; `None`: when it is sent.
    pub timestamp_ms: Option<i64>,
}

impl<'a> NewMessage<'a> {
    /// A message with nothing but a value.
    pub fn new(topic: &'a str, value: &'a [u8]) -> Self {
        NewMessage {
            topic,
            partition: None,
            key: None,
            value: Some(value),
            headers: None,
            timestamp_ms: None,
        }
    }

    fn record(self) -> BaseRecord<'a, [u8], [u8]> {
        let mut record = BaseRecord::to(self.topic);
        record.payload = self.value;
        record.partition = self.partition;
        record.key = self.key;
        record.headers = self.headers;
        record.timestamp = self.timestamp_ms;
        record
    }
}

/// Sends messages to the topics of one cluster.
pub struct MessageWriter {
    producer: ThreadedProducer<Deliveries>,
    context: Deliveries,
}

#[derive(Debug, Default)]
struct Failures {
    count: usize,
    first: Option<(Kind, String)>,
}

impl Failures {
    /// Counts a message that was not delivered. The first failure is kept for the error, but a permanent one takes the
    /// place of a temporary one.
    fn note(&mut self, kind: Kind, text: impl FnOnce() -> String) {
        self.count += 1;
        let is_known = |known: &(Kind, String)| !may_pass(known.0) || may_pass(kind);
        if !self.first.as_ref().is_some_and(is_known) {
            self.first = Some((kind, text()));
        }
    }

    /// The failures as an error, if there are any.
    fn check(&self) -> Result<()> {
        let Some((kind, first)) = &self.first else { return Ok(()) };
        let error =
            Error::new(*kind, format!("kafka: {} messages not delivered; first: {first}", self.count));
        Err(if may_pass(*kind) { error.retryable() } else { error })
    }
}

/// Remembers messages that were not delivered, and why there is no connection.
#[derive(Clone)]
struct Deliveries {
    failures: Arc<Mutex<Failures>>,
    connection: Arc<Connections>,
}

impl ClientContext for Deliveries {
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

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            return self.connection.works();
        }
        if let Err((error, message)) = result {
            let mut failures = self.failures.lock();
            let code = error.rdkafka_error_code();
            let kind = code.map_or(Kind::Unavailable, kind_of);
            let hint = advice(code);
            failures.note(kind, || format!("topic `{}`: {error}{hint}", message.topic()));
        }
    }
}

/// The error for a compacted topic that is to get messages without a key.
pub fn keyless(topic: &str) -> Error {
    let message = format!(
        "kafka: topic `{topic}` is compacted (`cleanup.policy=compact`), so brokers refuse messages without a key \
         (INVALID_RECORD), and what is to be sent to it has none"
    );
    Error::new(Kind::Refused, message)
        .remedy("send to a topic with `cleanup.policy=delete`, or give the messages a key")
}

impl MessageWriter {
    /// Makes a producer with the properties of `client`; nothing is sent before the first message.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn try_new(mut client: ClientConfig) -> Result<Self> {
        for (name, value) in DEFAULTS {
            if client.get(name).is_none() {
                client.set(*name, *value);
            }
        }
        let connection = Arc::new(Connections::new("producer"));
        let context = Deliveries { failures: Arc::default(), connection };
        let producer = client.create_with_context(context.clone()).map_err(failed("make a producer"))?;
        Ok(MessageWriter { producer, context })
    }

    /// Sends one message, waiting for room in the local queue. Delivery is known after
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// A message that can never be sent, or an earlier one that was not delivered.
    pub fn send(&self, message: NewMessage<'_>) -> Result<()> {
        let topic = message.topic;
        let length = message.value.map_or(0, <[u8]>::len);
        let mut record = message.record();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    // The queue gets room when messages are delivered or given up. A failure that is known already ends
                    // the wait.
                    self.check()?;
                    record = returned;
                    std::thread::sleep(QUEUE_FULL_PAUSE);
                }
                // librdkafka's own check against `message.max.bytes`. It is reported as the broker would report it, and
                // as permanent.
                Err((error @ KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                    let mut failures = Failures::default();
                    let hint = advice(error.rdkafka_error_code());
                    failures
                        .note(Kind::Refused, || format!("topic `{topic}`: {length} bytes: {error}{hint}"));
                    return failures.check();
                }
                Err((error, _)) => {
                    return Err(of(&format!("send {length} bytes to topic `{topic}`"), error));
                }
            }
        }
    }

    /// Waits until the brokers have acknowledged every message.
    ///
    /// # Errors
    /// Messages that were not delivered.
    pub fn flush(&self) -> Result<()> {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        while let Err(error) = self.producer.flush(FLUSH_STEP) {
            // With a wrong password, for instance, the flush would go on until the messages time out, after minutes.
            self.context.connection.check()?;
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::OperationTimedOut)
                || Instant::now() > deadline
            {
                return Err(self.context.connection.explain("have messages acknowledged", error));
            }
        }
        self.check()
    }

    /// Checks that brokers answer for `topic`. If none does, messages would wait for `message.timeout.ms` before they
    /// are given up.
    ///
    /// # Errors
    /// When none does.
    pub fn check_topic(&self, topic: &str) -> Result<()> {
        let client = self.producer.client();
        // A `ThreadedProducer` polls on a thread of its own, so log lines arrive without a call here.
        let served = || ();
        let ask = |wait: Duration| client.fetch_metadata(Some(topic), wait).map(drop);
        self.context.connection.ask(&format!("look up topic `{topic}`"), served, ask)
    }

    /// Checks that none of `topics`, which get messages without a key, is compacted. If the brokers do not tell, the
    /// topics are accepted: the brokers of a compacted topic refuse the first message.
    ///
    /// # Errors
    /// One of the topics is compacted.
    pub(super) fn check_keyless(&self, topics: &[String]) -> Result<()> {
        let compacted = self.compacted(topics);
        match topics.iter().find(|topic| compacted.contains(*topic)) {
            None => Ok(()),
            Some(topic) => Err(keyless(topic)),
        }
    }

    /// How large a message of each of `topics` may be, in bytes, as far as the brokers tell.
    pub(super) fn limits(&self, topics: &[String]) -> HashMap<String, usize> {
        limits::parsed(self.settings(topics, "max.message.bytes"))
    }

    /// The compacted ones of `topics`, as far as the brokers tell.
    pub fn compacted(&self, topics: &[String]) -> BTreeSet<String> {
        let policies = self.settings(topics, "cleanup.policy").into_iter();
        policies.filter(|(_, policy)| policy.contains("compact")).map(|(topic, _)| topic).collect()
    }

    /// The setting `name` of each of `topics`, as far as the brokers tell.
    fn settings(&self, topics: &[String], name: &str) -> Vec<(String, String)> {
        let Some(first) = topics.first() else { return vec![] };
        let client = self.producer.client();
        let Ok(metadata) = client.fetch_metadata(Some(first), PROBE_TIMEOUT) else { return vec![] };
        match native::settings(client, topics, name, broker_to_ask(&metadata)) {
            Ok(settings) => settings.into_iter().collect(),
            Err(reason) => {
                // Reading the configuration of a topic takes a permission of its own (DESCRIBE_CONFIGS), which writing
                // does not need.
                tracing::debug!(reason, "the brokers do not tell the setting {name} of topics");
                vec![]
            }
        }
    }

    /// Prepares a producer that has a `transactional.id`: completes or aborts the transaction that an earlier producer
    /// with the same id left open, and fences that producer.
    ///
    /// # Errors
    /// When the brokers do not answer in time, or refuse the time-out of `client`, which the producer was made of.
    pub(super) fn init_transactions(&self, client: &ClientConfig) -> Result<()> {
        let outcome = self.producer.init_transactions(TRANSACTION_STEP);
        outcome.map_err(|error| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::InvalidTransactionTimeout) => transaction_timeout::refused(client, error),
            _ => self.context.connection.explain("begin transactions", error),
        })
    }

    /// Opens a transaction for the messages that follow.
    ///
    /// # Errors
    /// When one is open.
    pub fn begin(&self) -> Result<()> {
        // Failures of the transaction before do not count: it was aborted, and its messages are sent again.
        *self.context.failures.lock() = Failures::default();
        self.producer.begin_transaction().map_err(failed("begin a transaction"))
    }

    /// Commits the open transaction: its messages and the `offsets` of the `group`, both or neither.
    ///
    /// # Errors
    /// The brokers refuse the transaction, or do not answer; then its outcome is unknown.
    pub fn commit(&self, offsets: &TopicPartitionList, group: &ConsumerGroupMetadata) -> Result<()> {
        self.producer
            .send_offsets_to_transaction(offsets, group, TRANSACTION_STEP)
            .map_err(failed("put offsets into a transaction"))
            .or_else(|error| self.check().and(Err(error)))?;
        fault::point("kafka-before-commit")?;
        // librdkafka flushes before it commits, so every message is acknowledged by then, or the commit fails.
        let outcome = self.producer.commit_transaction(TRANSACTION_STEP);
        fault::point("kafka-after-commit")?;
        // If a message was not delivered, librdkafka fails the commit without saying which. The failure of the message
        // names its topic and reason.
        outcome.or_else(|error| self.check().and(Err(failed("commit a transaction")(error))))
    }

    /// Aborts the open transaction.
    ///
    /// # Errors
    /// When the producer cannot be used any more.
    pub fn abort(&self) -> Result<()> {
        let outcome = self.producer.abort_transaction(TRANSACTION_STEP);
        outcome.map_err(failed("abort a transaction"))
    }

    fn check(&self) -> Result<()> {
        self.context.connection.check()?;
        self.context.failures.lock().check()
    }
}
