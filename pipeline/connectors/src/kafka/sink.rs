//! Kafka topics as sinks.
//!
//! Exactly once: one producer sends the rows of all topics, dead letters included, in one transaction
//! that also holds the consumer group's offsets; the offsets *are* the position. The group's generation
//! goes along, so that a member which the group has given up cannot commit. A transaction covers one
//! cluster, that of the source.
//!
//! At least once, where that cannot be or is not wanted: rows count when the brokers have acknowledged
//! them, and the group's offsets follow later.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fenliu_config::Problems;
use fenliu_engine::{Result, Sink};

use super::acknowledged::AcknowledgedSink;
use super::client::{client_config, topic_client_config};
use super::config::{Delivery, KafkaSourceConfig};
use super::consumer::KafkaConsumer;
use super::limits::RowLimit;
use super::topics::{TopicRows, check_keys};
use super::transactional::TransactionalSink;
use super::writer::MessageWriter;
use crate::cluster::{KafkaConfig, Topic};
use crate::selection::Selection;

/// How topics are written, all of them together.
#[derive(Clone, Debug)]
pub struct TopicsConfig {
    /// The pipeline's cluster.
    pub kafka: KafkaConfig,
    /// What is promised when the process dies.
    pub delivery: Delivery,
    /// The consumer group of the source, where that is a topic.
    pub source: Option<KafkaSourceConfig>,
    /// The pipeline's name, after which a group is named by default.
    pub pipeline: String,
    /// When an epoch of topics closes at the latest.
    pub max_age: Duration,
    /// How large a message of each topic may be, in bytes, by its brokers (`None`: those of the pipeline) and its name; what
    /// is missing is not known.
    pub limits: HashMap<(Option<String>, String), usize>,
}

/// librdkafka's own bound of a batch.
const DEFAULT_BATCH_BYTES: usize = 1_000_000;

impl TopicsConfig {
    /// Whether `topics` are written in transactions, the group's offsets included.
    pub fn is_transactional(&self, topics: &[Topic]) -> bool {
        self.delivery == Delivery::ExactlyOnce
            && self.source.is_some()
            && !topics.is_empty()
            && topics.iter().all(|topic| topic.is_on(&self.kafka))
    }

    /// Topics that are written in one transaction share a producer, and so its properties; each with its key.
    pub fn check(&self, outputs: &[(String, Topic)], problems: &mut Problems) {
        let topics: Vec<Topic> = outputs.iter().map(|(_, topic)| topic.clone()).collect();
        if !self.is_transactional(&topics) {
            return;
        }
        let mut seen: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
        for (key, topic) in outputs {
            for (name, value) in &topic.properties {
                match seen.get(name.as_str()) {
                    // Without the values, which may be secrets.
                    Some((other, there)) if other != value => problems.add(
                        format!("{key}.properties.\"{name}\""),
                        format!("differs from that of `{there}`: topics that are written exactly once share a producer"),
                    ),
                    Some(_) => {}
                    None => drop(seen.insert(name, (value, key))),
                }
            }
        }
    }

    /// Opens one sink for all `topics`, with its name for messages; `None` when there are none. `consumer` is the
    /// source's, where that is a topic.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn open(
        &self,
        topics: Vec<(Topic, Arc<Selection>)>,
        consumer: Option<&Arc<KafkaConsumer>>,
    ) -> Result<Option<(String, Box<dyn Sink>)>> {
        if topics.is_empty() {
            return Ok(None);
        }
        let all: Vec<Topic> = topics.iter().map(|(topic, _)| topic.clone()).collect();
        let names: Vec<&str> = all.iter().map(|topic| topic.name.as_str()).collect();
        let name = format!("kafka ({})", names.join(", "));
        let rows = topics.into_iter().map(|(topic, selection)| {
            let limit = self.limit(&topic);
            TopicRows::new(topic, selection).with_limit(limit)
        });
        let rows = rows.collect();
        let is_transactional = self.is_transactional(&all);
        let sink: Box<dyn Sink> = match (consumer.filter(|_| is_transactional), &self.source) {
            (Some(consumer), Some(source)) => {
                // What the user sets comes last, and so is kept.
                let sizes = self.batch_size(&all).into_iter();
                let own = sizes.chain(all.iter().flat_map(|topic| topic.properties.clone())).collect();
                let client = client_config(&self.kafka, &own);
                let group = source.group(&self.pipeline);
                Box::new(TransactionalSink::try_new(client, group, source, rows, Arc::clone(consumer))?)
            }
            _ => {
                self.warn_of_copies();
                Box::new(AcknowledgedSink::try_new(&self.kafka, rows, consumer.map(Arc::clone))?)
            }
        };
        Ok(Some((name, sink)))
    }

    /// Asks the brokers how large the messages of `topics` may be. Where they do not tell, nothing is known.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn ask_limits(&mut self, topics: &[Topic]) -> Result<()> {
        let mut clusters: BTreeMap<&Option<String>, Vec<&Topic>> = BTreeMap::new();
        let of_real_broker = |topic: &&Topic| !self.kafka.is_embedded() || topic.brokers.is_some();
        topics
            .iter()
            .filter(of_real_broker)
            .for_each(|topic| clusters.entry(&topic.brokers).or_default().push(topic));
        for (brokers, topics) in clusters {
            let Some(first) = topics.first() else { continue };
            let writer = MessageWriter::try_new(topic_client_config(&self.kafka, first))?;
            let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
            let limits = writer.limits(&names).into_iter();
            self.limits.extend(limits.map(|(name, bytes)| ((brokers.clone(), name), bytes)));
        }
        Ok(())
    }

    /// How large a message of `topic` may be, in bytes, if that is known.
    fn limit(&self, topic: &Topic) -> Option<usize> {
        self.limits.get(&(topic.brokers.clone(), topic.name.clone())).copied()
    }

    /// How large the rows of `selection` may be in `topic`, if that is known.
    pub fn row_limit(&self, topic: &Topic, selection: Arc<Selection>) -> Option<RowLimit> {
        self.limit(topic).map(|bytes| RowLimit::new(topic.name.clone(), bytes, selection))
    }

    /// The properties of a producer whose batches every one of `topics` takes: brokers compare the size of a whole batch
    /// with the topic's bound.
    fn batch_size(&self, topics: &[Topic]) -> Option<(String, String)> {
        let least = topics.iter().filter_map(|topic| self.limit(topic)).min()?;
        (least < DEFAULT_BATCH_BYTES).then(|| ("batch.size".to_owned(), least.max(1).to_string()))
    }

    /// Asks the brokers whether `topic` takes the rows of `selection`. If they do not answer at once, that is not an
    /// error: it stays unknown.
    ///
    /// # Errors
    /// A compacted topic whose messages would have no key; properties that librdkafka refuses.
    pub fn check_keys(&self, topic: Topic, selection: Arc<Selection>) -> Result<()> {
        if self.kafka.is_embedded() && topic.brokers.is_none() {
            return Ok(());
        }
        let writer = MessageWriter::try_new(topic_client_config(&self.kafka, &topic))?;
        check_keys(&writer, &[TopicRows::new(topic, selection)])
    }

    /// Warns where exactly once is configured but not possible.
    fn warn_of_copies(&self) {
        if self.delivery == Delivery::ExactlyOnce {
            let why = match self.source {
                None => "of a files source: each run sends all rows again",
                Some(_) => "since one of them is on another cluster than the source",
            };
            tracing::warn!(event = "at_least_once", why, "topics are written at least once");
        }
    }
}
