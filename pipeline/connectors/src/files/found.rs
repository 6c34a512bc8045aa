//! A file that was found for a source, on a disk or in a bucket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fenliu_decode::file::{Input, LocalFile};
use fenliu_engine::{Error, Result};
use percent_encoding::percent_decode_str;

/// What Hive writes for a missing value of a partition column.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A file that was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its path as the user writes it, without `./`: the name by which sinks know it.
    pub(super) path: PathBuf,
    /// Columns whose values the names of its directories give, as in `day=2024-05-01/lang=zh/`.
    pub(super) columns: Vec<(String, String)>,
    /// Whether the user named it, and not just a directory or a pattern that it is in.
    pub(super) is_named: bool,
    pub(super) place: Place,
}

/// Where a file lies.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Disk,
    /// The bytes of what is no file of a disk.
    #[cfg_attr(not(feature = "s3"), expect(dead_code, reason = "only buckets are elsewhere"))]
    Elsewhere(Arc<dyn Input>),
}

impl Found {
    /// The file at `path`, which the user named or not.
    pub(super) fn on_disk(path: PathBuf, is_named: bool) -> Self {
        Found { columns: columns_of(&path), path, is_named, place: Place::Disk }
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(&self) -> Result<Arc<dyn Input>> {
        Ok(match &self.place {
            Place::Disk => Arc::new(LocalFile::open(&self.path).map_err(Error::file("open", &self.path))?),
            Place::Elsewhere(input) => Arc::clone(input),
        })
    }
}

/// Whether a file or directory of this name is left out: a marker, or something that is being written.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

/// The columns in the names of the directories of `path`.
pub(super) fn columns_of(path: &Path) -> Vec<(String, String)> {
    let directories = path.parent().map(Path::components).into_iter().flatten();
    directories.filter_map(|part| column(&part.as_os_str().to_string_lossy())).collect()
}

fn column(directory: &str) -> Option<(String, String)> {
    let (name, value) = directory.split_once('=').filter(|(name, _)| !name.is_empty())?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    (value != HIVE_NULL).then(|| (decoded(name), decoded(value)))
}
