//! Where documents come from.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Properties;

/// The source of documents. To add one: a variant here, a file in `source/`, an arm in `source.rs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum SourceConfig {
    /// A Kafka consumer group.
    Kafka(KafkaSourceConfig),
    /// JSON Lines and Parquet files, read once.
    Files(FilesSourceConfig),
}

impl Default for SourceConfig {
    fn default() -> Self {
        SourceConfig::Kafka(KafkaSourceConfig::default())
    }
}

/// A Kafka consumer group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSourceConfig {
    /// Topics to read.
    pub topics: Vec<String>,
    /// Consumer group. Default: the pipeline's name.
    pub group: Option<String>,
    /// A name of this instance that it keeps over restarts, such as a pod's: a restart then waits neither
    /// for its old membership nor for its old transaction to time out. No two instances may share it.
    pub instance: Option<String>,
    /// Where a partition begins that no sink has a position of.
    pub start: Start,
    /// librdkafka properties for the consumer, over those of `kafka.properties`.
    #[serde(deserialize_with = "super::kafka::properties")]
    pub properties: Properties,
}

impl Default for KafkaSourceConfig {
    fn default() -> Self {
        KafkaSourceConfig {
            topics: vec!["news".into()],
            group: None,
            instance: None,
            start: Start::Earliest,
            properties: Properties::new(),
        }
    }
}

/// Where a partition begins that no sink has a position of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At the oldest message kept.
    Earliest,
    /// At messages that arrive from now on.
    Latest,
}

/// Files; each row is read once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesSourceConfig {
    /// `.jsonl`, `.ndjson`, `.json` (one object a line), `.parquet` or `.arrow` files, or directories of such.
    pub paths: Vec<PathBuf>,
}

/// What the bytes of one message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadFormat {
    /// A JSON object in UTF-8.
    Json,
    /// The document's body, in any character set.
    Bytes,
    /// An Avro datum of a record, by the schema of a registry or a file.
    Avro,
    /// A Protocol Buffers message, by the schema of a registry or a file.
    Protobuf,
    /// One row in Arrow IPC, as a stream or a file.
    Arrow,
}

impl PayloadFormat {
    /// Whether it takes a schema from elsewhere to read a message.
    pub fn needs_schema(self) -> bool {
        matches!(self, PayloadFormat::Avro | PayloadFormat::Protobuf)
    }
}

/// A schema registry with Confluent's interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Its address, such as `https://registry:8081`. Empty: none.
    pub url: String,
    /// User of HTTP basic authentication. Empty: no authentication.
    pub username: String,
    /// Password, or an API key's secret.
    pub password: String,
    /// How long one answer may take before the registry counts as unreachable. Default: 10s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        RegistryConfig {
            url: String::new(),
            username: String::new(),
            password: String::new(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// For each part of a document the fields that may hold it, in order of preference; `a.b` is the field `a.b`,
/// or `b` inside `a`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldNames {
    /// The source's own identifier: a string or a whole number.
    pub id: Vec<String>,
    /// Headline.
    pub title: Vec<String>,
    /// Main text.
    pub body: Vec<String>,
    /// Address.
    pub url: Vec<String>,
    /// Publisher.
    pub source: Vec<String>,
    /// Declared language.
    pub lang: Vec<String>,
    /// RFC 3339, `YYYY-MM-DD[ HH:MM:SS]` (UTC), or seconds or milliseconds since the Unix epoch.
    pub published_at: Vec<String>,
    /// Label that the source already gives.
    pub label: Vec<String>,
}

impl FieldNames {
    /// These names, and after them the `others`.
    pub fn or(self, others: Self) -> Self {
        let both = |own: Vec<String>, other: Vec<String>| -> Vec<String> {
            let new: Vec<String> = other.into_iter().filter(|name| !own.contains(name)).collect();
            own.into_iter().chain(new).collect()
        };
        FieldNames {
            id: both(self.id, others.id),
            title: both(self.title, others.title),
            body: both(self.body, others.body),
            url: both(self.url, others.url),
            source: both(self.source, others.source),
            lang: both(self.lang, others.lang),
            published_at: both(self.published_at, others.published_at),
            label: both(self.label, others.label),
        }
    }
}

impl Default for FieldNames {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        FieldNames {
            id: names(&["id"]),
            title: names(&["title"]),
            body: names(&["body", "text"]),
            url: names(&["url"]),
            source: names(&["source"]),
            lang: names(&["lang"]),
            published_at: names(&["published_at"]),
            label: names(&["label"]),
        }
    }
}
