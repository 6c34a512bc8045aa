//! The Kafka cluster of a pipeline, and topics as outputs: what other modules must know of Kafka.

mod oauth;

use fenliu_config::{Properties, properties};
use serde::{Deserialize, Serialize};

pub use oauth::OAuthConfig;

/// The value of `kafka.brokers` that starts a broker inside the process.
pub const EMBEDDED: &str = "embedded";

/// The Kafka cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port,...`, or `embedded`: a broker inside the process, for trying things out. It keeps
    /// at most 5 MB a partition and its data ends with the process.
    pub brokers: String,
    /// librdkafka properties for every client: TLS, SASL, time-outs.
    #[serde(deserialize_with = "properties")]
    pub properties: Properties,
    /// Where clients get tokens, for brokers that ask for `OAUTHBEARER`.
    pub oauth: OAuthConfig,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        KafkaConfig {
            brokers: "localhost:9092".into(),
            properties: Properties::new(),
            oauth: OAuthConfig::default(),
        }
    }
}

impl KafkaConfig {
    /// Whether it asks for a broker inside the process.
    pub fn is_embedded(&self) -> bool {
        self.brokers == EMBEDDED
    }
}

/// What becomes the key of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKey {
    /// The column `id` of what is written; no key where it is null or not among the columns.
    Id,
    /// The key of the message that the row came from; no key where that had none.
    Source,
    /// `topic/partition/offset` of the message that the row came from: every message then has a key of its own.
    Lineage,
    /// None: rows are spread over the partitions.
    None,
    /// Text or bytes by a SQL expression over the row, whichever columns are written; no key where it is null.
    Sql(String),
}

/// A topic as an output, with what its producer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The topic.
    pub name: String,
    /// Another cluster than that of the pipeline.
    pub brokers: Option<String>,
    /// librdkafka properties of its own.
    pub properties: Properties,
    /// The key of each message; `None`: what suits the rows.
    pub key: Option<MessageKey>,
    /// Whether messages get the headers of those that the rows came from.
    pub headers: bool,
}

impl Topic {
    /// Whether it is on the pipeline's cluster.
    pub fn is_on(&self, kafka: &KafkaConfig) -> bool {
        self.brokers.as_ref().is_none_or(|brokers| *brokers == kafka.brokers)
    }
}
