//! What all Kafka clients of fenliu share: properties, and what becomes of their errors.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fenliu_config::Properties;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::cluster::{KafkaConfig, Topic};

/// How long a client waits for answers to its own questions (metadata, watermarks).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an error of a kind of clients is not told again. A broker that is away makes many a second.
const ERROR_INTERVAL: Duration = Duration::from_secs(60);

/// Every error also comes back from where it matters, and is judged there; only here it has a reason. The end of a
/// partition is none.
pub(super) fn log_error(client: &'static str, error: &KafkaError, reason: &str) {
    static TOLD: Mutex<Vec<(&str, RDKafkaErrorCode, Instant)>> = Mutex::new(vec![]);
    let Some(code) = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::PartitionEOF) else {
        return;
    };
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.retain(|(.., at)| at.elapsed() < ERROR_INTERVAL);
    if told.iter().all(|(other, known, _)| (*other, *known) != (client, code)) {
        told.push((client, code, Instant::now()));
        tracing::warn!(event = "client_error", client, %error, reason, "kafka: more of the kind are not told for a minute");
    }
}

/// Client properties: those of the cluster, then `own` over them.
pub fn client_config(kafka: &KafkaConfig, own: &Properties) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &kafka.brokers);
    // Errors of broken connections come as events; one line a retry would flood the log.
    config.set("log.connection.close", "false");
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
