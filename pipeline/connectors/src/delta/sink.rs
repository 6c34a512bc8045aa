//! A Delta Lake table.
//!
//! A commit is one version of the table's log. It adds the data files, which readers do not see before, and sets for
//! each partition of the source the application transaction `fenliu/PIPELINE/TOPIC/PARTITION` to the next offset. Only
//! one process can make a given version. By itself, the library would accept the same offset a second time, and would
//! put a commit that lost the race on top of the winner's version. So each commit is tried once; after a lost race the
//! positions are compared with the new version before the same files are offered again.
//!
//! What a table demands of its writers is checked before the first data file is written, and again at each new version:
//! what this sink does not honour ([`features`](super::features), [`rules`]) is refused by name. A commit makes the
//! version after the one that was checked, or fails, so no other writer can add a rule in between.
//!
//! Data files of a commit that failed stay in the directory. No version names them, so no reader sees them, and
//! `fenliu compact --vacuum` removes them.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::kernel::{Action, Add, Transaction, Version, cast_record_batch};
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use fenliu_engine::position::{Moves, Stored};
use fenliu_engine::{Error, Result, Rows, Sink};
use fenliu_schemas::{Positions, TopicIdentity, TopicPartition, Topics};

use super::config::DeltaSinkConfig;
use super::lake::{self, Lake, properties};
use super::rules::{self, Terms};
use super::topic;
use crate::fault;
use crate::selection::Selection;

/// Writes rows to one table.
pub(super) struct DeltaSink {
    lake: Lake,
    pipeline: String,
    partition_by: Vec<String>,
    selection: Arc<Selection>,
    /// The newest version that was seen; none before the first use.
    table: Option<DeltaTable>,
    known: Known,
}

/// What is known of the positions at one version of the table. Each look-up is a pass over the log, so results are kept
/// until the version changes.
#[derive(Default)]
struct Known {
    version: Option<Version>,
    next: HashMap<(Arc<str>, i32), Option<i64>>,
    topics: HashMap<Arc<str>, Option<TopicIdentity>>,
}

impl DeltaSink {
    /// Checks the table if it exists. If its store does not answer, the table is checked when it is first used; a table
    /// that does not exist is made then, too. `pipeline` tells the positions of several pipelines apart.
    ///
    /// # Errors
    /// An invalid location; a table that rows cannot be added to.
    pub(super) fn try_new(
        config: &DeltaSinkConfig,
        pipeline: &str,
        selection: Arc<Selection>,
    ) -> Result<Self> {
        let mut sink = DeltaSink {
            lake: Lake::make(config)?,
            pipeline: pipeline.to_owned(),
            partition_by: config.partition_by.clone(),
            selection,
            table: None,
            known: Known::default(),
        };
        match examine(&sink.lake, &sink.selection, &sink.partition_by)? {
            Examined::Fit(table) => sink.table = table,
            Examined::Unknown(error) => {
                tracing::warn!(event = "output_not_examined", %error, "the table is examined when it is first used");
            }
        }
        Ok(sink)
    }

    /// Loads the newest version of the table, and makes the table if there is none.
    fn refresh(&mut self) -> Result<DeltaTable> {
        let seen = self.table.as_ref().and_then(DeltaTable::version);
        // Taken out: should the update fail half-way, the next call loads the table again.
        let table = match self.table.take() {
            Some(table) => self.lake.update(table)?,
            None => match self.lake.newest()? {
                Some(table) => table,
                None => self.lake.create(self.selection.schema(), &self.partition_by)?,
            },
        };
        // Another writer may have changed the protocol or the columns.
        if table.version() != seen {
            rules::admit(&table, self.selection.schema(), &self.partition_by)
                .map_err(|why| self.lake.refused(why))?;
        }
        // Another writer may have moved the positions.
        if table.version() != self.known.version {
            self.known = Known { version: table.version(), ..Known::default() };
        }
        self.table = Some(table.clone());
        Ok(table)
    }

    fn positions_in(&mut self, table: &DeltaTable, partitions: &[TopicPartition]) -> Result<Positions> {
        let mut positions = Positions::default();
        for (topic, partition) in partitions {
            let key = (Arc::clone(topic), *partition);
            let next = match self.known.next.get(&key) {
                Some(next) => *next,
                None => self.lake.position(table, &self.pipeline, topic, *partition)?,
            };
            self.known.next.insert(key, next);
            if let Some(next) = next {
                positions.set(topic, *partition, next);
            }
        }
        Ok(positions)
    }

    /// The stored identities of the topics of `partitions`.
    fn topics_in(&mut self, table: &DeltaTable, partitions: &[TopicPartition]) -> Result<Topics> {
        let mut topics = Topics::new();
        for (topic, _) in partitions {
            let identity = match self.known.topics.get(topic) {
                Some(identity) => identity.clone(),
                None => topic::read(&self.lake, table, &self.pipeline, topic)?,
            };
            self.known.topics.insert(Arc::clone(topic), identity.clone());
            topics.extend(identity.map(|identity| (Arc::clone(topic), identity)));
        }
        Ok(topics)
    }

    /// Writes the selected rows to data files, one for each partition of the table, and brings them to disk.
    fn stage(&self, table: &DeltaTable, epoch: &[Arc<Rows>], moves: &Moves) -> Result<Vec<Add>> {
        let failed = || self.lake.failed("write data files of");
        let mut writer =
            RecordBatchWriter::for_table(table).map_err(failed())?.with_writer_properties(properties());
        for rows in epoch {
            for batch in self.selection.select(rows, moves)? {
                // `safe` is false: a value that the column cannot hold is an error and not a null. `add_missing` is
                // true: further columns of the table become null.
                let batch = cast_record_batch(&batch, writer.arrow_schema(), false, true).map_err(failed())?;
                self.lake.block_on(writer.write(batch)).map_err(failed())?;
            }
        }
        let files = self.lake.block_on(writer.flush()).map_err(failed())?;
        // On disk before the log names them: the library does not sync, and a crash of the machine could leave a
        // version whose files are empty.
        files.iter().try_for_each(|file| self.lake.sync(&file.path))?;
        fault::point("delta-staged")?;
        Ok(files)
    }

    /// The actions of one commit.
    fn actions(&self, files: &[Add], moves: &Moves) -> (Vec<Action>, Vec<Transaction>) {
        let mut transactions = vec![];
        for m in moves.iter() {
            if m.from.is_none() {
                transactions
                    .push(Transaction::new(lake::beginning_id(&self.pipeline, &m.topic, m.partition), m.to));
            }
            let now = chrono::Utc::now().timestamp_millis();
            let id = lake::position_id(&self.pipeline, &m.topic, m.partition);
            transactions.push(Transaction::new_with_last_update(id, m.to, Some(now)));
        }
        // An identity that is stored already, as it mostly is, would only lengthen the log.
        let is_new = |(name, identity): &(&Arc<str>, &TopicIdentity)| {
            self.known.topics.get(*name).and_then(Option::as_ref) != Some(*identity)
        };
        let news = moves.topics().iter().filter(is_new);
        let news = news.map(|(name, identity)| (Arc::clone(name), identity.clone())).collect();
        transactions.extend(topic::transactions(&self.pipeline, &news));
        (files.iter().cloned().map(Action::Add).collect(), transactions)
    }
}

impl Sink for DeltaSink {
    fn positions(&mut self, partitions: &[TopicPartition]) -> Result<Stored> {
        let table = self.refresh()?;
        let positions = self.positions_in(&table, partitions)?;
        Ok(Stored { positions, topics: self.topics_in(&table, partitions)? })
    }

    fn commit(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        let partitions: Vec<_> = moves.iter().map(|m| (Arc::clone(&m.topic), m.partition)).collect();
        let mut table = self.refresh()?;
        let mut staged: Option<(Terms, Vec<Add>)> = None;
        let version = loop {
            if !moves.start_at(&self.positions_in(&table, &partitions)?) {
                return Err(Error::conflict("another process has moved the positions of the table"));
            }
            // `actions` compares the identities with those that are known at this version.
            self.topics_in(&table, &partitions)?;
            let terms = Terms::of(&table)?;
            // Files that were written for another protocol or schema may lack a value that is required now, so they are
            // written again. The old ones stay, unseen.
            let files = match staged.take() {
                Some((then, files)) if then == terms => files,
                _ => self.stage(&table, epoch, moves)?,
            };
            let (actions, transactions) = self.actions(&files, moves);
            staged = Some((terms, files));
            fault::point("delta-before-commit")?;
            // Makes the version after that of `table`, whose positions were compared above, or none: so no other commit
            // can move the positions in between.
            if let Some(version) = self.lake.commit(&table, actions, transactions, &self.partition_by)? {
                break version;
            }
            tracing::debug!(
                event = "version_taken",
                table = self.lake.name(),
                "another writer made the version: trying the next one"
            );
            table = self.refresh()?;
        };
        fault::point("delta-after-commit")?;
        // The commit took effect. Recorded under its version, the positions need no pass over the log at the next
        // commit; `refresh` drops them if another writer has gone further.
        self.known.version = Some(version);
        self.known.next.extend(moves.iter().map(|m| ((Arc::clone(&m.topic), m.partition), Some(m.to))));
        let topics = moves.topics().iter();
        self.known.topics.extend(topics.map(|(name, identity)| (Arc::clone(name), Some(identity.clone()))));
        let table = self.refresh()?;
        self.lake.tidy(&table, version);
        Ok(())
    }
}

/// The result of a first check of a table.
enum Examined {
    /// Rows can be added to it, or it is yet to be made.
    Fit(Option<DeltaTable>),
    /// Its store does not answer.
    Unknown(Error),
}

/// Checks the table; a store that does not answer within seconds is not waited for.
///
/// # Errors
/// A table that rows cannot be added to.
fn examine(lake: &Lake, selection: &Selection, partition_by: &[String]) -> Result<Examined> {
    let table = match lake.glance() {
        Ok(table) => table,
        Err(error) if error.is_retryable() => return Ok(Examined::Unknown(error)),
        Err(error) => return Err(error),
    };
    if let Some(table) = &table {
        rules::admit(table, selection.schema(), partition_by).map_err(|why| lake.refused(why))?;
    }
    Ok(Examined::Fit(table))
}

/// Checks the table of `config`, which need not exist, as the pipeline does at its start; nothing is made. Returns the
/// error of a store that does not answer, so that nothing is known of the table.
///
/// # Errors
/// An invalid location; a table that rows cannot be added to.
pub(super) fn preflight(config: &DeltaSinkConfig, selection: &Selection) -> Result<Option<Error>> {
    let Some(lake) = Lake::existing(config)? else { return Ok(None) };
    match examine(&lake, selection, &config.partition_by)? {
        Examined::Fit(_) => Ok(None),
        Examined::Unknown(error) => Ok(Some(error)),
    }
}

#[cfg(test)]
mod tests;
