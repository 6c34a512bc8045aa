//! The embedded broker. It is started before the configuration is checked, and the configuration then contains its
//! address, so that nothing else has to know that it is embedded.

use fenliu_connectors::kafka::{Delivery, EmbeddedBroker};
use ulid::Ulid;

use crate::config::Config;
use crate::error::Result;

/// How many partitions each topic of the broker has.
const PARTITIONS: i32 = 4;

/// Replaces `embedded` in `config` by the address of a broker, which runs until the returned value is dropped. Does nothing
/// if `config` names another broker, or if the source is not Kafka.
///
/// # Errors
/// The broker cannot be started.
pub(crate) fn resolve(config: &mut Config) -> Result<Option<EmbeddedBroker>> {
    let Some(source) = config.source.group().filter(|_| config.kafka.is_embedded()) else { return Ok(None) };
    let feedback = Some(&config.finetune.feedback.topic).filter(|topic| !topic.is_empty());
    let topics = source.topics.iter().filter(|topic| !topic.is_empty() && !topic.starts_with('^'));
    let topics: Vec<String> = topics.chain(feedback).cloned().collect();
    let broker = EmbeddedBroker::start(&topics, PARTITIONS)?;
    config.kafka.brokers = broker.brokers();
    // The embedded broker accepts transactions but does not implement them, so exactly-once delivery is not possible.
    config.epoch.delivery = Delivery::AtLeastOnce;
    // Its topics are empty at each start. With a new name, sinks do not resume from positions in earlier topics.
    config.name = format!("{}-{}", config.name, Ulid::generate());
    tracing::info!(
        event = "embedded_broker_started",
        brokers = config.kafka.brokers,
        "embedded broker started: `fenliu produce --brokers` reaches it"
    );
    Ok(Some(broker))
}
