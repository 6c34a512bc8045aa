//! Checks that every document of the source is in every sink, or among the dead letters, exactly once.
//!
//! The positions of all outputs are read first, then their rows, then the documents of the source. A pipeline that runs
//! meanwhile does no harm: what it adds lies beyond the positions and counts as "not reached". Offsets are kept in
//! compressed bitmaps, with about two bits for each, so that tens of millions of documents need little memory.
//!
//! Contract: nothing is changed, and no offset is committed. If something cannot be determined (because a sink leaves out
//! documents, or the columns that identify them), the report says so; it never guesses.

mod compare;
mod default_place;
mod output;
mod partitions;
mod report;
mod source;
#[cfg(test)]
mod tests;

use fenliu_config::Problems;
use fenliu_schemas::{Positions, Topics};
use indicatif::ProgressBar;

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::progress::bar;
use compare::Compared;
use output::{Output, Outputs};
use partitions::{ByPartition, Ranges, StoredRows};
use source::SourceDocuments;

pub(crate) use compare::DeliveryCounts;
pub(crate) use report::{PartitionReport, SinkReport, VerifyReport};

/// What to compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VerifyOptions {
    /// The number of the only sink to compare, as in `sinks[0]`; `None`: all.
    pub sink: Option<usize>,
    /// How many lost and how many duplicated documents to list for each sink.
    pub examples: usize,
}

/// Compares the source of `config` with its sinks and dead letters.
///
/// # Errors
/// A broker does not answer, a file of the source cannot be read, or the sink does not exist. Problems of a sink's files
/// are not errors but part of the report.
pub(crate) fn verify(config: &Plan, options: VerifyOptions) -> Result<VerifyReport> {
    if let Some(number) = options.sink.filter(|number| *number >= config.sinks.len()) {
        let count = config.sinks.len();
        let message = format!("there is no sink {number}: the configuration has {count}, the first is 0");
        return Err(Problems::one("command line", "--sink", message).into());
    }
    let progress = bar(None, "places");
    let report = Verification { config, options, progress: &progress }.run();
    progress.finish_and_clear();
    report
}

struct Verification<'a> {
    config: &'a Plan,
    options: VerifyOptions,
    progress: &'a ProgressBar,
}

/// The state of the source and of the consumer group, read after the rows of all outputs.
struct Now {
    ranges: Ranges,
    topics: Topics,
    committed: Positions,
}

/// One output, with the rows that were found in it.
struct OutputContents {
    output: Output,
    found: StoredRows,
}

impl Verification<'_> {
    fn run(&self) -> Result<VerifyReport> {
        // The order matters while a pipeline runs. Positions are read before rows, so that rows beyond a position
        // are merely new; the source is read last, so that it contains every document that an output can have.
        let source = SourceDocuments::open(self.config)?;
        let partitions = source.ranges()?;
        let outputs = Outputs::try_new(self.config, &partitions)?;
        let (sinks, letters) = self.open(&outputs)?;
        let letters = self.read(letters, &partitions)?;
        let sinks = sinks.into_iter().map(|sink| self.read(sink, &partitions));
        let sinks = sinks.collect::<Result<Vec<_>>>()?;

        let now =
            Now { ranges: source.ranges()?, topics: source.topics()?, committed: outputs.committed_now()? };
        let ranges = &now.ranges;
        let scopes: Vec<_> = sinks.iter().map(|sink| scopes(&[sink, &letters], ranges)).collect();
        // Read once for all sinks: reading the source is the longest part.
        let documents = source.documents(&widest(&scopes), self.progress)?;
        let report = |(sink, scopes): (&OutputContents, &Ranges)| {
            let mut report = SinkReport::new(&sink.output, &sink.found, &now);
            for (topic, partition, scope) in scopes.iter() {
                let compared = Compared {
                    documents: documents.get(topic, partition),
                    scope: scope.clone(),
                    rows: sink.found.rows.get(topic, partition),
                    dead_letters: letters.found.rows.get(topic, partition),
                    can_lose: !sink.output.filtered && letters.output.limit.is_none(),
                };
                report.add(&sink.output, (topic, partition), ranges, &compared, self.options.examples);
                let oldest = ranges.get(topic, partition).map_or(0, |range| range.start);
                let gone = |of: &OutputContents| of.output.passed_and_gone(topic, partition, oldest);
                if let (true, Some(gone), Some(of_letters)) = (compared.can_lose, gone(sink), gone(&letters))
                {
                    // Only where both have passed: before that, a missing document may be in the output that was
                    // not read so far.
                    let gone = gone.start.max(of_letters.start)..gone.end.min(of_letters.end);
                    report.add_holes((topic, partition), compared.holes(gone), compared.is_dense());
                }
            }
            report.notes.extend(sink.output.note_on_loss(&report.total));
            report
        };
        let sinks = sinks.iter().zip(&scopes).map(report).collect();
        Ok(VerifyReport::new(sinks, self.report_of_dead_letters(&letters, &now)))
    }

    /// The sinks to compare and the dead letters, with their present positions.
    fn open(&self, outputs: &Outputs<'_>) -> Result<(Vec<Output>, Output)> {
        let wanted = |number: &usize| self.options.sink.is_none_or(|only| only == *number);
        let sinks = (0..self.config.sinks.len()).filter(wanted).map(|number| outputs.sink(number));
        let sinks = sinks.filter_map(Result::transpose).collect::<Result<_>>()?;
        let letters = outputs.dead_letters()?;
        Ok((sinks, letters.ok_or_else(|| Error::internal("dead letters cannot be read back"))?))
    }

    fn read(&self, output: Output, partitions: &Ranges) -> Result<OutputContents> {
        tracing::info!(event = "reading", output = output.name, "reading");
        let mut found = StoredRows::new(partitions);
        output.read(&mut found, self.progress)?;
        Ok(OutputContents { output, found })
    }

    fn report_of_dead_letters(&self, letters: &OutputContents, now: &Now) -> SinkReport {
        let mut report = SinkReport::new(&letters.output, &letters.found, now);
        for (topic, partition, scope) in scopes(&[letters], &now.ranges).iter() {
            let rows = letters.found.rows.get(topic, partition);
            let scope = scope.clone();
            let compared = Compared { documents: None, scope, rows, dead_letters: None, can_lose: false };
            report.add(&letters.output, (topic, partition), &now.ranges, &compared, self.options.examples);
        }
        report
    }
}

/// The offsets of each partition that all of `outputs` have passed and that the source still has. Empty if rows of the
/// first output cannot be assigned to documents.
fn scopes(outputs: &[&OutputContents], ranges: &Ranges) -> Ranges {
    let mut scopes = ByPartition::default();
    // Without places of its rows nothing can be compared. Dead letters without places are handled by `can_lose`.
    if outputs.first().is_some_and(|contents| contents.output.limit.is_some()) {
        return scopes;
    }
    for (topic, partition, range) in ranges.iter() {
        // For an output that does not record where it began, the lowest offset in any of the outputs is used instead.
        let held = outputs.iter().filter_map(|contents| contents.found.rows.get(topic, partition));
        let lowest = held.filter_map(|held| held.once.min()).min();
        let mut scope = range.clone();
        for contents in outputs {
            let span = contents.output.span(topic, partition, range, lowest);
            scope = scope.start.max(span.start)..scope.end.min(span.end);
        }
        // An empty intersection becomes an empty range; its end must not lie before its start.
        scopes.insert(topic, partition, scope.start..scope.end.max(scope.start));
    }
    scopes
}

/// For each partition, the smallest range that contains all scopes.
fn widest(scopes: &[Ranges]) -> Ranges {
    let mut widest = Ranges::default();
    for (topic, partition, scope) in scopes.iter().flat_map(ByPartition::iter) {
        match widest.get_mut(topic, partition) {
            Some(known) => *known = known.start.min(scope.start)..known.end.max(scope.end),
            None => widest.insert(topic, partition, scope.clone()),
        }
    }
    widest
}
