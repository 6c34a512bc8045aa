//! Reads a directory of data files back, and compares it with its manifests.
//!
//! The files are listed before the manifests are read: a file gets its name after its manifest was made, so a listed
//! file that no manifest names was not put there by a commit. Earlier releases could replace files by merged ones.
//! Where such a commit was interrupted, the merged file has no final name yet, and its rows are still in the files that
//! it replaces.

use std::collections::BTreeSet;
use std::io::Seek;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use fenliu_engine::{Error, Result};
use fenliu_schemas::{Positions, Topics};

use super::config::{FileFormat, FilesSinkConfig};
use super::contents::Contents;
use super::datafile::{self, Wanted};
use super::directory::{DirectoryRef, data_files};
use super::manifest::DataFile;
use super::names::hidden;
use super::open::open;
use super::partition::fill_in;
use crate::digest::digest;
use crate::reader::{Beginning, Findings, PLACES, Reader, VisitPlace, visit_places};

/// How long a committed file that is still hidden is waited for: its commit may be under way.
const PATIENCE: Duration = Duration::from_millis(500);

/// Rows that are looked at together.
const BATCH_ROWS: usize = 8192;

/// The files in the directory, and what the manifests say of them.
pub(super) struct DirectoryReader {
    files: DirectoryRef,
    /// Names of the files that readers see.
    present: BTreeSet<String>,
    contents: Contents,
    /// Where the pipeline began with each partition.
    beginnings: Positions,
    /// The position of the pipeline in each partition.
    positions: Positions,
    /// The stored identities of its topics.
    topics: Topics,
}

impl DirectoryReader {
    /// Lists the directory and reads its manifests; it need not exist.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn open(config: &FilesSinkConfig, pipeline: &str) -> Result<Self> {
        let files = open(&config.path, &config.storage)?;
        let present = data_files(&*files)?.into_iter().collect();
        let contents = Contents::read(&files)?;
        Ok(DirectoryReader {
            files,
            present,
            beginnings: contents.beginnings_of(pipeline),
            positions: contents.positions_of(pipeline),
            topics: contents.topics_of(pipeline),
            contents,
        })
    }

    /// The files whose rows count. Files that are missing, or that readers do not see, are added to `problems`.
    fn names(&self, problems: &mut Vec<String>) -> Result<Vec<&String>> {
        let committed = self.contents.files();
        let mut names = vec![];
        let mut has_unnamed = false;
        for file in committed.values() {
            let unnamed = self.is_hidden(file)?;
            has_unnamed |= unnamed;
            // A file may have got its name after the listing, so it is looked for once more.
            if !unnamed && (self.present.contains(&file.name) || self.files.exists(&file.name)?) {
                names.push(&file.name);
            } else {
                problems.push(self.absent(file, unnamed));
            }
        }
        // The rows of a merged file that has no name yet are still in these, or in some of them.
        let is_replaced = |name: &&String| has_unnamed && self.contents.has_removed(name);
        let foreign = self.present.iter().filter(|name| !committed.contains_key(*name));
        for name in foreign.filter(|name| !is_replaced(name)) {
            if self.files.exists(name)? {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Whether a committed file has not got its name, although it was waited for.
    fn is_hidden(&self, file: &DataFile) -> Result<bool> {
        let hidden = hidden(&file.name);
        if self.present.contains(&file.name) || !self.files.exists(&hidden)? {
            return Ok(false);
        }
        std::thread::sleep(PATIENCE);
        self.files.exists(&hidden)
    }

    /// The problem with a committed file that readers do not see.
    fn absent(&self, file: &DataFile, unnamed: bool) -> String {
        let (path, rows) = (self.files.path(&file.name), file.rows);
        let shown = path.display();
        if unnamed {
            format!(
                "{shown}: committed with {rows} rows, but readers do not see it yet: it gets its name when the pipeline starts again"
            )
        } else {
            format!("{shown}: missing, with {rows} rows")
        }
    }

    /// Shows `visit` the rows of the file `name`; returns how it differs from what its manifest says.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, name: &str, visit: Option<&mut VisitPlace<'_>>) -> Result<Vec<String>> {
        let path = self.files.path(name);
        let shown = path.display();
        let missing = || Error::input(format!("{shown}: missing"));
        let mut content = self.files.read(name)?.ok_or_else(missing)?;
        content.rewind().map_err(Error::file("read", &path))?;
        let format = FileFormat::of_name(name).unwrap_or(FileFormat::Jsonl);
        let count = places(content.try_clone().map_err(Error::file("read", &path))?, format, name, visit)
            .map_err(|error| Error::input(format!("{shown}: {error}")))?;
        let Some(file) = self.contents.files().get(name) else {
            return Ok(vec![format!("{shown}: in no manifest, with {count} rows")]);
        };
        let mut problems = vec![];
        if file.rows != count {
            problems.push(format!("{shown}: has {count} rows, but its manifest says {}", file.rows));
        }
        if digest(&content, &path)? != (file.bytes, file.sha256.clone()) {
            problems.push(format!("{shown}: changed since it was committed (SHA-256)"));
        }
        Ok(problems)
    }
}

impl Reader for DirectoryReader {
    fn beginning(&self) -> Beginning {
        Beginning::Recorded(self.beginnings.clone())
    }

    fn positions(&self) -> Option<Positions> {
        Some(self.positions.clone())
    }

    fn topics(&self) -> Topics {
        self.topics.clone()
    }

    fn places(&self, mut visit: Option<&mut VisitPlace<'_>>) -> Result<Findings> {
        let mut findings = Findings::default();
        for name in self.names(&mut findings.problems)? {
            match self.read(name, visit.as_deref_mut()) {
                Ok(problems) => findings.problems.extend(problems),
                Err(error) => findings.problems.push(error.to_string()),
            }
        }
        Ok(findings)
    }
}

/// Shows `visit` the places of all rows of a file, and counts the rows.
fn places(
    file: std::fs::File,
    format: FileFormat,
    name: &str,
    mut visit: Option<&mut VisitPlace<'_>>,
) -> Result<u64, ArrowError> {
    static LINES: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("topic", DataType::Utf8, true),
            Field::new("partition", DataType::Int32, true),
            Field::new("offset", DataType::Int64, true),
        ]))
    });
    let wanted = Wanted { columns: Some(&PLACES), batch_rows: BATCH_ROWS, json: &LINES };
    let mut count = 0;
    for batch in datafile::open(file, format, wanted)? {
        let batch = batch?;
        count += batch.num_rows() as u64;
        if let Some(visit) = &mut visit {
            visit_places(&fill_in(batch, name)?, *visit)?;
        }
    }
    Ok(count)
}
