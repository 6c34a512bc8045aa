//! The rows of the files among some paths, whatever their kinds.

use std::path::{Path, PathBuf};

use fenliu_config::Properties;
use fenliu_decode::file::{self, FileRows, FileRules, Row};
use fenliu_engine::{Error, Result};

use super::find::find;
use super::found::Found;

/// The most names of files that a message lists.
const MOST_NAMES: usize = 20;

/// The files among `paths` that hold documents. Those in directories that are of no kind that is read are named in a
/// warning.
///
/// # Errors
/// A path that cannot be read, a named file of an unknown kind, or no file at all.
pub fn data_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let files = files_in(paths)?;
    if files.is_empty() {
        let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Error::input(format!("no document files in {}", shown.join(", "))));
    }
    Ok(files)
}

/// As [`data_files`], but directories may be empty.
///
/// # Errors
/// A path that cannot be read, a named file of an unknown kind.
pub fn files_in(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let files = readable(paths, &Properties::new(), &FileRules::default())?;
    Ok(files.into_iter().map(|found| found.path).collect())
}

/// The files among `paths` that can be read by `rules`.
///
/// # Errors
/// A path that cannot be read, a named file of an unknown kind.
pub(super) fn readable(paths: &[PathBuf], storage: &Properties, rules: &FileRules) -> Result<Vec<Found>> {
    let mut skipped = vec![];
    let mut files = vec![];
    for found in find(paths, storage)? {
        let kind = found.open().and_then(|input| file::kind_of(&*input, rules));
        match kind {
            Ok(_) => files.push(found),
            Err(error) if found.is_named => return Err(error),
            Err(error) => skipped.push(error.to_string()),
        }
    }
    if !skipped.is_empty() {
        let more = skipped.len().saturating_sub(MOST_NAMES);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        tracing::warn!(
            event = "files_skipped",
            files = skipped.len(),
            "skipped files that are not read: {}{more}",
            skipped[..skipped.len().min(MOST_NAMES)].join("; ")
        );
    }
    Ok(files)
}

/// The rows of one file, in order.
pub struct Documents {
    path: PathBuf,
    rows: Box<dyn FileRows>,
}

impl Documents {
    /// Opens a file that is complete: its last line counts whether or not it ends with a line break, and of tables all
    /// columns are read.
    ///
    /// # Errors
    /// The file cannot be opened, or is of an unknown kind.
    pub fn open(path: &Path) -> Result<Self> {
        Documents::open_at(path, &FileRules::default().complete(), 0)
    }

    /// Opens a file by `rules` and goes to the row `first`.
    ///
    /// # Errors
    /// The file cannot be opened, or is of an unknown kind.
    pub fn open_at(path: &Path, rules: &FileRules, first: i64) -> Result<Self> {
        let [found] = find(&[path.to_owned()], &Properties::new())?
            .try_into()
            .map_err(|_| Error::input(format!("{}: is not one file", path.display())))?;
        Documents::of(&found, rules, first)
    }

    /// As [`open_at`](Self::open_at), for a file that was found.
    ///
    /// # Errors
    /// The file cannot be opened, or is of an unknown kind.
    pub(super) fn of(found: &Found, rules: &FileRules, first: i64) -> Result<Self> {
        Ok(Documents { path: found.path.clone(), rows: file::open(found.open()?, rules, first)? })
    }
}

impl Iterator for Documents {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next_row().transpose();
        if row.is_none()
            && let Some(rest) = self.rows.rest()
        {
            tracing::warn!(event = "file_rest", file = %self.path.display(), "{}: {rest}", self.path.display());
        }
        row
    }
}
