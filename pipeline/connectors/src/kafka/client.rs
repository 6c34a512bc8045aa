//! What all Kafka clients of fenliu share: properties, and a broker inside the process.

mod consumer;
mod reader;
mod writer;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::config::{EMBEDDED, KafkaConfig, KafkaSinkConfig, Properties};
use crate::error::{PipelineError, Result};

pub use consumer::{
    Context, KafkaConsumer, Rebalance, apply, check_usable, committed, connect, offsets_list,
};
pub use reader::{Ends, TopicReader};
pub use writer::MessageWriter;

/// How long a client waits for answers to its own questions (metadata, watermarks).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an error of a kind of clients is not told again. A broker that is away makes many a second.
const ERROR_INTERVAL: Duration = Duration::from_secs(60);

/// Every error also comes back from where it matters, and is judged there; only here it has a reason. The end of a
/// partition is none.
fn log_error(client: &'static str, error: &KafkaError, reason: &str) {
    static TOLD: Mutex<Vec<(&str, RDKafkaErrorCode, Instant)>> = Mutex::new(vec![]);
    let Some(code) = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::PartitionEOF) else {
        return;
    };
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.retain(|(.., at)| at.elapsed() < ERROR_INTERVAL);
    if told.iter().all(|(other, known, _)| (*other, *known) != (client, code)) {
        told.push((client, code, Instant::now()));
        tracing::warn!(client, %error, reason, "kafka: more of the kind are not told for a minute");
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

/// Client properties for the cluster that `sink` writes to.
pub fn sink_client_config(kafka: &KafkaConfig, sink: &KafkaSinkConfig) -> ClientConfig {
    let mut client = client_config(kafka, &sink.properties);
    if let Some(brokers) = &sink.brokers {
        client.set("bootstrap.servers", brokers);
    }
    client
}

/// A Kafka broker inside the process: librdkafka's mock cluster, a real protocol endpoint on a
/// loopback port.
///
/// It keeps at most 5 MB a partition (the oldest messages go first), its transactions are fake, and
/// its data ends with this value.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts a broker with `topics`, each of `partitions`.
    ///
    /// # Errors
    /// When librdkafka cannot open a loopback port.
    pub fn start(topics: &[String], partitions: i32) -> Result<Self> {
        let cluster = MockCluster::new(1).map_err(PipelineError::kafka("start the embedded broker"))?;
        for topic in topics {
            cluster
                .create_topic(topic, partitions, 1)
                .map_err(PipelineError::kafka(format!("create topic `{topic}` in the embedded broker")))?;
        }
        Ok(EmbeddedBroker { cluster })
    }

    /// Where clients reach it: `host:port`.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

/// Whether `brokers` asks for a broker inside the process.
pub fn is_embedded(brokers: &str) -> bool {
    brokers == EMBEDDED
}
