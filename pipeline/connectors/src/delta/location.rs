//! Where a table lies: in a directory, or under a prefix of a bucket of S3 or what speaks like it.

use std::str::FromStr;
use std::sync::Arc;

use deltalake::logstore::{LogStoreRef, ObjectStoreRef, StorageConfig, default_logstore};
use deltalake::table::builder::{ensure_table_uri, parse_table_uri};
use deltalake::{DeltaResult, DeltaTableError};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;

use super::config::DeltaSinkConfig;

/// The store of the log and the files of the table. A directory is made if need be, or, without `make`, must exist.
///
/// A version of the log is made by creating its file: a hard link in a directory, a conditional `PUT` in a
/// bucket, which the store must support (S3, MinIO, R2 do).
///
/// # Errors
/// An invalid address, or an option that the store does not know.
pub(super) fn log_store(config: &DeltaSinkConfig, make: bool) -> DeltaResult<LogStoreRef> {
    let path = &config.path;
    let (url, store): (_, ObjectStoreRef) = if path.contains("://") && !path.starts_with("file://") {
        // The library takes only addresses of stores that it has itself.
        let url = path.parse().map_err(|error| {
            DeltaTableError::InvalidTableLocation(format!("{path} is no address: {error}"))
        })?;
        (url, Arc::new(bucket(path, config)?.build()?))
    } else {
        let url = if make { ensure_table_uri(path)? } else { parse_table_uri(path)? };
        (url, Arc::new(LocalFileSystem::new()))
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
