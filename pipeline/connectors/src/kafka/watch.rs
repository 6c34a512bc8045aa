//! Looks up the ids of the topics from time to time while they are read. Consumers do not notice that a topic was
//! deleted and created again: librdkafka knows topics by their names (KIP-516 is not finished there), and would go on
//! with offsets that mean other messages in the new topic.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fenliu_engine::Result;
use fenliu_engine::reader::BrokerFacts;
use fenliu_schemas::{TopicIdentity, TopicPartition, Topics};
use rdkafka::consumer::Consumer;

use super::config::{KafkaSourceConfig, Start};
use super::consumer::{KafkaConsumer, REFRESH_INTERVAL, REFRESH_INTERVAL_MS};
use super::facts;
use super::identity::tell_unknown;
use super::native::TopicIdRequest;
use crate::cluster::KafkaConfig;

/// How long one attempt to read the list of all topics may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);

/// Knows which topics existed at the start, and asks for the ids of those that are read.
pub(super) struct TopicWatch {
    consumer: Arc<KafkaConsumer>,
    interval: Duration,
    next_at: Instant,
    request: Option<TopicIdRequest>,
    /// The broker to ask: one that has answered before. `None`: the controller.
    broker: Option<i32>,
    /// Whether it matters which topics were there at the start.
    wants_list: bool,
    /// The topics that were there at the start; `None`: they are not known yet.
    at_start: Option<BTreeSet<String>>,
}

impl TopicWatch {
    /// Looks at topics through `consumer`, each `interval`.
    pub(super) fn new(consumer: Arc<KafkaConsumer>, start: Start, interval: Duration) -> Self {
        TopicWatch {
            consumer,
            interval,
            next_at: Instant::now() + interval,
            request: None,
            broker: None,
            wants_list: start == Start::Latest,
            at_start: None,
        }
    }

    /// Records which topics exist, as soon as brokers answer: with `start = "latest"`, those that are created later are
    /// read from their beginning. To be called before partitions are taken.
    pub(super) fn note_start(&mut self) {
        if !self.wants_list || self.at_start.is_some() {
            return;
        }
        // Without an answer nothing is recorded, and the next turn of the source asks again.
        if let Ok(metadata) = self.consumer.fetch_metadata(None, LIST_TIMEOUT) {
            let exists = |topic: &&rdkafka::metadata::MetadataTopic| topic.error().is_none();
            let names = metadata.topics().iter().filter(exists).map(|topic| topic.name().to_owned());
            self.at_start = Some(names.collect());
        }
    }

    /// What the brokers say about `partitions`.
    ///
    /// # Errors
    /// When they do not answer, which may pass, or refuse.
    pub(super) fn facts(&mut self, partitions: &[TopicPartition]) -> Result<BrokerFacts> {
        self.note_start();
        let (mut facts, broker) = facts::ask(&self.consumer, partitions)?;
        self.broker = broker;
        if let Some(at_start) = &self.at_start {
            // `start = "latest"` applies to partitions below `latest_below`: with 0, to none of a topic that was
            // created after the start.
            let late = facts.topics.iter_mut().filter(|(name, _)| !at_start.contains(&***name));
            late.for_each(|(_, identity)| identity.latest_below = Some(0));
        }
        Ok(facts)
    }

    /// Asks for the ids of the topics `names` at each interval, and returns an answer when it has come; never waits.
    pub(super) fn look(&mut self, names: impl FnOnce() -> BTreeSet<String>) -> Option<Topics> {
        if let Some(request) = &self.request {
            let answer = request.answer()?;
            self.request = None;
            return self.take(answer);
        }
        if Instant::now() < self.next_at {
            return None;
        }
        self.next_at = Instant::now() + self.interval;
        let names: Vec<String> = names().into_iter().collect();
        if !names.is_empty() {
            match TopicIdRequest::send(&self.consumer, &names, self.broker) {
                Ok(request) => self.request = Some(request),
                Err(reason) => tell_unknown(&reason),
            }
        }
        None
    }

    fn take(&mut self, answer: super::native::Answer<String>) -> Option<Topics> {
        match answer {
            Ok(ids) => {
                let seen = |(name, id): (String, String)| {
                    (Arc::from(name), TopicIdentity { id: Some(id), latest_below: None })
                };
                Some(ids.into_iter().map(seen).collect())
            }
            Err(reason) => {
                // That broker may have gone; the next time the cluster's controller is asked.
                tracing::debug!(reason, "the ids of topics were not told");
                self.broker = None;
                None
            }
        }
    }
}

/// How often the ids are looked up: as often as the consumer reads the metadata of topics.
pub(super) fn refresh_interval(kafka: &KafkaConfig, source: &KafkaSourceConfig) -> Duration {
    let name = REFRESH_INTERVAL_MS;
    let own = source.properties.get(name).or_else(|| kafka.properties.get(name));
    // A negative value turns librdkafka's own reading of metadata off. The ids are looked up all the same.
    let millis = own.and_then(|value| value.parse::<u64>().ok()).filter(|millis| *millis > 0);
    millis.map_or(REFRESH_INTERVAL, Duration::from_millis)
}
