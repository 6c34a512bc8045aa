//! Files without positions.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fenliu_engine::Result;

use super::config::FileFormat;
use super::directory::DirectoryRef;
use super::open::on_disk;
use super::staged::StagedFile;

/// Files of rows without source positions, such as what a challenger labels differently. Each file appears complete;
/// there is no manifest and no exactly-once guarantee.
pub struct FileAppender {
    directory: DirectoryRef,
    prefix: &'static str,
    format: FileFormat,
    schema: SchemaRef,
    open: Option<StagedFile>,
}

impl FileAppender {
    /// Makes the directory if need be. File names begin with `prefix`.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn try_new(
        path: &Path,
        format: FileFormat,
        prefix: &'static str,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let (directory, schema) = (on_disk(path), SchemaRef::clone(schema));
        directory.make()?;
        Ok(FileAppender { directory, prefix, format, schema, open: None })
    }

    /// Adds rows to the open file.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut file = match self.open.take() {
            Some(file) => file,
            None => StagedFile::create(&self.directory, self.prefix, self.format, &self.schema)?,
        };
        file.write(rows)?;
        self.open = Some(file);
        Ok(())
    }

    /// Completes the open file and gives it its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        let Some(file) = self.open.take() else { return Ok(()) };
        let (staged, _) = file.finish()?;
        staged.kept().publish()
    }
}
