//! The broker inside the process: resolved once, before the configuration is checked.

use fenliu_connectors::kafka::{Delivery, EmbeddedBroker};
use ulid::Ulid;

use crate::config::Config;
use crate::error::Result;

/// Partitions of the broker's topics.
const PARTITIONS: i32 = 4;

/// Replaces `embedded` in `config` by the address of a broker that lives as long as the returned value; does nothing
/// where another broker is named.
///
/// # Errors
/// When the broker cannot be started.
pub(crate) fn resolve(config: &mut Config) -> Result<Option<EmbeddedBroker>> {
    let Some(source) = config.source.group().filter(|_| config.kafka.is_embedded()) else { return Ok(None) };
    let feedback = Some(&config.finetune.feedback.topic).filter(|topic| !topic.is_empty());
    let topics = source.topics.iter().filter(|topic| !topic.is_empty() && !topic.starts_with('^'));
    let topics: Vec<String> = topics.chain(feedback).cloned().collect();
    let broker = EmbeddedBroker::start(&topics, PARTITIONS)?;
    config.kafka.brokers = broker.brokers();
    // It accepts transactions and does not keep them.
    config.epoch.delivery = Delivery::AtLeastOnce;
    // Its topics begin from scratch, so positions that sinks have of an earlier one mean nothing.
    config.name = format!("{}-{}", config.name, Ulid::generate());
    tracing::info!(
        event = "embedded_broker_started",
        brokers = config.kafka.brokers,
        "embedded broker started: `fenliu produce --brokers` reaches it"
    );
    Ok(Some(broker))
}
