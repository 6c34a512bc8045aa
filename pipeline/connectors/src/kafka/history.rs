//! The offsets of the messages in topics, without their contents: what `fenliu verify` compares outputs with.

use std::ops::ControlFlow;
use std::sync::Arc;

use fenliu_config::Problems;
use fenliu_decode::Decoder;
use fenliu_engine::Result;
use rdkafka::Message;

use super::client::client_config;
use super::config::KafkaSourceConfig;
use super::reader::{Ends, TopicReader};
use crate::cluster::KafkaConfig;
use crate::history::{History, PartitionRange, VisitDocument};

/// The topics of a source.
pub(super) struct Topics {
    readers: Vec<(Arc<str>, TopicReader)>,
    /// Tells deletions, which are no documents.
    decoder: Decoder,
}

impl Topics {
    /// The topics of `source`, whose messages `decoder` decodes; nothing is asked yet.
    ///
    /// # Errors
    /// Properties that librdkafka refuses, a broker inside another process.
    pub(super) fn open(source: &KafkaSourceConfig, kafka: &KafkaConfig, decoder: &Decoder) -> Result<Self> {
        if kafka.is_embedded() {
            let message =
                "`embedded` is a broker whose data ended with its process: there is nothing to compare with";
            return Err(Problems::one("config", "kafka.brokers", message).into());
        }
        let reader = |topic: &String| {
            let client = client_config(kafka, &source.properties);
            Ok((Arc::from(topic.as_str()), TopicReader::try_new(client, topic)?))
        };
        let readers = source.topics.iter().map(reader).collect::<Result<_>>()?;
        Ok(Topics { readers, decoder: decoder.clone() })
    }
}

impl History for Topics {
    fn ranges(&self) -> Result<Vec<PartitionRange>> {
        let mut ranges = vec![];
        for (topic, reader) in &self.readers {
            for (partition, (first, next)) in reader.ends()? {
                ranges.push((Arc::clone(topic), partition, first.unsigned_abs()..next.unsigned_abs()));
            }
        }
        Ok(ranges)
    }

    fn topics(&self) -> Result<fenliu_schemas::Topics> {
        let mut topics = fenliu_schemas::Topics::new();
        for (_, reader) in &self.readers {
            topics.extend(reader.identity()?);
        }
        Ok(topics)
    }

    fn documents(&self, wanted: &[PartitionRange], visit: &mut VisitDocument<'_>) -> Result<()> {
        let mut decoder = self.decoder.clone();
        for (topic, reader) in &self.readers {
            tracing::info!(%topic, "reading the source");
            let of_topic = wanted.iter().filter(|(name, ..)| name == topic);
            let ranges: Ends = of_topic
                .map(|(_, partition, range)| {
                    (*partition, (range.start.cast_signed(), range.end.cast_signed()))
                })
                .collect();
            reader.read_between(&ranges, &mut |message| {
                if !decoder.skips(message.payload()) {
                    visit(topic, message.partition(), message.offset().unsigned_abs());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }
}
