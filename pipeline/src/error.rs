//! The one error type of the pipeline.
//!
//! Bad documents never show up here: they are rows with a reject reason. An error means that the
//! pipeline itself cannot go on.

use std::path::PathBuf;

use fenliu_model::ModelError;
use fenliu_operators::OperatorError;
use fenliu_schemas::SchemaError;
use rdkafka::error::KafkaError;

use crate::config::Problems;

/// Result of this crate.
pub type Result<T, E = PipelineError> = std::result::Result<T, E>;

/// Why the pipeline cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The configuration or the command line is wrong; every problem is listed.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A file or directory could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried: `read`, `create`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// Kafka refused something that retrying does not mend.
    #[error("kafka: cannot {action}: {source}")]
    Kafka {
        /// What was tried, naming topic or group.
        action: String,
        /// librdkafka's word.
        source: KafkaError,
    },
    /// The schema registry refused something that retrying does not mend.
    #[error("schema registry {url}: {message}")]
    Registry {
        /// Its address.
        url: String,
        /// What it said, and what to do.
        message: String,
    },
    /// Messages that the broker did not acknowledge.
    #[error("kafka: {failed} messages not delivered; first: {first}")]
    Delivery {
        /// How many messages failed.
        failed: usize,
        /// Whether one of them is larger than its topic allows: sending it again is in vain.
        too_large: bool,
        /// Topic and reason of the first.
        first: String,
    },
    /// An Iceberg table or its catalog.
    #[error("iceberg: cannot {action} {table}: {message}")]
    Iceberg {
        /// What was tried.
        action: &'static str,
        /// The table with its namespace.
        table: String,
        /// Whether it may go through when it is tried again.
        may_pass: bool,
        /// The library's word.
        message: String,
    },
    /// A sink stands before the rows that it is given.
    #[error(
        "{topic}/{partition}: a sink has everything before offset {position}, but the next rows begin at {first}; \
         was the topic made anew, or a sink's position changed by hand?"
    )]
    Gap {
        /// Topic or file.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Where the sink stands.
        position: i64,
        /// Where the rows begin.
        first: i64,
    },
    /// Partitions went to another member before their rows were durable: what is in flight is dropped, and
    /// reading begins again where the sinks stand.
    #[error("{0}")]
    Lost(String),
    /// Another member of the group goes by the same static name.
    #[error(
        "another process with the same `source.instance` has taken over: each process of a group needs a name of its own"
    )]
    Fenced,
    /// A sink could not encode rows.
    #[error("cannot encode {format}: {message}")]
    Encode {
        /// The format written.
        format: &'static str,
        /// The encoder's word.
        message: String,
    },
    /// A table could not be read or written; it may pass.
    #[error("{table}: cannot {action} the table: {message}")]
    Table {
        /// What was tried: `open`, `commit to`, ...
        action: &'static str,
        /// The table.
        table: String,
        /// The library's word.
        message: String,
    },
    /// The model stage failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model can handle no document at all.
    #[error(
        "{action} failed on each of {documents} documents, and the model has labelled none so far; the first: {first} (try the bundle with `fenliu predict`, or name another in `model.bundle`)"
    )]
    Unusable {
        /// What failed: `tokenising`, `inference`.
        action: &'static str,
        /// How many documents.
        documents: usize,
        /// The model and what was wrong with the first of them.
        first: String,
    },
    /// Too many of the newest documents are dead letters.
    #[error(
        "{failures} of the last {documents} documents failed, more than `breaker.share` ({share}) allows: {reasons}; the latest: {latest} (mend the cause or raise the share; what is not committed is read again at the next start)"
    )]
    Breaker {
        /// Documents that failed.
        failures: usize,
        /// Documents looked at.
        documents: usize,
        /// The share that may fail.
        share: f64,
        /// Stages and reasons with their counts.
        reasons: String,
        /// Where the latest failure comes from, and what was wrong.
        latest: String,
    },
    /// A cleaning step could not be compiled or run.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// Rows do not have the promised shape.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A stage's thread panicked or could not be started.
    #[error("stage `{stage}`: {message}")]
    Stage {
        /// The stage's name.
        stage: &'static str,
        /// What happened.
        message: String,
    },
    /// The data given cannot serve the purpose.
    #[error("{0}")]
    Data(String),
}

impl PipelineError {
    /// A `map_err` adapter for file operations on `path`.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| PipelineError::File { action, path, source }
    }

    /// A `map_err` adapter for Kafka calls.
    pub fn kafka(action: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let action = action.into();
        move |source| {
            // A refused property would be shown with its value, which may be a secret.
            let source = match source {
                KafkaError::ClientConfig(code, reason, key, _) => {
                    KafkaError::ClientConfig(code, reason, key, "(value not shown)".into())
                }
                other => other,
            };
            PipelineError::Kafka { action, source }
        }
    }

    /// Whether the user's configuration or command line is at fault (exit code 2).
    pub fn is_usage(&self) -> bool {
        matches!(self, PipelineError::Config(_))
    }
}
