//! Files as a source. Each row is read once: the sinks have stored how far they have read each file.
//!
//! A file stands for a topic with one partition. Its path as the user writes it, without `./`, is the name of the topic, and
//! the number of a row (from 0) is its offset. Beside its position, sinks store what identifies the file, so that a file
//! that was replaced under the same path is noticed.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use fenliu_decode::file::{self, FileRows, FileRules};
use fenliu_engine::batch::Batch;
use fenliu_engine::position::Stored;
use fenliu_engine::{Error, Result};
use fenliu_schemas::{Origin, TopicIdentity, Topics};

use super::config::{FilesSourceConfig, Replaced};
use super::documents::readable;
use super::found::Found;
use super::identity;
use crate::assemble::Assembler;
use crate::links::SinkLinks;
use crate::meter::Meter;
use crate::shutdown::Shutdown;
use crate::source::Source;

/// How long a source without memory waits for a sink's report before it looks again.
const PATIENCE: Duration = Duration::from_millis(5);

/// How many rows are read before the clock is looked at again, which takes as long as a short row.
const ROWS_AT_ONCE: usize = 16;

/// How many characters of its id are in the name of a file that replaced another one.
const SHORT_ID: usize = 8;

/// Reads files one after the other.
pub(super) struct FilesSource {
    files: Vec<Found>,
    rules: FileRules,
    replaced: Replaced,
    assembler: Assembler,
    links: SinkLinks,
}

/// A file whose rows are being read.
struct Open {
    /// The topic that its rows belong to.
    topic: Arc<str>,
    rows: Box<dyn FileRows>,
    /// The first row that a sink lacks.
    first: i64,
}

impl FilesSource {
    /// A source over the files among the paths of `config`. Rows that all sinks behind `links` have are not read again.
    ///
    /// # Errors
    /// A path that cannot be read, a named file of an unknown kind, or no file at all.
    pub(super) fn try_new(
        config: &FilesSourceConfig,
        assembler: Assembler,
        links: SinkLinks,
    ) -> Result<Self> {
        let rules = config.rules(assembler.file_rules());
        let files = readable(&config.paths, &config.storage, &rules)?;
        if files.is_empty() {
            let shown: Vec<_> = config.paths.iter().map(|path| path.display().to_string()).collect();
            return Err(Error::input(format!("no document files in {}", shown.join(", "))));
        }
        Ok(FilesSource { files, rules, replaced: config.replaced, assembler, links })
    }

    /// Opens a file at the first row that a sink lacks; `None` when the pipeline ends.
    fn open(&self, found: &Found, shutdown: &Shutdown) -> Result<Option<Open>> {
        let (path, input) = (&found.path, found.open()?);
        let now = identity::of(&*input, &file::kind_of(&*input, &self.rules)?);
        let now = now.map_err(Error::file("read", path))?;
        let mut topic: Arc<str> = path.display().to_string().into();
        let Some(mut stored) = self.links.stored(&[(Arc::clone(&topic), 0)], shutdown) else {
            return Ok(None);
        };
        let mut identity = stored_identity(&topic, &stored).unwrap_or_else(|| now.clone());
        if !identity::is_same(&*input, &identity).map_err(Error::file("read", path))? {
            topic = self.replacement(&topic, &now)?;
            identity = now;
            let Some(of_new) = self.links.stored(&[(Arc::clone(&topic), 0)], shutdown) else {
                return Ok(None);
            };
            stored = of_new;
        }
        if !self.links.tell(&Topics::from([(Arc::clone(&topic), identity)]), shutdown) {
            return Ok(None);
        }
        let first =
            stored.iter().map(|stored| stored.positions.get(&topic, 0).unwrap_or(0)).min().unwrap_or(0);
        if first > 0 {
            tracing::info!(event = "rows_skipped", file = %topic, rows = first, "all sinks have the first rows of this file already");
        }
        let rows = file::open(input, &self.rules, first)?;
        Ok(Some(Open { topic, rows, first }))
    }

    /// The topic of a file that has taken the place of another one.
    fn replacement(&self, name: &str, now: &TopicIdentity) -> Result<Arc<str>> {
        if self.replaced == Replaced::Stop {
            return Err(Error::input(format!(
                "{name}: the sinks have rows of another file that had this path. Give the new file another name, or read it \
                 from its beginning with `source.replaced = \"read\"`"
            )));
        }
        let id: String = now
            .id
            .iter()
            .flat_map(|id| id.chars())
            .filter(char::is_ascii_alphanumeric)
            .take(SHORT_ID)
            .collect();
        let topic = format!("{name}#{id}");
        tracing::warn!(
            event = "file_replaced",
            file = name,
            topic,
            "another file has taken this path; it is read from its beginning"
        );
        Ok(topic.into())
    }

    /// Waits for memory, which returns when sinks have committed, then hands the batch on; `false` when the pipeline
    /// ends.
    fn hand_over(&mut self, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<bool> {
        let waiting = Instant::now();
        let permit = loop {
            match self.assembler.try_acquire() {
                Some(permit) => break permit,
                // After a failure no sink commits any more, so the memory would never come back.
                None if shutdown.has_failed() => return Ok(false),
                None => drop(self.links.wait(PATIENCE)),
            }
        };
        meter.waited(waiting.elapsed());
        let batch = self.assembler.finish(permit)?;
        Ok(meter.hand_on(batch.documents(), || out.send(batch).is_ok()))
    }

    /// Adds rows of a file to the batch until it is full, but only a few at once, so that its age is looked at in between;
    /// `false` at the end of the file. `next` is the number after that of the last row.
    fn take(&mut self, file: &mut Open, next: &mut i64) -> Result<bool> {
        for _ in 0..ROWS_AT_ONCE {
            let Some(row) = file.rows.next_row()? else { return Ok(false) };
            let origin = Origin { topic: &file.topic, partition: 0, offset: row.number, timestamp_ms: None };
            self.assembler.push_row(&file.topic, origin, *next, &row.content)?;
            *next = row.number + 1;
            if self.assembler.is_full() {
                break;
            }
        }
        Ok(true)
    }

    /// Reads a file to its end; `false` when the pipeline ends.
    fn read(
        &mut self,
        file: &mut Open,
        out: &SyncSender<Batch>,
        meter: &Meter,
        shutdown: &Shutdown,
    ) -> Result<bool> {
        let mut next = file.first;
        while meter.measure(|| self.take(file, &mut next))? {
            if self.assembler.is_due() && !self.hand_over(out, meter, shutdown)? {
                return Ok(false);
            }
            if shutdown.is_requested() {
                return Ok(false);
            }
        }
        if let Some(rest) = file.rows.rest() {
            tracing::warn!(event = "file_rest", file = %file.topic, "{}: {rest}", file.topic);
        }
        // Only a file that was read to its end tells how many rows it has.
        check_rows(&file.topic, file.rows.next_number(), file.first)?;
        Ok(true)
    }
}

/// The identity that one of the sinks has stored for a file. They agree, since the identity of each file is sent to all
/// of them.
fn stored_identity(topic: &Arc<str>, stored: &[Stored]) -> Option<TopicIdentity> {
    stored
        .iter()
        .find_map(|stored| stored.topics.get(topic).filter(|identity| identity.id.is_some()).cloned())
}

/// A file that shrank was replaced by a different file of the same name.
fn check_rows(name: &str, rows: i64, known: i64) -> Result<()> {
    if rows >= known {
        return Ok(());
    }
    Err(Error::input(format!(
        "{name}: has {rows} rows, but the sinks have the first {known}: was it replaced? A file is known by its path and may \
         only grow: give other documents another name"
    )))
}

impl Source for FilesSource {
    fn run(mut self: Box<Self>, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<()> {
        for found in std::mem::take(&mut self.files) {
            let Some(mut file) = self.open(&found, shutdown)? else { return Ok(()) };
            self.assembler.set_columns(found.columns);
            if !self.read(&mut file, out, meter, shutdown)? {
                break;
            }
        }
        // Also after a stop: what was read before it is still handed over.
        if !self.assembler.is_empty() {
            self.hand_over(out, meter, shutdown)?;
        }
        Ok(())
    }
}
