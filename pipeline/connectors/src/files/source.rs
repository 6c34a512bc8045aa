//! Files as a source. Each row is read once: the sinks know how far they have a file.
//!
//! A file stands for a topic with one partition, by its path as the user writes it, without `./`; a row's number (from 0)
//! is its offset.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use fenliu_engine::batch::Batch;
use fenliu_engine::{Error, Result};
use fenliu_schemas::{Origin, Positions};

use super::documents::{Documents, data_files};
use crate::assemble::Assembler;
use crate::ledger::Ledger;
use crate::meter::Meter;
use crate::retry::Retry;
use crate::shutdown::Shutdown;
use crate::source::Source;

/// How long one attempt to get memory waits for it.
const PATIENCE: Duration = Duration::from_millis(200);

/// Reads files one after the other.
pub struct FilesSource {
    files: Vec<PathBuf>,
    assembler: Assembler,
    ledger: Arc<dyn Ledger>,
}

impl FilesSource {
    /// A source over the files among `paths`. Rows that all sinks of `ledger` have are not read again.
    ///
    /// # Errors
    /// As [`data_files`].
    pub fn try_new(paths: &[PathBuf], assembler: Assembler, ledger: Arc<dyn Ledger>) -> Result<Self> {
        Ok(FilesSource { files: data_files(paths)?, assembler, ledger })
    }

    /// The first row of the file `name` that a sink lacks.
    fn first_row(&mut self, name: &Arc<str>, shutdown: &Shutdown) -> Result<i64> {
        let beginning = Positions::from_iter([((Arc::clone(name), 0), 0)]);
        let mut retry = Retry::new(name, shutdown);
        let start = loop {
            match self.ledger.resume(&beginning, false) {
                Ok(start) => break start,
                Err(error) => retry.pause(error)?,
            }
        };
        self.assembler.start_at(&start);
        let first = start.get(name, 0).unwrap_or(0);
        if first > 0 {
            tracing::info!(file = %name, rows = first, "all sinks have the first rows of this file already");
        }
        Ok(first)
    }

    /// Waits for memory, then hands the batch on; `false` when nobody wants more.
    fn hand_over(&mut self, out: &SyncSender<Batch>) -> Result<bool> {
        let permit = loop {
            if let Some(permit) = self.assembler.acquire(PATIENCE) {
                break permit;
            }
        };
        Ok(out.send(self.assembler.finish(permit)?).is_ok())
    }
}

/// A file that has lost rows is another one under the same name.
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
            let first = self.first_row(&name, shutdown)?;
            let mut documents = Documents::open(&path)?;
            for document in documents.by_ref() {
                let (row, payload) = document?;
                if row < first {
                    continue;
                }
                let origin = Origin { topic: &name, partition: 0, offset: row, timestamp_ms: None };
                // Rows of files need no schema registry, so they are always taken.
                meter.measure(|| self.assembler.push(&name, origin, &payload))?;
                if self.assembler.is_due() && !self.hand_over(out)? {
                    return Ok(());
                }
                if shutdown.is_requested() {
                    break 'files;
                }
            }
            check_rows(&name, documents.rows(), first)?;
        }
        if !self.assembler.is_empty() {
            self.hand_over(out)?;
        }
        Ok(())
    }
}
