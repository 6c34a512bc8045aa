//! Where rows go.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DeltaSinkConfig, IcebergSinkConfig, Problems, Properties};

/// One destination of labelled rows. To add one: a variant here, a file in `sink/`, an arm in `sink.rs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum SinkConfig {
    /// Parquet, Arrow IPC or JSON Lines files in a directory or a bucket.
    Files(FilesSinkConfig),
    /// A Delta Lake table.
    Delta(DeltaSinkConfig),
    /// An Apache Iceberg table.
    Iceberg(IcebergSinkConfig),
    /// A Kafka topic, one JSON object a message.
    Kafka(KafkaSinkConfig),
    /// JSON Lines on standard output.
    Stdout(StdoutSinkConfig),
}

impl SinkConfig {
    /// Columns to write; empty: all.
    pub fn columns(&self) -> &[String] {
        match self {
            SinkConfig::Files(sink) => &sink.columns,
            SinkConfig::Delta(sink) => &sink.columns,
            SinkConfig::Iceberg(sink) => &sink.columns,
            SinkConfig::Kafka(sink) => &sink.columns,
            SinkConfig::Stdout(sink) => &sink.columns,
        }
    }

    /// SQL predicate over labelled rows; absent: all rows.
    pub fn filter(&self) -> Option<&str> {
        match self {
            SinkConfig::Files(sink) => sink.filter.as_deref(),
            SinkConfig::Delta(sink) => sink.filter.as_deref(),
            SinkConfig::Iceberg(sink) => sink.filter.as_deref(),
            SinkConfig::Kafka(sink) => sink.filter.as_deref(),
            SinkConfig::Stdout(sink) => sink.filter.as_deref(),
        }
    }

    /// Columns by whose values files lie in directories apart; empty: none.
    pub fn partition_by(&self) -> &[String] {
        match self {
            SinkConfig::Files(sink) => &sink.partition_by,
            SinkConfig::Delta(_) | SinkConfig::Iceberg(_) | SinkConfig::Kafka(_) | SinkConfig::Stdout(_) => {
                &[]
            }
        }
    }
}

/// Files in a directory or a bucket, under their final names only when they are complete: one an epoch, or one for each
/// combination of the values of `partition_by`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesSinkConfig {
    /// A directory, made when missing, or `s3://BUCKET/PREFIX`.
    pub path: PathBuf,
    /// `parquet`, `arrow` (IPC file) or `jsonl`.
    pub format: FileFormat,
    /// Columns or SQL expressions (`upper(label) AS label`); empty: all.
    pub columns: Vec<String>,
    /// SQL predicate; rows for which it is not true are not written here.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Columns whose values name directories, as in `label=sports/`, and that are not in the files; text,
    /// integers, booleans or dates. Empty: all files in one directory.
    pub partition_by: Vec<String>,
    /// Freshness of this sink, in place of `epoch.max_age`: the longer, the larger its files.
    #[serde(with = "humantime_serde")]
    pub max_age: Option<Duration>,
    /// Options of the bucket: `endpoint`, `region`, `access_key_id`, `secret_access_key`, `allow_http` and what
    /// else object_store's `AmazonS3ConfigKey` lists; they take precedence over environment variables `AWS_...`.
    #[serde(deserialize_with = "super::kafka::properties")]
    pub storage: Properties,
}

impl Default for FilesSinkConfig {
    fn default() -> Self {
        FilesSinkConfig {
            path: "out/labelled".into(),
            format: FileFormat::Parquet,
            columns: vec![],
            filter: None,
            partition_by: vec![],
            max_age: None,
            storage: Properties::new(),
        }
    }
}

/// Whether a path is the address of a bucket.
pub(crate) fn is_bucket(path: &str) -> bool {
    path.starts_with("s3://") || path.starts_with("s3a://")
}

/// Checks that `path`, of the sink `key`, is a directory or the address of a bucket, and that only the latter has
/// options.
pub(super) fn check_place(path: &str, storage: &Properties, key: &str, problems: &mut Problems) {
    let path_key = format!("{key}.path");
    problems.require(!path.is_empty(), &path_key, "empty", "a directory or s3://BUCKET/PREFIX");
    if is_bucket(path) {
        let bucket = path.split_once("://").map_or("", |(_, place)| place);
        problems.require(
            !bucket.starts_with('/') && !bucket.is_empty(),
            &path_key,
            path,
            "s3://BUCKET/PREFIX",
        );
        if !cfg!(feature = "s3") {
            problems.add(path_key, format!("is {path}, but this binary was built without the feature `s3`"));
        }
    } else if path.contains("://") {
        problems.add(path_key, format!("is {path} but must be a directory or begin with s3://"));
    } else if !storage.is_empty() {
        problems.add(format!("{key}.storage"), "is for buckets, but `path` is a directory");
    }
}

/// How a file sink writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Apache Parquet, zstd.
    Parquet,
    /// Arrow IPC file (Feather v2).
    Arrow,
    /// JSON Lines.
    Jsonl,
}

impl FileFormat {
    /// The file name's ending.
    pub fn extension(self) -> &'static str {
        match self {
            FileFormat::Parquet => "parquet",
            FileFormat::Arrow => "arrow",
            FileFormat::Jsonl => "jsonl",
        }
    }
}

/// A Kafka topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSinkConfig {
    /// The topic.
    pub topic: String,
    /// Another cluster than `kafka.brokers`.
    pub brokers: Option<String>,
    /// librdkafka properties for the producer, over those of `kafka.properties`.
    #[serde(deserialize_with = "super::kafka::properties")]
    pub properties: Properties,
    /// Columns or SQL expressions; empty: all.
    pub columns: Vec<String>,
    /// SQL predicate; rows for which it is not true are not written here.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// JSON Lines on standard output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StdoutSinkConfig {
    /// Columns or SQL expressions; empty: all.
    pub columns: Vec<String>,
    /// SQL predicate; rows for which it is not true are not written here.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// Where rejected documents go: with their origin, the reason, and the original bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum DeadLetterConfig {
    /// Files, as for labelled rows.
    Files(FilesSinkConfig),
    /// A Kafka topic: the original bytes as value, origin and reason as headers.
    Kafka(KafkaSinkConfig),
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        DeadLetterConfig::Files(FilesSinkConfig {
            path: "out/dead-letters".into(),
            ..FilesSinkConfig::default()
        })
    }
}
