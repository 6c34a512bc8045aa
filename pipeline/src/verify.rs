//! Does every document of the source lie in every sink, or among the dead letters, exactly once?
//!
//! Where all outputs stand is read first, then what is in them, then what the source has: so a pipeline
//! that runs meanwhile disturbs nothing, and what it adds is "not reached". Offsets are kept as compressed
//! bitmaps, about two bits for each, so that memory stays small over tens of millions of documents.
//!
//! Contract: nothing is changed, and no offset is committed. What cannot be told (a sink that leaves
//! documents or their places out) is said, never guessed.

mod compare;
mod output;
mod partitions;
mod report;
mod sole;
mod source;
#[cfg(test)]
mod tests;

use fenliu_config::Problems;
use indicatif::ProgressBar;

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::progress::bar;
use compare::Compared;
use output::{Output, Outputs};
use partitions::{ByPartition, Found, Ranges};
use source::Source;

pub(crate) use compare::Counts;
pub(crate) use report::{PartitionReport, Report, SinkReport};

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VerifyOptions {
    /// The number of the only sink to look at, as in `sinks[0]`; none: all.
    pub sink: Option<usize>,
    /// How many lost and how many duplicated places to list for each sink.
    pub examples: usize,
}

/// Compares the source of `config` with its sinks and dead letters.
///
/// # Errors
/// Brokers that do not answer, files of the source that cannot be read, a sink that does not exist.
/// What is wrong with a sink's files is in the report.
pub(crate) fn verify(config: &Plan, options: VerifyOptions) -> Result<Report> {
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

/// What is in one output, and what it says of itself.
struct Contents {
    output: Output,
    found: Found,
}

impl Verification<'_> {
    fn run(&self) -> Result<Report> {
        let source = Source::open(self.config)?;
        let partitions = source.ranges()?;
        let (sinks, letters) = self.open(&partitions)?;
        let letters = self.read(letters, &partitions)?;
        let sinks = sinks.into_iter().map(|sink| self.read(sink, &partitions));
        let sinks = sinks.collect::<Result<Vec<_>>>()?;

        let ranges = source.ranges()?;
        let scopes: Vec<_> = sinks.iter().map(|sink| scopes(&[sink, &letters], &ranges)).collect();
        let documents = source.documents(&widest(&scopes), self.progress)?;
        let report = |(sink, scopes): (&Contents, &Ranges)| {
            let mut report = SinkReport::new(&sink.output, &sink.found, &ranges);
            for (topic, partition, scope) in scopes.iter() {
                let compared = Compared {
                    documents: documents.get(topic, partition),
                    scope: scope.clone(),
                    rows: sink.found.rows.get(topic, partition),
                    dead_letters: letters.found.rows.get(topic, partition),
                    can_lose: !sink.output.filtered && letters.output.limit.is_none(),
                };
                report.add((topic, partition), &ranges, &compared, self.options.examples);
            }
            report.notes.extend(sink.output.note_on_loss(&report.total));
            report
        };
        let sinks = sinks.iter().zip(&scopes).map(report).collect();
        Ok(Report::new(sinks, self.report_of_dead_letters(&letters, &ranges)))
    }

    /// The sinks to look at and the dead letters, with where they stand at this moment.
    fn open(&self, partitions: &Ranges) -> Result<(Vec<Output>, Output)> {
        let outputs = Outputs::try_new(self.config, partitions)?;
        let wanted = |number: &usize| self.options.sink.is_none_or(|only| only == *number);
        let sinks = (0..self.config.sinks.len()).filter(wanted).map(|number| outputs.sink(number));
        let sinks = sinks.filter_map(Result::transpose).collect::<Result<_>>()?;
        let letters = outputs.dead_letters()?;
        Ok((sinks, letters.ok_or_else(|| Error::internal("dead letters cannot be read back"))?))
    }

    fn read(&self, output: Output, partitions: &Ranges) -> Result<Contents> {
        tracing::info!(event = "reading", output = output.name, "reading");
        let mut found = Found::new(partitions);
        output.read(&mut found, self.progress)?;
        Ok(Contents { output, found })
    }

    fn report_of_dead_letters(&self, letters: &Contents, ranges: &Ranges) -> SinkReport {
        let mut report = SinkReport::new(&letters.output, &letters.found, ranges);
        for (topic, partition, scope) in scopes(&[letters], ranges).iter() {
            let rows = letters.found.rows.get(topic, partition);
            let scope = scope.clone();
            let compared = Compared { documents: None, scope, rows, dead_letters: None, can_lose: false };
            report.add((topic, partition), ranges, &compared, self.options.examples);
        }
        report
    }
}

/// The offsets of each partition that all of `outputs` have passed, as far as the source still has them; no
/// partition where the first of them does not tell documents apart.
fn scopes(outputs: &[&Contents], ranges: &Ranges) -> Ranges {
    let mut scopes = ByPartition::default();
    if outputs.first().is_some_and(|contents| contents.output.limit.is_some()) {
        return scopes;
    }
    for (topic, partition, range) in ranges.iter() {
        // Where nothing says where an output began, the lowest offset in any of them does.
        let held = outputs.iter().filter_map(|contents| contents.found.rows.get(topic, partition));
        let lowest = held.filter_map(|held| held.once.min()).min();
        let mut scope = range.clone();
        for contents in outputs {
            let span = contents.output.span(topic, partition, range, lowest);
            scope = scope.start.max(span.start)..scope.end.min(span.end);
        }
        scopes.insert(topic, partition, scope.start..scope.end.max(scope.start));
    }
    scopes
}

/// For each partition the offsets from the first to the last of all scopes.
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
