//! Dead letters, read back: from the files or the topic that the pipeline wrote them to.
//!
//! Contract: what is read is what is committed (hidden files that no manifest names and open transactions are not),
//! up to where it ends at the start. Letters are shown one by one, so that memory holds one small batch of them
//! however many there are. Reading changes nothing; [`replay`](mod@replay) only adds messages to the topics that letters came from.

mod files;
mod filter;
mod kafka;
pub mod replay;
mod summary;

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::config::{DeadLetterConfig, KafkaConfig, KafkaSinkConfig, Properties};
use crate::error::Result;

pub use filter::Filter;
pub use summary::{Group, Summary};

/// A document that the pipeline set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the message stood: topic, or a file's path.
    pub topic: String,
    /// Its partition; 0 for files.
    pub partition: i32,
    /// Its offset; the row's number for files.
    pub offset: i64,
    /// Its Kafka timestamp, milliseconds since the Unix epoch, where it had one.
    pub timestamp_ms: Option<i64>,
    /// The document's own identifier, where it could be decoded and the letter is in a file.
    pub id: Option<String>,
    /// The stage that set it aside: `decode`, `clean`, `tokenize`, `infer`.
    pub stage: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub detail: Option<String>,
    /// The model that could not handle it.
    pub model_version: Option<String>,
    /// When it was set aside, milliseconds since the Unix epoch.
    pub rejected_at_ms: Option<i64>,
    /// The message's bytes; none where files hold no such column, or it was not asked for.
    pub payload: Option<Vec<u8>>,
}

impl DeadLetter {
    /// The message that it was, as `topic/partition/offset`.
    pub fn origin(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// Where dead letters are.
#[derive(Clone, Debug)]
pub enum Letters {
    /// A file, or a directory with all below it.
    Files {
        /// Where it is.
        path: PathBuf,
        /// Options of the bucket, if it is in one.
        storage: Properties,
    },
    /// A topic.
    Kafka {
        /// The cluster.
        kafka: KafkaConfig,
        /// The topic and its own properties.
        sink: KafkaSinkConfig,
    },
}

/// What is done with each letter; [`ControlFlow::Break`] ends the reading.
pub type Visit<'a> = dyn FnMut(DeadLetter) -> Result<ControlFlow<()>> + 'a;

impl Letters {
    /// The letters that a pipeline with these settings writes.
    pub fn of(dead_letters: &DeadLetterConfig, kafka: &KafkaConfig) -> Self {
        match dead_letters {
            DeadLetterConfig::Files(files) => {
                Letters::Files { path: files.path.clone(), storage: files.storage.clone() }
            }
            DeadLetterConfig::Kafka(sink) => Letters::Kafka { kafka: kafka.clone(), sink: sink.clone() },
        }
    }

    /// Shows `visit` the letters that `filter` lets through, with their payloads if `payload`.
    ///
    /// # Errors
    /// Files that cannot be read or hold no dead letters, a broker that does not answer, the error of `visit`.
    pub fn read(&self, filter: &Filter, payload: bool, visit: &mut Visit<'_>) -> Result<()> {
        let mut filtered = |letter: DeadLetter| {
            if filter.matches(&letter) { visit(letter) } else { Ok(ControlFlow::Continue(())) }
        };
        match self {
            Letters::Files { path, storage } => files::read(path, storage, payload, &mut filtered),
            Letters::Kafka { kafka, sink } => kafka::read(kafka, sink, payload, &mut filtered),
        }
    }
}
