//! What the brokers say about partitions when they are assigned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fenliu_engine::Result;
use fenliu_engine::position::Stored;
use fenliu_engine::reader::BrokerFacts;
use fenliu_schemas::{TopicIdentity, TopicPartition, Topics};
use rdkafka::consumer::Consumer;

use super::client::REQUEST_TIMEOUT;
use super::consumer::{KafkaConsumer, committed};
use super::error::failed;

/// Asks for the group's offsets, for the oldest and newest offsets, and for the topics of `partitions`.
///
/// # Errors
/// When the brokers do not answer, which may pass, or refuse.
pub(super) fn ask(consumer: &KafkaConsumer, partitions: &[TopicPartition]) -> Result<BrokerFacts> {
    let committed = Stored::from(committed(consumer, partitions)?);
    let mut bounds = BTreeMap::new();
    for (topic, partition) in partitions {
        let watermarks = consumer.fetch_watermarks(topic, *partition, REQUEST_TIMEOUT);
        let watermarks = watermarks.map_err(failed(format!("read the offsets of {topic}/{partition}")))?;
        bounds.insert((Arc::clone(topic), *partition), watermarks);
    }
    Ok(BrokerFacts { committed, bounds, topics: topics(consumer, partitions)? })
}

fn topics(consumer: &KafkaConsumer, partitions: &[TopicPartition]) -> Result<Topics> {
    let names: BTreeSet<&Arc<str>> = partitions.iter().map(|(topic, _)| topic).collect();
    let mut topics = Topics::new();
    for name in names {
        let metadata = consumer.fetch_metadata(Some(name), REQUEST_TIMEOUT);
        let metadata = metadata.map_err(failed(format!("read the metadata of topic {name}")))?;
        let count = metadata.topics().first().map(|topic| topic.partitions().len());
        let latest_below = count.and_then(|count| i32::try_from(count).ok());
        topics.insert(Arc::clone(name), TopicIdentity { id: None, latest_below });
    }
    Ok(topics)
}
