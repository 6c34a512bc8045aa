//! Delta Lake tables as sinks.

use std::time::Duration;

use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};

use super::kafka::properties;
use super::sinks::check_place;
use super::{Problems, Properties};

/// A Delta Lake table, made when missing: one version an epoch, in which its rows and the position come together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeltaSinkConfig {
    /// A directory or `s3://BUCKET/PREFIX`.
    pub path: String,
    /// Columns by whose values files lie apart: one for each value and epoch. A table that exists must have these.
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

impl DeltaSinkConfig {
    /// Checks all values; `key` names the sink in messages.
    pub(super) fn check(&self, key: &str, problems: &mut Problems) {
        if !cfg!(feature = "delta") {
            problems.add(key, "is of type delta, but this binary was built without the feature `delta`");
        }
        check_place(&self.path, &self.storage, key, problems);
        let is_never = self.max_age.is_some_and(|age| age.is_zero());
        problems.require(!is_never, &format!("{key}.max_age"), "0s", "longer than 0s");
    }

    /// Checks the partitions of a table of rows of `schema`.
    pub(super) fn check_columns(&self, key: &str, schema: &Schema, problems: &mut Problems) {
        for name in self.partition_by.iter().filter(|name| schema.column_with_name(name).is_none()) {
            problems.add(
                format!("{key}.partition_by"),
                format!("names `{name}`, which is no column of the rows"),
            );
        }
        if self.partition_by.len() >= schema.fields().len() {
            problems.add(format!("{key}.partition_by"), "leaves no column for the files");
        }
    }
}
