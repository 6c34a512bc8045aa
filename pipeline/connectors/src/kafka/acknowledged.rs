//! Topics at least once: rows count when the brokers have acknowledged them.

use std::sync::Arc;

use fenliu_engine::position::{Moves, Stored};
use fenliu_engine::{Result, Rows, Sink};
use fenliu_schemas::{Positions, TopicPartition};
use rdkafka::ClientConfig;

use super::client::topic_client_config;
use super::consumer::{KafkaConsumer, committed};
use super::topics::TopicRows;
use super::writer::MessageWriter;
use crate::cluster::KafkaConfig;

/// Sends rows to topics of any cluster.
///
/// The group's committed offsets stand for its position between two runs. Within a run it knows itself
/// how far it is, since the group's offsets may follow late.
pub(super) struct AcknowledgedSink {
    clusters: Vec<Cluster>,
    consumer: Option<Arc<KafkaConsumer>>,
    acknowledged: Positions,
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
        Ok(AcknowledgedSink { clusters, consumer, acknowledged: Positions::default() })
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

    /// Sends the epoch to the topics. What is under way when it fails is not waited for: the writer is made anew by
    /// the next try, since it tells of a message that was lost ever after.
    fn send(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => MessageWriter::try_new(self.client.clone())?,
        };
        self.topics.iter().try_for_each(|topic| topic.send(&writer, epoch, moves))?;
        self.writer = Some(writer);
        Ok(())
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
        let mut positions = match &self.consumer {
            Some(consumer) => committed(consumer, partitions)?,
            None => Positions::default(),
        };
        for (topic, partition) in partitions {
            if let Some(next) = self.acknowledged.get(topic, *partition) {
                // Another member may have taken the partition further meanwhile.
                let known = positions.get(topic, *partition).unwrap_or(next);
                positions.set(topic, *partition, next.max(known));
            }
        }
        Ok(positions.into())
    }

    fn commit(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        self.clusters.iter_mut().try_for_each(|cluster| cluster.send(epoch, moves))?;
        self.clusters.iter_mut().try_for_each(Cluster::flush)?;
        self.acknowledged.update(&moves.ends());
        Ok(())
    }
}
