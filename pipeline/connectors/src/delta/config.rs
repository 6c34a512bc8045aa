//! What a user configures of Delta Lake tables.

use std::time::Duration;

use fenliu_config::{Properties, properties};
use serde::{Deserialize, Serialize};

/// A Delta Lake table, made when missing: one version an epoch, in which its rows and the position come together. A
/// table that asks its writers for more than this sink does (constraints, generated columns, column mapping, ...) is
/// refused by name, by `fenliu check`, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeltaSinkConfig {
    /// A directory or `s3://BUCKET/PREFIX`.
    pub path: String,
    /// Columns by whose values rows are split into files: one for each value and epoch. A table that exists must be
    /// partitioned by exactly these.
    pub partition_by: Vec<String>,
    /// Columns or SQL expressions; empty: all.
    pub columns: Vec<String>,
    /// SQL predicate; rows for which it is not true are not written here.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Freshness of this sink, in place of `epoch.max_age`: the longer, the larger its files.
    #[serde(with = "humantime_serde")]
    pub max_age: Option<Duration>,
    /// Options of the bucket: `endpoint`, `region`, `access_key_id`, `secret_access_key`, `allow_http` and what
    /// else object_store's `AmazonS3ConfigKey` lists; they take precedence over environment variables `AWS_...`.
    #[serde(deserialize_with = "properties")]
    pub storage: Properties,
}

impl Default for DeltaSinkConfig {
    fn default() -> Self {
        DeltaSinkConfig {
            path: "out/table".into(),
            partition_by: vec![],
            columns: vec![],
            filter: None,
            max_age: None,
            storage: Properties::new(),
        }
    }
}
