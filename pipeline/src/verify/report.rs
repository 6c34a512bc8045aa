//! What the comparison found, for people and programs.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringTreemap;
use serde::Serialize;

use super::compare::{Compared, DeliveryCounts};
use super::output::Output;
use super::partitions::{Ranges, StoredRows};

/// All sinks and the dead letters.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct VerifyReport {
    /// Whether nothing is lost, nothing is there twice, and the files are those of the manifests.
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

/// One sink, or the dead letters.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SinkReport {
    /// The configuration's key and the destination.
    pub name: String,
    /// By partition; empty where nothing can be told of single documents.
    pub partitions: Vec<PartitionReport>,
    /// All partitions together.
    pub total: DeliveryCounts,
    /// The first lost documents of all, as `topic/partition/offset`.
    pub lost: Vec<String>,
    /// The first of those that are there more than once.
    pub duplicated: Vec<String>,
    /// What is wrong with the sink itself, such as missing files.
    pub problems: Vec<String>,
    /// What cannot be told, and why.
    pub notes: Vec<String>,
}

/// One partition of one sink.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PartitionReport {
    /// Topic, or file, of the source.
    pub topic: String,
    /// Its partition; 0 for files.
    pub partition: i32,
    /// The first offset that was compared.
    pub first: u64,
    /// One past the last.
    pub next: u64,
    /// What was found.
    #[serde(flatten)]
    pub counts: DeliveryCounts,
}

impl SinkReport {
    pub(super) fn new(output: &Output, found: &StoredRows, ranges: &Ranges) -> Self {
        let mut notes = output.notes();
        notes.extend(found.notes.iter().cloned());
        if found.foreign_rows > 0 {
            notes.push(format!("holds {} rows of no partition of the source, left out", found.foreign_rows));
        }
        let gone = |(topic, partition, range): (&Arc<str>, i32, &Range<u64>)| {
            let last = range.start.checked_sub(1)?;
            Some(found.rows.get(topic, partition)?.once.rank(last))
        };
        let gone: u64 = ranges.iter().filter_map(gone).sum();
        if gone > 0 {
            notes.push(format!("holds {gone} rows of documents that the source does not have any more"));
        }
        let mut problems = found.problems.clone();
        problems.extend(output.past_the_end(ranges));
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

    /// Adds a partition, with at most so many `examples` of each kind over all partitions.
    pub(super) fn add(
        &mut self,
        (topic, partition): (&str, i32),
        ranges: &Ranges,
        compared: &Compared<'_>,
        examples: usize,
    ) {
        let counts = compared.counts(ranges.get(topic, partition).map_or(0, |range| range.end));
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

    fn is_ok(&self) -> bool {
        self.total.lost.unwrap_or(0) == 0 && self.total.duplicated == 0 && self.problems.is_empty()
    }
}
