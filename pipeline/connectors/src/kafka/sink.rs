//! Kafka topics as sinks.
//!
//! Exactly once: one producer sends the rows of all topics, dead letters included, in one transaction
//! that also holds the consumer group's offsets; the offsets *are* the position. The group's generation
//! goes along, so that a member which the group has given up cannot commit. A transaction covers one
//! cluster, that of the source.
//!
//! At least once, where that cannot be or is not wanted: rows count when the brokers have acknowledged
//! them, and the group's offsets follow later.

mod acknowledged;
mod transactional;

use std::sync::Arc;

use super::messages::SendRows;
use super::{Rows, Selection, SharedSink};
use crate::config::{Config, Delivery, KafkaSinkConfig, Properties, SourceConfig, ValidatedConfig};
use crate::error::Result;
use crate::kafka::{KafkaConsumer, MessageWriter, client_config};
use crate::position::Moves;
use acknowledged::AcknowledgedSink;
use transactional::TransactionalSink;

/// A topic with the rows that go to it.
pub(super) struct Topic {
    name: String,
    brokers: Option<String>,
    properties: Properties,
    selection: Selection,
    send_rows: SendRows,
}

impl Topic {
    /// The topic of `config`, for the rows of `selection`.
    pub(super) fn new(config: &KafkaSinkConfig, selection: Selection, send_rows: SendRows) -> Self {
        Topic {
            name: config.topic.clone(),
            brokers: config.brokers.clone(),
            properties: config.properties.clone(),
            selection,
            send_rows,
        }
    }

    fn send(&self, writer: &MessageWriter, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        for rows in epoch {
            for batch in self.selection.select(rows, moves)? {
                (self.send_rows)(writer, &self.name, &batch)?;
            }
        }
        Ok(())
    }
}

/// One sink for all `topics`; none when there are none.
pub(super) fn open(
    config: &ValidatedConfig,
    topics: Vec<Topic>,
    consumer: Option<&Arc<KafkaConsumer>>,
) -> Result<Option<SharedSink>> {
    if topics.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let name = format!("kafka ({})", names.join(", "));
    // A topic's readers wait for less than a table's.
    let max_age = Some(config.epoch.max_age.min(config.epoch.kafka_max_age));
    let own_properties = topics.iter().flat_map(|topic| topic.properties.clone()).collect();
    Ok(Some(match consumer.filter(|_| is_transactional(config)) {
        Some(consumer) => {
            let client = client_config(&config.kafka, &own_properties);
            let sink = TransactionalSink::try_new(config, client, topics, Arc::clone(consumer))?;
            SharedSink::new(name, max_age, Box::new(sink))
        }
        None => {
            warn_of_copies(config);
            let sink = AcknowledgedSink::try_new(config, topics, consumer.map(Arc::clone))?;
            SharedSink::new(name, max_age, Box::new(sink))
        }
    }))
}

/// Exactly once was wanted, and cannot be had.
fn warn_of_copies(config: &ValidatedConfig) {
    if config.epoch.delivery == Delivery::ExactlyOnce {
        let why = match config.source {
            SourceConfig::Files(_) => "of a files source: each run sends all rows again",
            SourceConfig::Kafka(_) => "since one of them is on another cluster than the source",
        };
        tracing::warn!(why, "topics are written at least once");
    }
}

/// Whether the Kafka sinks of `config` commit in transactions, the group's offsets included.
pub(super) fn is_transactional(config: &Config) -> bool {
    let outputs = config.kafka_outputs();
    config.epoch.delivery == Delivery::ExactlyOnce
        && matches!(config.source, SourceConfig::Kafka(_))
        && !outputs.is_empty()
        && outputs
            .iter()
            .all(|(_, output)| output.brokers.as_ref().is_none_or(|b| *b == config.kafka.brokers))
}
