//! The Kafka cluster and librdkafka's properties.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// The value of `kafka.brokers` that starts a broker inside the process.
pub const EMBEDDED: &str = "embedded";

/// librdkafka properties by name, passed through as they are.
pub type Properties = BTreeMap<String, String>;

/// Properties that fenliu sets itself, since delivery depends on them.
pub(crate) const OWNED: &[&str] = &[
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
}

impl Default for KafkaConfig {
    fn default() -> Self {
        KafkaConfig { brokers: "localhost:9092".into(), properties: Properties::new() }
    }
}

/// Reads property values that are written as strings, numbers or booleans.
pub(crate) fn properties<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Properties, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Text(String),
        Integer(i64),
        Float(f64),
        Boolean(bool),
    }
    let scalars = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
    let text = |scalar| match scalar {
        Scalar::Text(text) => text,
        Scalar::Integer(number) => number.to_string(),
        Scalar::Float(number) => number.to_string(),
        Scalar::Boolean(flag) => flag.to_string(),
    };
    Ok(scalars.into_iter().map(|(name, scalar)| (name, text(scalar))).collect())
}
