//! Where a table lies: in a directory, or under a prefix of a bucket of S3 or what speaks like it.

use std::str::FromStr;
use std::sync::Arc;

use deltalake::logstore::{LogStoreRef, ObjectStoreRef, StorageConfig, default_logstore};
use deltalake::table::builder::{ensure_table_uri, parse_table_uri};
use deltalake::{DeltaResult, DeltaTableError};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;

use crate::config::DeltaSinkConfig;

/// The store of the table's log and files. A directory is made if need be, or, without `make`, must be there.
///
/// A version of the log is made by creating its file: a hard link in a directory, a conditional `PUT` in a
/// bucket, which the store must support (S3, MinIO, R2 do).
///
/// # Errors
/// An address of neither kind, an option that the store does not have.
pub(super) fn log_store(config: &DeltaSinkConfig, make: bool) -> DeltaResult<LogStoreRef> {
    let url = if make { ensure_table_uri(&config.path)? } else { parse_table_uri(&config.path)? };
    let store: ObjectStoreRef = match url.scheme() {
        "file" => Arc::new(LocalFileSystem::new()),
        "s3" | "s3a" => Arc::new(bucket(url.as_str(), config)?.build()?),
        _ => return Err(DeltaTableError::InvalidTableLocation(url.to_string())),
    };
    let options = StorageConfig::default();
    let prefixed = options.decorate_store(Arc::clone(&store), &url)?;
    Ok(default_logstore(Arc::from(prefixed), store, &url, &options))
}

/// `[sinks.storage]` over the environment variables `AWS_...`.
fn bucket(url: &str, config: &DeltaSinkConfig) -> DeltaResult<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::from_env().with_url(url);
    for (name, value) in &config.storage {
        builder = builder.with_config(AmazonS3ConfigKey::from_str(name)?, value);
    }
    Ok(builder)
}
