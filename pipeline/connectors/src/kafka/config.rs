//! The Kafka cluster and librdkafka's properties.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Value;

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

/// Names of the property that says how many replicas must have a message before it counts as written.
pub(super) const ACKNOWLEDGEMENTS: &[&str] = &["acks", "request.required.acks"];

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
    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    values.into_iter().map(|(name, value)| text(&name, value).map(|text| (name, text))).collect()
}

fn text<E: Error>(name: &str, value: Value) -> Result<String, E> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(value.to_string()),
        // TOML reads `a.b = 1` as a table `a`.
        Value::Table(table) if !table.is_empty() => {
            let within = table.into_iter().next().map_or_else(String::new, |(key, _)| key);
            Err(E::custom(format!("write the name in quotes: \"{name}.{within}\" = ...")))
        }
        _ => Err(E::custom(format!("`{name}` must be a string, a number or a boolean"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_name_without_quotes_is_told_to_want_them() {
        let text = "[kafka.properties]\nsecurity.protocol = \"SASL_SSL\"\n\"linger.ms\" = 5";
        let problems = Config::parse(text, "test.toml", &[], &|_| None).unwrap_err().to_string();
        assert!(problems.contains("write the name in quotes: \"security.protocol\" = ..."), "{problems}");
    }
}
