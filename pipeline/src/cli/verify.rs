//! `fenliu verify`

use std::process::ExitCode;

use clap::Args;

use super::common::Common;
use super::output;
use crate::error::Result;
use crate::verify::{Counts, PartitionReport, Report, SinkReport, VerifyOptions, verify as compare};

/// Compares the source with the sinks and the dead letters by topic, partition and offset.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Look at one sink only: 0 is the first of the configuration
    #[arg(long, value_name = "NUMBER")]
    sink: Option<usize>,
    /// How many lost and how many duplicated documents to list for each sink
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    examples: usize,
}

pub(super) fn verify(args: &VerifyArgs, common: &Common) -> Result<ExitCode> {
    let options = VerifyOptions { sink: args.sink, examples: args.examples };
    let report = compare(&common.validated()?, options)?;
    if common.json {
        output::json(&report)?;
    } else {
        show(&report)?;
    }
    Ok(ExitCode::from(u8::from(!report.ok)))
}

fn show(report: &Report) -> Result<()> {
    for sink in &report.sinks {
        output::line(&sink.name)?;
        let header = [
            "partition",
            "offsets",
            "documents",
            "rows",
            "dead letters",
            "lost",
            "duplicated",
            "not reached",
        ];
        show_table(&header, sink, |counts| {
            let lost = counts.lost.map_or("-".into(), |lost| lost.to_string());
            let [documents, rows] = [counts.documents, counts.rows].map(|number| number.to_string());
            let letters = counts.dead_lettered.to_string();
            [documents, rows, letters, lost, counts.duplicated.to_string(), counts.not_reached.to_string()]
        })?;
        show_faults(sink)?;
    }
    let letters = &report.dead_letters;
    output::line(&letters.name)?;
    show_table(&["partition", "offsets", "rows", "duplicated", "not reached"], letters, |counts| {
        [counts.rows, counts.duplicated, counts.not_reached].map(|number| number.to_string())
    })?;
    show_faults(letters)?;
    output::line(if report.ok { "nothing lost, nothing twice" } else { "not as it should be: see above" })
}

/// A line a partition and one for all of them: place and offsets, then the `cells` that the counts make.
fn show_table<const CELLS: usize, const COLUMNS: usize>(
    header: &[&str; COLUMNS],
    sink: &SinkReport,
    cells: impl Fn(&Counts) -> [String; CELLS],
) -> Result<()> {
    if sink.partitions.is_empty() {
        return Ok(());
    }
    let row = |place: String, offsets: String, counts: &Counts| -> [String; COLUMNS] {
        let mut row = [place, offsets].into_iter().chain(cells(counts));
        std::array::from_fn(|_| row.next().unwrap_or_default())
    };
    let partition = |of: &PartitionReport| {
        row(format!("{}/{}", of.topic, of.partition), format!("{}..{}", of.first, of.next), &of.counts)
    };
    let mut rows: Vec<_> = sink.partitions.iter().map(partition).collect();
    if rows.len() > 1 {
        rows.push(row("total".into(), String::new(), &sink.total));
    }
    output::table(header, rows)
}

fn show_faults(sink: &SinkReport) -> Result<()> {
    for (what, places) in [("first lost", &sink.lost), ("first duplicated", &sink.duplicated)] {
        if !places.is_empty() {
            output::line(format!("{what}: {}", places.join(", ")))?;
        }
    }
    sink.problems.iter().try_for_each(|problem| output::line(format!("problem: {problem}")))?;
    sink.notes.iter().try_for_each(|note| output::line(format!("note: {note}")))?;
    output::line("")
}
