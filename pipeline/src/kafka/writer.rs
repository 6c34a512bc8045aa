//! Sending messages to one topic and knowing that they arrived.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

use crate::error::{PipelineError, Result};

/// How long a full local queue is given to drain before it is tried again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(10);

/// Deliveries end by themselves at librdkafka's `message.timeout.ms` (5 minutes unless configured);
/// this only bounds the wait for a client that does not even report that.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What a writer wants unless the user says otherwise: no reordering and no copies by retries, and no
/// bound on a message other than the broker's (librdkafka's own is 1 MB; a dead letter can be larger).
const DEFAULTS: &[(&str, &str)] = &[("enable.idempotence", "true"), ("message.max.bytes", "1000000000")];

/// Sends messages to a topic.
pub struct TopicWriter {
    topic: String,
    producer: ThreadedProducer<Deliveries>,
    failures: Arc<Mutex<Failures>>,
}

#[derive(Debug, Default)]
struct Failures {
    count: usize,
    first: Option<String>,
}

/// Remembers messages that were not delivered.
struct Deliveries {
    failures: Arc<Mutex<Failures>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut failures = lock(&self.failures);
            failures.count += 1;
            failures.first.get_or_insert_with(|| error.to_string());
        }
    }
}

fn lock(failures: &Mutex<Failures>) -> MutexGuard<'_, Failures> {
    failures.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TopicWriter {
    /// Makes a producer with the properties of `client`; nothing is sent before the first message.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn try_new(mut client: ClientConfig, topic: &str) -> Result<Self> {
        for (name, value) in DEFAULTS {
            if client.get(name).is_none() {
                client.set(*name, *value);
            }
        }
        let failures = Arc::new(Mutex::new(Failures::default()));
        let context = Deliveries { failures: Arc::clone(&failures) };
        let action = format!("make a producer for topic `{topic}`");
        let producer = client.create_with_context(context).map_err(PipelineError::kafka(action))?;
        Ok(TopicWriter { topic: topic.to_string(), producer, failures })
    }

    /// Sends one message, waiting for room in the local queue. Delivery is known after
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// A message that can never be sent, or an earlier one that was not delivered.
    pub fn send(&self, key: Option<&str>, value: &[u8], headers: Option<OwnedHeaders>) -> Result<()> {
        self.send_to(None, key, value, headers)
    }

    /// As [`send`](Self::send), to a partition of the caller's choice.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_to(
        &self,
        partition: Option<i32>,
        key: Option<&str>,
        value: &[u8],
        headers: Option<OwnedHeaders>,
    ) -> Result<()> {
        let mut record = BaseRecord::<str, [u8]>::to(&self.topic).payload(value);
        record.partition = partition;
        record.key = key;
        record.headers = headers;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    self.check()?;
                    record = returned;
                    std::thread::sleep(QUEUE_FULL_PAUSE);
                }
                Err((source, _)) => {
                    let action = format!("send {} bytes to topic `{}`", value.len(), self.topic);
                    return Err(PipelineError::Kafka { action, source });
                }
            }
        }
    }

    /// Waits until the brokers have acknowledged every message.
    ///
    /// # Errors
    /// Messages that were not delivered.
    pub fn flush(&self) -> Result<()> {
        let action = format!("flush topic `{}`", self.topic);
        self.producer.flush(FLUSH_TIMEOUT).map_err(PipelineError::kafka(action))?;
        self.check()
    }

    fn check(&self) -> Result<()> {
        let failures = lock(&self.failures);
        match &failures.first {
            None => Ok(()),
            Some(first) => Err(PipelineError::Delivery {
                topic: self.topic.clone(),
                failed: failures.count,
                first: first.clone(),
            }),
        }
    }
}
