//! Where the files of a sink lie: in a directory of a disk, or under a prefix of a bucket.
//!
//! Names are paths within it, their parts separated by `/`. The protocol of commits (`files`) relies on this: a file is
//! complete and durable once [`Directory::finish`] has returned; if several processes [`Directory::create`] the same
//! name, exactly one succeeds; renaming and removing can be repeated.

use std::fmt::Debug;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use fenliu_engine::Result;

use super::names::{ending, final_name};

/// A directory that several threads may use.
pub(super) type DirectoryRef = Arc<dyn Directory>;

/// Files by their names. All errors are what the disk or the bucket says.
pub(super) trait Directory: Debug + Send + Sync {
    /// Where the file lies, for messages; the directory itself for an empty name.
    fn path(&self, name: &str) -> PathBuf;

    /// Makes the directory, where there are such things.
    fn make(&self) -> Result<()>;

    /// A new file to write and read. It is part of the directory only when it is [finished](Self::finish).
    fn begin(&self, name: &str) -> Result<File>;

    /// Brings a file that was begun to its place. It is durable then, but for its name, which [`Self::sync`] makes
    /// durable.
    fn finish(&self, name: &str, file: File) -> Result<()>;

    /// Makes a small file, complete and durable; false when the name exists.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool>;

    /// The content of the file, perhaps as a copy elsewhere; `None` if there is no such file.
    fn read(&self, name: &str) -> Result<Option<File>>;

    /// The names in the directory `place`, in any order, without `place`; those of directories end in `/`. None where
    /// there is no such directory.
    fn names(&self, place: &str) -> Result<Vec<String>>;

    /// When the file was last changed; `None` if there is no such file.
    fn modified(&self, name: &str) -> Result<Option<SystemTime>>;

    /// Whether there is such a file.
    fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.modified(name)?.is_some())
    }

    /// Gives a file another name, durably. If the file does not exist, this does nothing: another process may have
    /// renamed it.
    ///
    /// In a bucket the file has both names for a moment, and keeps them if the process dies in it.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file; does nothing where another process has.
    fn remove(&self, name: &str) -> Result<()>;

    /// Makes new and removed names in the directory `place` outlive a crash of the machine.
    fn sync(&self, place: &str) -> Result<()>;
}

/// The names of finished data files, those in directories below included. What begins with `.` or `_` is not
/// finished or no data.
///
/// # Errors
/// A directory that cannot be read.
pub(super) fn data_files(directory: &dyn Directory) -> Result<Vec<String>> {
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

/// The final names of hidden files in `directory` that begin with one of `prefixes`.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn hidden_names(directory: &dyn Directory, prefixes: &[&str]) -> Result<Vec<String>> {
    let names = directory.names("")?;
    Ok(names.iter().filter_map(|name| final_name(name, prefixes)).map(str::to_owned).collect())
}
