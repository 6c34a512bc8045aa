//! What a user configures of Kafka, beside the cluster: source, topics as outputs, delivery.

use fenliu_config::{Problems, Properties, properties};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use serde::{Deserialize, Serialize};

use crate::cluster::MessageKey;

/// Properties that fenliu sets itself, since delivery depends on them.
const OWNED: &[&str] = &[
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "isolation.level",
    "metadata.broker.list",
    "transactional.id",
];

/// Names of the property that says how many replicas must have a message before it counts as written.
const ACKNOWLEDGEMENTS: &[&str] = &["acks", "request.required.acks"];

/// A Kafka consumer group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSourceConfig {
    /// Topics to read.
    pub topics: Vec<String>,
    /// Consumer group. Default: the pipeline's name.
    pub group: Option<String>,
    /// A name of this instance that it keeps over restarts, such as a pod's: a restart then waits neither
    /// for its old membership nor for its old transaction to time out. No two instances may share it.
    pub instance: Option<String>,
    /// Where a partition begins that no sink has a position of.
    pub start: Start,
    /// librdkafka properties for the consumer, over those of `kafka.properties`.
    #[serde(deserialize_with = "properties")]
    pub properties: Properties,
}

impl Default for KafkaSourceConfig {
    fn default() -> Self {
        KafkaSourceConfig {
            topics: vec!["news".into()],
            group: None,
            instance: None,
            start: Start::Earliest,
            properties: Properties::new(),
        }
    }
}

impl KafkaSourceConfig {
    /// The consumer group, by default named as the `pipeline`.
    pub fn group<'a>(&'a self, pipeline: &'a str) -> &'a str {
        self.group.as_deref().unwrap_or(pipeline)
    }
}

/// Where a partition begins that no sink has a position of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At the oldest message kept.
    Earliest,
    /// At messages that arrive from now on.
    Latest,
}

/// A Kafka topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSinkConfig {
    /// The topic.
    pub topic: String,
    /// Another cluster than `kafka.brokers`.
    pub brokers: Option<String>,
    /// librdkafka properties for the producer, over those of `kafka.properties`.
    #[serde(deserialize_with = "properties")]
    pub properties: Properties,
    /// Columns or SQL expressions; empty: all.
    pub columns: Vec<String>,
    /// SQL predicate; rows for which it is not true are not written here.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// The key of each message; absent: `id` for labelled rows, `source` for dead letters.
    pub key: Option<MessageKey>,
    /// Whether messages get the headers of the messages that the rows came from. Those of dead letters always do.
    pub headers: bool,
}

/// What a Kafka sink promises when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Rows and offsets in one transaction: a reader of committed messages sees every row once.
    ExactlyOnce,
    /// No transactions: rows of the last epoch may come twice.
    AtLeastOnce,
}

/// Checks librdkafka's properties, of which some are set by fenliu alone.
pub fn check_properties(properties: &Properties, key: &str, problems: &mut Problems) {
    for name in properties.keys().filter(|name| OWNED.contains(&name.as_str())) {
        let instead = "is set by fenliu itself (`kafka.brokers`, `source.group`, `source.instance`, `source.start`, `epoch`)";
        problems.add(format!("{key}.\"{name}\""), instead);
    }
    for (name, value) in properties.iter().filter(|(name, _)| ACKNOWLEDGEMENTS.contains(&name.as_str())) {
        let is_all = matches!(value.as_str(), "all" | "-1");
        problems.require(
            is_all,
            &format!("{key}.\"{name}\""),
            value,
            "all: other rows would count as written too early",
        );
    }
    for (name, value) in properties {
        // Each property by itself: librdkafka checks combinations only when it makes a client.
        let checked = ClientConfig::new().set(name, value).create_native_config();
        if let Err(KafkaError::ClientConfig(_, reason, ..)) = checked {
            problems.add(format!("{key}.\"{name}\""), format!("is refused by librdkafka: {}", reason.trim()));
        }
    }
}
