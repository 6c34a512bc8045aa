//! A directory of data files beside its manifests.
//!
//! The files are listed before the manifests are read: a file gets its name after it stands in a
//! manifest, so one that is in none of them was not put there by a commit. A compaction may replace files that were
//! to be read; then all is read anew.

use std::collections::BTreeSet;
use std::time::Duration;

use fenliu_schemas::Positions;
use indicatif::ProgressBar;

use super::partitions::Found;
use super::rows::{self, Sole};
use crate::config::FilesSinkConfig;
use crate::error::{PipelineError, Result};
use crate::sink::{Contents, DataFile, DirectoryRef, data_files, digest, fill_in, hidden, open_directory};

/// A commit gives its file the final name at once. If it runs meanwhile, it is waited for so long.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often a directory is read that is compacted meanwhile.
const READINGS: usize = 5;

/// What lies in the directory, and what the manifests say of it.
pub(super) struct Directory {
    files: DirectoryRef,
    state: State,
    /// Where the pipeline began with each partition.
    pub(super) beginnings: Positions,
    /// Where it stands.
    pub(super) positions: Positions,
}

impl Directory {
    /// Lists the directory and reads its manifests; it need not exist.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn open(config: &FilesSinkConfig, pipeline: &str) -> Result<Self> {
        let files = open_directory(&config.path, &config.storage)?;
        let state = State::read(&files)?;
        Ok(Directory {
            files,
            beginnings: state.contents.beginnings_of(pipeline),
            positions: state.contents.positions_of(pipeline),
            state,
        })
    }

    /// Notes the rows of all files in `found`, and what is wrong with the files. Without `sole` rows cannot
    /// be told apart and are only counted.
    ///
    /// # Errors
    /// Manifests that cannot be read, a directory that is compacted again and again.
    pub(super) fn read(&self, sole: Option<&Sole>, found: &mut Found, progress: &ProgressBar) -> Result<()> {
        let mut later;
        let mut state = &self.state;
        for _ in 0..READINGS {
            let mut reading = Reading { files: &self.files, state, sole, found: found.clone(), progress };
            if reading.read()? {
                *found = reading.found;
                return Ok(());
            }
            tracing::info!(directory = %self.files.path("").display(), "compacted meanwhile: it is read again");
            later = State::read(&self.files)?;
            state = &later;
        }
        let shown = self.files.path("");
        let shown = shown.display();
        Err(PipelineError::Data(format!(
            "{shown}: compacted {READINGS} times while it was read: try it later"
        )))
    }
}

/// A directory at one moment.
struct State {
    /// Names of the files that readers see.
    present: BTreeSet<String>,
    contents: Contents,
}

impl State {
    fn read(files: &DirectoryRef) -> Result<Self> {
        let present = data_files(&**files)?.into_iter().collect();
        Ok(State { present, contents: Contents::read(files)? })
    }
}

/// One reading of all files.
struct Reading<'a> {
    files: &'a DirectoryRef,
    state: &'a State,
    sole: Option<&'a Sole>,
    found: Found,
    progress: &'a ProgressBar,
}

impl Reading<'_> {
    /// False when a compaction has replaced a file meanwhile.
    fn read(&mut self) -> Result<bool> {
        let (state, committed) = (self.state, self.state.contents.files());
        let mut names = vec![];
        let mut has_unnamed = false;
        for file in committed.values() {
            let unnamed = self.is_hidden(file)?;
            has_unnamed |= unnamed;
            if !unnamed && (state.present.contains(&file.name) || self.files.exists(&file.name)?) {
                names.push(&file.name);
            } else if self.state.contents.is_removed_since(&file.name)? {
                return Ok(false);
            } else {
                self.found.problems.push(self.absent(file, unnamed));
            }
        }
        // The rows of a merged file that has no name yet are still in these, or in some of them.
        let is_replaced = |name: &&String| has_unnamed && state.contents.has_removed(name);
        let foreign = state.present.iter().filter(|name| !committed.contains_key(*name));
        for name in foreign.filter(|name| !is_replaced(name)) {
            if self.files.exists(name)? {
                names.push(name);
            }
        }
        for name in names {
            if let Err(error) = self.note(name) {
                if self.state.contents.is_removed_since(name)? {
                    return Ok(false);
                }
                self.found.problems.push(error.to_string());
            }
        }
        Ok(true)
    }

    /// Whether a committed file has not got its name, although it was waited for.
    fn is_hidden(&self, file: &DataFile) -> Result<bool> {
        let hidden = hidden(&file.name);
        if self.state.present.contains(&file.name) || !self.files.exists(&hidden)? {
            return Ok(false);
        }
        std::thread::sleep(PATIENCE);
        self.files.exists(&hidden)
    }

    /// What is wrong with a committed file that readers do not see.
    fn absent(&self, file: &DataFile, unnamed: bool) -> String {
        let (path, rows) = (self.files.path(&file.name), file.rows);
        let shown = path.display();
        if unnamed {
            format!(
                "{shown}: committed with {rows} rows, but readers do not see it yet: it gets its name when the pipeline starts again, or from `fenliu compact`"
            )
        } else {
            format!("{shown}: missing, with {rows} rows")
        }
    }

    /// Notes the rows of the file `name`, and how it differs from what its manifest says.
    ///
    /// # Errors
    /// When it cannot be read.
    fn note(&mut self, name: &str) -> Result<()> {
        let path = self.files.path(name);
        let missing = || PipelineError::Data(format!("{}: missing", path.display()));
        let content = self.files.read(name)?.ok_or_else(missing)?;
        let (sole, found, progress) = (self.sole, &mut self.found, self.progress);
        let count = rows::read(&content, &path, &mut |batch| {
            progress.inc(batch.num_rows() as u64);
            let Some(sole) = sole else { return Ok(()) };
            rows::note(&fill_in(batch.clone(), name)?, sole, found)
        })?;
        let shown = path.display();
        let problems = &mut self.found.problems;
        let Some(file) = self.state.contents.files().get(name) else {
            problems.push(format!("{shown}: in no manifest, with {count} rows"));
            return Ok(());
        };
        if file.rows != count {
            problems.push(format!("{shown}: has {count} rows, but its manifest says {}", file.rows));
        }
        if digest(&content, &path)? != (file.bytes, file.sha256.clone()) {
            problems.push(format!("{shown}: changed since it was committed (SHA-256)"));
        }
        Ok(())
    }
}
