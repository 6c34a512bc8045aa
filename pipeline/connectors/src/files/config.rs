//! What a user configures of files: as source and as output.

use std::path::PathBuf;
use std::time::Duration;

use fenliu_config::{Properties, properties};
use fenliu_decode::file::FileRules;
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
    /// Files, directories with everything below them, or patterns such as `news/**/*.jsonl.gz`; with the feature `s3`
    /// also in buckets (`s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`). JSON (an object a line,
    /// arrays, objects), CSV and TSV with a header, Parquet, Arrow, Avro and WARC files are read, also compressed by
    /// gzip, zstd, bzip2 or xz; what a file is follows from its first bytes.
    pub paths: Vec<PathBuf>,
    /// What is a document: each `row`, or each `file` as a whole (with the format `bytes`).
    pub each: Each,
    /// A last line of CSV or plain text without a line break: `wait`, since it may still be in the writing, or `take` it.
    pub final_line: FinalLine,
    /// A file that has taken the path of another one: `stop`, or `read` it from its beginning.
    pub replaced: Replaced,
    /// Options of the object store, such as `region` or `azure_storage_account_name`: object_store's keys of its kind.
    #[serde(deserialize_with = "properties")]
    pub storage: Properties,
}

/// What of a file is a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Each {
    /// Each row.
    #[default]
    Row,
    /// The whole file.
    File,
}

/// What is done with a last line of text that has no line break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalLine {
    /// It is left until there is one.
    #[default]
    Wait,
    /// It is a row.
    Take,
}

/// What is done with a file that has taken the path of another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replaced {
    /// The pipeline stops.
    #[default]
    Stop,
    /// It is read from its beginning, as another file.
    Read,
}

impl FilesSourceConfig {
    /// How files are read: `decoder`'s rules with what is configured here.
    pub(super) fn rules(&self, decoder: FileRules) -> FileRules {
        let rules = if self.final_line == FinalLine::Take { decoder.complete() } else { decoder };
        if self.each == Each::File { rules.whole() } else { rules }
    }
}
