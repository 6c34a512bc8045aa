//! A Kafka broker inside the process, for trying things out.

use fenliu_engine::Result;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::error::failed;

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
        let cluster = MockCluster::new(1).map_err(failed("start the embedded broker"))?;
        for topic in topics {
            cluster
                .create_topic(topic, partitions, 1)
                .map_err(failed(format!("create topic `{topic}` in the embedded broker")))?;
        }
        Ok(EmbeddedBroker { cluster })
    }

    /// Where clients reach it: `host:port`.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}
