//! A file that nobody sees before it is whole.
//!
//! It is written under a hidden name in the sink's directory, brought to disk, and moved to its final name,
//! perhaps in a directory below, by one rename. A crash leaves at most hidden files behind, which no reader
//! takes for data.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use ulid::Ulid;

use super::encode::Encoder;
use crate::config::FileFormat;
use crate::error::{PipelineError, Result};

/// How hidden names end.
const ENDING: &str = ".inprogress";

/// A file being written. Dropping it removes it.
pub(super) struct StagedFile {
    place: Staged,
    encoder: Encoder,
}

impl StagedFile {
    /// Begins a file whose final path within `directory` starts with `prefix`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) fn create(
        directory: &Path,
        prefix: &str,
        format: FileFormat,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let name = format!("{prefix}-{}.{}", Ulid::generate(), format.extension());
        let place = Staged { directory: directory.to_path_buf(), name, keep: false };
        let hidden = place.hidden();
        let file = File::create_new(&hidden).map_err(PipelineError::file("create", &hidden))?;
        Ok(StagedFile { place, encoder: Encoder::try_new(format, file, schema)? })
    }

    /// About how many bytes the file has by now.
    ///
    /// # Errors
    /// When the system does not say.
    pub(super) fn size(&self) -> Result<u64> {
        self.encoder.size()
    }

    /// Adds lines as they are; other formats than JSON Lines have none.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write_lines(&mut self, lines: &[u8]) -> Result<()> {
        self.encoder.write_lines(lines)
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When they cannot be encoded or written.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.encoder.write(rows)
    }

    /// Completes the file and brings it to disk, still under its hidden name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(self) -> Result<Staged> {
        let file = self.encoder.finish()?;
        file.sync_all().map_err(PipelineError::file("sync", self.place.hidden()))?;
        Ok(self.place)
    }
}

/// A whole file under its hidden name. Dropping it removes it, unless it was [kept](Staged::kept).
#[derive(Debug)]
pub(super) struct Staged {
    directory: PathBuf,
    name: String,
    keep: bool,
}

impl Staged {
    /// The hidden file in `directory` that is to lie at the path `name` in it, left by an earlier process.
    pub(super) fn left(directory: &Path, name: &str) -> Self {
        Staged { directory: directory.to_path_buf(), name: name.to_owned(), keep: true }
    }

    /// The final path within the directory.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it lies at present.
    pub(super) fn hidden(&self) -> PathBuf {
        hidden(&self.directory, &self.name)
    }

    /// From now on the file is part of the data: dropping this does not remove it.
    pub(super) fn kept(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Gives the file its final name; does nothing where another process has: it may have gone since, compacted.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub(super) fn publish(&self) -> Result<()> {
        let (hidden, path) = (self.hidden(), self.directory.join(&self.name));
        let place = path.parent().unwrap_or(&self.directory);
        std::fs::create_dir_all(place).map_err(PipelineError::file("create directory", place))?;
        match std::fs::rename(&hidden, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(PipelineError::file("rename", hidden)),
        }?;
        let made = place.ancestors().take_while(|place| *place != self.directory);
        made.chain([self.directory.as_path()]).try_for_each(sync_directory)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.keep {
            // It may be gone, and if it cannot be removed it is hidden all the same.
            let _ = std::fs::remove_file(self.hidden());
        }
    }
}

/// Where the file that is to lie at the path `name` in `directory` lies until then.
pub(crate) fn hidden(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{}{ENDING}", file_name(name)))
}

/// The last part of a path within the directory.
pub(super) fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The final names of hidden files in `directory` that begin with `prefix`.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn hidden_names(directory: &Path, prefix: &str) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(directory).map_err(PipelineError::file("read", directory))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let hidden = format!(".{prefix}-");
    Ok(names
        .filter(|name| name.starts_with(&hidden))
        .filter_map(|name| Some(name.strip_suffix(ENDING)?.trim_start_matches('.').to_owned()))
        .collect())
}

/// Removes a file; does nothing where another process has.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(PipelineError::file("remove", path)),
    }
}

/// A new or renamed file is durable once its directory is.
///
/// # Errors
/// When the system cannot sync it.
pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(PipelineError::file("sync", directory))
}
