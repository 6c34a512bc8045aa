//! The outputs of a pipeline: up to where each has written, and which rows it contains.

use std::ops::Range;
use std::sync::Arc;

use fenliu_connectors::kafka::{Start, committed, connect};
use fenliu_connectors::reader::{Beginning, Findings, ReadContext, Reader};
use fenliu_connectors::{Role, SinkKind};
use fenliu_engine::position::Stored;
use fenliu_operators::Projection;
use fenliu_schemas::{Positions, TopicPartition, Topics, dead_letter_schema};
use indicatif::ProgressBar;

use super::compare::DeliveryCounts;
use super::default_place::DefaultPlace;
use super::partitions::{Ranges, StoredOffsets, StoredRows};
use crate::error::Result;
use crate::plan::Plan;

/// A sink or the dead letters, with the positions that it had when it was opened.
pub(super) struct Output {
    /// The configuration's key and the destination.
    pub(super) name: String,
    /// Whether a predicate excludes documents.
    pub(super) filtered: bool,
    /// Why its rows cannot be assigned to documents, if they cannot.
    pub(super) limit: Option<String>,
    beginning: Beginning,
    /// `None` if the output stores no positions; it is then expected to have everything.
    positions: Option<Positions>,
    /// The identities that it has stored of the topics to which its positions belong.
    topics: Topics,
    /// Whether its positions are the committed offsets of the consumer group.
    is_in_group: bool,
    default_place: DefaultPlace,
    reader: Box<dyn Reader>,
}

impl Output {
    /// The offsets of a partition that this output should contain, given the `range` of the source and the `lowest`
    /// offset that was found in any output.
    pub(super) fn span(
        &self,
        topic: &Arc<str>,
        partition: i32,
        range: &Range<u64>,
        lowest: Option<u64>,
    ) -> Range<u64> {
        let at = |positions: &Positions| positions.get(topic, partition).map_or(0, i64::unsigned_abs);
        // An output that stores no positions is expected to have everything that the source has.
        let next = self.positions.as_ref().map_or(range.end, at);
        let first = match &self.beginning {
            Beginning::Assumed => 0,
            Beginning::Recorded(beginnings) => at(beginnings),
            Beginning::Unknown => lowest.unwrap_or(next),
        };
        first..next
    }

    /// A possible harmless explanation of a loss.
    pub(super) fn note_on_loss(&self, total: &DeliveryCounts) -> Option<String> {
        let may_be_newer = self.reader.beginning() == Beginning::Assumed;
        (may_be_newer && total.lost.is_some_and(|lost| lost > 0)).then(|| {
            "where it began is not recorded: if it was added later than other outputs, the documents before \
             it count as lost"
                .into()
        })
    }

    /// What has to be known to interpret the counts.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<_> = self.limit.iter().cloned().collect();
        if self.filtered {
            notes.push(
                "losses cannot be detected: a missing document may have been excluded by its `where`".into(),
            );
        }
        if matches!(self.beginning, Beginning::Unknown) {
            notes.push("where it began is not recorded: counted from the lowest offset found".into());
        }
        if self.positions.is_none() {
            notes.push("it stores no position: documents that have not reached it yet count as lost".into());
        }
        notes
    }

    /// Problems of partitions in which this output has a position beyond the end of the source.
    pub(super) fn past_the_end(&self, ranges: &Ranges) -> Vec<String> {
        let stands = |(topic, partition, range): (&Arc<str>, i32, &Range<u64>)| {
            let next = self.positions.as_ref()?.get(topic, partition)?.unsigned_abs();
            (next > range.end).then(|| {
                let end = range.end;
                format!(
                    "{topic}/{partition}: its position is {next}, but the source ends at {end}: was the topic \
                     deleted and recreated?"
                )
            })
        };
        ranges.iter().filter_map(stands).collect()
    }

    /// Problems of topics that were deleted and created again since this output has read them. `now` are the identities
    /// that the cluster reports at present.
    pub(super) fn recreated(&self, now: &Topics, ranges: &Ranges) -> Vec<String> {
        let changed = now.iter().filter_map(|(topic, identity)| {
            let stored = self.topics.get(topic).filter(|stored| stored.contradicts(identity))?;
            Some((topic, stored.id.as_deref()?, identity.id.as_deref()?))
        });
        let unread = |topic: &Arc<str>| {
            let partitions = ranges.iter().filter(|(name, _, range)| *name == topic && !range.is_empty());
            let texts: Vec<_> = partitions
                .map(|(_, id, range)| format!("{topic}/{id} {}..{}", range.start, range.end))
                .collect();
            if texts.is_empty() { "it has none".to_owned() } else { texts.join(", ") }
        };
        let text = |(topic, stored, now): (&Arc<str>, &str, &str)| {
            format!(
                "topic {topic} was deleted and created again: this output belongs to the topic with id {stored}, the \
                 cluster has id {now}. Offsets of the new topic that were never read: {}",
                unread(topic)
            )
        };
        changed.map(text).collect()
    }

    /// Problems of partitions for which this output has rows but the consumer group has lost its offset. The offset
    /// must be missing both before and after the rows were read: a pipeline that runs meanwhile can commit its first
    /// offset in between.
    pub(super) fn forgotten(&self, found: &StoredRows, now: &Positions) -> Vec<String> {
        let is_known = |topic: &str, id: i32| {
            [self.positions.as_ref(), Some(now)].iter().flatten().any(|at| at.get(topic, id).is_some())
        };
        let lacking = found
            .rows
            .iter()
            .filter(|(topic, id, held)| self.is_in_group && held.rows > 0 && !is_known(topic, *id));
        let text = |(topic, id, held): (&Arc<str>, i32, &StoredOffsets)| {
            format!(
                "{topic}/{id}: there are {} rows, but the consumer group has no offset for the partition. Kafka removes \
                 offsets when their topic is deleted, and when the group was idle for longer than \
                 `offsets.retention.minutes`; the next run begins at `source.start`",
                held.rows
            )
        };
        lacking.map(text).collect()
    }

    /// Offsets of a partition that the source deleted before this output had read them; `oldest` is the first offset
    /// that the source still has.
    pub(super) fn deleted_unread(&self, topic: &str, partition: i32, oldest: u64) -> Option<Range<u64>> {
        let next = self.positions.as_ref()?.get(topic, partition)?.unsigned_abs();
        (next < oldest).then_some(next..oldest)
    }

    /// Offsets that this output has passed and that the source does not have any more; `None` if it is not recorded
    /// where the output began.
    pub(super) fn passed_and_gone(&self, topic: &str, partition: i32, oldest: u64) -> Option<Range<u64>> {
        let Beginning::Recorded(beginnings) = &self.beginning else { return None };
        let next = self.positions.as_ref()?.get(topic, partition)?.unsigned_abs();
        let first = beginnings.get(topic, partition)?.unsigned_abs();
        Some(first..next.min(oldest).max(first))
    }

    /// Adds all rows to `found`, and the problems of the output itself, such as missing files.
    ///
    /// # Errors
    /// A broker does not answer, or a topic does not exist.
    pub(super) fn read(&self, found: &mut StoredRows, progress: &ProgressBar) -> Result<()> {
        let mut note = |place: fenliu_connectors::reader::Place<'_>| {
            progress.inc(1);
            self.default_place.note(found, place);
        };
        let visit: Option<&mut fenliu_connectors::reader::VisitPlace<'_>> =
            if self.limit.is_none() { Some(&mut note) } else { None };
        let Findings { problems, notes } = self.reader.places(visit)?;
        found.problems.extend(problems);
        found.notes.extend(notes);
        Ok(())
    }
}

/// Opens the outputs of one pipeline.
pub(super) struct Outputs<'a> {
    plan: &'a Plan,
    default_place: DefaultPlace,
    /// The committed offsets of the consumer group, which are the positions of all Kafka outputs.
    committed: Option<Stored>,
    /// The partitions of the source.
    partitions: Vec<TopicPartition>,
}

impl<'a> Outputs<'a> {
    /// The outputs of `plan`, whose source has these `partitions`.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub(super) fn try_new(plan: &'a Plan, partitions: &Ranges) -> Result<Self> {
        let places: Vec<_> = partitions.iter().map(|(topic, id, _)| (Arc::clone(topic), id)).collect();
        let committed = committed_by_group(plan, &places)?;
        Ok(Outputs { plan, default_place: DefaultPlace::of(partitions), committed, partitions: places })
    }

    /// The offsets that the consumer group has committed by now; empty without a group.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub(super) fn committed_now(&self) -> Result<Positions> {
        let stored = committed_by_group(self.plan, &self.partitions)?;
        Ok(stored.map(|stored| stored.positions).unwrap_or_default())
    }

    /// The sink with that number; `None` if its rows cannot be read back, as for standard output.
    ///
    /// # Errors
    /// The destination cannot be read.
    pub(super) fn sink(&self, number: usize) -> Result<Option<Output>> {
        let Some(sink) = self.plan.sinks.get(number) else { return Ok(None) };
        self.open(&format!("sinks[{number}]"), &**sink, Role::Labelled)
    }

    /// The output of the dead letters.
    ///
    /// # Errors
    /// The destination cannot be read.
    pub(super) fn dead_letters(&self) -> Result<Option<Output>> {
        self.open("dead_letters", &*self.plan.dead_letters, Role::DeadLetters)
    }

    fn open(&self, key: &str, kind: &dyn SinkKind, role: Role) -> Result<Option<Output>> {
        let group = self.plan.source.group();
        let context = ReadContext {
            role,
            pipeline: &self.plan.name,
            kafka: &self.plan.kafka,
            partitions: &self.partitions,
            committed: self.committed.as_ref(),
            starts_at_latest: group.is_some_and(|source| source.start == Start::Latest),
        };
        let Some(reader) = kind.reader(&context)? else { return Ok(None) };
        Ok(Some(Output {
            name: format!("{key} ({})", kind.destination()),
            filtered: kind.filter().is_some(),
            limit: self.limit(key, kind, role),
            beginning: match (group, reader.beginning()) {
                // A source of files is always read from the first row on.
                (None, _) => Beginning::Assumed,
                (Some(_), beginning) => beginning,
            },
            positions: reader.positions(),
            topics: reader.topics(),
            is_in_group: kind.topic().is_some() && group.is_some(),
            default_place: self.default_place.clone(),
            reader,
        }))
    }

    /// Why rows of the output cannot be assigned to documents, if they cannot.
    fn limit(&self, key: &str, kind: &dyn SinkKind, role: Role) -> Option<String> {
        let rows = match role {
            Role::Labelled => Arc::clone(&self.plan.schema),
            // In a topic, the headers of a dead letter name the original message, whatever its columns are.
            Role::DeadLetters if kind.topic().is_some() => return None,
            Role::DeadLetters => dead_letter_schema(),
        };
        let columns = Projection::try_new(&rows, kind.columns(), None);
        match columns {
            Ok(columns) => self.default_place.limit(columns.schema()),
            Err(_) => Some(format!("`{key}.columns` do not compile")),
        }
    }
}

/// The offsets that the consumer group of `plan` has committed for these `partitions`; `None` without a group.
///
/// # Errors
/// The brokers do not answer.
fn committed_by_group(plan: &Plan, partitions: &[TopicPartition]) -> Result<Option<Stored>> {
    let read = |source| committed(&connect(&plan.kafka, source, &plan.name)?, partitions);
    plan.source.group().map(read).transpose()
}
