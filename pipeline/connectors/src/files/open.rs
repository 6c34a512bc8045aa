//! Which directory a path means.

use std::path::Path;
use std::sync::Arc;

use fenliu_config::{Properties, is_bucket};
use fenliu_engine::Result;

#[cfg(feature = "s3")]
use super::bucket::Bucket;
use super::directory::DirectoryRef;
use super::disk::Disk;

/// The directory at `path`, which need not exist; `storage` has the options of a bucket.
///
/// # Errors
/// An invalid address or option.
pub(super) fn open(path: &Path, storage: &Properties) -> Result<DirectoryRef> {
    match path.to_str().filter(|path| is_bucket(path)) {
        #[cfg(feature = "s3")]
        Some(url) => Ok(Arc::new(Bucket::open(url, storage)?)),
        #[cfg(not(feature = "s3"))]
        Some(url) => {
            let _ = storage;
            let message = format!("{url}: this binary was built without the feature `s3`");
            Err(fenliu_engine::Error::usage(message))
        }
        None => Ok(on_disk(path)),
    }
}

/// The directory of a disk.
pub(super) fn on_disk(path: &Path) -> DirectoryRef {
    Arc::new(Disk::new(path))
}
