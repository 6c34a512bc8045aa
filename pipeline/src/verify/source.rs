//! Which documents the source contains.
//!
//! A topic has to be read, because its offsets alone are not enough: transaction markers and compaction leave offsets
//! without a message, which are not losses. The contents of the messages are ignored.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::ProgressBar;
use rdkafka::Message;
use roaring::RoaringTreemap;

use super::partitions::{ByPartition, Ranges};
use crate::error::Result;
use crate::plan::Plan;
use fenliu_config::Problems;
use fenliu_connectors::SourceConfig;
use fenliu_connectors::files::{Documents, data_files};
use fenliu_connectors::kafka::{Ends, TopicReader, client_config};

/// The source, with the positions of its documents.
pub(super) enum SourceDocuments {
    /// Topics. They are read later, when it is known which offsets are needed.
    Topics(Vec<(Arc<str>, TopicReader)>),
    /// Files. They have been read already.
    Files(ByPartition<RoaringTreemap>),
}

impl SourceDocuments {
    /// The source of `config`.
    ///
    /// # Errors
    /// A file cannot be read, librdkafka refuses a property, or the broker is `embedded`.
    pub(super) fn open(config: &Plan, progress: &ProgressBar) -> Result<Self> {
        let source = match &config.source {
            SourceConfig::Files(files) => {
                return read_files(&files.paths, progress).map(SourceDocuments::Files);
            }
            SourceConfig::Kafka(source) => source,
        };
        if config.kafka.is_embedded() {
            let message =
                "is `embedded`, a broker whose data ended with its process: there is nothing to compare with";
            return Err(Problems::one("config", "kafka.brokers", message).into());
        }
        let reader = |topic: &String| {
            let client = client_config(&config.kafka, &source.properties);
            Ok((Arc::from(topic.as_str()), TopicReader::try_new(client, topic)?))
        };
        source.topics.iter().map(reader).collect::<Result<_>>().map(SourceDocuments::Topics)
    }

    /// The offsets that each partition has at present.
    ///
    /// # Errors
    /// A broker does not answer, or a topic does not exist.
    pub(super) fn ranges(&self) -> Result<Ranges> {
        let mut ranges = ByPartition::default();
        match self {
            SourceDocuments::Topics(readers) => {
                for (topic, reader) in readers {
                    for (partition, (first, next)) in reader.ends()? {
                        ranges.insert(topic, partition, first.unsigned_abs()..next.unsigned_abs());
                    }
                }
            }
            SourceDocuments::Files(files) => {
                for (file, partition, rows) in files.iter() {
                    ranges.insert(file, partition, 0..rows.max().map_or(0, |last| last + 1));
                }
            }
        }
        Ok(ranges)
    }

    /// The offsets of all documents in `wanted`, and possibly of others.
    ///
    /// # Errors
    /// A broker does not answer.
    pub(super) fn documents(
        self,
        wanted: &Ranges,
        progress: &ProgressBar,
    ) -> Result<ByPartition<RoaringTreemap>> {
        let readers = match self {
            SourceDocuments::Files(documents) => return Ok(documents),
            SourceDocuments::Topics(readers) => readers,
        };
        let mut documents = ByPartition::default();
        for (topic, reader) in readers {
            tracing::info!(event = "reading_source", %topic, "reading the source");
            let mut ranges = Ends::new();
            for (_, partition, range) in wanted.iter().filter(|(name, ..)| **name == topic) {
                ranges.insert(partition, (range.start.cast_signed(), range.end.cast_signed()));
                documents.insert(&topic, partition, RoaringTreemap::new());
            }
            reader.read_between(&ranges, &mut |message| {
                progress.inc(1);
                if let Some(offsets) = documents.get_mut(&topic, message.partition()) {
                    offsets.insert(message.offset().unsigned_abs());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(documents)
    }
}

fn read_files(paths: &[PathBuf], progress: &ProgressBar) -> Result<ByPartition<RoaringTreemap>> {
    let mut documents = ByPartition::default();
    for path in data_files(paths)? {
        let name: Arc<str> = path.display().to_string().into();
        tracing::info!(event = "reading_source", file = %name, "reading the source");
        let mut rows = RoaringTreemap::new();
        for document in Documents::open(&path)? {
            progress.inc(1);
            rows.insert(document?.0.unsigned_abs());
        }
        documents.insert(&name, 0, rows);
    }
    Ok(documents)
}
