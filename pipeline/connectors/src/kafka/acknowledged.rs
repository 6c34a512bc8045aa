//! Topics at least once: rows count when the brokers have acknowledged them.

use std::sync::Arc;
use std::time::Instant;

use fenliu_engine::position::{Moves, Stored};
use fenliu_engine::{Result, Rows, Sink};
use fenliu_schemas::TopicPartition;
use rdkafka::ClientConfig;

use super::client::topic_client_config;
use super::consumer::{KafkaConsumer, committed};
use super::error::UnknownTopic;
use super::topics::{TopicRows, check_keys};
use super::writer::MessageWriter;
use crate::cluster::KafkaConfig;

/// Sends rows to topics of any cluster.
///
/// Between two runs its position is the group's committed offsets. They may lie behind what brokers have acknowledged,
/// so rows can be sent twice after a crash. Within a run the sink keeps its position itself, since the source commits
/// the group's offsets later.
pub(super) struct AcknowledgedSink {
    clusters: Vec<Cluster>,
    consumer: Option<Arc<KafkaConsumer>>,
    acknowledged: Stored,
    /// Whether the topics were checked: a compacted topic would refuse messages without a key.
    is_checked: bool,
    patience: UnknownTopic,
}

impl AcknowledgedSink {
    /// One producer for all topics of the same cluster and properties.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub(super) fn try_new(
        kafka: &KafkaConfig,
        topics: Vec<TopicRows>,
        consumer: Option<Arc<KafkaConsumer>>,
    ) -> Result<Self> {
        let mut clusters: Vec<Cluster> = vec![];
        for topic in topics {
            let is_same = |TopicRows { topic: other, .. }: &TopicRows| {
                (&other.brokers, &other.properties) == (&topic.topic.brokers, &topic.topic.properties)
            };
            match clusters.iter_mut().find(|cluster| cluster.topics.iter().all(is_same)) {
                Some(cluster) => cluster.topics.push(topic),
                None => clusters.push(Cluster::try_new(kafka, topic)?),
            }
        }
        Ok(AcknowledgedSink {
            clusters,
            consumer,
            acknowledged: Stored::default(),
            is_checked: false,
            patience: UnknownTopic::default(),
        })
    }
}

/// Topics with one producer.
struct Cluster {
    client: ClientConfig,
    topics: Vec<TopicRows>,
    writer: Option<MessageWriter>,
}

impl Cluster {
    fn try_new(kafka: &KafkaConfig, topic: TopicRows) -> Result<Self> {
        let client = topic_client_config(kafka, &topic.topic);
        let writer = Some(MessageWriter::try_new(client.clone())?);
        Ok(Cluster { client, topics: vec![topic], writer })
    }

    /// Sends the epoch to the topics. On an error the producer is dropped with the messages that are under way, and the
    /// next attempt makes a new one: a producer reports a lost message again at every later flush.
    fn send(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        // Taken out and put back only after a success, so that an error drops it.
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => MessageWriter::try_new(self.client.clone())?,
        };
        self.topics.iter().try_for_each(|topic| topic.send(&writer, epoch, moves))?;
        self.writer = Some(writer);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.writer.as_ref().map_or(Ok(()), |writer| check_keys(writer, &self.topics))
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writer.flush()?;
            self.writer = Some(writer);
        }
        Ok(())
    }
}

impl Sink for AcknowledgedSink {
    fn positions(&mut self, partitions: &[TopicPartition]) -> Result<Stored> {
        if !self.is_checked {
            self.clusters.iter().try_for_each(Cluster::check)?;
            self.is_checked = true;
        }
        let mut stored = match &self.consumer {
            Some(consumer) => committed(consumer, partitions)?,
            None => Stored::default(),
        };
        for (topic, partition) in partitions {
            if let Some(next) = self.acknowledged.positions.get(topic, *partition) {
                // Another member may have taken the partition further meanwhile.
                let known = stored.positions.get(topic, *partition).unwrap_or(next);
                stored.positions.set(topic, *partition, next.max(known));
            }
        }
        for (topic, identity) in &self.acknowledged.topics {
            stored.topics.entry(Arc::clone(topic)).or_default().fill_from(identity);
        }
        Ok(stored)
    }

    fn commit(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        // All clusters are sent to before any is flushed, so that their deliveries overlap.
        let sent = self.clusters.iter_mut().try_for_each(|cluster| cluster.send(epoch, moves));
        let flushed = sent.and_then(|()| self.clusters.iter_mut().try_for_each(Cluster::flush));
        self.patience.judge(Instant::now(), flushed)?;
        // Only after every cluster has acknowledged: rows of a position that moved too early would be trimmed at the
        // next attempt.
        self.acknowledged.positions.update(&moves.ends());
        self.acknowledged.topics.extend(moves.topics().clone());
        Ok(())
    }
}
