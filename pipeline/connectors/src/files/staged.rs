//! A file that readers do not see before it is complete.
//!
//! It is written under a hidden name at the top of the sink's directory, made durable, and then given its final name,
//! perhaps in a directory below. A crash leaves at most hidden files behind, which no reader takes for data.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fenliu_engine::Result;
use ulid::Ulid;

use super::config::FileFormat;
use super::directory::DirectoryRef;
use super::encode::Encoder;
use super::names::hidden;
use crate::digest::digest;

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
        directory: &DirectoryRef,
        prefix: &str,
        format: FileFormat,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let name = format!("{prefix}-{}.{}", Ulid::generate(), format.extension());
        let place = Staged { directory: DirectoryRef::clone(directory), name, keep: false };
        let file = directory.begin(&hidden(&place.name))?;
        Ok(StagedFile { place, encoder: Encoder::try_new(format, file, schema)? })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When they cannot be encoded or written.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.encoder.write(rows)
    }

    /// Completes the file and makes it durable, still under its hidden name; returns its length and SHA-256 with it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(self) -> Result<(Staged, (u64, String))> {
        let StagedFile { place, encoder } = self;
        let (file, name) = (encoder.finish()?, place.hidden());
        let digest = digest(&file, place.directory.path(&name))?;
        place.directory.finish(&name, file)?;
        Ok((place, digest))
    }
}

/// A whole file under its hidden name. Dropping it removes it, unless it was [kept](Staged::kept).
#[derive(Debug)]
pub(super) struct Staged {
    directory: DirectoryRef,
    name: String,
    keep: bool,
}

impl Staged {
    /// The hidden file in `directory` that is to lie at the path `name` in it, left by an earlier process.
    pub(super) fn left(directory: &DirectoryRef, name: &str) -> Self {
        Staged { directory: DirectoryRef::clone(directory), name: name.to_owned(), keep: true }
    }

    /// The final path within the directory.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its name at present.
    pub(super) fn hidden(&self) -> String {
        hidden(&self.name)
    }

    /// From now on the file is part of the data: dropping this does not remove it.
    pub(super) fn kept(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Gives the file its final name; does nothing where another process has done so (the file may even have been
    /// removed since).
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub(super) fn publish(&self) -> Result<()> {
        self.directory.rename(&self.hidden(), &self.name)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.keep {
            // An error does no harm, since no reader counts a hidden file. It may also be gone already.
            let _ = self.directory.remove(&self.hidden());
        }
    }
}
