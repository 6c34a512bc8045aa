//! Looking at the topics again and again while they are read: one that is deleted and created again must be noticed
//! before its offsets are taken for those of the old one.

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

/// How long the list of all topics is waited for at a time.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);

/// What is known of the topics beside what is read of them.
pub(super) struct TopicWatch {
    consumer: Arc<KafkaConsumer>,
    interval: Duration,
    next_at: Instant,
    request: Option<TopicIdRequest>,
    /// A broker that answers.
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

    /// Notes which topics there are, once brokers answer: those that come later are read from their beginning. To be
    /// called before partitions are taken.
    pub(super) fn note_start(&mut self) {
        if !self.wants_list || self.at_start.is_some() {
            return;
        }
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
            let late = facts.topics.iter_mut().filter(|(name, _)| !at_start.contains(&***name));
            late.for_each(|(_, identity)| identity.latest_below = Some(0));
        }
        Ok(facts)
    }

    /// Looks at the ids of `names` from time to time; does not wait for them.
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

/// How often topics are looked at: as often as the consumer reads their metadata.
pub(super) fn refresh_interval(kafka: &KafkaConfig, source: &KafkaSourceConfig) -> Duration {
    let name = REFRESH_INTERVAL_MS;
    let own = source.properties.get(name).or_else(|| kafka.properties.get(name));
    // A negative one turns librdkafka's own look at the metadata off.
    let millis = own.and_then(|value| value.parse::<u64>().ok()).filter(|millis| *millis > 0);
    millis.map_or(REFRESH_INTERVAL, Duration::from_millis)
}
