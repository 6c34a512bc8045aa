//! What the brokers say about partitions when they are assigned.

use std::collections::BTreeMap;
use std::sync::Arc;

use fenliu_engine::Result;
use fenliu_engine::reader::BrokerFacts;
use fenliu_schemas::TopicPartition;
use rdkafka::consumer::Consumer;

use super::client::REQUEST_TIMEOUT;
use super::consumer::{KafkaConsumer, committed};
use super::error::failed;
use super::identity;

/// Asks for the committed offsets of the group, for the oldest and newest offset of each partition, and for the
/// identities of the topics of `partitions`. Also returns a broker that has answered.
///
/// # Errors
/// When the brokers do not answer, which may pass, or refuse.
pub(super) fn ask(
    consumer: &KafkaConsumer,
    partitions: &[TopicPartition],
) -> Result<(BrokerFacts, Option<i32>)> {
    let committed = committed(consumer, partitions)?;
    let mut bounds = BTreeMap::new();
    for (topic, partition) in partitions {
        let watermarks = consumer.fetch_watermarks(topic, *partition, REQUEST_TIMEOUT);
        let watermarks = watermarks.map_err(failed(format!("read the offsets of {topic}/{partition}")))?;
        bounds.insert((Arc::clone(topic), *partition), watermarks);
    }
    let names = partitions.iter().map(|(topic, _)| Arc::clone(topic)).collect();
    let identity::Seen { topics, broker } = identity::look_up(consumer.client(), &names)?;
    Ok((BrokerFacts { committed, bounds, topics }, broker))
}
