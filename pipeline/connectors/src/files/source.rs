//! Files as a source. Each row is read once: the sinks have stored how far they have read each file.
//!
//! A file stands for a topic with one partition. Its path as the user writes it, without `./`, is the name of the
//! topic, and the number of a row (from 0) is its offset.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use fenliu_engine::batch::Batch;
use fenliu_engine::{Error, Result};
use fenliu_schemas::{KeyAndHeaders, Origin};

use super::documents::{Documents, data_files};
use crate::assemble::Assembler;
use crate::links::SinkLinks;
use crate::meter::Meter;
use crate::shutdown::Shutdown;
use crate::source::Source;

/// How long a source without memory waits for a sink's report before it looks again.
const PATIENCE: Duration = Duration::from_millis(5);

/// Reads files one after the other.
pub(super) struct FilesSource {
    files: Vec<PathBuf>,
    assembler: Assembler,
    links: SinkLinks,
}

impl FilesSource {
    /// A source over the files among `paths`. Rows that all sinks behind `links` have are not read again.
    ///
    /// # Errors
    /// As [`data_files`].
    pub(super) fn try_new(paths: &[PathBuf], assembler: Assembler, links: SinkLinks) -> Result<Self> {
        Ok(FilesSource { files: data_files(paths)?, assembler, links })
    }

    /// The first row of the file `name` that a sink lacks; `None` when the pipeline ends.
    fn first_row(&self, name: &Arc<str>, shutdown: &Shutdown) -> Option<i64> {
        let stored = self.links.stored(&[(Arc::clone(name), 0)], shutdown)?;
        let positions = stored.iter().map(|stored| stored.positions.get(name, 0).unwrap_or(0));
        let first = positions.min().unwrap_or(0);
        if first > 0 {
            tracing::info!(event = "rows_skipped", file = %name, rows = first, "all sinks have the first rows of this file already");
        }
        Some(first)
    }

    /// Waits for memory, which returns when sinks have committed, then hands the batch on; `false` when the pipeline
    /// ends.
    fn hand_over(&mut self, out: &SyncSender<Batch>, shutdown: &Shutdown) -> Result<bool> {
        let permit = loop {
            match self.assembler.try_acquire() {
                Some(permit) => break permit,
                // After a failure no sink commits any more, so the memory would never come back.
                None if shutdown.has_failed() => return Ok(false),
                None => drop(self.links.wait(PATIENCE)),
            }
        };
        Ok(out.send(self.assembler.finish(permit)?).is_ok())
    }
}

/// A file that shrank was replaced by a different file of the same name.
fn check_rows(name: &str, rows: i64, known: i64) -> Result<()> {
    if rows >= known {
        return Ok(());
    }
    Err(Error::input(format!(
        "{name}: has {rows} rows, but the sinks have the first {known}: was it made anew? A file is known by its path and may \
         only grow: give other documents another name"
    )))
}

impl Source for FilesSource {
    fn run(mut self: Box<Self>, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<()> {
        'files: for path in std::mem::take(&mut self.files) {
            let name: Arc<str> = path.display().to_string().into();
            let Some(first) = self.first_row(&name, shutdown) else { return Ok(()) };
            let mut next = first;
            let mut documents = Documents::open(&path)?;
            for document in documents.by_ref() {
                let (row, payload) = document?;
                if row < first {
                    continue;
                }
                let origin = Origin { topic: &name, partition: 0, offset: row, timestamp_ms: None };
                // Rows of files need no schema registry, so they are always taken.
                let no_message = KeyAndHeaders::default();
                meter.measure(|| self.assembler.push(&name, origin, next, no_message, &payload))?;
                next = row + 1;
                if self.assembler.is_due() && !self.hand_over(out, shutdown)? {
                    return Ok(());
                }
                if shutdown.is_requested() {
                    // Leaves the loop and not the function: what was read before the stop is still handed over.
                    break 'files;
                }
            }
            // Only a file that was read to its end tells how many rows it has.
            check_rows(&name, documents.rows(), first)?;
        }
        if !self.assembler.is_empty() {
            self.hand_over(out, shutdown)?;
        }
        Ok(())
    }
}
