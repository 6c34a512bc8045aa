//! The result of the comparison, for people and programs.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringTreemap;
use serde::Serialize;

use super::Now;
use super::compare::{Compared, DeliveryCounts};
use super::output::Output;
use super::partitions::{Ranges, StoredRows};

/// The result for all sinks and the dead letters.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct VerifyReport {
    /// Whether no document is lost, none is duplicated, and no output has a problem.
    pub ok: bool,
    /// The sinks, in the configuration's order.
    pub sinks: Vec<SinkReport>,
    /// The dead letters.
    pub dead_letters: SinkReport,
}

impl VerifyReport {
    pub(super) fn new(sinks: Vec<SinkReport>, dead_letters: SinkReport) -> Self {
        let ok = sinks.iter().chain([&dead_letters]).all(SinkReport::is_ok);
        VerifyReport { ok, sinks, dead_letters }
    }
}

/// The result for one sink, or for the dead letters.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SinkReport {
    /// The configuration's key and the destination.
    pub name: String,
    /// The partitions; empty if rows cannot be assigned to documents.
    pub partitions: Vec<PartitionReport>,
    /// The sum over all partitions.
    pub total: DeliveryCounts,
    /// The first lost documents, as `topic/partition/offset`.
    pub lost: Vec<String>,
    /// The first duplicated documents, as `topic/partition/offset`.
    pub duplicated: Vec<String>,
    /// Problems of the sink itself, such as missing files.
    pub problems: Vec<String>,
    /// What could not be determined, and why.
    pub notes: Vec<String>,
}

/// The result for one partition of one sink.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PartitionReport {
    /// Topic of the source, or path of the file.
    pub topic: String,
    /// Partition; 0 for files.
    pub partition: i32,
    /// The first offset that was compared.
    pub first: u64,
    /// One past the last offset that was compared.
    pub next: u64,
    /// The counts.
    #[serde(flatten)]
    pub counts: DeliveryCounts,
}

impl SinkReport {
    pub(super) fn new(output: &Output, found: &StoredRows, now: &Now) -> Self {
        let ranges = &now.ranges;
        let mut notes = output.notes();
        notes.extend(found.notes.iter().cloned());
        if found.foreign_rows > 0 {
            notes.push(format!(
                "contains {} rows that belong to no partition of the source; they are not counted",
                found.foreign_rows
            ));
        }
        let gone = |(topic, partition, range): (&Arc<str>, i32, &Range<u64>)| {
            // `rank` counts the offsets up to and including its argument.
            let last = range.start.checked_sub(1)?;
            Some(found.rows.get(topic, partition)?.once.rank(last))
        };
        let gone: u64 = ranges.iter().filter_map(gone).sum();
        if gone > 0 {
            notes.push(format!("contains {gone} rows of documents that the source does not have any more"));
        }
        let mut problems = found.problems.clone();
        problems.extend(output.past_the_end(ranges));
        problems.extend(output.recreated(&now.topics, ranges));
        problems.extend(output.forgotten(found, &now.committed));
        SinkReport {
            name: output.name.clone(),
            partitions: vec![],
            total: DeliveryCounts { lost: output.limit.is_none().then_some(0), ..DeliveryCounts::default() },
            lost: vec![],
            duplicated: vec![],
            problems,
            notes,
        }
    }

    /// Adds a partition. At most `examples` lost and as many duplicated documents are listed over all partitions.
    pub(super) fn add(
        &mut self,
        output: &Output,
        (topic, partition): (&str, i32),
        ranges: &Ranges,
        compared: &Compared<'_>,
        examples: usize,
    ) {
        let (oldest, newest) = ranges.get(topic, partition).map_or((0, 0), |range| (range.start, range.end));
        let mut counts = compared.counts(newest);
        let deleted = output.deleted_unread(topic, partition, oldest);
        if let Some(unread) = &deleted {
            let (first, next, count) = (unread.start, unread.end, unread.end - unread.start);
            self.problems.push(format!(
                "{topic}/{partition}: the source deleted offsets {first}..{next} before they were read: {count} \
                 documents are lost, or fewer where not each offset was one"
            ));
            counts.lost = counts.lost.map(|lost| lost + count);
        }
        self.total += &counts;
        let list = |places: &mut Vec<String>, offsets: RoaringTreemap| {
            let room = examples.saturating_sub(places.len());
            places.extend(offsets.iter().take(room).map(|offset| format!("{topic}/{partition}/{offset}")));
        };
        list(&mut self.lost, compared.lost().unwrap_or_default());
        list(&mut self.duplicated, compared.duplicated());
        let (first, next) = (compared.scope.start, compared.scope.end);
        self.partitions.push(PartitionReport { topic: topic.to_owned(), partition, first, next, counts });
    }

    /// Adds `holes`, the number of offsets that the source has deleted and for which there is neither a row nor a dead
    /// letter, although there are rows before them. They count as lost if every offset of the partition is a document
    /// (`are_documents`, judged by the offsets that the source still has).
    pub(super) fn add_holes(&mut self, (topic, partition): (&str, i32), holes: u64, are_documents: bool) {
        if holes == 0 {
            return;
        }
        let what = format!(
            "{topic}/{partition}: {holes} offsets that the source does not have any more lie between rows and are \
             neither rows nor dead letters"
        );
        if !are_documents {
            let why =
                "they held no document (transactions, compaction), or were deleted before they were read";
            return self.notes.push(format!("{what}: {why}"));
        }
        self.problems.push(format!("{what}: they were deleted before they were read, so they are lost"));
        self.total.lost = self.total.lost.map(|lost| lost + holes);
        // The partition that `add` has added just before.
        if let Some(partition) = self.partitions.last_mut() {
            partition.counts.lost = partition.counts.lost.map(|lost| lost + holes);
        }
    }

    fn is_ok(&self) -> bool {
        self.total.lost.unwrap_or(0) == 0 && self.total.duplicated == 0 && self.problems.is_empty()
    }
}
