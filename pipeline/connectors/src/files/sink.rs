//! Parquet, Arrow IPC or JSON Lines files in a directory or a bucket: one file an epoch, or one for each combination of
//! the values of `partition_by`.
//!
//! A commit is: the files, complete and on disk, under hidden names; then the manifest that names them and moves the
//! positions; then the final names of the files. A crash before the manifest leaves hidden files that belong to no
//! commit. After a crash behind the manifest, the next process that opens the directory, or commits there, renames the
//! files ([`settle`](super::settle)). So every `*.parquet` that a reader of the directory sees is part of the data,
//! once.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use fenliu_engine::position::{Moves, Stored};
use fenliu_engine::{Error, Result, Rows, Sink};
use fenliu_schemas::{Positions, TopicPartition};

use super::config::{FileFormat, FilesSinkConfig};
use super::directory::DirectoryRef;
use super::housekeeping::{is_due, look_after, remove_leftovers};
use super::manifest::{DataFile, Manifest, ManifestLog};
use super::names::{DEAD_LETTERS, LABELLED};
use super::open::open;
use super::partition::Partitioning;
use super::settle::{complete, settle};
use super::staged::{Staged, StagedFile};
use crate::fault;
use crate::selection::{Role, Selection};

/// Writes rows to files in one directory.
pub(super) struct FilesSink {
    directory: DirectoryRef,
    prefix: &'static str,
    format: FileFormat,
    pipeline: String,
    selection: Arc<Selection>,
    partitioning: Partitioning,
    log: ManifestLog,
    /// Files of commits that took effect, still without their final name.
    unnamed: Vec<Staged>,
    /// All commits up to this number are completed; `None` before the directory was searched for interrupted commits.
    settled: Option<u64>,
}

impl FilesSink {
    /// Makes the directory if need be. `pipeline` tells the positions of several pipelines apart.
    ///
    /// # Errors
    /// When the directory cannot be made, or an option of the bucket is invalid.
    pub(super) fn try_new(
        config: &FilesSinkConfig,
        pipeline: &str,
        selection: Arc<Selection>,
        partitioning: Partitioning,
    ) -> Result<Self> {
        let directory = open(&config.path, &config.storage)?;
        directory.make()?;
        Ok(FilesSink {
            log: ManifestLog::of(&directory),
            directory,
            prefix: match selection.role() {
                Role::Labelled => LABELLED,
                Role::DeadLetters => DEAD_LETTERS,
            },
            format: config.format,
            pipeline: pipeline.to_owned(),
            selection,
            partitioning,
            unnamed: vec![],
            settled: None,
        })
    }

    /// Gives final names to the files of own commits that took effect.
    fn name_files(&mut self) -> Result<()> {
        while let Some(file) = self.unnamed.last() {
            file.publish()?;
            self.unnamed.pop();
        }
        Ok(())
    }

    /// Completes the commits that have taken effect by now, also those of other processes; returns the newest manifest.
    ///
    /// # Errors
    /// A conflict where a manifest that has come since the last call removes a file of `staged`.
    fn catch_up(&mut self, staged: &[DataFile]) -> Result<Option<Manifest>> {
        self.name_files()?;
        let latest = self.log.latest()?;
        let newest = latest.as_ref().map_or(0, |latest| latest.number);
        if self.settled.is_none() {
            settle(&self.directory, &self.log)?;
        }
        for manifest in self.log.between(self.settled.unwrap_or(newest), newest) {
            let manifest = manifest?;
            complete(&self.directory, &manifest)?;
            // This process slept for so long that another one took its files for leftovers. They are written again.
            if staged.iter().any(|file| manifest.removes(&file.name)) {
                return Err(Error::conflict("a file of this commit was removed as a leftover"));
            }
        }
        self.settled = Some(newest);
        Ok(latest)
    }

    /// Writes the selected rows to hidden files, one for each directory; no file if no row is selected.
    fn stage(&self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<Vec<(Staged, DataFile)>> {
        let (mut selected, mut versions) = (vec![], vec![]);
        for rows in epoch {
            selected.extend(self.selection.select(rows, moves)?);
            add_versions(&rows.labelled, &mut versions);
        }
        let directories = self.partitioning.split(selected)?;
        let write = |(place, rows): (&String, &Vec<_>)| self.write(place, rows, &versions);
        let staged = directories.iter().map(write).collect::<Result<Vec<_>>>()?;
        if !staged.is_empty() {
            // The hidden names must survive a crash of the machine before the manifest names the files: else it would
            // name files that are missing.
            self.directory.sync("")?;
        }
        Ok(staged)
    }

    /// Writes `rows` to one hidden file, whose final place is the directory `place`.
    fn write(&self, place: &str, rows: &[RecordBatch], versions: &[String]) -> Result<(Staged, DataFile)> {
        let prefix = format!("{place}{}", self.prefix);
        let mut file = StagedFile::create(&self.directory, &prefix, self.format, self.partitioning.schema())?;
        for batch in rows {
            file.write(batch)?;
        }
        let (staged, (bytes, sha256)) = file.finish()?;
        let entry = DataFile {
            name: staged.name().to_owned(),
            rows: rows.iter().map(|batch| batch.num_rows() as u64).sum(),
            bytes,
            sha256,
            model_versions: versions.to_vec(),
        };
        Ok((staged, entry))
    }
}

impl Sink for FilesSink {
    fn positions(&mut self, _: &[TopicPartition]) -> Result<Stored> {
        let latest = self.catch_up(&[])?;
        Ok(latest.map_or_else(Stored::default, |latest| latest.stored_of(&self.pipeline)))
    }

    fn commit(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        // Before any file is staged: the search for interrupted commits would take the hidden files of this one for
        // theirs, and read manifests in vain.
        if self.settled.is_none() {
            self.catch_up(&[])?;
        }
        let (files, entries): (Vec<_>, Vec<_>) = self.stage(epoch, moves)?.into_iter().unzip();
        fault::point("files-staged")?;
        let manifest = loop {
            // Before each attempt, since others may have committed: a manifest may follow only if all before it are
            // completed, which it records as `settled`.
            let latest = self.catch_up(&entries)?;
            let stored =
                latest.as_ref().map_or_else(Positions::default, |latest| latest.positions_of(&self.pipeline));
            if !moves.start_at(&stored) {
                return Err(Error::conflict("another process has moved the positions of the directory"));
            }
            let mut manifest = Manifest::after(latest.as_ref(), &self.pipeline, moves, entries.clone());
            if is_due(manifest.number) {
                look_after(&self.directory, &self.log, self.prefix, &mut manifest);
            }
            fault::point("files-before-manifest")?;
            let added = self.log.append(&manifest);
            match added.and_then(|added| fault::point("files-after-manifest").map(|()| added)) {
                Ok(true) => break manifest,
                // Another process has made this number. If its commit moved other positions than these, the next number
                // is tried.
                Ok(false) => {}
                Err(error) => {
                    // It is unknown whether the manifest exists. If it does, its files must, too, so they are not
                    // removed. Without `settled`, the next call searches the directory and completes the commit.
                    files.into_iter().for_each(|file| drop(file.kept()));
                    self.settled = None;
                    return Err(error);
                }
            }
        };
        // The commit has taken effect. If a rename fails now, the files stay in `unnamed`, and the next call tries it
        // again.
        self.unnamed.extend(files.into_iter().map(Staged::kept));
        self.name_files()?;
        self.settled = Some(manifest.number);
        // After the manifest that names them: a process that wakes up on one of them sees there that it is gone.
        remove_leftovers(&*self.directory, &manifest);
        fault::point("files-named")?;
        Ok(())
    }
}

/// Adds the model versions that `rows` name to `versions`, each once.
fn add_versions(rows: &RecordBatch, versions: &mut Vec<String>) {
    let Some(column) = rows.column_by_name("model_version").and_then(|c| c.as_string_opt::<i32>()) else {
        return;
    };
    for version in (0..column.len()).map(|row| column.value(row)) {
        // Consecutive rows mostly have the same version.
        if versions.last().is_none_or(|last| last != version) && !versions.iter().any(|v| v == version) {
            versions.push(version.to_owned());
        }
    }
}
