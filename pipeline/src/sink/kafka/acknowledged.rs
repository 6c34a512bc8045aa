//! Topics at least once: rows count when the brokers have acknowledged them.

use std::collections::BTreeMap;
use std::sync::Arc;

use fenliu_schemas::Positions;

use super::Topic;
use crate::config::{Properties, ValidatedConfig};
use crate::error::Result;
use crate::kafka::{KafkaConsumer, MessageWriter, client_config, committed};
use crate::position::Moves;
use crate::sink::{Partitions, Rows, Sink, SinkError};

/// Sends rows to topics of any cluster.
///
/// The group's committed offsets stand for its position between two runs. Within a run it knows itself
/// how far it is, since the group's offsets may follow late.
pub(super) struct AcknowledgedSink {
    topics: Vec<(Topic, Arc<MessageWriter>)>,
    consumer: Option<Arc<KafkaConsumer>>,
    acknowledged: Positions,
}

impl AcknowledgedSink {
    /// One producer for all topics of the same cluster and properties.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub(super) fn try_new(
        config: &ValidatedConfig,
        topics: Vec<Topic>,
        consumer: Option<Arc<KafkaConsumer>>,
    ) -> Result<Self> {
        let mut writers = BTreeMap::<(Option<String>, Properties), Arc<MessageWriter>>::new();
        let mut with_writers = vec![];
        for topic in topics {
            let key = (topic.brokers.clone(), topic.properties.clone());
            let writer = match writers.get(&key) {
                Some(writer) => Arc::clone(writer),
                None => {
                    let mut client = client_config(&config.kafka, &topic.properties);
                    if let Some(brokers) = &topic.brokers {
                        client.set("bootstrap.servers", brokers);
                    }
                    Arc::new(MessageWriter::try_new(client)?)
                }
            };
            writers.insert(key, Arc::clone(&writer));
            with_writers.push((topic, writer));
        }
        Ok(AcknowledgedSink { topics: with_writers, consumer, acknowledged: Positions::default() })
    }
}

impl Sink for AcknowledgedSink {
    fn positions(&mut self, partitions: &Partitions) -> Result<Positions, SinkError> {
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
        Ok(positions)
    }

    fn commit(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<(), SinkError> {
        for (topic, writer) in &self.topics {
            topic.send(writer, epoch, moves)?;
        }
        for (_, writer) in &self.topics {
            writer.flush()?;
        }
        self.acknowledged.update(&moves.ends());
        Ok(())
    }
}
