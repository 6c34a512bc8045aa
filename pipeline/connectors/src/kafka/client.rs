//! What all Kafka clients of fenliu share: their properties.

use std::time::Duration;

use fenliu_config::Properties;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::token;
use crate::cluster::{KafkaConfig, Topic};

/// How long a client waits for answers to its own questions (metadata, watermarks).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Client properties: those of the cluster, then `own` over them.
pub fn client_config(kafka: &KafkaConfig, own: &Properties) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &kafka.brokers);
    // Only these lines say why a connection was closed; `Connections` logs those that help.
    config.set("log.connection.close", "true");
    // librdkafka logs them at this level; rdkafka's default level would leave them out.
    config.set_log_level(RDKafkaLogLevel::Info);
    if kafka.oauth.is_used() {
        token::ask_for(&kafka.oauth, &mut config);
    }
    for (name, value) in kafka.properties.iter().chain(own) {
        config.set(name, value);
    }
    config
}

/// Client properties for the cluster of `topic`.
pub(super) fn topic_client_config(kafka: &KafkaConfig, topic: &Topic) -> ClientConfig {
    let mut client = client_config(kafka, &topic.properties);
    if let Some(brokers) = &topic.brokers {
        client.set("bootstrap.servers", brokers);
    }
    client
}
