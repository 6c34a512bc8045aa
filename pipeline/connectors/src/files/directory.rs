//! Where the files of a sink lie: in a directory of a disk, or under a prefix of a bucket.
//!
//! Names are paths within it, their parts separated by `/`. The protocol of commits (`files`) stands on this: a file
//! is whole and durable once [`Directory::finish`] has returned; of several processes that [`Directory::create`] a name
//! one makes it; renaming and removing may be repeated.

#[cfg(feature = "s3")]
mod bucket;
mod disk;

use std::fmt::Debug;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::config::{Properties, is_bucket};
use crate::error::{PipelineError, Result};

/// A directory that several threads may use.
pub(crate) type DirectoryRef = Arc<dyn Directory>;

/// Files by their names. All errors are what the disk or the bucket says.
pub(crate) trait Directory: Debug + Send + Sync {
    /// Where the file lies, for messages; the directory itself for an empty name.
    fn path(&self, name: &str) -> PathBuf;

    /// Makes the directory, where there are such things.
    fn make(&self) -> Result<()>;

    /// A new file to write and read, which nobody may count on before it is [finished](Self::finish).
    fn begin(&self, name: &str) -> Result<File>;

    /// Brings a file that was begun to where it belongs, durably but for what [`Self::sync`] does.
    fn finish(&self, name: &str, file: File) -> Result<()>;

    /// Makes a small file, whole and durable; false when there is one of this name.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool>;

    /// The file's content, which need not be where the file is; none where there is no such file.
    fn read(&self, name: &str) -> Result<Option<File>>;

    /// The names in the directory `place`, in any order, without `place`; those of directories end in `/`. None where
    /// there is no such directory.
    fn names(&self, place: &str) -> Result<Vec<String>>;

    /// When the file was last changed; none where there is no such file.
    fn modified(&self, name: &str) -> Result<Option<SystemTime>>;

    /// Whether there is such a file.
    fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.modified(name)?.is_some())
    }

    /// Gives a file another name, durably; does nothing where it is not there: another process may have done so.
    ///
    /// In a bucket the file has both names for a moment, and keeps them if the process dies in it.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file; does nothing where another process has.
    fn remove(&self, name: &str) -> Result<()>;

    /// Makes new and removed names in the directory `place` outlive a crash of the machine.
    fn sync(&self, place: &str) -> Result<()>;
}

/// The directory at `path`, which need not exist; `storage` has the options of a bucket.
///
/// # Errors
/// An address or an option that is none.
pub(crate) fn open(path: &Path, storage: &Properties) -> Result<DirectoryRef> {
    match path.to_str().filter(|path| is_bucket(path)) {
        #[cfg(feature = "s3")]
        Some(url) => Ok(Arc::new(bucket::Bucket::open(url, storage)?)),
        #[cfg(not(feature = "s3"))]
        Some(url) => {
            let _ = storage;
            Err(PipelineError::Data(format!("{url}: this binary was built without the feature `s3`")))
        }
        None => Ok(on_disk(path)),
    }
}

/// The directory of a disk.
pub(super) fn on_disk(path: &Path) -> DirectoryRef {
    Arc::new(disk::Disk::new(path))
}

/// The names of finished data files, those in directories below included. What begins with `.` or `_` is not
/// finished or no data.
///
/// # Errors
/// A directory that cannot be read.
pub(crate) fn data_files(directory: &dyn Directory) -> Result<Vec<String>> {
    let (mut files, mut places) = (vec![], vec![String::new()]);
    while let Some(place) = places.pop() {
        for name in directory.names(&place)?.iter().filter(|name| !name.starts_with(['.', '_'])) {
            let path = format!("{place}{name}");
            if name.ends_with('/') {
                places.push(path);
            } else if matches!(ending(name), "parquet" | "arrow" | "jsonl") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// What follows the last dot of a name.
pub(crate) fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// The directory that a file of this name lies in, with a `/` at its end where it is below another.
pub(super) fn place_of(name: &str) -> &str {
    name.rfind('/').map_or("", |end| &name[..=end])
}

/// Length and SHA-256 of a file, from its beginning; `path` is for messages.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn digest(mut file: &File, path: impl Into<PathBuf>) -> Result<(u64, String)> {
    let mut read = || {
        std::io::Seek::rewind(&mut file)?;
        let (mut hasher, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok((length, hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()));
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
    };
    read().map_err(PipelineError::file("read", path))
}
