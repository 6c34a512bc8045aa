//! What a user configures of files: as source and as output.

use std::path::PathBuf;
use std::time::Duration;

use fenliu_config::{Properties, properties};
use serde::{Deserialize, Serialize};

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
    #[serde(deserialize_with = "properties")]
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

/// Files; each row is read once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesSourceConfig {
    /// `.jsonl`, `.ndjson`, `.json` (one object a line), `.parquet` or `.arrow` files, or directories of such.
    pub paths: Vec<PathBuf>,
}
